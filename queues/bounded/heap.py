"""A binary heap of a fixed size by (time, order), which refuses a row when it is full."""

from __future__ import annotations

import numpy as np

from queues.bounded.shell import BoundedKernels, BoundedShell, checked_rows, empty, move, write
from queues.compiled.jit import inner_kernel, kernel
from queues.errors import checked_count
from queues.exact.chains import NONE, assert_in_order
from queues.types import BoundedArrays, Index

__all__ = ["BoundedHeap", "check", "due", "empty", "first", "push", "take"]


@inner_kernel
def _is_before(queues, row, time, order):
    """Return whether a row leaves before (time, order)."""
    return queues.time[row] < time or (queues.time[row] == time and queues.order[row] < order)


@kernel
def push(
    queues: BoundedArrays, q: int, time: float, order: int, payload: int, tangent: float
) -> Index:
    """Add a row; return its order if there is no room, or NONE."""
    capacity = queues.capacity[0]
    size = queues.size[q]
    if size == capacity:
        queues.dropped[q] += 1
        return order
    start = q * capacity
    hole = size
    while hole > 0:
        parent = (hole - 1) >> 1
        if _is_before(queues, start + parent, time, order):
            break
        move(queues, start + parent, start + hole)
        hole = parent
    write(queues, start + hole, time, order, payload, tangent)
    queues.size[q] = size + 1
    return NONE


@kernel
def first(queues: BoundedArrays, q: int) -> Index:
    """Return the first row of queue ``q``, or NONE."""
    return q * queues.capacity[0] if queues.size[q] > 0 else NONE


@kernel
def due(queues: BoundedArrays, q: int, now: float) -> Index:
    """Return the first row of queue ``q`` if its time is at most ``now``, or NONE."""
    row = q * queues.capacity[0]
    return row if queues.size[q] > 0 and queues.time[row] <= now else NONE


@kernel
def take(queues: BoundedArrays, q: int, row: Index) -> None:
    """Remove the first row of queue ``q``."""
    start = q * queues.capacity[0]
    size = queues.size[q] - 1
    queues.size[q] = size
    last = start + size
    hole = start
    child = np.int64(1)
    while child < size:
        best = start + child
        if child + 1 < size and _is_before(queues, best + 1, queues.time[best], queues.order[best]):
            best += 1
        if _is_before(queues, last, queues.time[best], queues.order[best]):
            break
        move(queues, best, hole)
        hole = best
        child = 2 * (best - start) + 1
    move(queues, last, hole)


def check(queues: BoundedArrays) -> None:
    """Assert what holds between two calls: no row comes before its parent."""
    checked_rows(queues)
    for q in range(queues.size.size):
        start = q * int(queues.capacity[0])
        child = np.arange(1, queues.size[q])
        assert_in_order(queues, start + (child - 1) // 2, start + child)


class BoundedHeap(BoundedShell):
    """A queue for any times, which refuses an entry when it is full: O(log capacity).

    Parameters
    ----------
    capacity
        Number of entries that fit, at least 1.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import BoundedHeap
    >>> queue = BoundedHeap(2)
    >>> queue.push(2.5, payload=7), queue.push(1.0, payload=8), queue.push(0.5), queue.dropped
    (0, 1, 2, 1)
    >>> queue.pop()
    Entry(time=1.0, payload=8, order=1, tangent=0.0)
    """

    _structure = BoundedKernels(push, first, due, take)

    def __init__(self, capacity: int, *, tangent: bool = False) -> None:
        super().__init__(empty(1, checked_count("capacity", capacity, 1)), tangent)
