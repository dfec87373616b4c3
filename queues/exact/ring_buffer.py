"""A ring with one slot for each step of a time grid: the queue of simulators that go step by step.

As in NEST, and as `Ring` of the paper, what arrives in a step is counted in the slot of that step,
and `take` removes it at once. Beyond that rows are kept, chained in order of push, so that the ring
is also a queue whose rows leave by (time, order), exactly as they leave `queues.exact.heap`.

Times are steps, whole numbers. A ring of n slots has room for the steps from ``now`` to
``now + n - 1``, where ``now`` is the step of the last pop or `take`. So delays may have up to n - 1
steps where a step is taken before events are pushed from it, and n - 2 where it is taken after.
Pushes and `take` are O(1), a pop goes over the empty slots up to the next row.
"""

from __future__ import annotations

import numpy as np

from queues.compiled.jit import inner_kernel, kernel, maker
from queues.errors import HorizonError, checked_count, checked_int, checked_step
from queues.exact.chains import NONE, chain_free, chained, lengthened
from queues.exact.shell import Kernels, QueueShell
from queues.types import Entry, RingBufferArrays


@kernel
def restart(queue: RingBufferArrays, now: int) -> None:
    """Remove all rows and go to the step ``now``."""
    for slot in range(queue.first.size):
        queue.first[slot] = NONE
        queue.last[slot] = NONE
        queue.counts[slot] = 0
        queue.tangent_sum[slot] = 0.0
    chain_free(queue.link, np.int64(0), NONE)
    queue.now[0] = now
    queue.soonest[0] = now
    queue.stale[0] = NONE
    queue.free[0] = 0
    queue.size[0] = 0


@maker
def empty(n_slots: int, capacity: int, start: int) -> RingBufferArrays:
    """Return a ring of ``n_slots`` at step ``start``, with room for ``capacity`` (at least one)."""
    room = max(capacity, 1)
    queue = RingBufferArrays(
        time=np.empty(room, np.float64),
        order=np.empty(room, np.int64),
        payload=np.empty(room, np.int64),
        tangent=np.empty(room, np.float64),
        link=np.empty(room, np.int64),
        first=np.empty(n_slots, np.int64),
        last=np.empty(n_slots, np.int64),
        counts=np.empty(n_slots, np.int64),
        tangent_sum=np.empty(n_slots, np.float64),
        now=np.empty(1, np.int64),
        soonest=np.empty(1, np.int64),
        stale=np.empty(1, np.int64),
        free=np.empty(1, np.int64),
        size=np.empty(1, np.int64),
    )
    restart(queue, start)
    return queue


def grown(queue: RingBufferArrays) -> RingBufferArrays:
    """Return a copy of the ring with as many slots and room for twice as many rows."""
    capacity = queue.time.size
    larger: RingBufferArrays = lengthened(queue, 2 * capacity, "link")
    chain_free(larger.link, capacity, queue.free[0])
    larger.free[0] = capacity
    return larger


@inner_kernel
def _slot_of(queue, step):
    """Return the slot of a step, which may be negative."""
    return step % queue.first.size


@kernel
def add(queue: RingBufferArrays, time: float, order: int, payload: int, tangent: float) -> None:
    """Add a row whose time is a step of the window, where ``queue.size[0] < queue.time.size``."""
    step = np.int64(time)
    slot = _slot_of(queue, step)
    row = queue.free[0]
    queue.free[0] = queue.link[row]
    queue.time[row] = time
    queue.order[row] = order
    queue.payload[row] = payload
    queue.tangent[row] = tangent
    queue.link[row] = NONE
    if queue.first[slot] == NONE:
        queue.first[slot] = row
    else:
        queue.link[queue.last[slot]] = row
    queue.last[slot] = row
    queue.counts[slot] += 1
    queue.tangent_sum[slot] += tangent
    if queue.size[0] == 0 or step < queue.soonest[0]:
        queue.soonest[0] = step
    queue.size[0] += 1


