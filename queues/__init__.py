"""Event queues of spiking networks: data structures that know nothing of neurons.

Queues of rows, which agree in everything but speed: `BinaryHeap`, `DaryHeap`, `BatchHeap`,
`SortedArray`, `PairingHeap` and `CalendarQueue` for any times, `FIFO` and `FifoMerge` for times in
order, `RingBuffer` for steps of a grid. And `IndexedHeap`, whose items can be moved. The kernels
under each, for compiled loops, are the functions of the module of that name, as `queues.heap` or
`queues.fifo`.
Names are imported on first use, since numba alone takes half a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from queues.batch_heap import BatchHeap
    from queues.calendar import CalendarQueue
    from queues.dary_heap import DaryHeap
    from queues.errors import (
        EmptyQueueError,
        HorizonError,
        ItemError,
        QueueError,
        QueueTypeError,
        TimeOrderError,
    )
    from queues.fifo import FIFO
    from queues.fifo_merge import FifoMerge
    from queues.heap import BinaryHeap
    from queues.indexed_heap import IndexedHeap
    from queues.pairing_heap import PairingHeap
    from queues.ring_buffer import RingBuffer
    from queues.sorted_array import SortedArray
    from queues.types import Entry, EventQueue

__all__ = [
    "FIFO",
    "BatchHeap",
    "BinaryHeap",
    "CalendarQueue",
    "DaryHeap",
    "EmptyQueueError",
    "Entry",
    "EventQueue",
    "FifoMerge",
    "HorizonError",
    "IndexedHeap",
    "ItemError",
    "PairingHeap",
    "QueueError",
    "QueueTypeError",
    "RingBuffer",
    "SortedArray",
    "TimeOrderError",
]

_MODULES = {
    "FIFO": "fifo",
    "BatchHeap": "batch_heap",
    "BinaryHeap": "heap",
    "CalendarQueue": "calendar",
    "DaryHeap": "dary_heap",
    "EmptyQueueError": "errors",
    "Entry": "types",
    "EventQueue": "types",
    "FifoMerge": "fifo_merge",
    "HorizonError": "errors",
    "IndexedHeap": "indexed_heap",
    "ItemError": "errors",
    "PairingHeap": "pairing_heap",
    "QueueError": "errors",
    "QueueTypeError": "errors",
    "RingBuffer": "ring_buffer",
    "SortedArray": "sorted_array",
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
