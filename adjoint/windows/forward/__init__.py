"""Tangents of a large network, window by window."""
