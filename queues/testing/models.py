"""What queues do, in a few lines over a sorted list: the models of the conformance kit.

A model takes the operations of a queue. It answers to what would be an error of the queue by
`refuses`, and an entry that it loses is counted in ``dropped``.
"""

from __future__ import annotations

import math
from bisect import insort
from operator import attrgetter
from typing import ClassVar

from queues.types import Entry

_STEPS = 2.0**53


class ExactModel:
    """Takes any finite times; entries leave by (time, order of push).

    A model of other semantics is a subclass that overrides some methods. Its ``repr`` is the
    expression that makes it, which is printed with a failing script.
    """

    carries_payload: ClassVar[bool] = True
    carries_tangent: ClassVar[bool] = True

    def __init__(self) -> None:
        self.entries: list[Entry] = []  # the first one leaves next
        self.pushes = 0
        self.dropped = 0

    def refuses(self, time: float) -> bool:
        """Return whether a push at ``time`` must be a ValueError."""
        return not math.isfinite(time)

    def refuses_poll(self, now: float) -> bool:
        """Return whether ``pop_due(now)`` must be a ValueError."""
        return not math.isfinite(now)

    def allowed(self, time: float) -> float:
        """Return a finite ``time``, or one near it that is not refused now."""
        return time

    def push(self, time: float, payload: int, tangent: float) -> int:
        """Add an entry behind those of equal time and return its order."""
        entry = Entry(time=time, payload=payload, order=self.pushes, tangent=tangent)
        insort(self.entries, entry, key=attrgetter("time"))
        self.pushes += 1
        return entry.order

    def peek(self) -> Entry:
        """Return the first entry."""
        return self.entries[0]

    def pop(self) -> Entry:
        """Remove and return the first entry."""
        return self.entries.pop(0)

    def due(self, now: float) -> Entry | None:
        """Return the entry that a poll at ``now`` finds: the first one if it is not later."""
        return self.entries[0] if self.entries and self.entries[0].time <= now else None

    def pop_due(self, now: float) -> Entry | None:
        """Remove and return the entry that a poll at ``now`` finds."""
        entry = self.due(now)
        if entry is not None:
            self.entries.remove(entry)
        return entry

    def clear(self) -> None:
        """Remove all entries; orders keep counting."""
        self.entries.clear()

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class FifoModel(ExactModel):
    """Takes times that never decrease, from the first push or the last clear on."""

    check_order = True
    last_time = -math.inf

    def refuses(self, time: float) -> bool:
        """Return whether ``time`` is not finite, or before the last push where that is checked."""
        return super().refuses(time) or (self.check_order and time < self.last_time)

    def allowed(self, time: float) -> float:
        """Return ``time``, or that of the last push if it is later and order is checked."""
        return max(time, self.last_time) if self.check_order else time

    def push(self, time: float, payload: int, tangent: float) -> int:
        """Add an entry behind all others."""
        self.last_time = time
        return super().push(time, payload, tangent)

    def clear(self) -> None:
        """Remove all entries and forget the last time."""
        super().clear()
        self.last_time = -math.inf


class StepModel(ExactModel):
    """Takes steps: whole numbers below 2**53."""

    def refuses(self, time: float) -> bool:
        """Return whether ``time`` is no step."""
        return not _is_step(time)

    def refuses_poll(self, now: float) -> bool:
        """Return whether ``now`` is no step."""
        return not _is_step(now)


def _is_step(time: float) -> bool:
    return math.isfinite(time) and time.is_integer() and abs(time) < _STEPS


class WindowModel(StepModel):
    """Takes the steps of a window that begins at ``now``.

    That is the step that left last, or that of the last poll that found none.
    """

    start = now = 0

    def pop(self) -> Entry:
        """Remove and return the first entry; the window moves to its step."""
        entry = super().pop()
        self.now = int(entry.time)
        return entry

    def pop_due(self, now: float) -> Entry | None:
        """Pop the first entry if it is not later than ``now``, or move the window there."""
        if self.due(now) is None:
            self.now = max(self.now, int(now))
            return None
        return self.pop()

    def clear(self) -> None:
        """Remove all entries; the window is as at first."""
        super().clear()
        self.now = self.start


class LossyModel(ExactModel):
    """Holds at most ``capacity`` entries; a subclass says which one a push loses.

    Parameters
    ----------
    capacity
        Number of entries; a semantics that has only one capacity needs none.
    """

    only_capacity: ClassVar[int | None] = None

    def __init__(self, capacity: int | None = None) -> None:
        super().__init__()
        only = self.only_capacity
        if capacity is None:
            capacity = only
        if capacity is None or (only is not None and capacity != only):
            expected = "a number of entries" if only is None else only
            raise ValueError(
                f"capacity = {capacity!r} of a {type(self).__name__}; expected {expected}"
            )
        self.capacity = capacity

    def victim(self, new: Entry) -> Entry | None:
        """Return the entry that is lost for ``new``, which is queued already, or None."""
        return new if len(self.entries) > self.capacity else None

    def push(self, time: float, payload: int, tangent: float) -> int:
        """Add an entry, lose one where there is no room, and return the order of the new one."""
        order = super().push(time, payload, tangent)
        victim = self.victim(next(entry for entry in self.entries if entry.order == order))
        if victim is not None:
            self.entries.remove(victim)
            self.dropped += 1
        return order

    def __repr__(self) -> str:
        capacity = "" if self.only_capacity is not None else f"capacity={self.capacity}"
        return f"{type(self).__name__}({capacity})"


