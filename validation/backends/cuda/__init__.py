"""Batches of networks on a GPU."""
