"""The derivative of a run of a queue: what was popped is some of what was pushed, unchanged.

So the times that leave are a linear map ``J`` of the times that enter, with a one for each entry
that was popped and zeros for those that were lost. `Recorder` notes which these are while a queue
is used, and a `Log` applies ``J`` and its transpose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from queues.derivative import walks as reverse_walk
from queues.errors import QueueError, QueueTypeError, check_methods, checked_count
from queues.exact.chains import NONE
from queues.names import KeepRule, WalkName
from queues.types import Entry, Index

DROPPED, QUEUED, CLEARED = -1, -2, -3  # in `Log.popped`, of pushes that were not popped

_Walk = Callable[..., Index]
_WALKS: dict[str, _Walk] = {
    "stack": reverse_walk.through_stack,
    "fifo": reverse_walk.through_fifo,
    "heap": reverse_walk.through_heap,
}
_RULES = ("largest", "recent")


@dataclass(frozen=True)
class Keep:
    """At most ``k`` cotangents under way at once, on the way back from the pops to the pushes.

    Backwards in time the cotangent of a pop is inserted, and the push of that entry retrieves it.
    Where ``k`` are under way already, an insertion loses one, and the push that would have
    retrieved it gets zero.

    Parameters
    ----------
    k
        Number of cotangents, at least 1.
    which
        ``"largest"`` loses the smallest in magnitude of the k + 1; of equal ones the one that was
        inserted last. ``"recent"`` loses the one that was inserted first, which is that of the
        latest pop.

    Raises
    ------
    QueueError
        If ``k`` is no integer of at least 1, or ``which`` is neither.
    """

    k: int
    which: KeepRule = "largest"

    def __post_init__(self) -> None:
        checked_count("k", self.k, 1)
        if self.which not in _RULES:
            raise QueueError(f"which = {self.which!r}; expected one of {[*_RULES]}")


Structure = WalkName | Keep


@dataclass(frozen=True, eq=False, repr=False)
class Log:
    """Which push each pop of a run was.

    Attributes
    ----------
    popped : ndarray of int64, shape (n_pushes,)
        For each push, by order, the number of the pop that returned it, or `DROPPED`, `QUEUED` or
        `CLEARED`, all negative.
    events : ndarray of int64
        What happened in turn: ``k`` for push k, and ``-1 - k`` where that entry was popped.
    n_pops : int
        Number of pops; those that found nothing do not count.
    """

    popped: NDArray[np.int64]
    events: NDArray[np.int64]
    n_pops: int

    def __repr__(self) -> str:
        return (
            f"<Log: {self.n_pushes} pushes, {self.n_pops} pops, {self.n_dropped} entries dropped>"
        )

    @property
    def n_pushes(self) -> int:
        """Number of pushes."""
        return self.popped.size

    @property
    def n_dropped(self) -> int:
        """Number of pushes that were refused, or whose entry was evicted."""
        return int(np.count_nonzero(self.popped == DROPPED))

    def jvp(self, pushed_dot: ArrayLike) -> NDArray[np.float64]:
        """Return the tangents of the popped times.

        Parameters
        ----------
        pushed_dot : array_like, shape (n_pushes,)
            Tangents of the times pushed.

        Returns
        -------
        ndarray, shape (n_pops,)
            Tangents of the times popped. That of a pop of several entries is the sum over them.

        Raises
        ------
        QueueError
            If the argument is no array of that many finite numbers.
        """
        tangent = _checked("pushed_dot", pushed_dot, self.n_pushes)
        left = self.popped >= 0
        popped_dot = np.zeros(self.n_pops)
        np.add.at(popped_dot, self.popped[left], tangent[left])
        return popped_dot

    def vjp(self, popped_bar: ArrayLike, structure: Structure = "scatter") -> NDArray[np.float64]:
        """Return the cotangents of the pushed times.

        Parameters
        ----------
        popped_bar : array_like, shape (n_pops,)
            Cotangents of the times popped.
        structure : {"scatter", "stack", "fifo", "heap"} or Keep
            How they find their pushes, whatever the queue itself was. ``"scatter"`` looks up the
            pop of each push. The others go through the log backwards with a queue of their own:
            ``"fifo"`` where entries left in order of push, ``"stack"`` where of those that were to
            leave the one pushed last left first, ``"heap"`` for any log. These agree to the
            last bit. `Keep` may lose some.

        Returns
        -------
        ndarray, shape (n_pushes,)
            Cotangents of the times pushed; zero for entries that were lost, cleared, or are queued.
            A pop of several entries hands its cotangent to each of them.

        Raises
        ------
        QueueError
            If ``popped_bar`` is no array of that many finite numbers, the structure is not known,
            or the log does not allow it.
        """
        return self.vjp_and_losses(popped_bar, structure)[0]

    def vjp_and_losses(
        self, popped_bar: ArrayLike, structure: Structure
    ) -> tuple[NDArray[np.float64], int]:
        """Return what `vjp` returns, and the number of cotangents that a `Keep` lost."""
        bar = _checked("popped_bar", popped_bar, self.n_pops)
        pushed_bar = np.zeros(self.n_pushes)
        if isinstance(structure, Keep):
            room = min(structure.k, max(self.n_pushes, 1))  # more can never be under way
            lost = reverse_walk.through_list(
                self.events,
                self.popped,
                bar,
                pushed_bar,
                room,
                structure.which == "largest",
            )
            return pushed_bar, int(lost)
        if structure == "scatter":
            left = self.popped >= 0
            pushed_bar[left] = bar[self.popped[left]]
        elif structure in _WALKS:
            self._walk(structure, bar, pushed_bar)
        else:
            raise QueueError(
                f"structure = {structure!r}; expected a Keep or one of {['scatter', *_WALKS]}"
            )
        return pushed_bar, 0

    def _walk(self, structure: str, bar: NDArray[Any], pushed_bar: NDArray[Any]) -> None:
        stuck = _WALKS[structure](self.events, self.popped, bar, pushed_bar)
        if stuck != NONE:
            raise QueueError(
                f"structure = {structure!r} cannot give push {stuck} its cotangent in turn; "
                "expected 'heap' or 'scatter' for a run with this order of pops"
            )


def _checked(name: str, values: ArrayLike, n: int) -> NDArray[np.float64]:
    try:
        array = np.asarray(values)
    except ValueError as error:  # of lists in lists
        raise QueueTypeError(f"{name} is no array: {error}") from None
    if array.dtype.kind not in "fiu":
        raise QueueTypeError(f"{name} is of dtype {array.dtype}; expected real numbers")
    if array.shape != (n,):
        raise QueueError(f"{name} is of shape {array.shape}; expected ({n},)")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise QueueError(f"{name} is not finite; expected finite numbers")
    return array


class Recorder:
    """A queue that notes its pushes and pops, for `log`.

    It has the methods of the queue that it wraps, which must be used through it alone. Attributes
    that it does not know are those of the queue.

    Parameters
    ----------
    queue
        Any queue whose entries tell their order; empty. What it loses is known by its attribute
        ``last_lost``; without, losses count as queued.

    Raises
    ------
    QueueError
        If the queue keeps no orders, as a `BitArray`, or is not empty.

    Examples
    --------
    >>> from queues import BoundedFifo, Recorder
    >>> queue = Recorder(BoundedFifo(1))
    >>> [queue.push(time) for time in (1.0, 2.0)]
    [0, 1]
    >>> queue.pop().time
    1.0
    >>> queue.log.vjp([5.0])
    array([5., 0.])
    """

    def __init__(self, queue: Any) -> None:
        if not getattr(queue, "keeps_orders", True):
            raise QueueError(
                f"queue = {queue!r} keeps no orders, so that a run of it has no derivative; "
                "expected another structure"
            )
        check_methods(queue, ("push",))
        if not any(hasattr(queue, name) for name in ("pop", "pop_due", "take")):
            check_methods(queue, ("push", "pop"))
        if hasattr(queue, "__len__") and len(queue):
            raise QueueError(f"queue = {queue!r}; expected an empty one")
        self._queue = queue
        self._first_order: int | None = None
        self._popped: list[int] = []
        self._events: list[int] = []
        self._n_pops = 0
        self._queued: dict[int, float] = {}  # times by number of the push

    @property
    def log(self) -> Log:
        """The run so far, as a `Log`."""
        return Log(np.array(self._popped, np.int64), np.array(self._events, np.int64), self._n_pops)

    def push(self, time: float, payload: int = 0, tangent: float = 0.0, **where: int) -> int:
        """Push to the queue and return the order, which the log counts from the first push on."""
        order = self._queue.push(time, payload, tangent, **where)
        if self._first_order is None:
            self._first_order = order
        number = len(self._popped)
        self._popped.append(QUEUED)
        self._events.append(number)
        self._queued[number] = float(time)
        lost = getattr(self._queue, "last_lost", None)
        if lost is not None:
            self._leave(self._number(lost), DROPPED)
        return order

    def peek(self) -> Entry:
        """Return the first entry and leave it queued."""
        return self._queue.peek()

    def pop(self) -> Entry:
        """Pop from the queue."""
        entry = self._queue.pop()
        self._note(entry)
        return entry

    def pop_due(self, now: float) -> Entry | None:
        """Pop what a poll at time ``now`` finds, or None."""
        entry = self._queue.pop_due(now)
        if entry is not None:
            self._note(entry)
        return entry

    def take(self, step: float) -> tuple[int, float]:
        """Take all entries of a step at once, of a queue that can: one pop of their sum.

        A step without entries is no pop.
        """
        numbers = [number for number, time in self._queued.items() if time == step]
        count, tangent_sum = self._queue.take(step)
        if count != len(numbers):
            raise QueueError(f"take({step!r}) returned {count} entries; {len(numbers)} were pushed")
        for number in numbers:
            self._pop_number(number)
        self._n_pops += bool(numbers)
        return count, tangent_sum

    def clear(self) -> None:
        """Remove all entries; their cotangents are zero."""
        self._queue.clear()
        for number in [*self._queued]:
            self._leave(number, CLEARED)

    def _number(self, order: int) -> int:
        return order - (self._first_order or 0)

    def _note(self, entry: Entry) -> None:
        number = self._number(entry.order)
        if number not in self._queued:
            raise QueueError(
                f"the queue popped the order {entry.order}; expected that of an entry which was "
                "pushed and has not left yet"
            )
        self._pop_number(number)
        self._n_pops += 1

    def _pop_number(self, number: int) -> None:
        self._leave(number, self._n_pops)
        self._events.append(-1 - number)

    def _leave(self, number: int, where: int) -> None:
        self._popped[number] = where
        del self._queued[number]

    def __len__(self) -> int:
        return len(self._queue)

    def __getattr__(self, name: str) -> Any:
        if name == "_queue":  # not there yet, as in a copy that is being made
            raise AttributeError(name)
        return getattr(self._queue, name)

    def __repr__(self) -> str:
        return f"<Recorder of {self._queue!r}>"
