"""Judges of gradients, one a file, and the table of all."""
