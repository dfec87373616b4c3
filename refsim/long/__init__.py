"""Runs in parts, and runs whose spikes go to disk."""
