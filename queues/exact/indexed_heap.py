"""A binary min-heap over items 0..n-1 that can find an item and move it: predicted crossings.

Each item is queued at most once, at one time; ties go to the smaller item. (time, item) is a
total order, so the top depends on the times alone and not on the history of updates.
"""

from __future__ import annotations

import math

import numpy as np

from queues.compiled.jit import jit, maker
from queues.errors import (
    ItemError,
    QueueError,
    check_not_empty,
    checked_count,
    checked_finite,
    checked_item,
    checked_real,
)
from queues.types import Entry, IndexedHeapArrays

_ZERO = np.uint64(0)
_ONE = np.uint64(1)


@maker
def empty(n: int) -> IndexedHeapArrays:
    """Return a heap over ``n`` items, all absent."""
    return IndexedHeapArrays(
        time=np.full(n, np.inf),
        item=np.empty(n, np.int64),
        position=np.full(n, np.int64(-1)),
        size=np.zeros(1, np.int64),
    )


@jit
def _place(queue: IndexedHeapArrays, start: int, item: int, time: float) -> None:
    """Sift a hole from index ``start`` up, or else down, to where ``item`` belongs; write it."""
    hole = np.uint64(start)
    while hole > _ZERO:
        parent = (hole - _ONE) >> _ONE
        above = queue.item[parent]
        above_time = queue.time[np.uint64(above)]
        if above_time < time or (above_time == time and above < item):
            break
        queue.item[hole] = above
        queue.position[np.uint64(above)] = np.int64(hole)
        hole = parent
    size = np.uint64(queue.size[0])
    # After a move up the hole's children are later than the item: the first test ends this loop.
    child = (hole << _ONE) + _ONE
    while child < size:
        below = queue.item[child]
        below_time = queue.time[np.uint64(below)]
        right = child + _ONE
        if right < size:
            other = queue.item[right]
            other_time = queue.time[np.uint64(other)]
            if other_time < below_time or (other_time == below_time and other < below):
                child, below, below_time = right, other, other_time
        if time < below_time or (time == below_time and item < below):
            break
        queue.item[hole] = below
        queue.position[np.uint64(below)] = np.int64(hole)
        hole = child
        child = (hole << _ONE) + _ONE
    queue.item[hole] = item
    queue.position[np.uint64(item)] = np.int64(hole)


@jit
def remove(queue: IndexedHeapArrays, item: int) -> None:
    """Remove ``item``; nothing happens where it is absent."""
    hole = queue.position[item]
    if hole < 0:
        return
    queue.size[0] -= 1
    queue.position[item] = -1
    queue.time[item] = np.inf
    last = queue.item[queue.size[0]]
    if last != item:
        _place(queue, hole, last, queue.time[last])


@jit
def update(queue: IndexedHeapArrays, item: int, time: float) -> None:
    """Queue ``item`` at ``time``, wherever it was; an infinite time removes it."""
    if time == np.inf:
        remove(queue, item)
        return
    start = queue.position[item]
    if start < 0:
        start = queue.size[0]
        queue.size[0] += 1
    queue.time[item] = time
    _place(queue, start, item, time)


def check(queue: IndexedHeapArrays) -> None:
    """Assert what holds of every indexed heap between two calls."""
    n, size = queue.time.size, int(queue.size[0])
    assert queue.item.size == queue.position.size == n
    assert 0 <= size <= n, (size, n)
    item = queue.item[:size]
    present = np.zeros(n, bool)
    present[item] = True
    assert present.sum() == size, f"an item lies twice in {item}"
    assert (queue.position[item] == np.arange(size)).all()
    assert (queue.position[~present] == -1).all()
    assert (queue.time[~present] == np.inf).all()
    assert np.isfinite(queue.time[present]).all()
    child = np.arange(1, size)
    above, below = item[(child - 1) // 2], item[child]
    a, b = queue.time[above], queue.time[below]
    ordered = (a < b) | ((a == b) & (above < below))
    assert ordered.all(), f"items {below[~ordered]} come before their parents"


class IndexedHeap:
    """A queue of the items 0..n-1, each at one time at most, which can be moved: O(log n).

    Unlike the other queues it knows its entries by item, and ties of time go to the smaller item.
    So in an `Entry` of it both payload and order are the item.

    Parameters
    ----------
    n
        Number of items.

    Examples
    --------
    >>> from queues import IndexedHeap
    >>> queue = IndexedHeap(3)
    >>> queue.push(2.5, item=0)
    >>> queue.push(1.0, item=2)
    >>> queue.update(4.0, item=2)
    >>> queue.pop()
    Entry(time=2.5, payload=0, order=0, tangent=0.0)
    """

    def __init__(self, n: int) -> None:
        self._arrays: IndexedHeapArrays = empty(checked_count("n", n, 0))

    def push(self, time: float, item: int) -> None:
        """Queue an absent item at ``time`` (ms, finite)."""
        row_time, row_item = checked_finite("time", time), self._checked(item)
        if row_item in self:
            raise ItemError(
                f"item = {item!r} is queued at {self._arrays.time[row_item]} ms; expected an "
                "absent item (update() moves one that is present)"
            )
        update(self._arrays, row_item, row_time)

    def update(self, time: float, item: int) -> None:
        """Queue an item at ``time`` (ms), present or absent; ``inf`` removes it."""
        row_time, row_item = checked_real("time", time), self._checked(item)
        if not (math.isfinite(row_time) or row_time == math.inf):
            raise QueueError(f"time = {time!r}; expected a finite number, or inf to remove")
        update(self._arrays, row_item, row_time)

    def remove(self, item: int) -> None:
        """Remove an item that is present."""
        row_item = self._checked(item)
        if row_item not in self:
            raise ItemError(f"item = {item!r} is absent; expected one that is queued")
        remove(self._arrays, row_item)

    def peek(self) -> Entry:
        """Return the earliest item's entry and leave it queued."""
        check_not_empty("peek", len(self))
        return self._top()

    def pop(self) -> Entry:
        """Remove the earliest item and return its entry."""
        check_not_empty("pop", len(self))
        top = self._top()
        remove(self._arrays, top.payload)
        return top

    def clear(self) -> None:
        """Remove all items."""
        self._arrays.time.fill(np.inf)
        self._arrays.position.fill(-1)
        self._arrays.size[0] = 0

    def _checked(self, item: object) -> int:
        return checked_item(item, self._arrays.time.size)

    def _top(self) -> Entry:
        item = int(self._arrays.item[0])
        return Entry(time=float(self._arrays.time[item]), payload=item, order=item, tangent=0.0)

    def __contains__(self, item: int) -> bool:
        return bool(self._arrays.position[self._checked(item)] >= 0)

    def __len__(self) -> int:
        return int(self._arrays.size[0])

    def __repr__(self) -> str:
        n = self._arrays.time.size
        return f"<{type(self).__name__} of {len(self)} among {n} items>"
