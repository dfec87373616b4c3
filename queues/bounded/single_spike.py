"""One spike under way at most: a new one takes the place of the old one."""

from __future__ import annotations

import numpy as np

from queues.bounded import shell as bounded
from queues.bounded.shell import BoundedKernels, BoundedShell, checked_rows, write
from queues.compiled.jit import kernel, maker
from queues.exact.chains import NONE
from queues.types import BoundedArrays, Index


@maker
def empty(n: int, capacity: int) -> BoundedArrays:
    """Return ``n`` queues without a row; each has room for one, whatever ``capacity`` says."""
    return bounded.empty(n, np.int64(1))


@kernel
def push(
    queues: BoundedArrays, q: int, time: float, order: int, payload: int, tangent: float
) -> Index:
    """Add a row in the place of any other; return the order of the one that is lost, or NONE."""
    lost = NONE
    if queues.size[q] == 1:
        lost = queues.order[q]
        queues.dropped[q] += 1
    write(queues, q, time, order, payload, tangent)
    queues.size[q] = 1
    return lost


@kernel
def first(queues: BoundedArrays, q: int) -> Index:
    """Return the row of queue ``q``, or NONE."""
    return q if queues.size[q] == 1 else NONE


@kernel
def due(queues: BoundedArrays, q: int, now: float) -> Index:
    """Return the row of queue ``q`` if its time is at most ``now``, or NONE."""
    return q if queues.size[q] == 1 and queues.time[q] <= now else NONE


@kernel
def take(queues: BoundedArrays, q: int, row: Index) -> None:
    """Remove the row of queue ``q``."""
    queues.size[q] = 0


check = checked_rows


class SingleSpike(BoundedShell):
    """A queue of one entry, in which a push overwrites what is there.

    Parameters
    ----------
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import SingleSpike
    >>> queue = SingleSpike()
    >>> queue.push(1.0, payload=7), queue.push(2.5, payload=8), queue.dropped
    (0, 1, 1)
    >>> queue.pop_due(3.0)
    Entry(time=2.5, payload=8, order=1, tangent=0.0)
    """

    _structure = BoundedKernels(push, first, due, take)

    def __init__(self, *, tangent: bool = False) -> None:
        super().__init__(empty(1, 1), tangent)
