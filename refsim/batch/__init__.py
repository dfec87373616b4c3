"""Many samples of one network, on all cores."""
