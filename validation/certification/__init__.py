"""Certification of back ends: what they answer, beside the reference."""
