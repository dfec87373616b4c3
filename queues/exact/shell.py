"""The Python side of every queue of rows: it checks arguments, counts orders and lets rows grow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from queues.errors import TimeOrderError, check_not_empty, checked_finite, checked_row
from queues.types import Entry, Index

Row = tuple[float, int, float]  # time (ms), payload, tangent


class RowArrays(Protocol):
    """What the shell reads of a structure: rows lie in columns, and ``size`` of them are in use."""

    @property
    def time(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def order(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def payload(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def tangent(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def size(self) -> NDArray[np.int64]: ...  # noqa: D102


_Arrays = TypeVar("_Arrays", bound=RowArrays)


def forget_rows(queue: RowArrays) -> None:
    """Empty a structure whose arrays mean nothing beyond its size."""
    queue.size[0] = 0


class Kernels(NamedTuple):
    """The functions of a structure's arrays, as a shell calls them."""

    add: Callable[..., None]  # (arrays, time, order, payload, tangent, ...), where there is room
    grown: Callable[[Any], Any]  # arrays with the same rows and more room
    pop: Callable[[Any], None]  # remove the first row of at least one
    top: Callable[[Any], int]  # index of the first row of at least one
    clear: Callable[[Any], None] = forget_rows


class QueueShell(Generic[_Arrays]):
    """What the queues of rows have in common; a structure adds its kernels and its constructor."""

    _kernels: ClassVar[Kernels]

    def __init__(self, arrays: _Arrays, tangent: bool) -> None:
        self._arrays = arrays
        self._keeps_tangent = bool(tangent)
        self._pushes = 0

    def push(self, time: float, payload: int = 0, tangent: float = 0.0) -> int:
        """Add an entry and return its order.

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
            The order: the number of pushes before this one. Equal times leave in this order.
        """
        return self._put(self._checked(time, payload, tangent))

    def peek(self) -> Entry:
        """Return the first entry and leave it queued."""
        check_not_empty("peek", len(self))
        return self._top()

    def pop(self) -> Entry:
        """Remove the first entry and return it."""
        check_not_empty("pop", len(self))
        top = self._top()
        self._kernels.pop(self._arrays)
        return top

    def pop_due(self, now: float) -> Entry | None:
        """Remove the first entry and return it if its time is at most ``now`` (ms), else None."""
        time = checked_finite("now", now)
        if len(self) == 0 or self._top().time > time:
            return None
        return self.pop()

    def clear(self) -> None:
        """Remove all entries; orders keep counting."""
        self._kernels.clear(self._arrays)

    def _checked(self, time: object, payload: object, tangent: object) -> Row:
        return checked_row(time, payload, tangent, self._keeps_tangent)

    def _put(self, row: Row, *where: int) -> int:
        """Add a row, in larger arrays if these are full, and return its order."""
        time, payload, tangent = row
        order = self._pushes
        if self._arrays.size[0] == self._arrays.time.size:
            self._arrays = self._kernels.grown(self._arrays)
        self._kernels.add(self._arrays, time, order, payload, tangent, *where)
        self._pushes += 1
        return order

    def _top(self) -> Entry:
        return self._entry(self._kernels.top(self._arrays))

    def _entry(self, row: Index) -> Entry:
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
        return f"<{type(self).__name__} of {len(self)} entries>"


class InOrder(QueueShell[_Arrays]):
    """A queue in which the times of pushes must not decrease."""

    _in_any_order: ClassVar[str]  # the queue for those who have other times
    _checks_order: bool
    _last_time = -np.inf

    def push(self, time: float, payload: int = 0, tangent: float = 0.0) -> int:
        """Add an entry, or lose one that has no room, and return the order of this push.

        Parameters
        ----------
        time
            In ms, finite, not before that of the last push since the queue was made or cleared.
        payload
            Any integer of 64 bits; comes back with the entry.
        tangent
            Derivative of ``time``, in ms per unit of the parameter.

        Returns
        -------
        int
            The order: the number of pushes before this one, those that were lost included.
        """
        row = self._checked(time, payload, tangent)
        if self._checks_order and row[0] < self._last_time:
            raise TimeOrderError(
                f"time = {time!r}; expected at least {self._last_time!r}, the time of the last "
                f"push (a {self._in_any_order} takes times in any order)"
            )
        self._last_time = row[0]
        return self._put(row)

    def clear(self) -> None:
        """Remove all entries and forget the last time; orders keep counting."""
        super().clear()
        self._last_time = -np.inf
