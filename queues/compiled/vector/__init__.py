"""Several numbers at once: vectors, masks, fused operations, and functions of them."""
