"""A min-heap with 4 or 8 children a row: fewer levels than a binary heap, more rows in each.

A push climbs a half or a third as many levels; a pop compares more rows on each, but these lie
side by side in memory. Rows leave exactly as they leave `queues.exact.heap`: by (time, order).

As there, the kernels move a hole, and indices are unsigned.
"""

from __future__ import annotations

import numpy as np

from queues.compiled.jit import inner_kernel, kernel, maker
from queues.errors import QueueError, checked_count, checked_int
from queues.exact.chains import lengthened
from queues.exact.heap import check_tree
from queues.exact.shell import Kernels, QueueShell
from queues.types import DaryHeapArrays

_LOG2 = {4: 2, 8: 3}
_ZERO = np.uint64(0)
_ONE = np.uint64(1)


@maker
def empty(capacity: int, log2_d: int) -> DaryHeapArrays:
    """Return a heap of ``2**log2_d`` children a row, with room for ``capacity`` (at least 1)."""
    room = max(capacity, 1)
    return DaryHeapArrays(
        time=np.empty(room, np.float64),
        order=np.empty(room, np.int64),
        payload=np.empty(room, np.int64),
        tangent=np.empty(room, np.float64),
        log2_d=np.full(1, np.int64(log2_d)),
        size=np.zeros(1, np.int64),
    )


def grown(queue: DaryHeapArrays) -> DaryHeapArrays:
    """Return a copy of the heap in arrays of twice the length."""
    larger: DaryHeapArrays = lengthened(queue, 2 * queue.time.size)
    return larger


@kernel
def add(queue: DaryHeapArrays, time: float, order: int, payload: int, tangent: float) -> None:
    """Add a row to a heap that has room for it: ``queue.size[0] < queue.time.size``."""
    shift = np.uint64(queue.log2_d[0])
    hole = np.uint64(queue.size[0])
    queue.size[0] += 1
    while hole > _ZERO:
        parent = (hole - _ONE) >> shift
        above = queue.time[parent]
        if above < time or (above == time and queue.order[parent] < order):
            break
        queue.time[hole] = above
        queue.order[hole] = queue.order[parent]
        queue.payload[hole] = queue.payload[parent]
        queue.tangent[hole] = queue.tangent[parent]
        hole = parent
    queue.time[hole] = time
    queue.order[hole] = order
    queue.payload[hole] = payload
    queue.tangent[hole] = tangent


@inner_kernel
def _least(queue, child, end):
    """Return the index and the time of the first of the rows ``child`` to ``end - 1``."""
    # Without branches on times, which a processor cannot foresee; ties are rare, and come after.
    least = child
    least_time = queue.time[child]
    tied = False
    other = child + _ONE
    while other < end:
        time = queue.time[other]
        tied |= time == least_time
        least = other if time < least_time else least
        least_time = time if time < least_time else least_time
        other += _ONE
    if tied:
        other = child
        while other < end:
            if queue.time[other] == least_time and queue.order[other] < queue.order[least]:
                least = other
            other += _ONE
    return least, least_time


@kernel
def pop(queue: DaryHeapArrays) -> None:
    """Remove the first row of a heap that has one: sift the last row down from the top."""
    queue.size[0] -= 1
    size = np.uint64(queue.size[0])
    shift = np.uint64(queue.log2_d[0])
    time, order = queue.time[size], queue.order[size]
    hole = _ZERO
    child = _ONE
    while child < size:
        end = min(child + (_ONE << shift), size)
        least, least_time = _least(queue, child, end)
        if time < least_time or (time == least_time and order < queue.order[least]):
            break
        queue.time[hole] = least_time
        queue.order[hole] = queue.order[least]
        queue.payload[hole] = queue.payload[least]
        queue.tangent[hole] = queue.tangent[least]
        hole = least
        child = (hole << shift) + _ONE
    queue.time[hole] = time
    queue.order[hole] = order
    queue.payload[hole] = queue.payload[size]
    queue.tangent[hole] = queue.tangent[size]


@kernel
def top(queue: DaryHeapArrays) -> int:
    """Return the index of the first row, which is always 0."""
    return 0


def check(queue: DaryHeapArrays) -> None:
    """Assert what holds of every heap between two calls."""
    d = 2 ** int(queue.log2_d[0])
    assert d in _LOG2, d
    check_tree(queue, d)


class DaryHeap(QueueShell[DaryHeapArrays]):
    """An event queue for any times, as a heap of ``d`` children a row: O(log n).

    Parameters
    ----------
    capacity
        Number of entries to make room for at first, at least 1; the heap grows by doubling.
    d
        Number of children of a row, 4 or 8.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import DaryHeap
    >>> queue = DaryHeap(d=8)
    >>> queue.push(2.5, payload=7), queue.push(1.0, payload=8)
    (0, 1)
    >>> queue.pop()
    Entry(time=1.0, payload=8, order=1, tangent=0.0)
    """

    _kernels = Kernels(add=add, grown=grown, pop=pop, top=top)

    def __init__(self, capacity: int = 16, d: int = 4, *, tangent: bool = False) -> None:
        if checked_int("d", d) not in _LOG2:
            raise QueueError(f"d = {d!r}; expected 4 or 8")
        super().__init__(empty(checked_count("capacity", capacity, 1), _LOG2[int(d)]), tangent)
