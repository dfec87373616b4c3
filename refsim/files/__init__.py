"""What is read from files, in bounds, and written to them, whole or not at all."""