@kernel
def next_step(queue: RingBufferArrays) -> int:
    """Return the step of the first row of at least one."""
    step = queue.soonest[0]
    while queue.first[_slot_of(queue, step)] == NONE:
        step += 1
    queue.soonest[0] = step  # where the next search begins
    return step


@kernel
def top(queue: RingBufferArrays) -> int:
    """Return the index of the first row."""
    return queue.first[_slot_of(queue, next_step(queue))]


@kernel
def pop(queue: RingBufferArrays) -> None:
    """Remove the first row of a ring that has one, and go to its step."""
    step = next_step(queue)
    slot = _slot_of(queue, step)
    row = queue.first[slot]
    queue.now[0] = step
    queue.first[slot] = queue.link[row]
    queue.counts[slot] -= 1
    # To subtract would not give the sum of the others back, so a sum is taken anew when wanted.
    queue.stale[0] = slot
    if queue.counts[slot] == 0:
        queue.last[slot] = NONE
        queue.tangent_sum[slot] = 0.0
        queue.stale[0] = NONE
    queue.link[row] = queue.free[0]
    queue.free[0] = row
    queue.size[0] -= 1


@kernel
def advance(queue: RingBufferArrays, now: int) -> None:
    """Go to a later step before which there are no rows."""
    queue.now[0] = now
    queue.soonest[0] = max(queue.soonest[0], now)
    if queue.stale[0] != NONE:
        queue.tangent_sum[queue.stale[0]] = sum_anew(queue, queue.stale[0])
        queue.stale[0] = NONE


@kernel
def sum_anew(queue: RingBufferArrays, slot: int) -> float:
    """Return the sum of a slot's tangents, in order of push."""
    total = 0.0
    row = queue.first[slot]
    while row != NONE:
        total += queue.tangent[row]
        row = queue.link[row]
    return total


@kernel
def take(queue: RingBufferArrays, step: int) -> tuple[int, float]:
    """Remove all rows of a step before which there are none, and go there.

    Returns their number and the sum of their tangents.
    """
    slot = _slot_of(queue, step)
    queue.now[0] = step
    queue.soonest[0] = step
    count = queue.counts[slot]
    total = queue.tangent_sum[slot]
    if queue.stale[0] == slot:
        total = sum_anew(queue, slot)
    queue.stale[0] = NONE
    if count > 0:
        queue.link[queue.last[slot]] = queue.free[0]
        queue.free[0] = queue.first[slot]
    queue.first[slot] = NONE
    queue.last[slot] = NONE
    queue.counts[slot] = 0
    queue.tangent_sum[slot] = 0.0
    queue.size[0] -= count
    return count, total


def check(queue: RingBufferArrays) -> None:
    """Assert what holds of every ring between two calls."""
    now, soonest, n_slots = int(queue.now[0]), int(queue.soonest[0]), queue.first.size
    assert len({column.size for column in queue[:5]}) == 1
    assert len({column.size for column in queue[5:9]}) == 1
    assert now <= soonest, (now, soonest)
    assert queue.stale[0] in (NONE, now % n_slots), (queue.stale[0], now)
    rows: list[int] = []
    for slot in range(n_slots):
        chain = chained(queue.link, queue.first[slot])
        assert queue.counts[slot] == len(chain)
        assert queue.last[slot] == (chain[-1] if chain else NONE)
        assert (np.diff(queue.order[chain]) > 0).all()
        steps = set(queue.time[chain].tolist())
        assert len(steps) <= 1, f"slot {slot} holds steps {steps}"
        assert all(soonest <= step < now + n_slots for step in steps), (steps, soonest, now)
        assert all(step % n_slots == slot for step in steps), (steps, slot)
        if queue.stale[0] != slot:
            assert queue.tangent_sum[slot] == sum_anew(queue, slot)
        rows += chain
    assert len(rows) == queue.size[0], (len(rows), queue.size[0])
    rows += chained(queue.link, queue.free[0])
    assert sorted(rows) == list(range(queue.time.size)), "a row is lost or lies twice"


