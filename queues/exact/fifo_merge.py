"""A FIFO for each lane and a heap of their first events: the queue of a network with few delays.

Spikes are emitted in order of time, so events of one delay arrive in that order. Each delay is a
lane, in which nothing is sorted, and only the first rows of the lanes are compared: O(log of the
number of lanes) for a pop, O(1) for a push to a lane with rows.

The rows of all lanes share their arrays, so a lane may hold any part of them. Where times never
decrease in any lane, rows leave exactly as they leave `queues.exact.heap`: by (time, order).
"""

from __future__ import annotations

import numpy as np

from queues.compiled.jit import kernel, maker
from queues.errors import TimeOrderError, checked_count, checked_item
from queues.exact import heap
from queues.exact.chains import NONE, chain_free, chained, lengthened
from queues.exact.shell import Kernels, QueueShell
from queues.types import FifoMergeArrays


@kernel
def clear(queue: FifoMergeArrays) -> None:
    """Remove all rows."""
    for lane in range(queue.first.size):
        queue.first[lane] = NONE
        queue.last[lane] = NONE
    chain_free(queue.link, np.int64(0), NONE)
    queue.heads.size[0] = 0
    queue.free[0] = 0
    queue.size[0] = 0


@maker
def empty(n_lanes: int, capacity: int) -> FifoMergeArrays:
    """Return ``n_lanes`` lanes without rows, with room for ``capacity`` in all (at least one)."""
    room = max(capacity, 1)
    queue = FifoMergeArrays(
        time=np.empty(room, np.float64),
        order=np.empty(room, np.int64),
        payload=np.empty(room, np.int64),
        tangent=np.empty(room, np.float64),
        link=np.empty(room, np.int64),
        first=np.empty(n_lanes, np.int64),
        last=np.empty(n_lanes, np.int64),
        heads=heap.empty(n_lanes),
        free=np.empty(1, np.int64),
        size=np.empty(1, np.int64),
    )
    clear(queue)
    return queue


def grown(queue: FifoMergeArrays) -> FifoMergeArrays:
    """Return a copy of the lanes with twice the room."""
    capacity = queue.time.size
    larger: FifoMergeArrays = lengthened(queue, 2 * capacity, "link")
    chain_free(larger.link, capacity, queue.free[0])
    larger.free[0] = capacity
    return larger


@kernel
def add(
    queue: FifoMergeArrays, time: float, order: int, payload: int, tangent: float, lane: int
) -> None:
    """Add a row, not before the last one of its lane, where ``queue.size[0] < queue.time.size``."""
    row = queue.free[0]
    queue.free[0] = queue.link[row]
    queue.time[row] = time
    queue.order[row] = order
    queue.payload[row] = payload
    queue.tangent[row] = tangent
    queue.link[row] = NONE
    if queue.first[lane] == NONE:
        queue.first[lane] = row
        heap.add(queue.heads, time, order, lane, 0.0)
    else:
        queue.link[queue.last[lane]] = row
    queue.last[lane] = row
    queue.size[0] += 1


@kernel
def pop(queue: FifoMergeArrays) -> None:
    """Remove the first row of a queue that has one."""
    lane = queue.heads.payload[0]
    row = queue.first[lane]
    following = queue.link[row]
    queue.first[lane] = following
    if following == NONE:
        heap.pop(queue.heads)
    else:
        heap.replace_top(queue.heads, queue.time[following], queue.order[following], lane, 0.0)
    queue.link[row] = queue.free[0]
    queue.free[0] = row
    queue.size[0] -= 1


@kernel
def top(queue: FifoMergeArrays) -> int:
    """Return the index of the first row."""
    return queue.first[queue.heads.payload[0]]


def check(queue: FifoMergeArrays) -> None:
    """Assert what holds between two calls, if times were pushed in order of their lane."""
    size, capacity = int(queue.size[0]), queue.time.size
    assert len({column.size for column in queue[:5]}) == 1
    heap.check(queue.heads)
    lanes = queue.heads.payload[: queue.heads.size[0]]
    assert set(lanes.tolist()) == set(np.flatnonzero(queue.first != NONE).tolist())
    assert (queue.heads.time[: lanes.size] == queue.time[queue.first[lanes]]).all()
    assert (queue.heads.order[: lanes.size] == queue.order[queue.first[lanes]]).all()
    rows: list[int] = []
    for lane in lanes:
        chain = chained(queue.link, queue.first[lane])
        assert queue.last[lane] == chain[-1]
        assert (np.diff(queue.order[chain]) > 0).all()
        assert (queue.time[chain][:-1] <= queue.time[chain][1:]).all()
        rows += chain
    assert len(rows) == size, (len(rows), size)
    rows += chained(queue.link, queue.free[0])
    assert sorted(rows) == list(range(capacity)), "a row is lost or lies twice"


class FifoMerge(QueueShell[FifoMergeArrays]):
    """An event queue for times that never decrease in any of its lanes.

    Parameters
    ----------
    n_lanes
        Number of lanes, at least 1, for example one for each delay of a network.
    capacity
        Number of entries to make room for at first, at least 1; the queue grows by doubling.
    check_order
        Whether a push before the last one of its lane is an error. Where it is not checked, such
        an entry still leaves in its turn of the lane, so late.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import FifoMerge
    >>> queue = FifoMerge(2)
    >>> queue.push(2.5, payload=7, lane=0), queue.push(1.0, payload=8, lane=1)
    (0, 1)
    >>> queue.pop()
    Entry(time=1.0, payload=8, order=1, tangent=0.0)
    """

    _kernels = Kernels(add=add, grown=grown, pop=pop, top=top, clear=clear)

    def __init__(
        self,
        n_lanes: int,
        capacity: int = 16,
        check_order: bool = __debug__,
        *,
        tangent: bool = False,
    ) -> None:
        lanes = checked_count("n_lanes", n_lanes, 1)
        super().__init__(empty(lanes, checked_count("capacity", capacity, 1)), tangent)
        self._checks_order = bool(check_order)
        self._last_times = np.full(lanes, -np.inf)

    def push(self, time: float, payload: int = 0, tangent: float = 0.0, lane: int = 0) -> int:
        """Add an entry to a lane and return its order.

        Parameters
        ----------
        time
            In ms, finite, not before that of the lane's last push since the queue was made or
            cleared.
        payload
            Any integer of 64 bits; comes back with the entry.
        tangent
            Derivative of ``time``, in ms per unit of the parameter.
        lane
            0 to ``n_lanes - 1``.

        Returns
        -------
        int
            The order: the number of pushes before this one. Equal times leave in this order.
        """
        row = self._checked(time, payload, tangent)
        row_lane = checked_item(lane, self._last_times.size, "lane")
        last = float(self._last_times[row_lane])
        if self._checks_order and row[0] < last:
            raise TimeOrderError(
                f"time = {time!r}; expected at least {last!r}, the time of the last push to "
                f"lane {row_lane} (a BinaryHeap takes times in any order)"
            )
        order = self._put(row, row_lane)
        self._last_times[row_lane] = row[0]
        return order

    def clear(self) -> None:
        """Remove all entries and forget the last times; orders keep counting."""
        super().clear()
        self._last_times.fill(-np.inf)
