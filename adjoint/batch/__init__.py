"""Gradients of many samples of one network."""
