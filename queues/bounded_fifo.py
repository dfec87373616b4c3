"""A bounded queue in order of push that refuses an event for which it has no room."""

from __future__ import annotations

import numpy as np

from queues.bounded import BoundedKernels, BoundedQueue, empty, write
from queues.buffer import NONE
from queues.errors import TimeOrderError
from queues.jit import inner_kernel, kernel
from queues.types import BoundedArrays

__all__ = ["BoundedFifo", "due", "empty", "first", "push", "row_of", "take"]


@inner_kernel
def row_of(queues, q, k):
    """Return the ``k``-th row of queue ``q``, counted from its first."""
    capacity = queues.capacity[0]
    i = queues.head[q] + k
    if i >= capacity:  # no division: the ring has any length
        i -= capacity
    return q * capacity + i


@kernel
def push(
    queues: BoundedArrays, q: np.int64, time: float, order: int, payload: int, tangent: float
) -> np.int64:
    """Add the row behind the others and return -1, or refuse it and return its order."""
    size = queues.size[q]
    if size == queues.capacity[0]:
        queues.dropped[q] += 1
        return np.int64(order)
    write(queues, row_of(queues, q, size), time, order, payload, tangent)
    queues.size[q] = size + 1
    return NONE


@kernel
def first(queues: BoundedArrays, q: np.int64) -> np.int64:
    """Return the row at the head of queue ``q``, or -1."""
    return row_of(queues, q, np.int64(0)) if queues.size[q] > 0 else NONE


@kernel
def due(queues: BoundedArrays, q: np.int64, now: float) -> np.int64:
    """Return the row at the head of queue ``q`` if its time is not after ``now``, or -1."""
    head = row_of(queues, q, np.int64(0))
    return head if queues.size[q] > 0 and queues.time[head] <= now else NONE


@kernel
def take(queues: BoundedArrays, q: np.int64, row: np.int64) -> None:
    """Remove the row at the head of queue ``q``."""
    queues.size[q] -= 1
    queues.head[q] += 1
    if queues.head[q] == queues.capacity[0]:
        queues.head[q] = 0


class BoundedFifo(BoundedQueue):
    """A FIFO of fixed length: a push that finds it full is dropped.

    Entries leave in order of push, and a poll looks at the first one alone.

    Parameters
    ----------
    capacity
        Number of entries that there is room for, at least 1.
    check_order
        Whether a push before the last one is an error. Where it is not checked, such an entry
        waits behind those pushed before it, so it leaves late.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import BoundedFifo
    >>> queue = BoundedFifo(1)
    >>> queue.push(1.0, payload=7), queue.push(2.5, payload=8)
    (0, 1)
    >>> queue.pop(), queue.dropped
    (Entry(time=1.0, payload=7, order=0, tangent=0.0), 1)
    """

    _kernels = BoundedKernels(push, first, due, take)

    def __init__(
        self, capacity: int, check_order: bool = __debug__, *, tangent: bool = False
    ) -> None:
        super().__init__(capacity, tangent)
        self._checks_order = bool(check_order)
        self._last_time = -np.inf

    def push(self, time: float, payload: int = 0, tangent: float = 0.0) -> int:
        """Add an entry, not before the last push, or drop it; return its order.

        Parameters and result are those of the other bounded queues.
        """
        if self._checks_order and self._checked_time("time", time) < self._last_time:
            raise TimeOrderError(
                f"time = {time!r}; expected at least {self._last_time!r}, the time of the last "
                "push (a BoundedHeap takes times in any order)"
            )
        order = super().push(time, payload, tangent)
        self._last_time = float(time)
        return order

    def clear(self) -> None:
        """Remove all entries and forget the last time; orders and drops keep counting."""
        super().clear()
        self._last_time = -np.inf
