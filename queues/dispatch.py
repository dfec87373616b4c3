"""One queue of events whose structure is chosen at run time.

Kernels that are passed as arguments miss Numba's disk cache, so the structure is a small integer,
and each operation is one ``if``.
"""

from typing import NamedTuple

from queues import fifo, heap
from queues.fifo import FifoArrays
from queues.heap import HeapArrays
from queues.jit import jit

HEAP = 0
FIFO = 1
KINDS = {"heap": HEAP, "fifo": FIFO}


class EventQueueArrays(NamedTuple):
    """Arrays of every structure; those not chosen stay empty."""

    heap: HeapArrays
    fifo: FifoArrays


@jit
def empty(capacity):
    """Return an empty queue with room for ``capacity`` entries in each structure."""
    return EventQueueArrays(heap=heap.empty(capacity), fifo=fifo.empty(capacity))


@jit
def size(kind, queue):
    """Return the number of entries."""
    return queue.fifo.size[0] if kind == FIFO else queue.heap.size[0]


@jit
def top(kind, queue):
    """Return (time, order, payload, tangent) of the earliest entry of a queue with entries."""
    if kind == FIFO:
        f = queue.fifo
        i = f.head[0]
        return f.time[i], f.order[i], f.payload[i], f.tangent[i]
    h = queue.heap
    return h.time[0], h.order[0], h.payload[0], h.tangent[0]


@jit
def has_room(kind, queue):
    """Return whether one more entry can be added without growing."""
    if kind == FIFO:
        return queue.fifo.size[0] < queue.fifo.time.size
    return queue.heap.size[0] < queue.heap.time.size


def grown(kind, queue):
    """Return the queue in larger arrays."""
    if kind == FIFO:
        return queue._replace(fifo=fifo.grown(queue.fifo))
    return queue._replace(heap=heap.grown(queue.heap))


@jit
def add(kind, queue, time, order, payload, tangent):
    """Add an entry to a queue that has room for it."""
    if kind == FIFO:
        fifo.add(queue.fifo, time, order, payload, tangent)
    else:
        heap.add(queue.heap, time, order, payload, tangent)


@jit
def pop(kind, queue):
    """Remove the earliest entry."""
    if kind == FIFO:
        fifo.pop(queue.fifo)
    else:
        heap.pop(queue.heap)


@jit
def replace_top(kind, queue, time, order, payload, tangent):
    """Replace the earliest entry by a later one."""
    if kind == FIFO:
        fifo.pop(queue.fifo)
        fifo.add(queue.fifo, time, order, payload, tangent)
    else:
        heap.replace_top(queue.heap, time, order, payload, tangent)
