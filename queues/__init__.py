"""Event queues of spiking networks: data structures that know nothing of neurons.

Three queues for Python users, `BinaryHeap`, `IndexedHeap` and `FIFO`; the kernels under them, for
compiled loops, are the functions of `queues.heap`, `queues.indexed_heap` and `queues.fifo`.
Names are imported on first use, since numba alone takes half a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from queues.errors import (
        EmptyQueueError,
        ItemError,
        QueueError,
        QueueTypeError,
        TimeOrderError,
    )
    from queues.fifo import FIFO
    from queues.heap import BinaryHeap
    from queues.indexed_heap import IndexedHeap
    from queues.types import Entry, EventQueue

__all__ = [
    "FIFO",
    "BinaryHeap",
    "EmptyQueueError",
    "Entry",
    "EventQueue",
    "IndexedHeap",
    "ItemError",
    "QueueError",
    "QueueTypeError",
    "TimeOrderError",
]

_MODULES = {
    "FIFO": "fifo",
    "BinaryHeap": "heap",
    "EmptyQueueError": "errors",
    "Entry": "types",
    "EventQueue": "types",
    "IndexedHeap": "indexed_heap",
    "ItemError": "errors",
    "QueueError": "errors",
    "QueueTypeError": "errors",
    "TimeOrderError": "errors",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
