"""Acyclic networks of one exponential port and full layers: all neurons of a layer in vectors."""
