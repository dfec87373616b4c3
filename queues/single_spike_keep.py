"""A bounded queue of one slot in which the oldest event wins: a bounded FIFO of capacity 1."""

from __future__ import annotations

from queues.bounded import BoundedKernels, BoundedQueue, empty
from queues.bounded_fifo import due, first, push, take

__all__ = ["SingleSpikeKeep", "due", "empty", "first", "push", "take"]


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