class NullModel(LossyModel):
    """Loses every entry."""

    only_capacity = 0


class SingleSpikeModel(LossyModel):
    """Holds one entry; a push overwrites it."""

    only_capacity = 1

    def victim(self, new: Entry) -> Entry | None:
        """Return the other entry."""
        return next((entry for entry in self.entries if entry is not new), None)


class SingleSpikeKeepModel(LossyModel):
    """Holds one entry; another one is refused."""

    only_capacity = 1


class BoundedHeapModel(LossyModel):
    """Refuses an entry when it is full."""


class BoundedSortedArrayModel(LossyModel):
    """Keeps the earliest entries; of equal times those pushed first."""

    def victim(self, new: Entry) -> Entry | None:
        """Return the last entry."""
        return self.entries[-1] if len(self.entries) > self.capacity else None


class BoundedFifoModel(FifoModel, LossyModel):
    """Refuses an entry when it is full, and with ``check_order`` a time before the last push.

    Without, entries leave in order of push, and a poll looks at the first of them alone.
    """

    def __init__(self, capacity: int | None = None, check_order: bool = True) -> None:
        super().__init__(capacity)
        self.check_order = check_order

    def push(self, time: float, payload: int, tangent: float) -> int:
        """Add an entry behind all others, if there is room."""
        order = super().push(time, payload, tangent)
        self.entries.sort(key=attrgetter("order"))
        return order

    def __repr__(self) -> str:
        order = "" if self.check_order else ", check_order=False"
        return f"{type(self).__name__}(capacity={self.capacity}{order})"


class LossyRingModel(StepModel, LossyModel):
    """Has a slot for each step modulo the capacity; a push overwrites what is in its slot."""

    def allowed(self, time: float) -> float:
        """Return a step near ``time``, or somewhere if that is too large."""
        return float(math.trunc(math.fmod(time, _STEPS)))

    def in_slot(self, time: float) -> list[Entry]:
        """Return what lies in the slot of a step."""
        return [e for e in self.entries if (int(e.time) - int(time)) % self.capacity == 0]

    def victim(self, new: Entry) -> Entry | None:
        """Return the other entry of the slot."""
        return next((entry for entry in self.in_slot(new.time) if entry is not new), None)

    def due(self, now: float) -> Entry | None:
        """Return what lies in the slot of ``now``, if it is not later."""
        return next((entry for entry in self.in_slot(now) if entry.time <= now), None)


class BitArrayModel(WindowModel, LossyModel):
    """Is a set of the steps from ``now`` to ``now + capacity - 1``; 32 of them unless told."""

    carries_payload = False
    carries_tangent = False

    def __init__(self, capacity: int = 32, start: int = 0) -> None:
        super().__init__(capacity)
        self.start = self.now = start

    def refuses(self, time: float) -> bool:
        """Return whether ``time`` is no step of the window."""
        return super().refuses(time) or not 0 <= int(time) - self.now < self.capacity

    def allowed(self, time: float) -> float:
        """Return ``time``, or a step of the window."""
        if not self.refuses(time):
            return time
        return float(self.now + math.trunc(math.fmod(abs(time), self.capacity)))

    def victim(self, new: Entry) -> Entry | None:
        """Return the new entry if its step is queued already."""
        return new if sum(entry.time == new.time for entry in self.entries) > 1 else None

    def peek(self) -> Entry:
        """Return the first entry, without its order."""
        return self.entries[0]._replace(order=-1)

    def pop(self) -> Entry:
        """Remove and return the first entry, without its order."""
        return super().pop()._replace(order=-1)

    def __repr__(self) -> str:
        start = f", start={self.start}" if self.start else ""
        return f"{type(self).__name__}(capacity={self.capacity}{start})"


class RingBufferModel(WindowModel):
    """Takes the steps from ``now`` to ``now + n_slots - 1``, like ``RingBuffer(n_slots)``."""

    def __init__(self, n_slots: int = 16, start: int = 0) -> None:
        super().__init__()
        self.n_slots = n_slots
        self.start = self.now = start

    def refuses(self, time: float) -> bool:
        """Return whether ``time`` is no step of the window."""
        return super().refuses(time) or not self.now <= time < self.now + self.n_slots

    def allowed(self, time: float) -> float:
        """Return a step of the window; to equal times belong equal steps."""
        return float(self.now + math.floor(time) % self.n_slots)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n_slots={self.n_slots}, start={self.start})"


SEMANTICS: dict[str, type[ExactModel]] = {
    "exact": ExactModel,
    "fifo": FifoModel,
    "null": NullModel,
    "single_spike": SingleSpikeModel,
    "single_spike_keep": SingleSpikeKeepModel,
    "lossy_ring": LossyRingModel,
    "bounded_fifo": BoundedFifoModel,
    "bounded_sorted_array": BoundedSortedArrayModel,
    "bounded_heap": BoundedHeapModel,
    "bit_array": BitArrayModel,
    "ring_buffer": RingBufferModel,
}
