"""A binary heap, a FIFO or a sorted ring, as its flag says: the queue of a loop by default.

A loop is compiled anew for each type of queue that it is used with, which takes seconds, and these
are used most. So they share one type, and each operation is one ``if``.
"""

from __future__ import annotations

import numpy as np

from queues.compiled.jit import inner_kernel, maker
from queues.exact import fifo, heap, sorted_array
from queues.types import FifoArrays, HeapArrays, HeapOrRingArrays

HEAP = 0
FIFO = 1
SORTED = 2


@maker
def empty(capacity: int, kind: int) -> HeapOrRingArrays:
    """Return a queue without rows; its room is the power of two at or above ``capacity``."""
    ring = fifo.empty(capacity)
    return HeapOrRingArrays(
        time=ring.time,
        order=ring.order,
        payload=ring.payload,
        tangent=ring.tangent,
        head=ring.head,
        kind=np.full(1, np.int64(kind)),
        size=ring.size,
    )


@inner_kernel
def _heap(queue):
    return HeapArrays(queue.time, queue.order, queue.payload, queue.tangent, queue.size)


@inner_kernel
def _ring(queue):
    return FifoArrays(queue.time, queue.order, queue.payload, queue.tangent, queue.head, queue.size)


def grown(queue: HeapOrRingArrays) -> HeapOrRingArrays:
    """Return a copy of the queue in arrays of twice the length."""
    # The head of a heap is 0, so this leaves its rows where they are.
    ring = fifo.grown(
        FifoArrays(queue.time, queue.order, queue.payload, queue.tangent, queue.head, queue.size)
    )
    return HeapOrRingArrays(**ring._asdict(), kind=queue.kind.copy())


@inner_kernel
def add(queue, time, order, payload, tangent):
    """Add a row to a queue that has room for it: ``queue.size[0] < queue.time.size``."""
    if queue.kind[0] == HEAP:
        heap.add(_heap(queue), time, order, payload, tangent)
    elif queue.kind[0] == FIFO:
        fifo.add(_ring(queue), time, order, payload, tangent)
    else:
        sorted_array.add(_ring(queue), time, order, payload, tangent)


@inner_kernel
def pop(queue):
    """Remove the first row of a queue that has one."""
    if queue.kind[0] == HEAP:
        heap.pop(_heap(queue))
    else:
        fifo.pop(_ring(queue))


@inner_kernel
def top(queue):
    """Return the index of the first row: the head, which stays 0 in a heap."""
    return queue.head[0]


@inner_kernel
def replace_top(queue, time, order, payload, tangent):
    """Put a row, not before the first one, in its place."""
    if queue.kind[0] == HEAP:
        heap.replace_top(_heap(queue), time, order, payload, tangent)
    else:
        fifo.pop(_ring(queue))
        add(queue, time, order, payload, tangent)
