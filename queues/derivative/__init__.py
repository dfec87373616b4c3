"""What a queue remembers to be walked back through."""
