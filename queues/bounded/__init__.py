"""Queues of a fixed capacity, which lose what has no room."""
