"""Back through a run of a large network, window by window."""
