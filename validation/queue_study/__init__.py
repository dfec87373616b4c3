"""Our queues beside those of adseq."""
