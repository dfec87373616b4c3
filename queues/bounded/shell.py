"""Queues of a fixed capacity that lose what has no room: their arrays, and their Python side.

One set of arrays holds n queues of one capacity, so that a network can own a queue for each of
its synapses. A structure is a module with these functions on the arrays:

* ``empty(n, capacity)``;
* ``push(queues, q, time, order, payload, tangent)`` returns the order of the row that is lost by
  this push, its own where it is refused, that of the older one where it takes its place, or `NONE`;
* ``first(queues, q)`` returns the row that leaves first, or `NONE`;
* ``due(queues, q, now)`` returns the row that a poll at time ``now`` finds, or `NONE`: one whose
  time is at most ``now``;
* ``take(queues, q, row)`` removes the row that ``first`` or ``due`` has just returned.

What a push loses is counted in ``dropped``. Nothing is allocated after ``empty``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from queues.compiled.jit import inner_kernel, maker
from queues.errors import check_not_empty, checked_finite
from queues.exact.chains import NONE
from queues.exact.shell import QueueShell, Row
from queues.types import BoundedArrays, Entry, Index


@maker
def empty(n: int, capacity: Index) -> BoundedArrays:
    """Return ``n`` queues of ``capacity`` rows each, none of them in use."""
    return BoundedArrays(
        time=np.zeros(n * capacity, np.float64),
        order=np.full(n * capacity, NONE),
        payload=np.zeros(n * capacity, np.int64),
        tangent=np.zeros(n * capacity, np.float64),
        head=np.zeros(n, np.int64),
        size=np.zeros(n, np.int64),
        dropped=np.zeros(n, np.int64),
        capacity=np.full(1, np.int64(capacity)),
    )


@inner_kernel
def write(queues, row, time, order, payload, tangent):
    """Put a row where ``row`` says."""
    queues.time[row] = time
    queues.order[row] = order
    queues.payload[row] = payload
    queues.tangent[row] = tangent


@inner_kernel
def move(queues, source, target):
    """Copy one row over another."""
    write(
        queues,
        target,
        queues.time[source],
        queues.order[source],
        queues.payload[source],
        queues.tangent[source],
    )


@inner_kernel
def wrapped(k, capacity):
    """Return an index below twice the capacity as one of a ring."""
    if k >= capacity:
        return k - capacity
    return k


class BoundedKernels(NamedTuple):
    """The functions of a structure, as the shell calls them."""

    push: Callable[..., Index]
    first: Callable[[Any, int], Index]
    due: Callable[[Any, int, float], Index]
    take: Callable[[Any, int, Index], None]


class BoundedShell(QueueShell[BoundedArrays]):
    """What the classes of bounded queues have in common; each holds the one queue 0."""

    _structure: ClassVar[BoundedKernels]
    _last_lost: int | None = None

    @property
    def capacity(self) -> int:
        """Number of entries that fit."""
        return int(self._arrays.capacity[0])

    @property
    def dropped(self) -> int:
        """Number of entries refused or evicted since the queue was made; `clear` drops none."""
        return int(self._arrays.dropped[0])

    @property
    def last_lost(self) -> int | None:
        """Order of the entry that the last push lost, its own or that of an older one, or None."""
        return self._last_lost

    def push(self, time: float, payload: int = 0, tangent: float = 0.0) -> int:
        """Add an entry, or lose one, and return the order of this push.

        Parameters
        ----------
        time
            In ms, finite.
        payload
            Any integer of 64 bits; comes back with the entry.
        tangent
            Derivative of ``time``, in ms per unit of the parameter.

        Returns
        -------
        int
            The order: the number of pushes before this one, those that were lost included.
        """
        return super().push(time, payload, tangent)

    def pop(self) -> Entry:
        """Remove the first entry and return it."""
        check_not_empty("pop", len(self))
        row = self._structure.first(self._arrays, 0)
        entry = self._entry(row)
        self._take(row)
        return entry

    def pop_due(self, now: float) -> Entry | None:
        """Remove the entry that a poll at time ``now`` (ms) finds and return it, or None."""
        row = self._structure.due(self._arrays, 0, self._checked_time("now", now))
        if row == NONE:
            return None
        entry = self._entry(row)
        self._take(row)
        return entry

    def clear(self) -> None:
        """Remove all entries; orders, and the number of those dropped, keep counting."""
        self._arrays.order.fill(NONE)
        self._arrays.head[0] = 0
        self._arrays.size[0] = 0

    def _checked_time(self, name: str, value: object) -> float:
        return checked_finite(name, value)

    def _checked(self, time: object, payload: object, tangent: object) -> Row:
        row = super()._checked(time, payload, tangent)
        return self._checked_time("time", time), row[1], row[2]

    def _put(self, row: Row, *where: int) -> int:
        time, payload, tangent = row
        order = self._pushes
        lost = self._structure.push(self._arrays, 0, time, order, payload, tangent)
        self._last_lost = None if lost == NONE else int(lost)
        self._pushes += 1
        return order

    def _take(self, row: Index) -> None:
        self._structure.take(self._arrays, 0, row)

    def _top(self) -> Entry:
        return self._entry(self._structure.first(self._arrays, 0))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} entries, room for {self.capacity}>"


def checked_rows(queues: BoundedArrays) -> None:
    """Assert what holds of the arrays of every structure between two calls."""
    n, capacity = queues.size.size, int(queues.capacity[0])
    assert {column.size for column in queues[:4]} == {n * capacity}
    assert queues.head.size == queues.dropped.size == n
    assert ((queues.size >= 0) & (queues.size <= capacity)).all(), queues.size
    assert (queues.dropped >= 0).all(), queues.dropped


def rows_in_ring(queues: BoundedArrays, q: int) -> np.ndarray:
    """Return the rows of a queue that is a ring, from its head on."""
    head, size, capacity = int(queues.head[q]), int(queues.size[q]), int(queues.capacity[0])
    assert 0 <= head < capacity, (head, capacity)
    return q * capacity + (head + np.arange(size)) % capacity
