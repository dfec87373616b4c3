"""A sorted ring of events: the queue for few of them, and for many that arrive almost in order.

A push finds its place by halving and moves the rows before or those behind it, whichever are
fewer; a pop moves none. So it takes O(1) where an event goes to either end, O(n) in the middle.
Rows leave exactly as they leave `queues.heap`: by (time, order).

As in `queues.fifo`, indices are unsigned and the capacity is a power of two.
"""

from __future__ import annotations

import numpy as np

from queues.errors import checked_count
from queues.jit import inner_kernel, jit, kernel
from queues.shell import Kernels, QueueShell
from queues.types import SortedArrays

_ZERO = np.uint64(0)
_ONE = np.uint64(1)


@jit
def empty(capacity: int) -> SortedArrays:
    """Return a ring without rows; its room is the power of two at or above ``capacity``."""
    room = np.int64(1)
    while room < capacity:
        room *= 2
    return SortedArrays(
        time=np.empty(room, np.float64),
        order=np.empty(room, np.int64),
        payload=np.empty(room, np.int64),
        tangent=np.empty(room, np.float64),
        head=np.zeros(1, np.int64),
        size=np.zeros(1, np.int64),
    )


@jit
def grown(queue: SortedArrays) -> SortedArrays:
    """Return a copy of the ring in arrays of twice the length, with its first row at index 0."""
    size = queue.size[0]
    mask = queue.time.size - 1
    larger = empty(2 * queue.time.size)
    for i in range(size):
        k = (queue.head[0] + i) & mask
        larger.time[i] = queue.time[k]
        larger.order[i] = queue.order[k]
        larger.payload[i] = queue.payload[k]
        larger.tangent[i] = queue.tangent[k]
    larger.size[0] = size
    return larger


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
def add(queue: SortedArrays, time: float, order: int, payload: int, tangent: float) -> None:
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


@kernel
def pop(queue: SortedArrays) -> None:
    """Remove the first row of a ring that has one."""
    queue.head[0] = (queue.head[0] + 1) & (queue.time.size - 1)
    queue.size[0] -= 1


@kernel
def top(queue: SortedArrays) -> int:
    """Return the index of the first row."""
    return queue.head[0]


def check(queue: SortedArrays) -> None:
    """Assert what holds of every sorted ring between two calls."""
    size, head, capacity = int(queue.size[0]), int(queue.head[0]), queue.time.size
    assert capacity & (capacity - 1) == 0, f"capacity {capacity} is no power of two"
    assert 0 <= head < capacity, (head, capacity)
    assert 0 <= size <= capacity, (size, capacity)
    assert len({column.size for column in queue[:4]}) == 1
    rows = (head + np.arange(size)) % capacity
    time, order = queue.time[rows], queue.order[rows]
    ordered = (time[:-1] < time[1:]) | ((time[:-1] == time[1:]) & (order[:-1] < order[1:]))
    assert ordered.all(), time


class SortedArray(QueueShell[SortedArrays]):
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
