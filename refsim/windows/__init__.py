"""The engine of large networks, a window of time at a time."""
