"""A heap of sorted groups of rows: pushes and pops move whole groups, by merging.

Source: Chen et al., "BGPQ: A Heap-Based Priority Queue Design for GPUs", ICPP 2021. As there,
pushed rows are buffered until they fill a group, groups lie in a binary heap whose every row
comes before all rows of the groups below, and two groups are exchanged by a merge and a split.
Here a group has any number of rows, rows leave one at a time from a front group of their own, and
the heap grows. Rows leave exactly as they leave `queues.exact.heap`: by (time, order).

Per row a push or a pop takes O(log(n / group)) merged rows, which lie side by side in memory, and
O(group) where the row goes to the middle of the front.
"""

from __future__ import annotations

import numpy as np

from queues.compiled.jit import inner_kernel, kernel, maker
from queues.errors import checked_count
from queues.exact import heap
from queues.exact.chains import ROW, lengthened
from queues.exact.shell import Kernels, QueueShell
from queues.types import BatchHeapArrays, HeapArrays

_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_ROOT = np.uint64(1)  # the block of the first group; block 0 is the front


@maker
def empty(capacity: int, group: int) -> BatchHeapArrays:
    """Return a heap without rows; its room is ``capacity``, rounded up to whole groups."""
    room = max((capacity + group - 1) // group, 1) * group
    rows = heap.empty(room + group)
    return BatchHeapArrays(
        time=rows.time[:room],
        order=rows.order[:room],
        payload=rows.payload[:room],
        tangent=rows.tangent[:room],
        rows=rows,
        buffer=heap.empty(group),
        head=np.zeros(1, np.int64),
        front=np.zeros(1, np.int64),
        groups=np.zeros(1, np.int64),
        size=np.zeros(1, np.int64),
    )


def grown(queue: BatchHeapArrays) -> BatchHeapArrays:
    """Return a copy of the heap with twice the room."""
    room = 2 * queue.time.size
    rows = lengthened(queue.rows, room + queue.buffer.time.size)
    parts = {name: getattr(rows, name)[:room] for name in ROW}
    larger: BatchHeapArrays = lengthened(queue, room)
    return larger._replace(rows=rows, **parts)


@kernel
def clear(queue: BatchHeapArrays) -> None:
    """Remove all rows."""
    queue.buffer.size[0] = 0
    queue.head[0] = 0
    queue.front[0] = 0
    queue.groups[0] = 0
    queue.size[0] = 0


@inner_kernel
def _copy(source, i, target, k):
    """Copy row i of ``source`` over row k of ``target``."""
    target.time[k] = source.time[i]
    target.order[k] = source.order[i]
    target.payload[k] = source.payload[i]
    target.tangent[k] = source.tangent[i]


@inner_kernel
def _copy_group(rows, source, target, group):
    """Copy a group, unless it lies where it should."""
    if source != target:
        k = _ZERO
        while k < group:
            _copy(rows, source + k, rows, target + k)
            k += _ONE


@inner_kernel
def _is_before(rows, i, time, order):
    """Return whether row i comes before (time, order)."""
    return rows.time[i] < time or (rows.time[i] == time and rows.order[i] < order)


@kernel
def _merge(
    rows: HeapArrays,
    a: np.uint64,
    n_a: np.uint64,
    b: np.uint64,
    n_b: np.uint64,
    target: np.uint64,
    group: np.uint64,
) -> np.uint64:
    """Move the last ``group`` rows of two sorted runs, the last one first.

    The runs begin at ``a`` and, behind it, at ``b``. The target may be the run ``a``, if it takes
    all rows.
    Returns how many rows of ``a`` were left.
    """
    while group > _ZERO and n_a > _ZERO and n_b > _ZERO:
        i = a + n_a - _ONE
        j = b + n_b - _ONE
        u, v = rows.time[i], rows.time[j]
        from_b = _ONE if u < v else _ZERO  # no branch, which could not be foreseen
        if u == v and rows.order[i] < rows.order[j]:
            from_b = _ONE
        group -= _ONE
        _copy(rows, i + from_b * (j - i), rows, target + group)
        n_b -= from_b
        n_a -= _ONE - from_b
    while group > _ZERO:
        group -= _ONE
        if n_a > _ZERO:
            n_a -= _ONE
            _copy(rows, a + n_a, rows, target + group)
        else:
            n_b -= _ONE
            _copy(rows, b + n_b, rows, target + group)
    return n_a


@inner_kernel
def _are_apart(rows, a, b, group):
    """Return whether all rows of group ``a`` come before all of group ``b``."""
    return _is_before(rows, a + group - _ONE, rows.time[b], rows.order[b])


@inner_kernel
def _split(rows, node, carried, spare, group):
    """Leave the first rows of two groups at ``node``; return where the others lie, and a spare."""
    if _are_apart(rows, node, carried, group):
        return carried, spare
    left = _merge(rows, node, group, carried, group, spare, group)
    _merge(rows, node, left, carried, group - left, node, group)
    return spare, carried


@inner_kernel
def _insert(queue, group):
    """Make the full buffer a group: merge it with every group from the root to its place."""
    rows = queue.rows
    queue.groups[0] += 1
    place = np.uint64(queue.groups[0])
    carried = place * group
    spare = np.uint64(queue.time.size)
    k = _ZERO
    while k < group:
        _copy(queue.buffer, _ZERO, rows, carried + k)
        heap.pop(queue.buffer)
        k += _ONE
    depth = _ZERO
    while (place >> depth) > _ROOT:
        depth += _ONE
    while depth > _ZERO:
        carried, spare = _split(rows, (place >> depth) * group, carried, spare, group)
        depth -= _ONE
    _copy_group(rows, carried, place * group, group)


@inner_kernel
def _lift(rows, hole, child, spare, group):
    """Fill a hole with the first rows of groups ``child`` and ``child + 1``.

    Returns the child that is a hole now. The other keeps the last row of both, so that it still
    comes before the groups below it.
    """
    a, b = child * group, (child + _ONE) * group
    end = b + group - _ONE
    if _is_before(rows, a + group - _ONE, rows.time[end], rows.order[end]):
        emptied, kept = child, b
    else:
        emptied, kept = child + _ONE, a
    if _are_apart(rows, emptied * group, kept, group):
        _copy_group(rows, emptied * group, hole * group, group)
    else:
        left = _merge(rows, a, group, b, group, spare, group)
        _merge(rows, a, left, b, group - left, hole * group, group)
        _copy_group(rows, spare, kept, group)
    return emptied


@inner_kernel
def _remove_root(queue, group):
    """Take the last group for the first, and merge it with those below."""
    rows = queue.rows
    last = np.uint64(queue.groups[0])
    queue.groups[0] -= 1
    carried = last * group
    spare = np.uint64(queue.time.size)
    hole = _ROOT
    child = hole << _ONE
    while child + _ONE < last:
        emptied = _lift(rows, hole, child, spare, group)
        carried, spare = _split(rows, hole * group, carried, spare, group)
        hole = emptied
        child = hole << _ONE
    if child < last:
        _copy_group(rows, child * group, hole * group, group)
        carried, spare = _split(rows, hole * group, carried, spare, group)
        hole = child
    if hole < last:
        _copy_group(rows, carried, hole * group, group)


@inner_kernel
def _refill(queue, group):
    """Fill the empty front with the first rows of the buffer and of the first group."""
    rows = queue.rows
    buffer = queue.buffer
    taken = _ZERO  # of the first group
    has_group = queue.groups[0] > 0
    front = group if has_group else np.uint64(buffer.size[0])
    k = _ZERO
    while k < front:
        i = group + taken
        if has_group and (
            buffer.size[0] == 0 or _is_before(rows, i, buffer.time[0], buffer.order[0])
        ):
            _copy(rows, i, rows, k)
            taken += _ONE
        else:
            _copy(buffer, _ZERO, rows, k)
            heap.pop(buffer)
        k += _ONE
    if has_group:
        i = group + taken
        while i < group + group:
            heap.add(buffer, rows.time[i], rows.order[i], rows.payload[i], rows.tangent[i])
            i += _ONE
        _remove_root(queue, group)
    queue.front[0] = np.int64(front)


@inner_kernel
def _insert_front(queue, group, time, order, payload, tangent):
    """Insert a row in a front with room, from the end where there is a gap."""
    rows = queue.rows
    head = np.uint64(queue.head[0])
    end = head + np.uint64(queue.front[0])
    queue.front[0] += 1
    i = end
    if end < group:
        while i > head and not _is_before(rows, i - _ONE, time, order):
            _copy(rows, i - _ONE, rows, i)
            i -= _ONE
    else:
        queue.head[0] -= 1
        i = head - _ONE
        while i + _ONE < end and _is_before(rows, i + _ONE, time, order):
            _copy(rows, i + _ONE, rows, i)
            i += _ONE
    rows.time[i] = time
    rows.order[i] = order
    rows.payload[i] = payload
    rows.tangent[i] = tangent


@kernel
def add(queue: BatchHeapArrays, time: float, order: int, payload: int, tangent: float) -> None:
    """Add a row to a heap that has room for it: ``queue.size[0] < queue.time.size``."""
    rows = queue.rows
    group = np.uint64(queue.buffer.time.size)
    front = np.uint64(queue.front[0])
    has_no_other = queue.front[0] == queue.size[0]
    queue.size[0] += 1
    if has_no_other and front < group:
        _insert_front(queue, group, time, order, payload, tangent)
        return
    last = np.uint64(queue.head[0]) + front - _ONE
    if _is_before(rows, last, time, order):
        heap.add(queue.buffer, time, order, payload, tangent)
    else:
        if front == group:
            heap.add(
                queue.buffer,
                rows.time[last],
                rows.order[last],
                rows.payload[last],
                rows.tangent[last],
            )
            queue.front[0] -= 1
        _insert_front(queue, group, time, order, payload, tangent)
    if np.uint64(queue.buffer.size[0]) == group:
        _insert(queue, group)


@kernel
def pop(queue: BatchHeapArrays) -> None:
    """Remove the first row of a heap that has one."""
    queue.head[0] += 1
    queue.front[0] -= 1
    queue.size[0] -= 1
    if queue.front[0] == 0:
        queue.head[0] = 0
        _refill(queue, np.uint64(queue.buffer.time.size))


@kernel
def top(queue: BatchHeapArrays) -> int:
    """Return the index of the first row."""
    return queue.head[0]


def _keys(rows: HeapArrays, start: int, stop: int) -> list[tuple[float, int]]:
    return list(zip(rows.time[start:stop].tolist(), rows.order[start:stop].tolist(), strict=True))


def check(queue: BatchHeapArrays) -> None:
    """Assert what holds of every heap between two calls."""
    rows, room, group = queue.rows, queue.time.size, queue.buffer.time.size
    head, front, groups = int(queue.head[0]), int(queue.front[0]), int(queue.groups[0])
    size, buffered = int(queue.size[0]), int(queue.buffer.size[0])
    assert room % group == 0, (room, group)
    for column, whole in zip(queue[:4], rows[:4], strict=True):
        assert (column.size, whole.size) == (room, room + group)
        assert np.shares_memory(column, whole)
    assert 0 <= head <= head + front <= group, (head, front, group)
    assert 0 <= groups < room // group, (groups, room, group)
    assert 0 <= buffered < group, (buffered, group)
    assert size == front + buffered + groups * group
    assert size == 0 or front > 0, size
    heap.check(queue.buffer)
    first = _keys(rows, head, head + front)
    others = [_keys(rows, k * group, (k + 1) * group) for k in range(1, groups + 1)]
    rest = [key for keys in others for key in keys] + _keys(queue.buffer, 0, buffered)
    assert first == sorted(first), first
    assert not rest or first[-1] < min(rest), (first, rest)
    for k, keys in enumerate(others, start=1):
        assert keys == sorted(keys), (k, keys)
        assert k == 1 or others[k // 2 - 1][-1] < keys[0], f"group {k} begins too early"
    assert len({order for _, order in first + rest}) == size


class BatchHeap(QueueShell[BatchHeapArrays]):
    """An event queue for any times, as a heap of sorted groups of rows: O(log n).

    Parameters
    ----------
    capacity
        Number of entries to make room for at first, at least 1; the heap grows by doubling.
    group
        Number of entries that are moved together, at least 1.
    tangent
        Whether entries carry the tangent of their time. Without, a non-zero one is an error.

    Examples
    --------
    >>> from queues import BatchHeap
    >>> queue = BatchHeap(group=8)
    >>> queue.push(2.5, payload=7), queue.push(1.0, payload=8)
    (0, 1)
    >>> queue.pop()
    Entry(time=1.0, payload=8, order=1, tangent=0.0)
    """

    _kernels = Kernels(add=add, grown=grown, pop=pop, top=top, clear=clear)

    def __init__(self, capacity: int = 16, group: int = 32, *, tangent: bool = False) -> None:
        rows = checked_count("capacity", capacity, 1)
        super().__init__(empty(rows, checked_count("group", group, 1)), tangent)
