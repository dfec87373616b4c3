"""A ring of a fixed length in order of push, which refuses a row when it is full.

Rows that are pushed out of order wait behind those before them: a poll looks at the head alone.
"""

from __future__ import annotations

import numpy as np

from queues.bounded.shell import (
    BoundedKernels,
    BoundedShell,
    checked_rows,
    empty,
    rows_in_ring,
    wrapped,
    write,
)
from queues.compiled.jit import kernel
from queues.errors import checked_count
from queues.exact.chains import NONE
from queues.exact.shell import InOrder
from queues.types import BoundedArrays, Index

__all__ = ["BoundedFifo", "check", "due", "empty", "first", "push", "take"]


@kernel
def push(
    queues: BoundedArrays, q: int, time: float, order: int, payload: int, tangent: float
) -> Index:
    """Add a row behind all others; return its order if there is no room, or NONE."""
    capacity = queues.capacity[0]
    size = queues.size[q]
    if size == capacity:
        queues.dropped[q] += 1
        return order
    row = q * capacity + wrapped(queues.head[q] + size, capacity)
    write(queues, row, time, order, payload, tangent)
    queues.size[q] = size + 1
    return NONE


@kernel
def first(queues: BoundedArrays, q: int) -> Index:
    """Return the row of queue ``q`` that was pushed first, or NONE."""
    return q * queues.capacity[0] + queues.head[q] if queues.size[q] > 0 else NONE


@kernel
def due(queues: BoundedArrays, q: int, now: float) -> Index:
    """Return the row that was pushed first if its time is at most ``now``, or NONE."""
    row = q * queues.capacity[0] + queues.head[q]
    return row if queues.size[q] > 0 and queues.time[row] <= now else NONE


@kernel
def take(queues: BoundedArrays, q: int, row: Index) -> None:
    """Remove the row of queue ``q`` that was pushed first."""
    queues.head[q] = wrapped(queues.head[q] + 1, queues.capacity[0])
    queues.size[q] -= 1


def check(queues: BoundedArrays) -> None:
    """Assert what holds between two calls."""
    checked_rows(queues)
    for q in range(queues.size.size):
        assert (np.diff(queues.order[rows_in_ring(queues, q)]) > 0).all()


class BoundedFifo(InOrder[BoundedArrays], BoundedShell):
    """A queue for times that never decrease, which refuses an entry when it is full.

    Parameters
    ----------
    capacity
        Number of entries that fit, at least 1.
    check_order
        Whether a push before the last one, be that one lost or not, is an error. Where it is not
        checked, such an entry still leaves in its turn of push, so late.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import BoundedFifo
    >>> queue = BoundedFifo(1)
    >>> queue.push(1.0, payload=7), queue.push(2.5, payload=8), queue.dropped
    (0, 1, 1)
    >>> queue.pop()
    Entry(time=1.0, payload=7, order=0, tangent=0.0)
    """

    _structure = BoundedKernels(push, first, due, take)
    _in_any_order = "BoundedHeap"

    def __init__(
        self, capacity: int, check_order: bool = __debug__, *, tangent: bool = False
    ) -> None:
        super().__init__(empty(1, checked_count("capacity", capacity, 1)), tangent)
        self._checks_order = bool(check_order)
