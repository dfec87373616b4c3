"""Simulation and gradients by JAX."""
