"""The queues: kernels called directly, errors, and what the package promises of imports."""

import subprocess
import sys
from fractions import Fraction

import numba
import numpy as np
import pytest

import queues
from queues.compiled.jit import jit
from queues.exact import fifo, heap, indexed_heap
from queues.types import EventQueue

ROW_KERNELS = [heap, fifo]
ROW_QUEUES = [queues.BinaryHeap, queues.FIFO]


def tied_times(n, seed=0):
    """Times of which many are equal."""
    return np.random.default_rng(seed).integers(0, 12, n) / 4.0


def filled(kernels, times, capacity=1):
    queue = kernels.empty(capacity)
    for order, time in enumerate(times):
        queue = kernels.push(queue, float(time), order, -order, 0.5 * order)
    return queue


def drained(kernels, queue):
    rows = []
    while queue.size[0] > 0:
        top = int(queue.head[0]) if kernels is fifo else 0
        rows.append(tuple(column[top].item() for column in queue[:4]))
        kernels.pop(queue)
        kernels.check(queue)
    return rows


def rows_of(times):
    return [(float(time), k, -k, 0.5 * k) for k, time in enumerate(times)]


@pytest.mark.parametrize("kernels", ROW_KERNELS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 8, 9, 100])
def test_rows_leave_sorted_and_equal_times_in_order_of_push(kernels, n):
    times = np.sort(tied_times(n)) if kernels is fifo else tied_times(n)
    queue = filled(kernels, times)
    kernels.check(queue)
    assert drained(kernels, queue) == sorted(rows_of(times))


@pytest.mark.parametrize("kernels", ROW_KERNELS)
def test_growth_doubles_into_new_arrays_and_leaves_the_old_ones(kernels):
    full = filled(kernels, [1.0, 2.0, 3.0, 4.0], capacity=4)
    larger = kernels.push(full, 5.0, 4, -4, 2.0)
    assert larger.time.size == 2 * full.time.size
    assert not any(np.shares_memory(a, b) for a, b in zip(full, larger, strict=True))
    expected = rows_of([1.0, 2.0, 3.0, 4.0, 5.0])
    assert drained(kernels, full) == expected[:4]
    assert drained(kernels, larger) == expected


@pytest.mark.parametrize("kernels", ROW_KERNELS)
def test_push_with_room_stays_in_its_arrays(kernels):
    queue = kernels.empty(4)
    again = kernels.push(queue, 1.0, 0, 0, 0.0)
    assert all(np.shares_memory(a, b) for a, b in zip(queue, again, strict=True))


@pytest.mark.parametrize("kernels", ROW_KERNELS)
def test_add_and_grown_are_push(kernels):
    queue = kernels.empty(1)
    for time, order, payload, tangent in rows_of(range(20)):
        if queue.size[0] == queue.time.size:
            queue = kernels.grown(queue)
        kernels.add(queue, time, order, payload, tangent)
        kernels.check(queue)
    assert drained(kernels, queue) == rows_of(range(20))


@pytest.mark.parametrize("kernels", ROW_KERNELS)
@pytest.mark.parametrize("capacity", [-1, 0, 1])
def test_the_smallest_room_is_one_row(kernels, capacity):
    assert kernels.empty(capacity).time.size == 1


@pytest.mark.parametrize(("capacity", "room"), [(1, 1), (2, 2), (3, 4), (4, 4), (1000, 1024)])
def test_the_room_of_a_ring_is_a_power_of_two(capacity, room):
    assert fifo.empty(capacity).time.size == room


def test_replace_top_is_pop_and_push():
    times = tied_times(64)
    once, twice = filled(heap, times), filled(heap, times)
    for order, delay in enumerate(tied_times(300, seed=1), start=len(times)):
        row = (float(once.time[0] + delay), order, -order, 0.5 * order)
        heap.replace_top(once, *row)
        heap.pop(twice)
        twice = heap.push(twice, *row)
        heap.check(once)
    assert drained(heap, once) == drained(heap, twice)


def test_replace_top_of_one_row():
    queue = filled(heap, [1.0])
    heap.replace_top(queue, 0.5, 1, 7, 2.0)
    assert drained(heap, queue) == [(0.5, 1, 7, 2.0)]


