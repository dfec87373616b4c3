"""Rows and arrays of the event queues. Times are in ms; a queue compares them and never adds."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Entry(NamedTuple):
    """One queued event, as Python users see it."""

    time: float  # ms
    payload: int  # the caller's number, any int64; in an indexed heap the item
    order: int  # push number, for life; breaks ties of time (in an indexed heap the item)
    tangent: float  # d time / d parameter, ms per unit of the parameter; 0.0 where not carried


class HeapArrays(NamedTuple):
    """A binary min-heap of rows: row i is not later than rows 2i+1 and 2i+2, by (time, order)."""

    time: NDArray[np.float64]  # (capacity,) float64, ms
    order: NDArray[np.int64]  # (capacity,) int64, push number, unique
    payload: NDArray[np.int64]  # (capacity,) int64
    tangent: NDArray[np.float64]  # (capacity,) float64, ms per unit of the parameter
    size: NDArray[np.int64]  # (1,) int64, number of rows in use


class FifoArrays(NamedTuple):
    """A ring of rows in order of push: ``(head + k) % capacity`` is the k-th, for k < size."""

    time: NDArray[np.float64]  # (capacity,) float64, ms; capacity is a power of two
    order: NDArray[np.int64]  # (capacity,) int64, push number, unique
    payload: NDArray[np.int64]  # (capacity,) int64
    tangent: NDArray[np.float64]  # (capacity,) float64, ms per unit of the parameter
    head: NDArray[np.int64]  # (1,) int64, index of the first row
    size: NDArray[np.int64]  # (1,) int64, number of rows in use


class HeapOrRingArrays(NamedTuple):
    """A binary heap or a ring in the same arrays: `HeapArrays` or `FifoArrays`."""

    time: NDArray[np.float64]  # (capacity,) float64, ms; capacity is a power of two
    order: NDArray[np.int64]  # (capacity,) int64, push number, unique
    payload: NDArray[np.int64]  # (capacity,) int64
    tangent: NDArray[np.float64]  # (capacity,) float64, ms per unit of the parameter
    head: NDArray[np.int64]  # (1,) int64, index of the first row; 0 in a heap
    kind: NDArray[np.int64]  # (1,) int64: 0 a heap, 1 a ring in order of push, 2 a sorted one
    size: NDArray[np.int64]  # (1,) int64, number of rows in use


class DaryHeapArrays(NamedTuple):
    """A min-heap of rows with d children each: row i is not later than rows d*i+1 to d*i+d."""

    time: NDArray[np.float64]  # (capacity,) float64, ms
    order: NDArray[np.int64]  # (capacity,) int64, push number, unique
    payload: NDArray[np.int64]  # (capacity,) int64
    tangent: NDArray[np.float64]  # (capacity,) float64, ms per unit of the parameter
    log2_d: NDArray[np.int64]  # (1,) int64, so that d*i is a shift
    size: NDArray[np.int64]  # (1,) int64, number of rows in use


class PairingHeapArrays(NamedTuple):
    """A tree of rows, each not later than its children, and a chain of the rows not in use."""

    time: NDArray[np.float64]  # (capacity,) float64, ms
    order: NDArray[np.int64]  # (capacity,) int64, push number, unique
    payload: NDArray[np.int64]  # (capacity,) int64
    tangent: NDArray[np.float64]  # (capacity,) float64, ms per unit of the parameter
    child: NDArray[np.int64]  # (capacity,) int64, a row's first child; -1 for none
    sibling: NDArray[np.int64]  # (capacity,) int64, next child of its parent, or free row; -1 ends
    root: NDArray[np.int64]  # (1,) int64, the first row; -1 for none
    free: NDArray[np.int64]  # (1,) int64, first row not in use; -1 for none
    size: NDArray[np.int64]  # (1,) int64, number of rows in use


class CalendarArrays(NamedTuple):
    """Rows chained by bucket, each chain by (time, order): day ``v`` is bucket v % n_buckets.

    The day of a time is ``floor(time / width)``. Days never decrease with time, and this alone is
    what the order in which rows leave rests on.
    """

    time: NDArray[np.float64]  # (capacity,) float64, ms
    order: NDArray[np.int64]  # (capacity,) int64, push number, unique
    payload: NDArray[np.int64]  # (capacity,) int64
    tangent: NDArray[np.float64]  # (capacity,) float64, ms per unit of the parameter
    link: NDArray[np.int64]  # (capacity,) int64, next row of the bucket, or free row; -1 ends
    first: NDArray[np.int64]  # (n_buckets,) int64, first row of a bucket; -1 for none
    last: NDArray[np.int64]  # (n_buckets,) int64, its last row; n_buckets is a power of two
    run: NDArray[np.int64]  # (64,) int64, scratch of the sort: chains of 2**i buckets; -1 for none
    day: NDArray[np.int64]  # (1,) int64, not after the day of any row
    width: NDArray[np.float64]  # (1,) float64, ms, length of a day
    effort: NDArray[np.int64]  # (2,) int64, steps of search, and calls, since last looked at
    free: NDArray[np.int64]  # (1,) int64, first row not in use; -1 for none
    size: NDArray[np.int64]  # (1,) int64, number of rows in use


class FifoMergeArrays(NamedTuple):
    """Rows chained by lane, in order of push, and a heap of the first row of every lane."""

    time: NDArray[np.float64]  # (capacity,) float64, ms; in a lane they never decrease
    order: NDArray[np.int64]  # (capacity,) int64, push number, unique
    payload: NDArray[np.int64]  # (capacity,) int64
    tangent: NDArray[np.float64]  # (capacity,) float64, ms per unit of the parameter
    link: NDArray[np.int64]  # (capacity,) int64, next row of the lane, or free row; -1 ends
    first: NDArray[np.int64]  # (n_lanes,) int64, first row of a lane; -1 for none
    last: NDArray[np.int64]  # (n_lanes,) int64, its last row, where it has one
    heads: HeapArrays  # (n_lanes,) a row for every lane with rows; the payload is the lane
    free: NDArray[np.int64]  # (1,) int64, first row not in use; -1 for none
    size: NDArray[np.int64]  # (1,) int64, number of rows in use


class BatchHeapArrays(NamedTuple):
    """Blocks of ``group`` rows: block 0 is the front, blocks 1 to ``groups`` are a heap of groups.

    Rows of the front come before all others. Groups are full and sorted, and all rows of group k
    come before all of groups 2k and 2k+1. Any other row is in the buffer.
    """

    time: NDArray[np.float64]  # (capacity,) float64, ms; capacity is a multiple of group
    order: NDArray[np.int64]  # (capacity,) int64, push number, unique
    payload: NDArray[np.int64]  # (capacity,) int64
    tangent: NDArray[np.float64]  # (capacity,) float64, ms per unit of the parameter
    rows: HeapArrays  # (capacity + group,) the columns above, and one block more for merges
    buffer: HeapArrays  # (group,) fewer than group rows
    head: NDArray[np.int64]  # (1,) int64, index of the first row of the front
    front: NDArray[np.int64]  # (1,) int64, number of rows of the front; 0 only in an empty queue
    groups: NDArray[np.int64]  # (1,) int64, number of full groups
    size: NDArray[np.int64]  # (1,) int64, number of rows in use


class RingBufferArrays(NamedTuple):
    """Rows chained by step, in order of push: step ``n`` is slot n % n_slots.

    All steps lie in ``now <= n < now + n_slots``, so a slot holds rows of one step alone.
    """

    time: NDArray[np.float64]  # (capacity,) float64, steps, whole
    order: NDArray[np.int64]  # (capacity,) int64, push number, unique
    payload: NDArray[np.int64]  # (capacity,) int64
    tangent: NDArray[np.float64]  # (capacity,) float64, ms per unit of the parameter
    link: NDArray[np.int64]  # (capacity,) int64, next row of the slot, or free row; -1 ends
    first: NDArray[np.int64]  # (n_slots,) int64, first row of a slot; -1 for none
    last: NDArray[np.int64]  # (n_slots,) int64, its last row, where it has one
    counts: NDArray[np.int64]  # (n_slots,) int64, its number of rows
    tangent_sum: NDArray[np.float64]  # (n_slots,) float64, sum of their tangents, in order of push
    now: NDArray[np.int64]  # (1,) int64, step of the last pop or take
    soonest: NDArray[np.int64]  # (1,) int64, step: now or later, and not after that of any row
    stale: NDArray[np.int64]  # (1,) int64, slot whose tangent_sum must be taken anew; -1 for none
    free: NDArray[np.int64]  # (1,) int64, first row not in use; -1 for none
    size: NDArray[np.int64]  # (1,) int64, number of rows in use


class IndexedHeapArrays(NamedTuple):
    """A binary min-heap of items 0..n-1 by (time, item), which can find and move an item."""

    time: NDArray[np.float64]  # (n,) float64, ms, BY ITEM; inf where absent
    item: NDArray[np.int64]  # (n,) int64, items in heap order, the first ``size`` in use
    position: NDArray[np.int64]  # (n,) int64, by item: its index in ``item``; -1 where absent
    size: NDArray[np.int64]  # (1,) int64, number of items present


Index = int | np.int64  # a row or an order, or NONE


class BoundedArrays(NamedTuple):
    """n queues of c rows each: queue q owns the rows q*c to q*c + c - 1."""

    time: NDArray[np.float64]  # (n*c,) float64, ms, or steps where a structure says so
    order: NDArray[np.int64]  # (n*c,) int64, push number, at least 0; -1 where a ring has no row
    payload: NDArray[np.int64]  # (n*c,) int64
    tangent: NDArray[np.float64]  # (n*c,) float64, ms per unit of the parameter
    head: NDArray[np.int64]  # (n,) int64, the first row of a queue, counted from q*c
    size: NDArray[np.int64]  # (n,) int64, number of rows in use
    dropped: NDArray[np.int64]  # (n,) int64, rows refused or evicted so far
    capacity: NDArray[np.int64]  # (1,) int64, c


class BitArrays(NamedTuple):
    """n sets of the steps ``now`` to ``now + slots - 1``: bit k of a set is the step now + k."""

    bits: NDArray[np.uint64]  # (n,) uint64
    now: NDArray[np.int64]  # (n,) int64, the first step of the window
    dropped: NDArray[np.int64]  # (n,) int64, pushes to a step that was in the set already
    slots: NDArray[np.int64]  # (1,) int64, 32 or 64


class EventQueue(Protocol):
    """A queue of entries that leave in order of (time, order).

    As a multiset, what was popped and what is queued is what was pushed; with times of the pushes
    not before the last pop, the popped (time, order) increase.
    """

    def push(self, time: float, payload: int = 0, tangent: float = 0.0) -> int:
        """Add an entry and return its order, the number of pushes before it."""
        ...

    def peek(self) -> Entry:
        """Return the first entry and leave it queued."""
        ...

    def pop(self) -> Entry:
        """Remove the first entry and return it."""
        ...

    def clear(self) -> None:
        """Remove all entries; orders keep counting."""
        ...

    def __len__(self) -> int: ...


class PolledQueue(Protocol):
    """A queue that is asked at each time step what is due."""

    def push(self, time: float, payload: int = 0, tangent: float = 0.0) -> int:
        """Add an entry, or lose one, and return the number of pushes before this one."""
        ...

    def pop_due(self, now: float) -> Entry | None:
        """Remove and return an entry whose time is at most ``now``, or return None."""
        ...
