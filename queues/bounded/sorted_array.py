"""A sorted ring of a fixed length, which when full keeps the earliest rows.

A push moves the rows behind its place: O(1) at the end, O(capacity) at the front.
"""

from __future__ import annotations

from queues.bounded.fifo import due, first, take
from queues.bounded.shell import (
    BoundedKernels,
    BoundedShell,
    checked_rows,
    empty,
    move,
    rows_in_ring,
    wrapped,
    write,
)
from queues.compiled.jit import kernel
from queues.errors import checked_count
from queues.exact.chains import NONE, assert_in_order
from queues.types import BoundedArrays, Index

__all__ = ["BoundedSortedArray", "check", "due", "empty", "first", "push", "take"]


@kernel
def push(
    queues: BoundedArrays, q: int, time: float, order: int, payload: int, tangent: float
) -> Index:
    """Add a row behind those of its time, in a full queue in the place of a later one.

    Return the order of the latest row, if it is evicted, or that of this one, if it is refused
    because no row is later, or NONE.
    """
    capacity = queues.capacity[0]
    start = q * capacity
    head = queues.head[q]
    size = queues.size[q]
    lost = NONE
    if size == capacity:
        queues.dropped[q] += 1
        last = start + wrapped(head + size - 1, capacity)
        if queues.time[last] <= time:
            return order
        lost = queues.order[last]
        size -= 1
    place = start + wrapped(head + size, capacity)
    for k in range(size - 1, -1, -1):
        row = start + wrapped(head + k, capacity)
        if queues.time[row] <= time:
            break
        move(queues, row, place)
        place = row
    write(queues, place, time, order, payload, tangent)
    queues.size[q] = size + 1
    return lost


def check(queues: BoundedArrays) -> None:
    """Assert what holds between two calls."""
    checked_rows(queues)
    for q in range(queues.size.size):
        rows = rows_in_ring(queues, q)
        assert_in_order(queues, rows[:-1], rows[1:])


class BoundedSortedArray(BoundedShell):
    """A queue that when full keeps the earliest entries: the latest one is evicted or refused.

    Parameters
    ----------
    capacity
        Number of entries that fit, at least 1.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import BoundedSortedArray
    >>> queue = BoundedSortedArray(1)
    >>> queue.push(2.5, payload=7), queue.push(1.0, payload=8), queue.dropped
    (0, 1, 1)
    >>> queue.pop()
    Entry(time=1.0, payload=8, order=1, tangent=0.0)
    """

    _structure = BoundedKernels(push, first, due, take)

    def __init__(self, capacity: int, *, tangent: bool = False) -> None:
        super().__init__(empty(1, checked_count("capacity", capacity, 1)), tangent)