def test_a_ring_grows_wherever_its_head_lies():
    for head in range(8):
        queue = filled(fifo, range(head), capacity=8)
        for _ in range(head):
            fifo.pop(queue)
        for row in rows_of(range(20)):
            queue = fifo.push(queue, *row)
            fifo.check(queue)
        assert drained(fifo, queue) == rows_of(range(20))


def test_an_indexed_heap_follows_a_table_of_times():
    n = 37
    queue = indexed_heap.empty(n)
    table = np.full(n, np.inf)
    rng = np.random.default_rng(2)
    for time in np.append(tied_times(600), np.full(200, np.inf)):
        item = int(rng.integers(n))
        table[item] = time
        indexed_heap.update(queue, item, float(time))
        indexed_heap.check(queue)
        np.testing.assert_array_equal(queue.time, table)
        if queue.size[0] > 0:
            assert queue.item[0] == np.argmin(table)  # the first of the smallest


def test_an_indexed_heap_of_nothing():
    queue = indexed_heap.empty(0)
    indexed_heap.check(queue)
    assert len(queues.IndexedHeap(0)) == 0


def test_removing_an_absent_item_does_nothing():
    queue = indexed_heap.empty(3)
    indexed_heap.update(queue, 1, 4.0)
    indexed_heap.remove(queue, 2)
    indexed_heap.update(queue, 0, np.inf)
    indexed_heap.check(queue)
    assert queue.size[0] == 1


def broken_heap():
    queue = filled(heap, [1.0, 2.0, 3.0])
    queue.time[0] = 2.5
    return heap, queue


def broken_ring():
    queue = filled(fifo, [1.0, 2.0, 3.0])
    queue.time[0] = 2.5
    return fifo, queue


def broken_indexed_heap():
    queue = indexed_heap.empty(2)
    indexed_heap.update(queue, 0, 1.0)
    queue.position[1] = 0
    return indexed_heap, queue


@pytest.mark.parametrize("broken", [broken_heap, broken_ring, broken_indexed_heap])
def test_the_checks_can_fail(broken):
    kernels, queue = broken()
    with pytest.raises(AssertionError):
        kernels.check(queue)


@jit
def _run_each_kernel(heap_queue, ring, items, n):
    for i in range(n):
        heap_queue = heap.push(heap_queue, 1.0 * i, i, i, 0.0)
        ring = fifo.push(ring, 1.0 * i, i, i, 0.0)
        indexed_heap.update(items, i & 7, 1.0 * i)
    # Not literal integers: numba would compile the kernels again for their type.
    heap.replace_top(heap_queue, 50.0, n, n, 0.0)
    heap.pop(heap_queue)
    fifo.pop(ring)
    indexed_heap.remove(items, n // 10)
    return heap_queue, ring


def test_kernels_work_inside_kernels_and_are_compiled_once():
    items = indexed_heap.empty(8)
    big, ring = _run_each_kernel(heap.empty(1), fifo.empty(1), items, 40)
    heap.check(big)
    fifo.check(ring)
    indexed_heap.check(items)
    assert (big.size[0], ring.size[0], items.size[0]) == (39, 39, 7)
    if numba.config.DISABLE_JIT:
        return
    for module in (heap, fifo, indexed_heap):
        for name, kernel in vars(module).items():
            if hasattr(kernel, "signatures"):
                assert len(kernel.signatures) <= 1, (module.__name__, name, kernel.signatures)


@pytest.mark.parametrize("kind", ROW_QUEUES)
def test_the_protocol(kind):
    queue: EventQueue = kind()
    assert not queue
    assert [queue.push(1.0, payload=5), queue.push(1.0)] == [0, 1]
    queue.clear()
    assert len(queue) == 0
    assert queue.push(0.5, -3) == 2  # orders keep counting, and times may begin anew
    assert queue.pop() == queues.Entry(time=0.5, payload=-3, order=2, tangent=0.0)
    assert [type(field) for field in queue._top()] == [float, int, int, float]


@pytest.mark.parametrize("kind", ROW_QUEUES)
@pytest.mark.parametrize("number", [1, 1.5, np.float32(1.5), np.int8(3), Fraction(1, 4)])
def test_any_real_number_is_a_time(kind, number):
    queue = kind()
    queue.push(number)
    assert queue.peek().time == float(number)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("kind", ROW_QUEUES)
@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        ((NAN,), ValueError, "time = nan; expected a finite number"),
        ((INF,), ValueError, "time = inf; expected a finite number"),
        ((10**400,), ValueError, "expected a number in the range of float64"),
        (("1",), TypeError, "time = '1' is a str; expected a number"),
        ((True,), TypeError, "time = True is a bool; expected a number"),
        ((np.ones(2),), TypeError, "expected a number"),
        ((2.0, 1.0), TypeError, "payload = 1.0 is a float; expected an integer"),
        ((2.0, None), TypeError, "payload = None is a NoneType; expected an integer"),
        ((2.0, np.ones(2)), TypeError, "expected one integer"),
        ((2.0, 2**63), ValueError, "payload = 9223372036854775808; expected an integer of 64"),
        ((2.0, 0, 0.5), ValueError, "tangent = 0.5; expected 0.0 in a queue built without"),
        ((2.0, 0, NAN), ValueError, "tangent = nan; expected a finite number"),
        ((2.0, 0, "x"), TypeError, "tangent = 'x' is a str; expected a number"),
    ],
)
def test_a_bad_row_is_named_and_does_no_harm(kind, row, error, message):
    queue = kind(capacity=1)
    queue.push(1.0)
    with pytest.raises(queues.QueueError, match=message) as caught:
        queue.push(*row)
    assert isinstance(caught.value, error)
    assert isinstance(caught.value, queues.QueueTypeError) == (error is TypeError)
    assert len(queue) == 1
    assert queue.push(1.0) == 1


