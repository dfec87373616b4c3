"""A queue of grid steps in one integer: a bit says that there is an event at its step.

Which step a bit stands for follows from a window of as many steps as there are bits, which moves on
with the polls. Nothing else is kept of an event, so this queue carries no derivative.
"""

from __future__ import annotations

import numpy as np

from queues.buffer import NONE
from queues.errors import (
    HorizonError,
    QueueError,
    check_not_empty,
    checked_int,
    checked_row,
    checked_step,
)
from queues.jit import inner_kernel, jit, kernel
from queues.types import BitArrays, Entry

_Q = np.int64(0)
_NO_BITS = np.uint64(0)
_ONE = np.uint64(1)


@jit
def empty(n: int, slots: int) -> BitArrays:
    """Return ``n`` empty queues of ``slots`` bits, with windows that begin at step 0."""
    return BitArrays(
        bits=np.zeros(n, np.uint64),
        now=np.zeros(n, np.int64),
        dropped=np.zeros(n, np.int64),
        slots=np.full(1, np.int64(slots)),
    )


@inner_kernel
def _mask(queues, step):
    return _ONE << np.uint64(step & (queues.slots[0] - 1))  # slots is a power of two


@kernel
def push(queues: BitArrays, q: np.int64, step: np.int64) -> bool:
    """Set the bit of a step within the window; return whether it was set."""
    mask = _mask(queues, step)
    if queues.bits[q] & mask:
        queues.dropped[q] += 1
        return True
    queues.bits[q] |= mask
    return False


@kernel
def first(queues: BitArrays, q: np.int64) -> np.int64:
    """Return how many steps after the begin of the window the first event lies, or -1."""
    if queues.bits[q] == _NO_BITS:
        return NONE
    ahead = np.int64(0)
    while not queues.bits[q] & _mask(queues, queues.now[q] + ahead):
        ahead += 1
    return ahead


@kernel
def take(queues: BitArrays, q: np.int64, step: np.int64) -> None:
    """Clear the bit of the first event, and let the window begin there."""
    queues.bits[q] ^= _mask(queues, step)
    queues.now[q] = step


@kernel
def advance(queues: BitArrays, q: np.int64, now: np.int64) -> None:
    """Let the window begin at ``now``, or at the first event if that is earlier."""
    ahead = first(queues, q)
    begin = now if ahead == NONE else min(now, queues.now[q] + ahead)
    queues.now[q] = max(queues.now[q], begin)


@kernel
def expire(queues: BitArrays, q: np.int64, begin: np.int64) -> None:
    """Let the window begin at a later step, and clear the bits of the steps before it."""
    slots = queues.slots[0]
    gone = begin - queues.now[q]
    if gone <= 0:
        return
    if gone >= slots:
        queues.bits[q] = _NO_BITS
    else:
        ones = (_ONE << np.uint64(gone)) - _ONE
        turn = queues.now[q] & (slots - 1)
        cleared = ones << np.uint64(turn)
        if turn > 0:  # a shift by all bits has no meaning
            cleared |= ones >> np.uint64(slots - turn)
        queues.bits[q] &= ~cleared
    queues.now[q] = begin


class BitArray:
    """One bit for each of the next 32 or 64 steps: events of one step are one event.

    Times are whole numbers of steps, in a window of ``slots`` steps from the last poll on; a push
    outside it is an error. An entry has neither payload nor tangent, and its order is -1.

    Parameters
    ----------
    slots
        Number of bits, 32 or 64.
    start
        First step of the window at the beginning.

    Examples
    --------
    >>> from queues import BitArray
    >>> queue = BitArray(32)
    >>> queue.push(3), queue.push(3), queue.push(1)
    (0, 1, 2)
    >>> queue.pop().time, queue.pop().time, queue.dropped
    (1.0, 3.0, 1)
    """

    def __init__(self, slots: int = 32, *, start: int = 0) -> None:
        if checked_int("slots", slots) not in (32, 64):
            raise QueueError(f"slots = {slots!r}; expected 32 or 64")
        self._arrays = empty(1, int(slots))
        self._arrays.now[0] = int(checked_step("start", start))
        self._pushes = 0

    @property
    def capacity(self) -> int:
        """Number of bits."""
        return int(self._arrays.slots[0])

    @property
    def dropped(self) -> int:
        """Number of pushes since the queue was made that found their bit set."""
        return int(self._arrays.dropped[0])

    @property
    def window(self) -> tuple[int, int]:
        """The first step that can be pushed, and the first that cannot."""
        now = int(self._arrays.now[0])
        return now, now + self.capacity

    def push(self, time: float, payload: int = 0, tangent: float = 0.0) -> int:
        """Add the event of a step and return its order, the number of pushes before this one.

        Parameters
        ----------
        time
            A whole number of steps within ``window``.
        payload, tangent
            0: a bit keeps neither.
        """
        row = checked_row(checked_step("time", time), payload, tangent, keeps_tangent=True)
        if row[1] != 0 or row[2] != 0.0:
            name, value = ("payload", payload) if row[1] != 0 else ("tangent", tangent)
            raise QueueError(f"{name} = {value!r}; expected 0: a bit keeps no payload, no tangent")
        begin, end = self.window
        if not begin <= row[0] < end:
            raise HorizonError(f"time = {time!r}; expected a step from {begin} to {end - 1}")
        push(self._arrays, _Q, np.int64(row[0]))
        self._pushes += 1
        return self._pushes - 1

    def peek(self) -> Entry:
        """Return the first event and leave it queued."""
        check_not_empty("peek", len(self))
        step = self._arrays.now[0] + first(self._arrays, _Q)
        return Entry(time=float(step), payload=0, order=-1, tangent=0.0)

    def pop(self) -> Entry:
        """Remove the first event and return it; the window begins at its step."""
        check_not_empty("pop", len(self))
        entry = self.peek()
        take(self._arrays, _Q, np.int64(entry.time))
        return entry

    def pop_due(self, now: float) -> Entry | None:
        """Remove and return the first event if its step is not after ``now``, or return None.

        The window moves on to ``now``, or to the first event if that is earlier.
        """
        step = checked_step("now", now)
        found = self.pop() if len(self) and self.peek().time <= step else None
        advance(self._arrays, _Q, np.int64(step))
        return found

    def clear(self) -> None:
        """Remove all events; the window stays, orders and drops keep counting."""
        self._arrays.bits.fill(0)

    def __len__(self) -> int:
        return int(self._arrays.bits[0]).bit_count()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} events, {self.dropped} dropped>"
