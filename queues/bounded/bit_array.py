"""A bit for each step of a window: the smallest queue there is, one word of 64 bits.

Times are steps, whole numbers below 2**53. The window begins at ``now``, the step of the last row
taken or of the last poll that found none, and a push outside it is an error rather than an alias.
A bit has no order, payload or tangent: two pushes to one step are one, and there is no derivative.

A row is ``q * slots + k`` for the step ``now + k``, until ``now`` moves.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from queues.compiled.jit import inner_kernel, kernel, maker
from queues.errors import (
    HorizonError,
    QueueError,
    check_not_empty,
    checked_count,
    checked_finite,
    checked_int,
    checked_step,
)
from queues.exact.chains import NONE
from queues.types import BitArrays, Entry, Index

OUTSIDE = np.int64(-2)  # what a push outside the window returns
_ZERO = np.uint64(0)
_ONE = np.uint64(1)


@maker
def empty(n: int, slots: int) -> BitArrays:
    """Return ``n`` empty sets of steps, with windows of 32 or 64 ``slots`` from 0 on."""
    return BitArrays(
        bits=np.zeros(n, np.uint64),
        now=np.zeros(n, np.int64),
        dropped=np.zeros(n, np.int64),
        slots=np.full(1, np.int64(slots)),
    )


@inner_kernel
def _lowest(bits):
    """Return the index of the lowest bit that is set in a word that is not zero."""
    k = _ZERO
    width = np.uint64(32)
    while width > _ZERO:
        if bits & ((_ONE << width) - _ONE) == _ZERO:
            bits >>= width
            k += width
        width >>= _ONE
    return np.int64(k)


@inner_kernel
def advance(queues, q, now):
    """Let the window begin at a later step; those before it leave the set."""
    shift = now - queues.now[q]
    if shift < 64:
        queues.bits[q] >>= np.uint64(shift)
    else:
        queues.bits[q] = _ZERO
    queues.now[q] = now


@kernel
def push(
    queues: BitArrays, q: Index, time: float, order: Index, payload: Index, tangent: float
) -> Index:
    """Add a step; return the order if it is in the set already, OUTSIDE, or NONE."""
    k = np.int64(time) - queues.now[q]
    if k < 0 or k >= queues.slots[0]:
        return OUTSIDE
    bit = _ONE << np.uint64(k)
    if queues.bits[q] & bit != _ZERO:
        queues.dropped[q] += 1
        return order
    queues.bits[q] |= bit
    return NONE


@kernel
def first(queues: BitArrays, q: int) -> Index:
    """Return the row of the earliest step of queue ``q``, or NONE."""
    if queues.bits[q] == _ZERO:
        return NONE
    return q * queues.slots[0] + _lowest(queues.bits[q])


@kernel
def due(queues: BitArrays, q: int, now: float) -> Index:
    """Return the row of the earliest step if that is at most ``now``.

    If not, the window moves to ``now``, unless it is there or beyond, and NONE is returned.
    """
    row = first(queues, q)
    if row != NONE and step(queues, q, row) <= now:
        return row
    if np.int64(now) > queues.now[q]:
        advance(queues, q, np.int64(now))
    return NONE


@kernel
def take(queues: BitArrays, q: int, row: Index) -> None:
    """Remove the earliest step, of which the row is given, and move the window there."""
    advance(queues, q, step(queues, q, row))
    queues.bits[q] &= ~_ONE


@kernel
def step(queues: BitArrays, q: int, row: Index) -> Index:
    """Return the step of a row."""
    return queues.now[q] + row - q * queues.slots[0]


def check(queues: BitArrays) -> None:
    """Assert what holds between two calls."""
    assert queues.bits.size == queues.now.size == queues.dropped.size
    assert int(queues.slots[0]) in (32, 64)
    assert all(int(bits) < 1 << int(queues.slots[0]) for bits in queues.bits)
    assert (queues.dropped >= 0).all()


class BitArray:
    """A queue of steps in the bits of one word, without orders, payloads and tangents.

    The window of steps that can be pushed begins at ``now``: the step of the entry that left last,
    or of the last poll that found none. Entries that were not polled in time are still due, one a
    poll. In an `Entry` of it the order is -1.

    Parameters
    ----------
    slots
        Number of steps in the window, 32 or 64.
    start
        Its first step, to begin with.

    Examples
    --------
    >>> from queues import BitArray
    >>> queue = BitArray(32)
    >>> queue.push(3), queue.push(3), queue.dropped
    (0, 1, 1)
    >>> queue.pop_due(3)
    Entry(time=3.0, payload=0, order=-1, tangent=0.0)
    """

    keeps_orders: ClassVar[bool] = False  # which a log of pushes and pops would need

    def __init__(self, slots: int = 32, start: int = 0) -> None:
        if checked_count("slots", slots, 1) not in (32, 64):
            raise QueueError(f"slots = {slots!r}; expected 32 or 64")
        self._start = checked_step("start", start)
        self._arrays: BitArrays = empty(1, int(slots))
        self._arrays.now[0] = self._start
        self._pushes = 0

    @property
    def capacity(self) -> int:
        """Number of steps in the window."""
        return int(self._arrays.slots[0])

    @property
    def dropped(self) -> int:
        """Number of pushes to a step that was queued already, since the queue was made."""
        return int(self._arrays.dropped[0])

    @property
    def now(self) -> int:
        """First step of the window."""
        return int(self._arrays.now[0])

    def push(self, time: float, payload: int = 0, tangent: float = 0.0) -> int:
        """Add an entry, unless its step is queued already, and return the order of this push.

        Parameters
        ----------
        time
            A step from ``now`` to ``now + capacity - 1``; any other one is a HorizonError.
        payload, tangent
            Zero: a bit cannot carry them.

        Returns
        -------
        int
            The order: the number of pushes before this one. Nothing keeps it.
        """
        row_time = checked_step("time", time)
        if checked_int("payload", payload) != 0:
            raise QueueError(f"payload = {payload!r}; expected 0, since a bit carries no payload")
        if checked_finite("tangent", tangent) != 0.0:
            raise QueueError(f"tangent = {tangent!r}; expected 0.0, since a bit carries no tangent")
        if not 0 <= row_time - self.now < self.capacity:
            raise HorizonError(
                f"time = {time!r}; expected a step from {self.now} to "
                f"{self.now + self.capacity - 1}"
            )
        order = self._pushes
        push(self._arrays, 0, float(row_time), order, 0, 0.0)
        self._pushes += 1
        return order

    def peek(self) -> Entry:
        """Return the first entry and leave it queued."""
        check_not_empty("peek", len(self))
        return self._entry(first(self._arrays, 0))

    def pop(self) -> Entry:
        """Remove the first entry and return it; the window moves to its step."""
        check_not_empty("pop", len(self))
        return self._taken(first(self._arrays, 0))

    def pop_due(self, now: float) -> Entry | None:
        """Remove the first entry if its step is at most ``now``; otherwise move the window there.

        Returns
        -------
        Entry or None
            The entry, or None where none is due.
        """
        row = due(self._arrays, 0, float(checked_step("now", now)))
        return None if row == NONE else self._taken(row)

    def clear(self) -> None:
        """Remove all entries; the window is as at first, orders and drops keep counting."""
        self._arrays.bits[0] = 0
        self._arrays.now[0] = self._start

    def _taken(self, row: Index) -> Entry:
        entry = self._entry(row)
        take(self._arrays, 0, row)
        return entry

    def _entry(self, row: Index) -> Entry:
        return Entry(time=float(step(self._arrays, 0, row)), payload=0, order=-1, tangent=0.0)

    def __len__(self) -> int:
        return int(self._arrays.bits[0]).bit_count()

    def __repr__(self) -> str:
        last = self.now + self.capacity - 1
        return f"<{type(self).__name__} of {len(self)} entries, steps {self.now} to {last}>"
