"""A growing ring of events whose times never decrease: the queue where all delays are equal.

Spikes are emitted in order of time, so with one delay they also arrive in that order, and nothing
needs to be sorted. Rows lie in order of push, hence by (time, order), as they leave a heap.

As in `queues.exact.heap`, indices are unsigned and a hot loop may call `add` and leave `grown` to
its caller: 2 ns for a pop and an `add` against 45 ns for a pop and a `push`.
"""

from __future__ import annotations

import numpy as np

from queues.compiled.jit import jit, kernel, maker
from queues.errors import checked_count
from queues.exact.shell import InOrder, Kernels
from queues.types import FifoArrays


@maker
def empty(capacity: int) -> FifoArrays:
    """Return a ring without rows; its room is the power of two at or above ``capacity``."""
    room = np.int64(1)
    while room < capacity:
        room *= 2
    return FifoArrays(
        time=np.empty(room, np.float64),
        order=np.empty(room, np.int64),
        payload=np.empty(room, np.int64),
        tangent=np.empty(room, np.float64),
        head=np.zeros(1, np.int64),
        size=np.zeros(1, np.int64),
    )


@jit
def grown(queue: FifoArrays) -> FifoArrays:
    """Return a copy of the ring in arrays of twice the length, with its first row at index 0."""
    size = queue.size[0]
    head = queue.head[0]
    mask = queue.time.size - 1
    larger = empty(2 * queue.time.size)
    for i in range(size):
        k = (head + i) & mask
        larger.time[i] = queue.time[k]
        larger.order[i] = queue.order[k]
        larger.payload[i] = queue.payload[k]
        larger.tangent[i] = queue.tangent[k]
    larger.size[0] = size
    return larger


@jit
def add(queue: FifoArrays, time: float, order: int, payload: int, tangent: float) -> None:
    """Add a row to a ring that has room for it: ``queue.size[0] < queue.time.size``."""
    i = np.uint64(queue.head[0] + queue.size[0]) & np.uint64(queue.time.size - 1)
    queue.time[i] = time
    queue.order[i] = order
    queue.payload[i] = payload
    queue.tangent[i] = tangent
    queue.size[0] += 1


@jit
def push(queue: FifoArrays, time: float, order: int, payload: int, tangent: float) -> FifoArrays:
    """Add a row, not before the last one; return the ring, in new arrays where it had to grow."""
    if queue.size[0] == queue.time.size:
        larger = grown(queue)
        add(larger, time, order, payload, tangent)
        return larger
    add(queue, time, order, payload, tangent)
    return queue


@jit
def pop(queue: FifoArrays) -> None:
    """Remove the first row of a ring that has one."""
    queue.head[0] = (queue.head[0] + 1) & (queue.time.size - 1)
    queue.size[0] -= 1


@kernel
def top(queue: FifoArrays) -> int:
    """Return the index of the first row."""
    return queue.head[0]


def checked_ring(queue: FifoArrays) -> np.ndarray:
    """Assert what holds of every ring between two calls; return the indices of its rows."""
    size, head, capacity = int(queue.size[0]), int(queue.head[0]), queue.time.size
    assert capacity & (capacity - 1) == 0, f"capacity {capacity} is no power of two"
    assert 0 <= head < capacity, (head, capacity)
    assert 0 <= size <= capacity, (size, capacity)
    assert len({column.size for column in queue[:4]}) == 1
    return (head + np.arange(size)) % capacity


def check(queue: FifoArrays) -> None:
    """Assert what holds of every ring between two calls, if times were pushed in order."""
    rows = checked_ring(queue)
    times = queue.time[rows]
    assert (times[1:] >= times[:-1]).all(), times
    assert (np.diff(queue.order[rows]) > 0).all(), queue.order[rows]


class FIFO(InOrder[FifoArrays]):
    """An event queue for times that never decrease: pushes and pops take O(1).

    Parameters
    ----------
    capacity
        Number of entries to make room for at first, at least 1; the ring grows by doubling.
    check_order
        Whether a push before the last one is an error. Where it is not checked, such an entry
        still leaves in its turn of push, so late.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import FIFO
    >>> queue = FIFO()
    >>> queue.push(1.0, payload=7), queue.push(2.5, payload=8)
    (0, 1)
    >>> queue.pop()
    Entry(time=1.0, payload=7, order=0, tangent=0.0)
    """

    _kernels = Kernels(add=add, grown=grown, pop=pop, top=top)
    _in_any_order = "BinaryHeap"

    def __init__(
        self, capacity: int = 16, check_order: bool = __debug__, *, tangent: bool = False
    ) -> None:
        super().__init__(empty(checked_count("capacity", capacity, 1)), tangent)
        self._checks_order = bool(check_order)