@pytest.mark.parametrize("kind", ROW_QUEUES)
@pytest.mark.parametrize("capacity", [0, -1, 2.0, "3", None])
def test_a_bad_capacity(kind, capacity):
    with pytest.raises(queues.QueueError, match="capacity = "):
        kind(capacity)


@pytest.mark.parametrize("n", [-1, 2.0])
def test_a_bad_number_of_items(n):
    with pytest.raises(queues.QueueError, match="n = "):
        queues.IndexedHeap(n)


@pytest.mark.parametrize("kind", [*ROW_QUEUES, lambda: queues.IndexedHeap(3)])
def test_an_empty_queue_has_no_first_entry(kind):
    with pytest.raises(IndexError, match=r"pop\(\) of a queue of 0 entries"):
        kind().pop()
    with pytest.raises(ValueError, match=r"peek\(\) of a queue of 0 entries"):
        kind().peek()


def test_a_fifo_that_does_not_check_keeps_order_of_push():
    queue = queues.FIFO(check_order=False)
    queue.push(2.0)
    queue.push(1.0)
    assert [queue.pop().time, queue.pop().time] == [2.0, 1.0]


def test_a_fifo_remembers_the_last_time_when_it_ran_empty():
    queue = queues.FIFO(check_order=True)
    queue.push(2.0)
    queue.pop()
    with pytest.raises(queues.TimeOrderError, match=r"time = 1.0; expected at least 2.0"):
        queue.push(1.0)


def test_tangents_come_back():
    for kind in ROW_QUEUES:
        queue = kind(tangent=True)
        queue.push(1.0, 0, -0.25)
        assert queue.pop().tangent == -0.25


def test_representations():
    assert repr(queues.BinaryHeap()) == "<BinaryHeap of 0 entries>"
    assert repr(queues.FIFO()) == "<FIFO of 0 entries>"
    assert repr(queues.IndexedHeap(4)) == "<IndexedHeap of 0 among 4 items>"


def test_the_package_lists_its_names_and_knows_no_others():
    assert set(queues.__all__) <= set(dir(queues))
    assert all(getattr(queues, name).__name__ == name for name in queues.__all__)
    with pytest.raises(AttributeError, match="no attribute 'LifoQueue'"):
        _ = queues.LifoQueue


def test_import_leaves_numba_alone():
    code = (
        "import sys, queues; queues.QueueError; assert not {'numba', 'numpy'} & set(sys.modules);"
        "queues.FIFO; assert 'numba' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