class RingBuffer(QueueShell[RingBufferArrays]):
    """An event queue on a time grid, with a slot for every step: pushes and `take` take O(1).

    Parameters
    ----------
    n_slots
        Number of steps for which there is a slot, at least 1: the longest delay and one more, or
        two more where a step is taken after pushes from it.
    capacity
        Number of entries to make room for at first, at least 1; the rows grow by doubling, the
        slots never.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.
    start
        The first step, a whole number of less than 2**53, also after a `clear`.

    Examples
    --------
    >>> from queues import RingBuffer
    >>> queue = RingBuffer(10, tangent=True)
    >>> queue.push(4, payload=7, tangent=0.5), queue.push(4, tangent=0.25), queue.push(2)
    (0, 1, 2)
    >>> queue.pop()
    Entry(time=2.0, payload=0, order=2, tangent=0.0)
    >>> queue.take(4)
    (2, 0.75)
    """

    _kernels = Kernels(add=add, grown=grown, pop=pop, top=top)

    def __init__(
        self, n_slots: int, *, capacity: int = 16, tangent: bool = False, start: int = 0
    ) -> None:
        slots = checked_count("n_slots", n_slots, 1)
        rows = checked_count("capacity", capacity, 1)
        self._start = checked_step("start", checked_int("start", start))
        super().__init__(empty(slots, rows, self._start), tangent)

    @property
    def now(self) -> int:
        """The step of the last pop or `take`, or of a poll that found none; at first ``start``."""
        return int(self._arrays.now[0])

    @property
    def n_slots(self) -> int:
        """Number of steps from `now` on for which there is a slot."""
        return int(self._arrays.first.size)

    def push(self, time: float, payload: int = 0, tangent: float = 0.0) -> int:
        """Add an entry and return its order.

        Parameters
        ----------
        time
            A step: a whole number of less than 2**53, as a float or an int, with
            ``now <= time < now + n_slots``.
        payload
            Any integer of 64 bits; comes back with the entry.
        tangent
            Derivative of the time before it was rounded to a step, in ms per unit of the parameter.

        Returns
        -------
        int
            The order: the number of pushes before this one. Equal times leave in this order.

        Raises
        ------
        HorizonError
            The step lies outside the window; it is never taken for another one.
        """
        step = checked_step("time", time)
        row = self._checked(time, payload, tangent)
        if not self.now <= step < self.now + self.n_slots:
            raise HorizonError(
                f"time = {time!r}; expected {self.now} <= time < {self.now + self.n_slots}, the "
                f"{self.n_slots} steps from the last pop or take on"
            )
        return self._put(row)

    def pop_due(self, now: float) -> Entry | None:
        """Pop the first entry if its step is not after ``now``, or else go to that step.

        Returns
        -------
        Entry or None
            The entry, or None where none is due.
        """
        step = checked_step("now", now)
        if len(self) and self._top().time <= step:
            return self.pop()
        if step > self.now:
            advance(self._arrays, step)
        return None

    def take(self, step: int) -> tuple[int, float]:
        """Remove all entries of a step at once, and go to that step.

        Parameters
        ----------
        step
            A whole number of less than 2**53, not before `now` and not behind any entry.

        Returns
        -------
        count : int
            Number of entries removed.
        tangent_sum : float
            Sum of their tangents, in order of push, in ms per unit of the parameter.

        Raises
        ------
        HorizonError
            The step is before `now`, or there are entries before it, which would be skipped.
        """
        to = checked_step("step", step)
        if to < self.now:
            raise HorizonError(
                f"step = {step!r}; expected at least {self.now}, the step of the last pop or take"
            )
        if len(self) and (soonest := int(next_step(self._arrays))) < to:
            raise HorizonError(
                f"step = {step!r}; expected at most {soonest}, the step of the first entry"
            )
        count, tangent_sum = take(self._arrays, to)
        return int(count), float(tangent_sum)

    def clear(self) -> None:
        """Remove all entries and go back to ``start``; orders keep counting."""
        restart(self._arrays, self._start)
