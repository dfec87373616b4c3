"""Probable causes of what is wrong in an answer."""
