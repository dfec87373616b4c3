"""The reference engine: one event after the other."""
