"""Event queues of spiking networks: data structures that know nothing of neurons.

Queues of rows, which agree in everything but speed: `BinaryHeap`, `DaryHeap`, `BatchHeap`,
`SortedArray`, `PairingHeap` and `CalendarQueue` for any times, `FIFO` and `FifoMerge` for times in
order, `RingBuffer` for steps of a grid. And `IndexedHeap`, whose items can be moved. Queues of a
fixed capacity, which lose what has no room: `SingleSpike`, `SingleSpikeKeep`, `LossyRing`,
`BoundedFifo`, `BoundedSortedArray`, `BoundedHeap`, `BitArray` and `Null`. `Batch` is many of these,
and `queues.streams` runs many at once. The kernels under each, for compiled loops, are functions of
the module of that name, as `queues.heap`.
Names are imported on first use, since numba alone takes half a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from queues.batch import Batch
    from queues.batch_heap import BatchHeap
    from queues.bit_array import BitArray
    from queues.bounded_fifo import BoundedFifo
    from queues.bounded_heap import BoundedHeap
    from queues.bounded_sorted_array import BoundedSortedArray
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
    from queues.log import Keep, Log, Recorder
    from queues.lossy_ring import LossyRing
    from queues.null import Null
    from queues.pairing_heap import PairingHeap
    from queues.ring_buffer import RingBuffer
    from queues.single_spike import SingleSpike
    from queues.single_spike_keep import SingleSpikeKeep
    from queues.sorted_array import SortedArray
    from queues.types import Entry, EventQueue

__all__ = [
    "FIFO",
    "Batch",
    "BatchHeap",
    "BinaryHeap",
    "BitArray",
    "BoundedFifo",
    "BoundedHeap",
    "BoundedSortedArray",
    "CalendarQueue",
    "DaryHeap",
    "EmptyQueueError",
    "Entry",
    "EventQueue",
    "FifoMerge",
    "HorizonError",
    "IndexedHeap",
    "ItemError",
    "Keep",
    "Log",
    "LossyRing",
    "Null",
    "PairingHeap",
    "QueueError",
    "QueueTypeError",
    "Recorder",
    "RingBuffer",
    "SingleSpike",
    "SingleSpikeKeep",
    "SortedArray",
    "TimeOrderError",
]

_MODULES = {
    "FIFO": "fifo",
    "Batch": "batch",
    "BatchHeap": "batch_heap",
    "BinaryHeap": "heap",
    "BitArray": "bit_array",
    "BoundedFifo": "bounded_fifo",
    "BoundedHeap": "bounded_heap",
    "BoundedSortedArray": "bounded_sorted_array",
    "CalendarQueue": "calendar",
    "DaryHeap": "dary_heap",
    "EmptyQueueError": "errors",
    "Entry": "types",
    "EventQueue": "types",
    "FifoMerge": "fifo_merge",
    "HorizonError": "errors",
    "IndexedHeap": "indexed_heap",
    "ItemError": "errors",
    "Keep": "log",
    "Log": "log",
    "LossyRing": "lossy_ring",
    "Null": "null",
    "PairingHeap": "pairing_heap",
    "QueueError": "errors",
    "QueueTypeError": "errors",
    "Recorder": "log",
    "SingleSpike": "single_spike",
    "SingleSpikeKeep": "single_spike_keep",
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
