"""Where the stored cases come from, and other networks to try."""
