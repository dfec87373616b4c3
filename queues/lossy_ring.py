"""A bounded queue of grid steps: an event lies in the slot of its step modulo the capacity."""

from __future__ import annotations

import numpy as np

from queues.bounded import BoundedKernels, BoundedQueue, empty, write
from queues.buffer import NONE
from queues.errors import checked_step
from queues.jit import inner_kernel, kernel
from queues.types import BoundedArrays

__all__ = ["LossyRing", "due", "empty", "first", "push", "take"]


@inner_kernel
def _slot(queues, q, step):
    capacity = queues.capacity[0]
    return q * capacity + np.int64(step) % capacity


@kernel
def push(
    queues: BoundedArrays, q: np.int64, time: float, order: int, payload: int, tangent: float
) -> np.int64:
    """Write the row into its slot; return the order of what was there, or -1."""
    row = _slot(queues, q, time)
    lost = queues.order[row]
    if lost == NONE:
        queues.size[q] += 1
    else:
        queues.dropped[q] += 1
    write(queues, row, time, order, payload, tangent)
    return lost


@kernel
def first(queues: BoundedArrays, q: np.int64) -> np.int64:
    """Return the earliest row of queue ``q``, or -1; this looks at every slot."""
    capacity = queues.capacity[0]
    least = NONE
    for row in range(q * capacity, (q + 1) * capacity):
        if queues.order[row] != NONE and (least == NONE or queues.time[row] < queues.time[least]):
            least = np.int64(row)
    return least


@kernel
def due(queues: BoundedArrays, q: np.int64, now: float) -> np.int64:
    """Return the row in the slot of step ``now`` if its time is not after that, or -1."""
    row = _slot(queues, q, now)
    return row if queues.order[row] != NONE and queues.time[row] <= now else NONE


@kernel
def take(queues: BoundedArrays, q: np.int64, row: np.int64) -> None:
    """Empty a slot."""
    queues.order[row] = NONE
    queues.size[q] -= 1


class LossyRing(BoundedQueue):
    """A slot for each step modulo the capacity: a push overwrites what lies in its slot.

    Times are whole numbers of steps. A poll at a step looks at one slot only, so an event that was
    due earlier is found when a step with the same slot comes. ``pop`` takes the earliest event.

    Parameters
    ----------
    capacity
        Number of slots, at least 1.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import LossyRing
    >>> queue = LossyRing(4)
    >>> queue.push(1, payload=7), queue.push(2, payload=8), queue.push(5, payload=9)
    (0, 1, 2)
    >>> queue.pop(), queue.dropped
    (Entry(time=2.0, payload=8, order=1, tangent=0.0), 1)
    """

    _kernels = BoundedKernels(push, first, due, take)

    def __init__(self, capacity: int, *, tangent: bool = False) -> None:
        super().__init__(capacity, tangent)

    def _checked_time(self, name: str, time: object) -> float:
        return checked_step(name, time)
