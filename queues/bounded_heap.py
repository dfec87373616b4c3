"""A bounded binary heap of events that refuses one for which it has no room."""

from __future__ import annotations

import numpy as np

from queues.bounded import BoundedKernels, BoundedQueue, copy, empty, write
from queues.buffer import NONE
from queues.jit import inner_kernel, kernel
from queues.types import BoundedArrays

__all__ = ["BoundedHeap", "due", "empty", "first", "push", "take"]


@inner_kernel
def _is_before(queues, a, b):
    """Return whether row ``a`` leaves before row ``b``."""
    ta, tb = queues.time[a], queues.time[b]
    return ta < tb or (ta == tb and queues.order[a] < queues.order[b])


@kernel
def push(
    queues: BoundedArrays, q: np.int64, time: float, order: int, payload: int, tangent: float
) -> np.int64:
    """Add the row and return -1, or refuse it and return its order."""
    hole = queues.size[q]
    if hole == queues.capacity[0]:
        queues.dropped[q] += 1
        return np.int64(order)
    queues.size[q] = hole + 1
    base = q * queues.capacity[0]
    while hole > 0:
        parent = (hole - 1) >> 1
        above = queues.time[base + parent]
        if above < time or (above == time and queues.order[base + parent] < order):
            break
        copy(queues, base + parent, base + hole)
        hole = parent
    write(queues, base + hole, time, order, payload, tangent)
    return NONE


@kernel
def first(queues: BoundedArrays, q: np.int64) -> np.int64:
    """Return the first row of queue ``q``, or -1."""
    return q * queues.capacity[0] if queues.size[q] > 0 else NONE


@kernel
def due(queues: BoundedArrays, q: np.int64, now: float) -> np.int64:
    """Return the first row of queue ``q`` if its time is not after ``now``, or -1."""
    row = q * queues.capacity[0]
    return row if queues.size[q] > 0 and queues.time[row] <= now else NONE


@kernel
def take(queues: BoundedArrays, q: np.int64, row: np.int64) -> None:
    """Remove the first row of queue ``q``: sift the last one down from its place."""
    queues.size[q] -= 1
    size = queues.size[q]
    base = q * queues.capacity[0]
    last = base + size
    hole = np.int64(0)
    child = np.int64(1)
    while child < size:
        if child + 1 < size and _is_before(queues, base + child + 1, base + child):
            child += 1
        if _is_before(queues, last, base + child):
            break
        copy(queues, base + child, base + hole)
        hole = child
        child = 2 * hole + 1
    copy(queues, last, base + hole)


class BoundedHeap(BoundedQueue):
    """Entries by (time, order): a push that finds it full is dropped.

    Parameters
    ----------
    capacity
        Number of entries that there is room for, at least 1.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import BoundedHeap
    >>> queue = BoundedHeap(2)
    >>> queue.push(2.5, payload=7), queue.push(1.0, payload=8), queue.push(0.5, payload=9)
    (0, 1, 2)
    >>> queue.pop(), queue.dropped
    (Entry(time=1.0, payload=8, order=1, tangent=0.0), 1)
    """

    _kernels = BoundedKernels(push, first, due, take)

    def __init__(self, capacity: int, *, tangent: bool = False) -> None:
        super().__init__(capacity, tangent)
