"""A bounded queue of one slot in which the newest event wins."""

from __future__ import annotations

import numpy as np

from queues.bounded import BoundedKernels, BoundedQueue, empty, write
from queues.buffer import NONE
from queues.jit import kernel
from queues.types import BoundedArrays

__all__ = ["SingleSpike", "due", "empty", "first", "push", "take"]


@kernel
def push(
    queues: BoundedArrays, q: np.int64, time: float, order: int, payload: int, tangent: float
) -> np.int64:
    """Write the row over what is there; return the order of what was, or -1."""
    lost = NONE
    if queues.size[q] == 1:
        lost = queues.order[q]
        queues.dropped[q] += 1
    queues.size[q] = 1
    write(queues, q, time, order, payload, tangent)
    return lost


@kernel
def first(queues: BoundedArrays, q: np.int64) -> np.int64:
    """Return the row of queue ``q``, or -1."""
    return q if queues.size[q] == 1 else NONE


@kernel
def due(queues: BoundedArrays, q: np.int64, now: float) -> np.int64:
    """Return the row of queue ``q`` if its time is not after ``now``, or -1."""
    return q if queues.size[q] == 1 and queues.time[q] <= now else NONE


@kernel
def take(queues: BoundedArrays, q: np.int64, row: np.int64) -> None:
    """Empty queue ``q``."""
    queues.size[q] = 0


class SingleSpike(BoundedQueue):
    """One slot: a push overwrites the event that is under way, which is dropped.

    Parameters
    ----------
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import SingleSpike
    >>> queue = SingleSpike()
    >>> queue.push(1.0, payload=7), queue.push(2.5, payload=8)
    (0, 1)
    >>> queue.pop(), queue.dropped
    (Entry(time=2.5, payload=8, order=1, tangent=0.0), 1)
    """

    _kernels = BoundedKernels(push, first, due, take)

    def __init__(self, *, tangent: bool = False) -> None:
        super().__init__(1, tangent)
