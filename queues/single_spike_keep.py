"""A bounded queue of one slot in which the oldest event wins."""

from __future__ import annotations

import numpy as np

from queues.bounded import BoundedKernels, BoundedQueue, empty, write
from queues.buffer import NONE
from queues.jit import kernel
from queues.single_spike import due, first, take
from queues.types import BoundedArrays

__all__ = ["SingleSpikeKeep", "due", "empty", "first", "push", "take"]


@kernel
def push(
    queues: BoundedArrays, q: np.int64, time: float, order: int, payload: int, tangent: float
) -> np.int64:
    """Write the row where there is none and return -1, or refuse it and return its order."""
    if queues.size[q] == 1:
        queues.dropped[q] += 1
        return np.int64(order)
    queues.size[q] = 1
    write(queues, q, time, order, payload, tangent)
    return NONE


class SingleSpikeKeep(BoundedQueue):
    """One slot: a push while an event is under way is dropped.

    Parameters
    ----------
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import SingleSpikeKeep
    >>> queue = SingleSpikeKeep()
    >>> queue.push(1.0, payload=7), queue.push(2.5, payload=8)
    (0, 1)
    >>> queue.pop(), queue.dropped
    (Entry(time=1.0, payload=7, order=0, tangent=0.0), 1)
    """

    _kernels = BoundedKernels(push, first, due, take)

    def __init__(self, *, tangent: bool = False) -> None:
        super().__init__(1, tangent)
