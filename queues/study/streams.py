"""Thousands of independent queues, each with a stream of pushes, run from first step to last.

Time is in steps. At each step every queue is polled once, which finds at most one event that is
due, and then takes the pushes of the step; or on request the pushes come first. That is the loop of
the queue benchmarks of "EventQueues" (arXiv 2512.05906). Here nothing is done at a step at which
nothing happens: each queue goes from push to push, and of the polls in between those are made that
find an event. Queues do not know of each other, so they are run one after another, or in threads.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from queues.bounded import dispatch as bounded_dispatch
from queues.bounded.dispatch import BOUNDED, WRAPPER, WRAPPERS, checked_capacity, empty
from queues.compiled.jit import by_type, inner_kernel, kernel
from queues.errors import HorizonError, QueueError, QueueTypeError, TimeOrderError, checked_count
from queues.exact import dispatch
from queues.exact.chains import NONE
from queues.exact.dispatch import STRUCTURES
from queues.names import BoundedName, QueueName

DROPPED = -1
QUEUED = -2

_Q = np.int64(0)  # the queue in the arrays of a run: one after another uses them
_MOST_SLOTS = 10_000_000  # of a ring buffer
_LAST_STEP = 2**31 - 1  # outcomes take 4 bytes each
_MOST_STEPS = 2**53  # up to here times in float64 are whole numbers


@dataclass(frozen=True, repr=False)
class Streams:
    """Pushes to n queues; queue q has those from ``start[q]`` to ``start[q + 1]``.

    Attributes
    ----------
    start : (n + 1,) int
        From 0 to the number P of pushes, ascending.
    pushed : (P,) int
        Step of each push, at least 0, ascending within a queue.
    arrival : (P,) int
        Step at which the event is due, not before the push.

    Raises
    ------
    QueueError, QueueTypeError
        If an array has the wrong type, shape or order.
    """

    start: NDArray[np.int64]
    pushed: NDArray[np.int64]
    arrival: NDArray[np.int64]

    def __repr__(self) -> str:
        return f"<Streams: {len(self.pushed)} pushes to {self.n_queues} queues>"

    def __post_init__(self) -> None:
        for name in ("start", "pushed", "arrival"):
            object.__setattr__(self, name, _steps(name, getattr(self, name)))
        size = len(self.pushed)
        ends = self.start[[0, -1]].tolist() if len(self.start) else []
        if ends != [0, size] or (np.diff(self.start) < 0).any():
            raise QueueError(
                f"start has ends {ends}; expected numbers that ascend from 0 to {size}"
            )
        if len(self.arrival) != size:
            raise QueueError(f"arrival has shape {self.arrival.shape}; expected ({size},)")
        self._check(self.arrival < self.pushed, "arrival", "not before the push")
        self._check(self._descents(self.pushed), "pushed", "steps that ascend within a queue")

    def _check(self, bad: NDArray[np.bool_], name: str, expected: str) -> None:
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            raise QueueError(f"{name}[{i}] = {getattr(self, name)[i]}; expected {expected}")

    def _descents(self, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each push whether its step is before that of the one before it."""
        descends = np.zeros(len(steps), dtype=bool)
        descends[1:] = steps[1:] < steps[:-1]
        begins = self.start[:-1]
        descends[begins[begins < len(steps)]] = False
        return descends

    @property
    def n_queues(self) -> int:
        """Number of queues."""
        return len(self.start) - 1

    @cached_property
    def most(self) -> int:
        """Number of pushes to the queue that gets most."""
        return int(np.diff(self.start).max(initial=0))

    @cached_property
    def last_push(self) -> int:
        """The last step at which there is a push."""
        return int(self.pushed.max(initial=0))

    @cached_property
    def leads(self) -> tuple[int, int]:
        """The shortest and the longest time from a push to its arrival, in steps."""
        lead = self.arrival - self.pushed
        return (int(lead.min()), int(lead.max())) if len(lead) else (1, 1)

    @cached_property
    def arrives_in_order(self) -> bool:
        """Whether in each queue events are due in the order of their pushes."""
        return not self._descents(self.arrival).any()


def _steps(name: str, values: Any) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise QueueTypeError(
            f"{name} has shape {array.shape} and dtype {array.dtype}; expected a vector of integers"
        )
    steps = np.array(array, dtype=np.int64, order="C")
    steps.setflags(write=False)
    if steps.size and not (steps.min() >= 0 and steps.max() < _MOST_STEPS):
        raise QueueError(f"{name} has steps outside 0 to 2**53; expected none")
    return steps


