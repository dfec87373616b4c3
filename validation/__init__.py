"""Certification of spikes and gradients by independent judges."""
