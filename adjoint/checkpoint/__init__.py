"""Gradients of long runs in bounded memory."""
