"""A slot for each step modulo the capacity: a push overwrites what lies in its slot.

Times are steps, whole numbers below 2**53. A spike that is polled at its step, or late by whole
revolutions, is found in its slot, so a push and a poll take O(1) and nothing is ever moved.
"""

from __future__ import annotations

import numpy as np

from queues.bounded.shell import BoundedKernels, BoundedShell, checked_rows, empty, write
from queues.compiled.jit import kernel
from queues.errors import checked_count, checked_step
from queues.exact.chains import NONE
from queues.types import BoundedArrays, Index

__all__ = ["LossyRing", "check", "due", "empty", "first", "push", "take"]


@kernel
def push(
    queues: BoundedArrays, q: int, time: float, order: int, payload: int, tangent: float
) -> Index:
    """Add a row in its slot; return the order of the one that lay there, or NONE."""
    capacity = queues.capacity[0]
    row = q * capacity + np.int64(time) % capacity
    lost = queues.order[row]
    if lost == NONE:
        queues.size[q] += 1
    else:
        queues.dropped[q] += 1
    write(queues, row, time, order, payload, tangent)
    return lost


@kernel
def first(queues: BoundedArrays, q: int) -> Index:
    """Return the earliest row of queue ``q``, or NONE: O(capacity)."""
    capacity = queues.capacity[0]
    earliest: Index = NONE
    for row in range(q * capacity, (q + 1) * capacity):
        if queues.order[row] != NONE and (
            earliest == NONE or queues.time[row] < queues.time[earliest]
        ):
            earliest = row
    return earliest


@kernel
def due(queues: BoundedArrays, q: int, now: float) -> Index:
    """Return the row in the slot of the step ``now`` if its time is at most that, or NONE."""
    capacity = queues.capacity[0]
    row = q * capacity + np.int64(now) % capacity
    return row if queues.order[row] != NONE and queues.time[row] <= now else NONE


@kernel
def take(queues: BoundedArrays, q: int, row: Index) -> None:
    """Empty the slot of a row."""
    queues.order[row] = NONE
    queues.size[q] -= 1


def check(queues: BoundedArrays) -> None:
    """Assert what holds between two calls."""
    checked_rows(queues)
    capacity = int(queues.capacity[0])
    in_use = queues.order != NONE
    assert (in_use.reshape(-1, capacity).sum(axis=1) == queues.size).all(), queues.size
    slot = np.arange(in_use.size) % capacity
    assert (queues.time[in_use].astype(np.int64) % capacity == slot[in_use]).all(), queues.time


class LossyRing(BoundedShell):
    """A queue of steps with a slot for each step modulo its capacity, in which a push overwrites.

    A poll looks at the slot of its step alone: an entry whose step was not polled is found when a
    later step of the same slot is. `peek` and `pop` go through all slots.

    Parameters
    ----------
    capacity
        Number of slots, at least 1. Where it is more than the longest delay in steps and every
        step is polled, only entries of the same step overwrite each other.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import LossyRing
    >>> queue = LossyRing(4)
    >>> queue.push(1, payload=7), queue.push(5, payload=8), queue.dropped
    (0, 1, 1)
    >>> queue.pop_due(5)
    Entry(time=5.0, payload=8, order=1, tangent=0.0)
    """

    _structure = BoundedKernels(push, first, due, take)

    def __init__(self, capacity: int, *, tangent: bool = False) -> None:
        super().__init__(empty(1, checked_count("capacity", capacity, 1)), tangent)

    def _checked_time(self, name: str, value: object) -> float:
        return float(checked_step(name, value))
