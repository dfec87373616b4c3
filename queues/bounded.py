"""What the bounded queues share: arrays of many queues, and the Python shell over one of them.

A bounded queue has room for a number of entries that never changes, and drops entries by a rule of
its own. Its kernels work on n queues in the same arrays: simulators give one to every synapse.

* ``push(queues, q, time, order, payload, tangent)`` adds a row to queue q and returns the order of
  the row that is lost by it: its own where it is refused, that of a row that has to go, or -1;
* ``first(queues, q)`` returns the row that leaves first, or -1;
* ``due(queues, q, now)`` returns the row that a poll at time ``now`` finds, or -1;
* ``take(queues, q, row)`` removes the row that ``first`` or ``due`` has returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from queues.buffer import NONE
from queues.errors import check_not_empty, checked_count, checked_finite, checked_row
from queues.jit import inner_kernel, jit
from queues.types import BoundedArrays, Entry

_Q = np.int64(0)  # a queue of Python is the only one in its arrays


@jit
def empty(n: int, capacity: int) -> BoundedArrays:
    """Return ``n`` empty queues for ``capacity`` rows each."""
    rows = n * capacity
    return BoundedArrays(
        time=np.zeros(rows, np.float64),
        order=np.full(rows, NONE),
        payload=np.zeros(rows, np.int64),
        tangent=np.zeros(rows, np.float64),
        head=np.zeros(n, np.int64),
        size=np.zeros(n, np.int64),
        dropped=np.zeros(n, np.int64),
        capacity=np.full(1, np.int64(capacity)),
    )


@inner_kernel
def write(queues, row, time, order, payload, tangent):
    """Write one row."""
    queues.time[row] = time
    queues.order[row] = order
    queues.payload[row] = payload
    queues.tangent[row] = tangent


@inner_kernel
def copy(queues, source, target):
    """Copy one row over another."""
    write(
        queues,
        target,
        queues.time[source],
        queues.order[source],
        queues.payload[source],
        queues.tangent[source],
    )


class BoundedKernels(NamedTuple):
    """The kernels of a structure, as a shell calls them."""

    push: Callable[..., Any]
    first: Callable[..., Any]
    due: Callable[..., Any]
    take: Callable[..., None]


class BoundedQueue:
    """What the bounded queues have in common; a structure adds its kernels and its constructor."""

    _kernels: ClassVar[BoundedKernels]

    def __init__(self, capacity: int, tangent: bool) -> None:
        self._arrays = empty(1, checked_count("capacity", capacity, 1))
        self._keeps_tangent = bool(tangent)
        self._pushes = 0

    @property
    def capacity(self) -> int:
        """Number of entries that there is room for."""
        return int(self._arrays.capacity[0])

    @property
    def dropped(self) -> int:
        """Number of entries lost since the queue was made; those that ``clear`` removes are not."""
        return int(self._arrays.dropped[0])

    def push(self, time: float, payload: int = 0, tangent: float = 0.0) -> int:
        """Add an entry, which may be dropped or let another be dropped, and return its order.

        Parameters
        ----------
        time
            In ms, finite; in a queue of grid steps a whole number.
        payload
            Any integer of 64 bits; comes back with the entry.
        tangent
            Derivative of ``time``, per unit of the parameter.

        Returns
        -------
        int
            The order: the number of pushes before this one, those dropped included.
        """
        row = checked_row(self._checked_time("time", time), payload, tangent, self._keeps_tangent)
        order = self._pushes
        self._kernels.push(self._arrays, _Q, row[0], np.int64(order), np.int64(row[1]), row[2])
        self._pushes += 1
        return order

    def peek(self) -> Entry:
        """Return the first entry and leave it queued."""
        check_not_empty("peek", len(self))
        return self._entry(self._kernels.first(self._arrays, _Q))

    def pop(self) -> Entry:
        """Remove the first entry and return it."""
        check_not_empty("pop", len(self))
        return self._taken(self._kernels.first(self._arrays, _Q))

    def pop_due(self, now: float) -> Entry | None:
        """Remove and return the entry that a poll at time ``now`` finds, or None."""
        row = self._kernels.due(self._arrays, _Q, self._checked_time("now", now))
        return None if row == NONE else self._taken(row)

    def clear(self) -> None:
        """Remove all entries; orders and drops keep counting."""
        self._arrays.order.fill(NONE)
        self._arrays.head.fill(0)
        self._arrays.size.fill(0)

    def _checked_time(self, name: str, time: object) -> float:
        return checked_finite(name, time)

    def _taken(self, row: int) -> Entry:
        entry = self._entry(row)
        self._kernels.take(self._arrays, _Q, np.int64(row))
        return entry

    def _entry(self, row: int) -> Entry:
        arrays = self._arrays
        return Entry(
            time=float(arrays.time[row]),
            payload=int(arrays.payload[row]),
            order=int(arrays.order[row]),
            tangent=float(arrays.tangent[row]),
        )

    def __len__(self) -> int:
        return int(self._arrays.size[0])

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} of {len(self)} entries, room for {self.capacity}, "
            f"{self.dropped} dropped>"
        )