@dataclass(frozen=True, repr=False)
class Outcome:
    """What became of every push, and the derivatives of that.

    Attributes
    ----------
    delivered : (P,) int32
        Step at which a poll found the event, -1 for one that was dropped, -2 for one still queued.
    """

    delivered: NDArray[np.int32]

    def __repr__(self) -> str:
        n, hits, dropped = len(self.delivered), self.hits, self.dropped
        return (
            f"<Outcome: {n} pushes, {hits} found, {dropped} dropped, {n - hits - dropped} queued>"
        )

    @property
    def hits(self) -> int:
        """Number of events that polls have found."""
        return int(np.count_nonzero(self.delivered >= 0))

    @property
    def dropped(self) -> int:
        """Number of events that were dropped."""
        return int(np.count_nonzero(self.delivered == DROPPED))

    def jvp(self, pushed_dot: ArrayLike) -> NDArray[np.float64]:
        """Return the tangent (P,) with which each event was found, 0 for those that were not.

        Parameters
        ----------
        pushed_dot : (P,) float
            Tangents of the pushed times.
        """
        return self._of_found("pushed_dot", pushed_dot)

    def vjp(self, popped_bar: ArrayLike) -> NDArray[np.float64]:
        """Return the cotangents (P,) of the pushed times, 0 for events that were not found.

        Parameters
        ----------
        popped_bar : (P,) float
            Cotangent of the time of each event as it was found, by number of its push.
        """
        return self._of_found("popped_bar", popped_bar)

    def _of_found(self, name: str, values: ArrayLike) -> NDArray[np.float64]:
        # A run selects events; by number of push its matrix is diagonal, so its own transpose.
        given = np.ascontiguousarray(values, dtype=np.float64)
        if given.shape != self.delivered.shape:
            raise QueueError(
                f"{name} has shape {given.shape}; expected {self.delivered.shape}, one a push"
            )
        selected = np.empty_like(given)
        select(self.delivered, given, selected)
        return selected


@kernel
def select(delivered: Any, given: Any, selected: Any) -> None:
    """Write what was given for events that were found, and 0 for the others."""
    for i in range(delivered.size):
        selected[i] = given[i] if delivered[i] >= 0 else 0.0


@by_type
def _offer(arrays: type) -> Callable[..., Any]:
    """Push (queue, time, order); return the order of what is lost, or -1."""
    if arrays in WRAPPERS:
        return lambda queue, time, order: bounded_dispatch.push(
            queue, _Q, time, order, np.int64(0), 0.0
        )

    def add(queue, time, order):
        dispatch.add(queue, time, order, np.int64(0), 0.0, np.int64(0))
        return NONE

    return add


@by_type
def _first(arrays: type) -> Callable[..., Any]:
    """Return the first row, or -1."""
    if arrays in WRAPPERS:
        return lambda queue: bounded_dispatch.first(queue, _Q)

    def top(queue):
        return np.int64(dispatch.top(queue)) if queue.size[0] > 0 else NONE

    return top


@by_type
def _take(arrays: type) -> Callable[..., None]:
    """Remove the first row (queue, row)."""
    if arrays in WRAPPERS:
        return lambda queue, row: bounded_dispatch.take(queue, _Q, row)
    return lambda queue, row: dispatch.pop(queue)


@by_type
def _rows(arrays: type) -> Callable[..., Any]:
    """Return the columns of the rows of a queue."""
    if arrays in WRAPPERS:
        return lambda queue: queue.queues
    return lambda queue: queue


@inner_kernel
def _polled(queue, step, limit, delivered):
    """Poll at every step from ``step`` to ``limit``; return the step of the next poll."""
    rows = _rows(queue)
    while True:
        row = _first(queue)
        if row == NONE:
            break
        found = max(np.int64(rows.time[row]), step)
        if found > limit:
            break
        delivered[rows.order[row]] = found
        _take(queue, row)
        step = found + 1
    return max(step, limit + 1)


@inner_kernel
def _stream_by_polls(queue, pushed, arrival, begin, end, n_steps, lag, delivered):
    """Run one queue by polls at the steps that find an event."""
    step = np.int64(0)
    for i in range(begin, end):
        step = _polled(queue, step, pushed[i] - lag, delivered)
        delivered[i] = QUEUED
        lost = _offer(queue, np.float64(arrival[i]), np.int64(i))
        if lost != NONE:
            delivered[lost] = DROPPED
    _polled(queue, step, n_steps - 1, delivered)
    row = _first(queue)
    while row != NONE:  # what is left over is still queued
        _take(queue, row)
        row = _first(queue)


