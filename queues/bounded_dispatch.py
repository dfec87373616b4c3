"""Bounded queues whose structure is chosen at run time, for loops over several of them.

The structure is a small integer: kernels that are passed as arguments would miss the disk cache.
"""

from __future__ import annotations

from queues import (
    bounded_fifo,
    bounded_heap,
    bounded_sorted_array,
    lossy_ring,
    null,
    single_spike,
    single_spike_keep,
)
from queues.jit import inner_kernel
from queues.types import BoundedArrays

NULL, SINGLE_SPIKE, SINGLE_SPIKE_KEEP, LOSSY_RING, FIFO, SORTED_ARRAY, HEAP = range(7)
KINDS = {
    "null": NULL,
    "single_spike": SINGLE_SPIKE,
    "single_spike_keep": SINGLE_SPIKE_KEEP,
    "lossy_ring": LOSSY_RING,
    "bounded_fifo": FIFO,
    "bounded_sorted_array": SORTED_ARRAY,
    "bounded_heap": HEAP,
}
_EMPTY = {"null": null.empty, "single_spike": single_spike.empty}
_EMPTY["single_spike_keep"] = single_spike.empty


def empty(structure: str, n: int, capacity: int) -> BoundedArrays:
    """Return ``n`` queues of a structure, a key of `KINDS`, without rows."""
    return _EMPTY.get(structure, bounded_fifo.empty)(n, capacity)


@inner_kernel
def push(kind, queues, q, time, order, payload, tangent):
    """Add a row, or lose one; return the order of that, or NONE."""
    if kind == SINGLE_SPIKE:
        return single_spike.push(queues, q, time, order, payload, tangent)
    if kind == SINGLE_SPIKE_KEEP:
        return single_spike_keep.push(queues, q, time, order, payload, tangent)
    if kind == LOSSY_RING:
        return lossy_ring.push(queues, q, time, order, payload, tangent)
    if kind == FIFO:
        return bounded_fifo.push(queues, q, time, order, payload, tangent)
    if kind == SORTED_ARRAY:
        return bounded_sorted_array.push(queues, q, time, order, payload, tangent)
    if kind == HEAP:
        return bounded_heap.push(queues, q, time, order, payload, tangent)
    return null.push(queues, q, time, order, payload, tangent)


@inner_kernel
def due(kind, queues, q, now):
    """Return the row that a poll finds, or NONE."""
    if kind in (SINGLE_SPIKE, SINGLE_SPIKE_KEEP):
        return single_spike.due(queues, q, now)
    if kind == LOSSY_RING:
        return lossy_ring.due(queues, q, now)
    if kind in (FIFO, SORTED_ARRAY):
        return bounded_fifo.due(queues, q, now)
    if kind == HEAP:
        return bounded_heap.due(queues, q, now)
    return null.due(queues, q, now)


@inner_kernel
def take(kind, queues, q, row):
    """Remove the row that a poll has just found."""
    if kind in (SINGLE_SPIKE, SINGLE_SPIKE_KEEP):
        single_spike.take(queues, q, row)
    elif kind == LOSSY_RING:
        lossy_ring.take(queues, q, row)
    elif kind in (FIFO, SORTED_ARRAY):
        bounded_fifo.take(queues, q, row)
    elif kind == HEAP:
        bounded_heap.take(queues, q, row)
