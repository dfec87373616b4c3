"""Event queues of spiking networks: data structures that know nothing of neurons.

Queues of rows, which agree in everything but speed: `BinaryHeap`, `DaryHeap`, `BatchHeap`,
`SortedArray`, `PairingHeap` and `CalendarQueue` for any times, `FIFO` and `FifoMerge` for times in
order, `RingBuffer` for steps of a grid. And `IndexedHeap`, whose items can be moved. Queues of a
fixed capacity, which lose what has no room: `SingleSpike`, `SingleSpikeKeep`, `LossyRing`,
`BoundedFifo`, `BoundedSortedArray`, `BoundedHeap`, `BitArray` and `Null`. `Batch` is many of these,
and `queues.study.streams` runs many at once. The kernels under each, for compiled loops, are
functions of the module of that name, as `queues.exact.heap`.
Names are imported on first use, since numba alone takes half a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from queues.bounded.batch import Batch
    from queues.bounded.bit_array import BitArray
    from queues.bounded.fifo import BoundedFifo
    from queues.bounded.heap import BoundedHeap
    from queues.bounded.lossy_ring import LossyRing
    from queues.bounded.null import Null
    from queues.bounded.single_spike import SingleSpike
    from queues.bounded.single_spike_keep import SingleSpikeKeep
    from queues.bounded.sorted_array import BoundedSortedArray
    from queues.derivative.log import Keep, Log, Recorder
    from queues.errors import (
        EmptyQueueError,
        HorizonError,
        ItemError,
        QueueError,
        QueueTypeError,
        TimeOrderError,
    )
    from queues.exact.batch_heap import BatchHeap
    from queues.exact.calendar import CalendarQueue
    from queues.exact.dary_heap import DaryHeap
    from queues.exact.fifo import FIFO
    from queues.exact.fifo_merge import FifoMerge
    from queues.exact.heap import BinaryHeap
    from queues.exact.indexed_heap import IndexedHeap
    from queues.exact.pairing_heap import PairingHeap
    from queues.exact.ring_buffer import RingBuffer
    from queues.exact.sorted_array import SortedArray
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
    "FIFO": "exact.fifo",
    "Batch": "bounded.batch",
    "BatchHeap": "exact.batch_heap",
    "BinaryHeap": "exact.heap",
    "BitArray": "bounded.bit_array",
    "BoundedFifo": "bounded.fifo",
    "BoundedHeap": "bounded.heap",
    "BoundedSortedArray": "bounded.sorted_array",
    "CalendarQueue": "exact.calendar",
    "DaryHeap": "exact.dary_heap",
    "EmptyQueueError": "errors",
    "Entry": "types",
    "EventQueue": "types",
    "FifoMerge": "exact.fifo_merge",
    "HorizonError": "errors",
    "IndexedHeap": "exact.indexed_heap",
    "ItemError": "errors",
    "Keep": "derivative.log",
    "Log": "derivative.log",
    "LossyRing": "bounded.lossy_ring",
    "Null": "bounded.null",
    "PairingHeap": "exact.pairing_heap",
    "QueueError": "errors",
    "QueueTypeError": "errors",
    "Recorder": "derivative.log",
    "SingleSpike": "bounded.single_spike",
    "SingleSpikeKeep": "bounded.single_spike_keep",
    "RingBuffer": "exact.ring_buffer",
    "SortedArray": "exact.sorted_array",
    "TimeOrderError": "errors",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
