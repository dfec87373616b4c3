"""What is connected to what, and in which order it lies in memory."""