@inner_kernel
def _chosen(condition, a, b):
    """Return ``a`` where the condition holds, else ``b``, by a mask and not by a branch."""
    return b ^ ((a ^ b) & -np.int64(condition))


@inner_kernel
def _stream_of_one(queue, pushed, arrival, begin, end, n_steps, lag, delivered):
    """Run one slot whose event stays, without branches: which push is refused is a coin toss."""
    until = np.int64(-1)  # when the slot is free again
    for i in range(begin, end):
        is_free = until <= pushed[i] - lag
        found = _chosen(arrival[i] >= n_steps, np.int64(QUEUED), arrival[i])
        delivered[i] = _chosen(is_free, found, np.int64(DROPPED))
        until = _chosen(is_free, arrival[i], until)


@inner_kernel
def _stream_of_slots(queue, pushed, arrival, begin, end, n_steps, lag, delivered):
    """Run one queue of slots that pushes overwrite: an event that was due has left its slot."""
    rows = queue.queues
    for i in range(begin, end):
        lost = _offer(queue, np.float64(arrival[i]), np.int64(i))
        if lost != NONE:
            delivered[lost] = arrival[lost] if arrival[lost] <= pushed[i] - lag else DROPPED
    for row in range(rows.capacity[0]):
        i = rows.order[row]
        if i != NONE:
            delivered[i] = arrival[i] if arrival[i] < n_steps else QUEUED
            rows.order[row] = NONE
    rows.size[0] = 0


@inner_kernel
def _streams_of_newest(queue, start, pushed, arrival, low, high, n_steps, lag, delivered):
    """Run slots that pushes overwrite: an event is lost if the next push comes before a poll.

    One pass over the pushes of all queues, and then over the last ones of each.
    """
    for i in range(start[low], start[high] - 1):
        found = _chosen(arrival[i] >= n_steps, np.int64(QUEUED), arrival[i])
        is_lost = arrival[i] > pushed[i + 1] - lag
        delivered[i] = _chosen(is_lost, np.int64(DROPPED), found)
    for q in range(low, high):
        last = start[q + 1] - 1
        if last >= start[q]:
            delivered[last] = arrival[last] if arrival[last] < n_steps else QUEUED


@inner_kernel
def _stream_of_bits(queue, pushed, arrival, begin, end, n_steps, lag, delivered):
    """Run one array of bits as `queues.bounded.bit_array` does, with word and window at hand."""
    word = np.uint64(0)
    now = np.int64(0)
    for i in range(begin, end):
        ahead = pushed[i] - lag + 1 - now
        if ahead > 0:
            word = word >> np.uint64(ahead) if ahead < 64 else np.uint64(0)
            now += ahead
        bit = np.uint64(1) << np.uint64(arrival[i] - now)
        is_set = word & bit != np.uint64(0)
        word |= bit
        found = _chosen(arrival[i] >= n_steps, np.int64(QUEUED), arrival[i])
        delivered[i] = _chosen(is_set, np.int64(DROPPED), found)


@by_type
def _stream(arrays: type) -> Callable[..., None]:
    """Run one queue from its first push to the last step."""
    special = {
        WRAPPER["bit_array"]: _stream_of_bits,
        WRAPPER["single_spike_keep"]: _stream_of_one,
        WRAPPER["lossy_ring"]: _stream_of_slots,
    }
    run = special.get(arrays, _stream_by_polls)
    return lambda queue, pushed, arrival, begin, end, n_steps, lag, delivered: run(
        queue, pushed, arrival, begin, end, n_steps, lag, delivered
    )


@inner_kernel
def _streams_in_turn(queue, start, pushed, arrival, low, high, n_steps, lag, delivered):
    """Run queues one after another in the arrays of one."""
    for q in range(low, high):
        _stream(queue, pushed, arrival, start[q], start[q + 1], n_steps, lag, delivered)


@by_type
def _streams(arrays: type) -> Callable[..., None]:
    """Run the queues of a range."""
    run = _streams_of_newest if arrays is WRAPPER["single_spike"] else _streams_in_turn
    return lambda queue, start, pushed, arrival, low, high, n_steps, lag, delivered: run(
        queue, start, pushed, arrival, low, high, n_steps, lag, delivered
    )


