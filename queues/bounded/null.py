"""A queue that loses every row: what a network without delays under way looks like."""

from __future__ import annotations

import numpy as np

from queues.bounded import shell as bounded
from queues.bounded.shell import BoundedKernels, BoundedShell, checked_rows
from queues.compiled.jit import kernel, maker
from queues.exact.chains import NONE
from queues.types import BoundedArrays, Index


@maker
def empty(n: int, capacity: int) -> BoundedArrays:
    """Return ``n`` queues without room, whatever ``capacity`` says."""
    return bounded.empty(n, np.int64(0))


@kernel
def push(
    queues: BoundedArrays, q: int, time: float, order: int, payload: int, tangent: float
) -> Index:
    """Lose the row and return its order."""
    queues.dropped[q] += 1
    return order


@kernel
def first(queues: BoundedArrays, q: int) -> Index:
    """Return NONE."""
    return NONE


@kernel
def due(queues: BoundedArrays, q: int, now: float) -> Index:
    """Return NONE."""
    return NONE


@kernel
def take(queues: BoundedArrays, q: int, row: Index) -> None:
    """Do nothing: there is no row."""


check = checked_rows


class Null(BoundedShell):
    """A queue that loses every entry.

    Parameters
    ----------
    tangent
        Whether entries may come with a tangent. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import Null
    >>> queue = Null()
    >>> queue.push(1.0), len(queue), queue.dropped
    (0, 0, 1)
    """

    _structure = BoundedKernels(push, first, due, take)

    def __init__(self, *, tangent: bool = False) -> None:
        super().__init__(empty(1, 0), tangent)
