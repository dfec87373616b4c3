"""Gradients and tangents of the fixed-step engine."""
