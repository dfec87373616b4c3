"""Many bounded queues in a compiled loop, of any structure: chosen by the type of its wrapper.

All but one of the structures share a type of arrays, so each has a wrapper of its own around them.
What is chosen here is chosen while a loop is compiled, as in `queues.exact.dispatch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from queues.bounded import (
    bit_array,
    fifo as bounded_fifo,
    heap as bounded_heap,
    lossy_ring,
    null,
    single_spike,
    single_spike_keep,
    sorted_array as bounded_sorted_array,
)
from queues.compiled.jit import by_type
from queues.errors import LARGEST_COUNT, QueueError, checked_count
from queues.types import BitArrays, BoundedArrays


class NullQueues(NamedTuple):
    """Queues of `queues.bounded.null`."""

    queues: BoundedArrays


class SingleSpikeQueues(NamedTuple):
    """Queues of `queues.bounded.single_spike`."""

    queues: BoundedArrays


class SingleSpikeKeepQueues(NamedTuple):
    """Queues of `queues.bounded.single_spike_keep`."""

    queues: BoundedArrays


class BoundedFifoQueues(NamedTuple):
    """Queues of `queues.bounded.fifo`."""

    queues: BoundedArrays


class BoundedSortedArrayQueues(NamedTuple):
    """Queues of `queues.bounded.sorted_array`."""

    queues: BoundedArrays


class BoundedHeapQueues(NamedTuple):
    """Queues of `queues.bounded.heap`."""

    queues: BoundedArrays


class LossyRingQueues(NamedTuple):
    """Queues of `queues.bounded.lossy_ring`."""

    queues: BoundedArrays


class BitArrayQueues(NamedTuple):
    """Queues of `queues.bounded.bit_array`."""

    queues: BitArrays


WRAPPER: dict[str, Any] = {
    "null": NullQueues,
    "single_spike": SingleSpikeQueues,
    "single_spike_keep": SingleSpikeKeepQueues,
    "bounded_fifo": BoundedFifoQueues,
    "bounded_sorted_array": BoundedSortedArrayQueues,
    "bounded_heap": BoundedHeapQueues,
    "lossy_ring": LossyRingQueues,
    "bit_array": BitArrayQueues,
}
BOUNDED = tuple(WRAPPER)
WRAPPERS: dict[Any, Any] = {
    NullQueues: null,
    SingleSpikeQueues: single_spike,
    SingleSpikeKeepQueues: single_spike_keep,
    BoundedFifoQueues: bounded_fifo,
    BoundedSortedArrayQueues: bounded_sorted_array,
    BoundedHeapQueues: bounded_heap,
    LossyRingQueues: lossy_ring,
    BitArrayQueues: bit_array,
}
OF_ONE = ("null", "single_spike", "single_spike_keep")
OF_STEPS = ("lossy_ring", "bit_array")


def checked_capacity(structure: str, capacity: int | None) -> int:
    """Return the number of rows of a queue of a structure, which some leave no choice of."""
    if structure in OF_ONE:
        if capacity is not None and checked_count("capacity", capacity, 1) != 1:
            raise QueueError(f"capacity = {capacity!r}; expected none for {structure!r}")
        return 1
    if capacity is None:
        raise QueueError(f"capacity is missing; expected that of a {structure!r}")
    rows = checked_count("capacity", capacity, 1)
    if structure == "bit_array" and rows not in (32, 64):
        raise QueueError(f"capacity = {capacity!r}; expected 32 or 64 for 'bit_array'")
    return rows


def empty(structure: str, n: int, capacity: int) -> Any:
    """Return ``n`` empty queues of a structure."""
    if n * capacity > LARGEST_COUNT:
        raise QueueError(
            f"capacity = {capacity} for {n} queues; expected at most {LARGEST_COUNT} rows in all"
        )
    wrapper = WRAPPER[structure]
    return wrapper(WRAPPERS[wrapper].empty(n, capacity))


@by_type
def push(arrays: type) -> Callable[..., Any]:
    """Push (queues, q, time, order, payload, tangent); return the order of what is lost, or -1."""
    kernel = WRAPPERS[arrays].push
    return lambda queues, q, time, order, payload, tangent: kernel(
        queues.queues, q, time, order, payload, tangent
    )


@by_type
def first(arrays: type) -> Callable[..., Any]:
    """Return the row of (queues, q) that leaves first, or -1."""
    kernel = WRAPPERS[arrays].first
    return lambda queues, q: kernel(queues.queues, q)


@by_type
def due(arrays: type) -> Callable[..., Any]:
    """Return the row that a poll of (queues, q, now) finds, or -1."""
    kernel = WRAPPERS[arrays].due
    return lambda queues, q, now: kernel(queues.queues, q, now)


@by_type
def take(arrays: type) -> Callable[..., None]:
    """Remove a row (queues, q, row) that was returned by ``first`` or ``due``."""
    kernel = WRAPPERS[arrays].take
    return lambda queues, q, row: kernel(queues.queues, q, row)
