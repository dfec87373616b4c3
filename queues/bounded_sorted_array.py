"""A bounded queue by time that keeps the earliest events."""

from __future__ import annotations

import numpy as np

from queues.bounded import BoundedKernels, BoundedQueue, copy, empty, write
from queues.bounded_fifo import due, first, row_of, take
from queues.buffer import NONE
from queues.jit import kernel
from queues.types import BoundedArrays

__all__ = ["BoundedSortedArray", "due", "empty", "first", "push", "take"]


@kernel
def push(
    queues: BoundedArrays, q: np.int64, time: float, order: int, payload: int, tangent: float
) -> np.int64:
    """Put the row in its place; return the order of the latest row if that has to go, or -1.

    Of equal times the one pushed first comes first, so a row as late as the latest is refused.
    """
    lost = NONE
    k = queues.size[q]
    if k == queues.capacity[0]:
        queues.dropped[q] += 1
        k -= 1
        latest = row_of(queues, q, k)
        if time >= queues.time[latest]:
            return np.int64(order)
        lost = queues.order[latest]
    else:
        queues.size[q] += 1
    while k > 0:
        above = row_of(queues, q, k - 1)
        if queues.time[above] <= time:
            break
        copy(queues, above, row_of(queues, q, k))
        k -= 1
    write(queues, row_of(queues, q, k), time, order, payload, tangent)
    return lost


class BoundedSortedArray(BoundedQueue):
    """Entries by (time, order): when it is full, the latest entry is dropped.

    A push that is not earlier than the latest entry is itself dropped.

    Parameters
    ----------
    capacity
        Number of entries that there is room for, at least 1.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import BoundedSortedArray
    >>> queue = BoundedSortedArray(1)
    >>> queue.push(2.5, payload=7), queue.push(1.0, payload=8)
    (0, 1)
    >>> queue.pop(), queue.dropped
    (Entry(time=1.0, payload=8, order=1, tangent=0.0), 1)
    """

    _kernels = BoundedKernels(push, first, due, take)

    def __init__(self, capacity: int, *, tangent: bool = False) -> None:
        super().__init__(capacity, tangent)
