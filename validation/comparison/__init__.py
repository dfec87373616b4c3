"""One answer against another."""
