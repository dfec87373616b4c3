"""A pairing heap of events: a push takes O(1), and a pop joins the children of the first row.

Algorithm: Fredman, Sedgewick, Sleator and Tarjan, Algorithmica 1 (1986) 111, with two passes; a
pop takes O(log n) on average over any sequence of calls. Rows are named by index, those not in
use form a chain, and both passes are loops, so a heap of any shape needs no stack.

Rows leave exactly as they leave `queues.exact.heap`: by (time, order).
"""

from __future__ import annotations

import numpy as np

from queues.compiled.jit import inner_kernel, kernel, maker
from queues.errors import checked_count
from queues.exact.chains import NONE, chain_free, chained, lengthened
from queues.exact.shell import Kernels, QueueShell
from queues.types import PairingHeapArrays


@kernel
def clear(queue: PairingHeapArrays) -> None:
    """Remove all rows."""
    chain_free(queue.sibling, np.int64(0), NONE)
    queue.root[0] = NONE
    queue.free[0] = 0
    queue.size[0] = 0


@maker
def empty(capacity: int) -> PairingHeapArrays:
    """Return a heap without rows, with room for ``capacity`` of them (at least one)."""
    room = max(capacity, 1)
    queue = PairingHeapArrays(
        time=np.empty(room, np.float64),
        order=np.empty(room, np.int64),
        payload=np.empty(room, np.int64),
        tangent=np.empty(room, np.float64),
        child=np.empty(room, np.int64),
        sibling=np.empty(room, np.int64),
        root=np.empty(1, np.int64),
        free=np.empty(1, np.int64),
        size=np.empty(1, np.int64),
    )
    clear(queue)
    return queue


def grown(queue: PairingHeapArrays) -> PairingHeapArrays:
    """Return a copy of the heap in arrays of twice the length."""
    capacity = queue.time.size
    larger: PairingHeapArrays = lengthened(queue, 2 * capacity, "child", "sibling")
    chain_free(larger.sibling, capacity, queue.free[0])
    larger.free[0] = capacity
    return larger


@inner_kernel
def _joined(queue, a, b):
    """Make the later of two trees the first child of the other, and return that one."""
    ta, tb = queue.time[a], queue.time[b]
    if tb < ta or (tb == ta and queue.order[b] < queue.order[a]):
        a, b = b, a
    queue.sibling[b] = queue.child[a]
    queue.child[a] = b
    return a


@kernel
def add(queue: PairingHeapArrays, time: float, order: int, payload: int, tangent: float) -> None:
    """Add a row to a heap that has room for it: ``queue.size[0] < queue.time.size``."""
    row = queue.free[0]
    queue.free[0] = queue.sibling[row]
    queue.time[row] = time
    queue.order[row] = order
    queue.payload[row] = payload
    queue.tangent[row] = tangent
    queue.child[row] = NONE
    queue.sibling[row] = NONE
    root = queue.root[0]
    queue.root[0] = row if root == NONE else _joined(queue, root, row)
    queue.size[0] += 1


@inner_kernel
def _joined_in_pairs(queue, row):
    """Join siblings two by two, from ``row`` on; return the chain of pairs, the last one first."""
    pairs = NONE
    while row != NONE:
        partner = queue.sibling[row]
        following = NONE
        if partner != NONE:
            following = queue.sibling[partner]
            row = _joined(queue, row, partner)
        queue.sibling[row] = pairs
        pairs = row
        row = following
    return pairs


@kernel
def pop(queue: PairingHeapArrays) -> None:
    """Remove the first row of a heap that has one."""
    root = queue.root[0]
    tree = _joined_in_pairs(queue, queue.child[root])
    if tree != NONE:
        row = queue.sibling[tree]
        queue.sibling[tree] = NONE
        while row != NONE:
            following = queue.sibling[row]
            queue.sibling[row] = NONE  # it may become the root, which has no sibling
            tree = _joined(queue, tree, row)
            row = following
    queue.root[0] = tree
    queue.sibling[root] = queue.free[0]
    queue.free[0] = root
    queue.size[0] -= 1


@kernel
def top(queue: PairingHeapArrays) -> int:
    """Return the index of the first row."""
    return queue.root[0]


def check(queue: PairingHeapArrays) -> None:
    """Assert what holds of every pairing heap between two calls."""
    assert len({column.size for column in queue[:6]}) == 1
    size, capacity = int(queue.size[0]), queue.time.size
    root = int(queue.root[0])
    rows = [root] if root != NONE else []
    assert all(queue.sibling[row] == NONE for row in rows), "the root has a sibling"
    for parent in rows:  # which grows meanwhile, by the children of each
        for child in chained(queue.sibling, queue.child[parent]):
            a, b = (
                (queue.time[parent], queue.order[parent]),
                (queue.time[child], queue.order[child]),
            )
            assert a < b, f"row {child} comes before its parent {parent}"
            rows.append(child)
        assert len(rows) <= capacity, "the tree runs in a circle"
    free = chained(queue.sibling, queue.free[0])
    assert len(rows) == size, (len(rows), size)
    assert sorted(rows + free) == list(range(capacity)), "a row is lost or lies twice"


class PairingHeap(QueueShell[PairingHeapArrays]):
    """An event queue for any times: a push takes O(1), a pop O(log n) on average.

    Parameters
    ----------
    capacity
        Number of entries to make room for at first, at least 1; the heap grows by doubling.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import PairingHeap
    >>> queue = PairingHeap()
    >>> queue.push(2.5, payload=7), queue.push(1.0, payload=8)
    (0, 1)
    >>> queue.pop()
    Entry(time=1.0, payload=8, order=1, tangent=0.0)
    """

    _kernels = Kernels(add=add, grown=grown, pop=pop, top=top, clear=clear)

    def __init__(self, capacity: int = 16, *, tangent: bool = False) -> None:
        super().__init__(empty(checked_count("capacity", capacity, 1)), tangent)
