"""A queue that drops every event."""

from __future__ import annotations

import numpy as np

from queues.bounded import BoundedKernels, BoundedQueue, empty
from queues.buffer import NONE
from queues.jit import kernel
from queues.types import BoundedArrays

__all__ = ["Null", "due", "empty", "first", "push", "take"]


@kernel
def push(
    queues: BoundedArrays, q: np.int64, time: float, order: int, payload: int, tangent: float
) -> np.int64:
    """Return the order of the row."""
    queues.dropped[q] += 1
    return np.int64(order)


@kernel
def first(queues: BoundedArrays, q: np.int64) -> np.int64:
    """Return -1."""
    return NONE


@kernel
def due(queues: BoundedArrays, q: np.int64, now: float) -> np.int64:
    """Return -1."""
    return NONE


@kernel
def take(queues: BoundedArrays, q: np.int64, row: np.int64) -> None:
    """Do nothing: there is nothing to take."""


class Null(BoundedQueue):
    """Drops every push: the least that a simulation with queues can cost.

    Parameters
    ----------
    tangent
        Whether pushes may have a tangent; it is dropped with them.

    Examples
    --------
    >>> from queues import Null
    >>> queue = Null()
    >>> queue.push(1.0)
    0
    >>> len(queue), queue.dropped
    (0, 1)
    """

    _kernels = BoundedKernels(push, first, due, take)

    def __init__(self, *, tangent: bool = False) -> None:
        super().__init__(1, tangent)

    @property
    def capacity(self) -> int:
        """Number of entries that there is room for: none."""
        return 0
