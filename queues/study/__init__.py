"""Many queues at once, and how much bounded ones lose."""
