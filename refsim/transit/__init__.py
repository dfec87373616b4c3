"""When a spike arrives, and whether it does."""
