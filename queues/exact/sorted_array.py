"""A sorted ring of events: the queue for few of them, and for many that arrive almost in order.

A push finds its place by halving and moves the rows before or those behind it, whichever are
fewer; a pop moves none. So it takes O(1) where an event goes to either end, O(n) in the middle.
Rows leave exactly as they leave `queues.exact.heap`: by (time, order).

The ring is that of `queues.exact.fifo`; only a push differs.
"""

from __future__ import annotations

import numpy as np

from queues.compiled.jit import inner_kernel, kernel
from queues.errors import checked_count
from queues.exact.chains import assert_in_order
from queues.exact.fifo import checked_ring, empty, grown, pop, top
from queues.exact.shell import Kernels, QueueShell
from queues.types import FifoArrays

_ZERO = np.uint64(0)
_ONE = np.uint64(1)


@inner_kernel
def _rank(queue, time, order):
    """Return the number of rows before (time, order)."""
    head = np.uint64(queue.head[0])
    mask = np.uint64(queue.time.size - 1)
    low = _ZERO
    high = np.uint64(queue.size[0])
    while low < high:
        middle = (low + high) >> _ONE
        i = (head + middle) & mask
        if queue.time[i] < time or (queue.time[i] == time and queue.order[i] < order):
            low = middle + _ONE
        else:
            high = middle
    return low


@inner_kernel
def _move(queue, source, target):
    """Copy one row over another."""
    queue.time[target] = queue.time[source]
    queue.order[target] = queue.order[source]
    queue.payload[target] = queue.payload[source]
    queue.tangent[target] = queue.tangent[source]


@kernel
def add(queue: FifoArrays, time: float, order: int, payload: int, tangent: float) -> None:
    """Add a row to a ring that has room for it: ``queue.size[0] < queue.time.size``."""
    mask = np.uint64(queue.time.size - 1)
    size = np.uint64(queue.size[0])
    head = np.uint64(queue.head[0])
    rank = _rank(queue, time, order)
    if rank < size - rank:
        head = (head + mask) & mask  # one back; unsigned numbers do not go below zero
        queue.head[0] = np.int64(head)
        k = _ZERO
        while k < rank:
            _move(queue, (head + k + _ONE) & mask, (head + k) & mask)
            k += _ONE
    else:
        k = size
        while k > rank:
            _move(queue, (head + k - _ONE) & mask, (head + k) & mask)
            k -= _ONE
    i = (head + rank) & mask
    queue.time[i] = time
    queue.order[i] = order
    queue.payload[i] = payload
    queue.tangent[i] = tangent
    queue.size[0] += 1


def check(queue: FifoArrays) -> None:
    """Assert what holds of every sorted ring between two calls."""
    rows = checked_ring(queue)
    assert_in_order(queue, rows[:-1], rows[1:])


class SortedArray(QueueShell[FifoArrays]):
    """An event queue for any times, always sorted: a pop takes O(1), a push up to O(n).

    Parameters
    ----------
    capacity
        Number of entries to make room for at first, at least 1; the ring grows by doubling.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import SortedArray
    >>> queue = SortedArray()
    >>> queue.push(2.5, payload=7), queue.push(1.0, payload=8)
    (0, 1)
    >>> queue.pop()
    Entry(time=1.0, payload=8, order=1, tangent=0.0)
    """

    _kernels = Kernels(add=add, grown=grown, pop=pop, top=top)

    def __init__(self, capacity: int = 16, *, tangent: bool = False) -> None:
        super().__init__(empty(checked_count("capacity", capacity, 1)), tangent)
