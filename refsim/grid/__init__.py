"""The fixed-step engine."""
