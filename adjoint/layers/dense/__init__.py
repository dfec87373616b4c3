"""Gradients of full layers: all neurons of a layer in vectors."""
