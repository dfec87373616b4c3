"""A calendar queue of events: buckets of equal length in time, each a sorted chain of rows.

Algorithm: Brown, Communications of the ACM 31 (1988) 1220. Day ``v`` is the times from
``v * width`` up to ``(v + 1) * width``, and the buckets are days of one year. A push walks along
one bucket, and a pop looks through the days from the last one on; both take O(1) while a day
holds few rows and few days are empty.

Times are exact: nothing is rounded to days. The day of a time never decreases with the time, and
from that alone rows leave exactly as they leave `queues.exact.heap`, by (time, order). Times too
far away to count the days to them share one day on either side.

The width follows the gaps between the first rows, whenever the queue grows, and when the searches
took more than a step a call. Where no width suits all times (many of them within a
tiny part of their range), pushes take O(n).
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from queues.compiled.jit import inner_kernel, kernel, maker
from queues.errors import QueueError, checked_count, checked_finite
from queues.exact.chains import NONE, chain_free, chained, lengthened
from queues.exact.shell import Kernels, QueueShell
from queues.types import CalendarArrays

_COUNTED_DAYS = 2.0**61
_LAST_DAY = np.int64(2**62)  # and a year more is still a 64-bit integer
_NARROWEST, _WIDEST = 1e-280, 1e280  # ms; between these no day of a counted time overflows
_STEPS = 1  # of search, per call, at which the width is estimated anew
_SAMPLE = 64  # gaps from which it is estimated
_GAPS_A_DAY = 3.0  # Brown, section 3


@kernel
def day_of(width: float, time: float) -> np.int64:
    """Return the day of a time, which never decreases with it."""
    horizon = width * _COUNTED_DAYS
    if time >= horizon:
        return _LAST_DAY
    if time <= -horizon:
        return -_LAST_DAY
    return np.int64(math.floor(time / width))


@kernel
def clear(queue: CalendarArrays) -> None:
    """Remove all rows; the width stays."""
    for bucket in range(queue.first.size):
        queue.first[bucket] = NONE
        queue.last[bucket] = NONE
    for i in range(queue.run.size):
        queue.run[i] = NONE
    chain_free(queue.link, np.int64(0), NONE)
    queue.free[0] = 0
    queue.day[0] = 0
    queue.effort[0] = 0
    queue.effort[1] = 0
    queue.size[0] = 0


@maker
def empty(capacity: int, width: float) -> CalendarArrays:
    """Return a calendar without rows; its room is the power of two at or above ``capacity``."""
    room = np.int64(1)
    while room < capacity:
        room *= 2
    queue = CalendarArrays(
        time=np.empty(room, np.float64),
        order=np.empty(room, np.int64),
        payload=np.empty(room, np.int64),
        tangent=np.empty(room, np.float64),
        link=np.empty(room, np.int64),
        first=np.empty(room, np.int64),
        last=np.empty(room, np.int64),
        run=np.empty(64, np.int64),
        day=np.empty(1, np.int64),
        width=np.full(1, np.float64(width)),
        effort=np.empty(2, np.int64),
        free=np.empty(1, np.int64),
        size=np.empty(1, np.int64),
    )
    clear(queue)
    return queue


@inner_kernel
def _is_before(queue, a, b):
    """Return whether row ``a`` leaves before row ``b``."""
    ta, tb = queue.time[a], queue.time[b]
    return ta < tb or (ta == tb and queue.order[a] < queue.order[b])


@inner_kernel
def _merged(queue, a, b):
    """Merge two sorted chains of rows and return the first row."""
    if _is_before(queue, b, a):
        a, b = b, a
    first = a
    end = a
    a = queue.link[a]
    while a != NONE and b != NONE:
        if _is_before(queue, b, a):
            a, b = b, a
        queue.link[end] = a
        end = a
        a = queue.link[a]
    queue.link[end] = b if a == NONE else a
    return first


@inner_kernel
def _sorted_chain(queue):
    """Take all rows out of their buckets into one sorted chain; return its first row."""
    # The buckets are the runs of a merge sort; ``run[i]`` waits for another of 2**i buckets.
    for bucket in range(queue.first.size):
        chain = queue.first[bucket]
        if chain == NONE:
            continue
        queue.first[bucket] = NONE
        queue.last[bucket] = NONE
        i = np.int64(0)
        while queue.run[i] != NONE:
            chain = _merged(queue, queue.run[i], chain)
            queue.run[i] = NONE
            i += 1
        queue.run[i] = chain
    chain = NONE
    for k in range(queue.run.size):
        if queue.run[k] != NONE:
            chain = queue.run[k] if chain == NONE else _merged(queue, queue.run[k], chain)
            queue.run[k] = NONE
    return chain


@inner_kernel
def _fitting_width(queue, row):
    """Return a few mean gaps between the rows from ``row`` on, or else the width as it is."""
    # Halves, because a difference of two times can overflow.
    start = row
    gaps = np.int64(0)
    while gaps < _SAMPLE and queue.link[row] != NONE:
        row = queue.link[row]
        gaps += 1
    if gaps == 0:
        return queue.width[0]
    half_range = 0.5 * queue.time[row] - 0.5 * queue.time[start]
    mean = half_range / gaps
    total = 0.0
    counted = np.int64(0)
    row = start
    for _ in range(gaps):
        following = queue.link[row]
        half_gap = 0.5 * queue.time[following] - 0.5 * queue.time[row]
        if 0.5 * half_gap <= mean:  # longer ones lie between bursts
            total += half_gap
            counted += 1
        row = following
    if counted == 0 or total == 0.0:
        return queue.width[0]
    half_mean = min(total / counted, 0.1 * _WIDEST)
    return max(2.0 * _GAPS_A_DAY * half_mean, _NARROWEST)


@kernel
def refit(queue: CalendarArrays) -> None:
    """Choose the width anew and put every row into the bucket of its new day."""
    row = _sorted_chain(queue)
    if row != NONE:
        queue.width[0] = _fitting_width(queue, row)
        queue.day[0] = day_of(queue.width[0], queue.time[row])
    while row != NONE:
        following = queue.link[row]
        bucket = day_of(queue.width[0], queue.time[row]) & (queue.first.size - 1)
        if queue.last[bucket] == NONE:
            queue.first[bucket] = row
        else:
            queue.link[queue.last[bucket]] = row
        queue.link[row] = NONE
        queue.last[bucket] = row
        row = following
    queue.effort[0] = 0
    queue.effort[1] = 0


def grown(queue: CalendarArrays) -> CalendarArrays:
    """Return a copy of the calendar with twice the room and twice the buckets."""
    capacity = queue.time.size
    larger: CalendarArrays = lengthened(queue, 2 * capacity, "link", "first", "last")
    larger.first[capacity:] = NONE
    larger.last[capacity:] = NONE
    chain_free(larger.link, capacity, queue.free[0])
    larger.free[0] = capacity
    refit(larger)
    return larger


@inner_kernel
def _account(queue, steps):
    """Count a call and its steps of search; choose the width anew where they were many."""
    queue.effort[0] += steps
    queue.effort[1] += 1
    # To refit takes a few steps a bucket, so it waits until as many were wasted.
    if queue.effort[0] > _STEPS * queue.first.size:
        refit(queue)
    elif queue.effort[1] >= queue.first.size:
        queue.effort[0] = 0
        queue.effort[1] = 0


@inner_kernel
def _insert(queue, row, bucket):
    """Put a row into the chain of its bucket; return the number of rows that it walked past."""
    last = queue.last[bucket]
    if last == NONE or _is_before(queue, last, row):
        if last == NONE:
            queue.first[bucket] = row
        else:
            queue.link[last] = row
        queue.link[row] = NONE
        queue.last[bucket] = row
        return np.int64(0)
    steps = np.int64(0)
    before = NONE
    after = queue.first[bucket]
    while _is_before(queue, after, row):
        before = after
        after = queue.link[after]
        steps += 1
    queue.link[row] = after
    if before == NONE:
        queue.first[bucket] = row
    else:
        queue.link[before] = row
    return steps


@kernel
def add(queue: CalendarArrays, time: float, order: int, payload: int, tangent: float) -> None:
    """Add a row to a calendar that has room for it: ``queue.size[0] < queue.time.size``."""
    row = queue.free[0]
    queue.free[0] = queue.link[row]
    queue.time[row] = time
    queue.order[row] = order
    queue.payload[row] = payload
    queue.tangent[row] = tangent
    day = day_of(queue.width[0], time)
    if queue.size[0] == 0 or day < queue.day[0]:
        queue.day[0] = day
    queue.size[0] += 1
    steps = _insert(queue, row, day & (queue.first.size - 1))
    _account(queue, steps)


@inner_kernel
def _earliest_of_all(queue):
    """Return the first row by comparing those of all buckets."""
    least = NONE
    for bucket in range(queue.first.size):
        row = queue.first[bucket]
        if row != NONE and (least == NONE or _is_before(queue, row, least)):
            least = row
    return least


@inner_kernel
def _earliest(queue):
    """Return the first row, and remember its day."""
    buckets = queue.first.size
    width = queue.width[0]
    day = queue.day[0]
    for ahead in range(buckets):
        row = queue.first[(day + ahead) & (buckets - 1)]
        if row != NONE and day_of(width, queue.time[row]) == day + ahead:
            queue.day[0] = day + ahead
            queue.effort[0] += ahead
            return row
    # A whole year without a row: the next one may be any number of years ahead.
    row = _earliest_of_all(queue)
    queue.day[0] = day_of(width, queue.time[row])
    queue.effort[0] += 2 * buckets
    return row


@kernel
def top(queue: CalendarArrays) -> int:
    """Return the index of the first row."""
    return _earliest(queue)


@kernel
def pop(queue: CalendarArrays) -> None:
    """Remove the first row of a calendar that has one."""
    row = _earliest(queue)
    bucket = queue.day[0] & (queue.first.size - 1)
    following = queue.link[row]
    queue.first[bucket] = following
    if following == NONE:
        queue.last[bucket] = NONE
    queue.link[row] = queue.free[0]
    queue.free[0] = row
    queue.size[0] -= 1
    _account(queue, np.int64(0))


def check(queue: CalendarArrays) -> None:
    """Assert what holds of every calendar between two calls."""
    size, capacity, buckets = int(queue.size[0]), queue.time.size, queue.first.size
    assert buckets & (buckets - 1) == 0, f"{buckets} buckets are no power of two"
    assert len({column.size for column in queue[:5]}) == 1
    assert _NARROWEST <= queue.width[0] <= _WIDEST
    assert (queue.run == NONE).all()
    rows: list[int] = []
    for bucket in range(buckets):
        chain = chained(queue.link, queue.first[bucket])
        assert queue.last[bucket] == (chain[-1] if chain else NONE)
        keys = [(queue.time[row], queue.order[row]) for row in chain]
        assert all(a < b for a, b in pairwise(keys)), keys
        days = [int(day_of(queue.width[0], queue.time[row])) for row in chain]
        assert all(day % buckets == bucket and day >= queue.day[0] for day in days), days
        rows += chain
    assert len(rows) == size, (len(rows), size)
    rows += chained(queue.link, queue.free[0])
    assert sorted(rows) == list(range(capacity)), "a row is lost or lies twice"


class CalendarQueue(QueueShell[CalendarArrays]):
    """An event queue for any times, fast where these are spread evenly: O(1) on average.

    Parameters
    ----------
    capacity
        Number of entries to make room for at first, at least 1; the queue grows by doubling.
    width
        Length of a bucket in ms, at first; it adapts to the gaps between the times. It has no
        influence on the order in which entries leave.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import CalendarQueue
    >>> queue = CalendarQueue(width=0.1)
    >>> queue.push(2.5, payload=7), queue.push(1.0, payload=8)
    (0, 1)
    >>> queue.pop()
    Entry(time=1.0, payload=8, order=1, tangent=0.0)
    """

    _kernels = Kernels(add=add, grown=grown, pop=pop, top=top, clear=clear)

    def __init__(self, capacity: int = 16, width: float = 1.0, *, tangent: bool = False) -> None:
        days = checked_finite("width", width)
        if not _NARROWEST <= days <= _WIDEST:
            raise QueueError(f"width = {width!r}; expected {_NARROWEST} to {_WIDEST} ms")
        super().__init__(empty(checked_count("capacity", capacity, 1), days), tangent)

    @property
    def width(self) -> float:
        """Length of a bucket in ms, as it is now."""
        return float(self._arrays.width[0])
