"""Gradients of acyclic networks: neurons one after the other, each with all that it has caused."""
