"""A binary min-heap of events, first by time and then by order of push: the plain event queue.

The kernels move a hole through the heap and write the sifted row once, where the hole ends.
Orders are unique, so (time, order) is a total order: which row leaves next depends on the rows
alone and not on how the heap came to lie as it does.

A heap that a kernel returns costs it a count of references per array (atomic, 30 ns in all), so
a hot loop may call `add` where it knows that there is room and leave `grown` to its caller.
Indices are unsigned because numba then drops the test for negative ones: a third of a sift.
"""

from __future__ import annotations

import numpy as np

from queues.compiled.jit import inner_kernel, jit, kernel, maker
from queues.errors import checked_count
from queues.exact.chains import assert_in_order
from queues.exact.shell import Kernels, QueueShell, RowArrays
from queues.types import HeapArrays

_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_NEAR = np.uint64(4096)  # rows that lie in the nearest cache; set by benchmarks/queues.py


@maker
def empty(capacity: int) -> HeapArrays:
    """Return a heap without rows, with room for ``capacity`` of them (at least one)."""
    room = max(capacity, 1)
    return HeapArrays(
        time=np.empty(room, np.float64),
        order=np.empty(room, np.int64),
        payload=np.empty(room, np.int64),
        tangent=np.empty(room, np.float64),
        size=np.zeros(1, np.int64),
    )


@jit
def grown(queue: HeapArrays) -> HeapArrays:
    """Return a copy of the heap in arrays of twice the length."""
    size = queue.size[0]
    larger = empty(2 * queue.time.size)
    for i in range(size):
        larger.time[i] = queue.time[i]
        larger.order[i] = queue.order[i]
        larger.payload[i] = queue.payload[i]
        larger.tangent[i] = queue.tangent[i]
    larger.size[0] = size
    return larger


@inner_kernel
def _move(queue, source, target):
    """Copy one row over another."""
    queue.time[target] = queue.time[source]
    queue.order[target] = queue.order[source]
    queue.payload[target] = queue.payload[source]
    queue.tangent[target] = queue.tangent[source]


@inner_kernel
def _write(queue, i, time, order, payload, tangent):
    """Write a row."""
    queue.time[i] = time
    queue.order[i] = order
    queue.payload[i] = payload
    queue.tangent[i] = tangent


@inner_kernel
def _sink_near(queue, size, time, order):
    """Sift the hole down from the top through rows near it; return where it is then.

    The choice of the child is no branch, since a processor cannot foresee it (and it is written
    so that the compiler leaves it so): a third less time for a heap of 1000 rows.
    """
    hole = _ZERO
    child = _ONE
    end = min(size, _NEAR)
    while child + _ONE < end:
        a, b = queue.time[child], queue.time[child + _ONE]
        below = b if b < a else a
        least = child + (_ONE if b < a else _ZERO)
        if a == b and queue.order[child + _ONE] < queue.order[child]:
            least = child + _ONE
        if time < below or (time == below and order < queue.order[least]):
            break
        _move(queue, least, hole)
        hole = least
        child = (hole << _ONE) + _ONE
    return hole


@inner_kernel
def _sink_far(queue, size, hole, time, order):
    """Sift the hole further down; return where it ends.

    Here the child is a branch: a processor that guesses it loads the next row ahead of time.
    """
    child = (hole << _ONE) + _ONE
    while child < size:
        right = child + _ONE
        if right < size:
            a, b = queue.time[right], queue.time[child]
            if a < b or (a == b and queue.order[right] < queue.order[child]):
                child = right
        below = queue.time[child]
        if time < below or (time == below and order < queue.order[child]):
            break
        _move(queue, child, hole)
        hole = child
        child = (hole << _ONE) + _ONE
    return hole


@inner_kernel
def _sink(queue, size, time, order, payload, tangent):
    """Sift the hole down from the top of ``size`` rows to where the row belongs; write it."""
    hole = _sink_near(queue, size, time, order)
    hole = _sink_far(queue, size, hole, time, order)
    _write(queue, hole, time, order, payload, tangent)


@kernel
def add(queue: HeapArrays, time: float, order: int, payload: int, tangent: float) -> None:
    """Add a row to a heap that has room for it: ``queue.size[0] < queue.time.size``."""
    hole = np.uint64(queue.size[0])
    queue.size[0] += 1
    while hole > _ZERO:
        parent = (hole - _ONE) >> _ONE
        above = queue.time[parent]
        if above < time or (above == time and queue.order[parent] < order):
            break
        _move(queue, parent, hole)
        hole = parent
    _write(queue, hole, time, order, payload, tangent)


@jit
def push(queue: HeapArrays, time: float, order: int, payload: int, tangent: float) -> HeapArrays:
    """Add a row and return the heap, which lies in new arrays where it had to grow."""
    # Two returns: to rebind `queue` in a branch costs 20 ns of counting references.
    if queue.size[0] == queue.time.size:
        larger = grown(queue)
        add(larger, time, order, payload, tangent)
        return larger
    add(queue, time, order, payload, tangent)
    return queue


@kernel
def replace_top(queue: HeapArrays, time: float, order: int, payload: int, tangent: float) -> None:
    """Put a row in the place of the first one: a pop and a push in one sift."""
    _sink(queue, np.uint64(queue.size[0]), time, order, payload, tangent)


@kernel
def pop(queue: HeapArrays) -> None:
    """Remove the first row of a heap that has one."""
    queue.size[0] -= 1
    last = np.uint64(queue.size[0])
    _sink(
        queue,
        last,
        queue.time[last],
        queue.order[last],
        queue.payload[last],
        queue.tangent[last],
    )


@kernel
def top(queue: HeapArrays) -> int:
    """Return the index of the first row, which is always 0."""
    return 0


def check(queue: HeapArrays) -> None:
    """Assert what holds of every heap between two calls."""
    check_tree(queue, 2)


def check_tree(queue: RowArrays, d: int) -> None:
    """Assert that no row of a heap with ``d`` children a row comes before its parent."""
    size = int(queue.size[0])
    columns = (queue.time, queue.order, queue.payload, queue.tangent)
    assert 0 <= size <= queue.time.size, (size, queue.time.size)
    assert len({column.size for column in columns}) == 1
    child = np.arange(1, size)
    assert_in_order(queue, (child - 1) // d, child)
    assert np.unique(queue.order[:size]).size == size


class BinaryHeap(QueueShell[HeapArrays]):
    """An event queue for any times: pushes and pops take O(log n).

    Parameters
    ----------
    capacity
        Number of entries to make room for at first, at least 1; the heap grows by doubling.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import BinaryHeap
    >>> queue = BinaryHeap()
    >>> queue.push(2.5, payload=7), queue.push(1.0, payload=8)
    (0, 1)
    >>> queue.pop()
    Entry(time=1.0, payload=8, order=1, tangent=0.0)
    """

    _kernels = Kernels(add=add, grown=grown, pop=pop, top=top)

    def __init__(self, capacity: int = 16, *, tangent: bool = False) -> None:
        super().__init__(empty(checked_count("capacity", capacity, 1)), tangent)
