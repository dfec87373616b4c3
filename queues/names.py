"""Names that arguments may have, as types: editors complete them, and type checkers know them."""

from __future__ import annotations

from typing import Literal

# What no step, lane or horizon limits comes first; see `queues.exact.dispatch`.
QueueName = Literal[
    "heap", "fifo", "sorted_array", "dary_heap_4", "dary_heap_8", "pairing_heap", "calendar",
    "batch_heap", "fifo_merge", "ring_buffer",
]  # fmt: skip
# Structures of a fixed capacity, which drop entries; see `queues.bounded.dispatch`.
BoundedName = Literal[
    "null", "single_spike", "single_spike_keep", "bounded_fifo", "bounded_sorted_array",
    "bounded_heap", "lossy_ring", "bit_array",
]  # fmt: skip
WalkName = Literal["scatter", "stack", "fifo", "heap"]
KeepRule = Literal["largest", "recent"]
SemanticsName = Literal[
    "exact", "fifo", "ring_buffer", "null", "single_spike", "single_spike_keep", "lossy_ring",
    "bounded_fifo", "bounded_sorted_array", "bounded_heap", "bit_array",
]  # fmt: skip
