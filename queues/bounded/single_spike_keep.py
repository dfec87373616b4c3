"""One spike under way at most: a new one is lost while the old one is there.

The rows are those of `queues.bounded.single_spike`; only a push differs.
"""

from __future__ import annotations

from queues.bounded.shell import BoundedKernels, BoundedShell, write
from queues.bounded.single_spike import check, due, empty, first, take
from queues.compiled.jit import kernel
from queues.exact.chains import NONE
from queues.types import BoundedArrays, Index

__all__ = ["SingleSpikeKeep", "check", "due", "empty", "first", "push", "take"]


@kernel
def push(
    queues: BoundedArrays, q: int, time: float, order: int, payload: int, tangent: float
) -> Index:
    """Add a row where there is none; return its order if it is refused, or NONE."""
    if queues.size[q] == 1:
        queues.dropped[q] += 1
        return order
    write(queues, q, time, order, payload, tangent)
    queues.size[q] = 1
    return NONE


class SingleSpikeKeep(BoundedShell):
    """A queue of one entry, which refuses another one.

    Parameters
    ----------
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import SingleSpikeKeep
    >>> queue = SingleSpikeKeep()
    >>> queue.push(1.0, payload=7), queue.push(2.5, payload=8), queue.dropped
    (0, 1, 1)
    >>> queue.pop_due(3.0)
    Entry(time=1.0, payload=7, order=0, tangent=0.0)
    """

    _structure = BoundedKernels(push, first, due, take)

    def __init__(self, *, tangent: bool = False) -> None:
        super().__init__(empty(1, 1), tangent)
