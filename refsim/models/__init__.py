"""Neuron models, a folder each."""