@kernel
def run_range(queue, start, pushed, arrival, low, high, n_steps, lag, delivered):
    """Run the queues from ``low`` to ``high``."""
    _streams(queue, start, pushed, arrival, low, high, n_steps, lag, delivered)


def run_streams(
    structure: BoundedName | QueueName,
    streams: Streams,
    n_steps: int,
    *,
    capacity: int | None = None,
    push_first: bool = False,
    threads: int = 1,
) -> Outcome:
    """Run all queues from step 0 to step ``n_steps - 1``.

    Parameters
    ----------
    structure : str
        A name in `BOUNDED`, or that of an exact structure, which grows.
    streams : Streams
        The pushes.
    n_steps : int
        Number of steps, at most 2**31 - 1; a push at a later step is an error.
    capacity : int, optional
        Of bounded queues that have one, at least 1; of "bit_array" 32 or 64.
    push_first : bool
        Whether in a step pushes come before the poll, which can then find them.
    threads : int
        Number of threads, which share the queues. The result does not depend on it.

    Returns
    -------
    Outcome

    Raises
    ------
    QueueError
        If an argument is outside its domain: a structure or capacity that does not exist, a push
        after the end, an event that is due before its queue is next polled.
    HorizonError
        If an event is further ahead than an array of bits reaches.
    TimeOrderError
        If a structure for times in order gets others.
    """
    last = streams.last_push
    if checked_count("n_steps", n_steps, 1, _LAST_STEP) <= last:
        raise QueueError(
            f"n_steps = {n_steps}; expected more than the step {last} of the last push"
        )
    if streams.leads[0] == 0 and not push_first:
        raise QueueError(
            "arrival has events due at the step of their push; expected later ones, or "
            "push_first=True"
        )
    if not isinstance(structure, str):
        raise QueueTypeError(f"structure is a {type(structure).__name__}; expected a name")
    make = _maker(structure, capacity, streams)
    workers = min(checked_count("threads", threads, 1), max(streams.n_queues, 1))
    delivered = np.empty(len(streams.pushed), dtype=np.int32)
    bounds = np.linspace(0, streams.n_queues, workers + 1).astype(np.int64)
    lag = np.int64(1 if push_first else 0)  # steps from the last poll before a push to the push

    def run(k: int) -> None:
        columns = (streams.start, streams.pushed, streams.arrival)
        share = (bounds[k], bounds[k + 1])
        run_range(make(), *columns, *share, np.int64(n_steps), lag, delivered)

    if workers == 1:
        run(0)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, range(workers)))
    return Outcome(delivered)


def _maker(structure: Any, capacity: int | None, streams: Streams) -> Callable[[], Any]:
    """Return what makes a queue for one thread, if the structure suits the streams."""
    if structure in STRUCTURES:
        if capacity is not None:
            raise QueueError(
                f"capacity = {capacity!r}; expected none for {structure!r}, which grows"
            )
        exact = STRUCTURES[structure]
        if (exact.in_order or exact.in_lanes) and not streams.arrives_in_order:
            raise TimeOrderError(
                f"structure = {structure!r}, and arrivals are not in the order of pushes; expected "
                "that, or a structure for any times"
            )
        # One event is found a step, so those of a step may wait for as many steps as there are.
        steps = streams.leads[1] + streams.most + 2
        if exact.in_steps and steps > _MOST_SLOTS:
            raise QueueError(
                f"arrival has events {streams.leads[1]} steps ahead; expected at most "
                f"{_MOST_SLOTS} for {structure!r}"
            )
        return lambda: exact.empty(max(streams.most, 1), 1, steps)
    if structure not in BOUNDED:
        names = ", ".join([*BOUNDED, *STRUCTURES])
        raise QueueError(f"structure = {structure!r}; expected one of {names}")
    rows = checked_capacity(structure, capacity)
    if structure == "bit_array" and streams.leads[1] >= rows:
        raise HorizonError(
            f"arrival has events {streams.leads[1]} steps ahead; expected at most {rows - 1} for "
            f"{rows} bits"
        )
    if rows == 1 and _keeps_the_first(structure, streams):
        structure = "single_spike_keep"
    return lambda: empty(structure, 1, rows)


def _keeps_the_first(structure: str, streams: Streams) -> bool:
    """Return whether with room for one the event that is there stays, whatever comes."""
    if structure == "bounded_sorted_array":
        return streams.arrives_in_order
    return structure in ("bounded_fifo", "bounded_heap")
