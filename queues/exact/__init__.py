"""Queues that lose nothing, one structure a file."""
