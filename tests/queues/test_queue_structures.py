"""The exact structures: each against a sorted list, and against the binary heap to the last bit."""

from bisect import insort

import numba
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import initialize, invariant, rule

import queues
from queues.compiled.jit import jit
from queues.exact import (
    batch_heap,
    calendar,
    dary_heap,
    fifo_merge,
    heap,
    pairing_heap,
    ring_buffer,
    sorted_array,
)
from queues.testing import ExactModel, FifoModel, QueueMachine, assert_conforms, times
from queues.types import EventQueue

LANES = 3


def heap_of_4(capacity=1, **options):
    return queues.DaryHeap(capacity, 4, **options)


def heap_of_8(capacity=1, **options):
    return queues.DaryHeap(capacity, 8, **options)


def batches_of_1(capacity=1, **options):
    return queues.BatchHeap(capacity, 1, **options)


def batches_of_2(capacity=1, **options):
    return queues.BatchHeap(capacity, 2, **options)


def batches_of_5(capacity=1, **options):
    return queues.BatchHeap(capacity, 5, **options)


def batches_of_32(capacity=1, **options):
    return queues.BatchHeap(capacity, 32, **options)


def lanes(capacity=1, **options):
    return queues.FifoMerge(LANES, capacity, **options)


MODULES = {
    queues.BinaryHeap: heap,
    heap_of_4: dary_heap,
    heap_of_8: dary_heap,
    batches_of_1: batch_heap,
    batches_of_2: batch_heap,
    batches_of_5: batch_heap,
    batches_of_32: batch_heap,
    queues.SortedArray: sorted_array,
    queues.PairingHeap: pairing_heap,
    queues.CalendarQueue: calendar,
    lanes: fifo_merge,
}
each = pytest.mark.parametrize("make", MODULES, ids=lambda make: make.__name__)

# Few distinct times, so that ties are common; the ends of the range; and arbitrary ones.
TIMES = (
    st.sampled_from([0.0, -0.0, 1.0, 1.0 + 2.0**-52, 2.0, 5e-324, -5e-324, 1e-310])
    | st.sampled_from([1e300, -1e300, 1.7976931348623157e308, -1.7976931348623157e308])
    | st.floats(-10.0, 10.0)
    | st.floats(allow_nan=False, allow_infinity=False)
)
PUSHES = st.tuples(TIMES, st.integers(0, LANES - 1))
BURSTS = st.tuples(PUSHES, st.integers(2, 20)).map(lambda pair: [pair[0]] * pair[1])
SCRIPTS = st.lists(st.lists(PUSHES, max_size=10) | BURSTS | st.integers(1, 12), max_size=12)


def in_order_of_lanes(pushes):
    """Yield (time, lane) with no time before the last one of its lane."""
    last = [-np.inf] * LANES
    for time, lane in pushes:
        last[lane] = max(time, last[lane])
        yield last[lane], lane


class Pair:
    """A queue and its model, a sorted list of (time, order, payload, tangent)."""

    def __init__(self, make, tangent):
        self.kernels = MODULES[make]
        self.queue: EventQueue = make(1, tangent=tangent)
        self.takes_lanes = make is lanes
        self.last = [-np.inf] * LANES
        self.tangent = 0.5 if tangent else 0.0
        self.model = []
        self.pushes = 0

    def push(self, time, lane):
        options = {}
        if self.takes_lanes:
            self.last[lane] = time = max(time, self.last[lane])
            options = {"lane": lane}
        row = (time, self.pushes, -3 * self.pushes, self.tangent * self.pushes)
        assert self.queue.push(time, row[2], row[3], **options) == self.pushes
        insort(self.model, row)
        self.pushes += 1

    def pop(self):
        entry = self.queue.pop()
        expected = self.model.pop(0)
        assert (entry.time, entry.order, entry.payload, entry.tangent) == expected

    def check(self):
        self.kernels.check(self.queue._arrays)
        assert len(self.queue) == len(self.model)
        if self.model:
            assert self.queue.peek().order == self.model[0][1]
            self.kernels.check(self.queue._arrays)  # a calendar remembers what it found


@each
@settings(max_examples=60, deadline=None)
@given(script=SCRIPTS, tangent=st.booleans())
def test_any_script_agrees_with_a_sorted_list(make, script, tangent):
    pair = Pair(make, tangent)
    for step in script:
        for push in step if isinstance(step, list) else ():
            pair.push(*push)
            pair.check()
        for _ in range(min(step, len(pair.model)) if isinstance(step, int) else 0):
            pair.pop()
            pair.check()
    while pair.model:
        pair.pop()
    pair.check()


def far_apart(rng, n):
    scales = 10.0 ** rng.integers(-300, 300, n)
    return rng.normal(size=n) * scales


REGIMES = {
    "uniform": lambda rng, n: rng.uniform(0.0, 100.0, n),
    "equal": lambda rng, n: np.full(n, 2.5),
    "few": lambda rng, n: rng.integers(0, 5, n) / 4.0,
    "ascending": lambda rng, n: np.sort(rng.uniform(0.0, 1.0, n)),
    "descending": lambda rng, n: -np.sort(rng.uniform(0.0, 1.0, n)),
    "far apart": far_apart,
    "denormal": lambda rng, n: rng.integers(0, 50, n) * 5e-324,
    "huge": lambda rng, n: rng.uniform(-1.0, 1.0, n) * 1.7e308,
    "two scales": lambda rng, n: np.where(rng.random(n) < 0.5, 1e9, 1e-9) * rng.random(n),
}


def bits(entry):
    return entry.time.hex(), entry.payload, entry.order, entry.tangent.hex()


@each
@pytest.mark.parametrize("regime", REGIMES)
def test_rows_leave_as_they_leave_a_binary_heap(make, regime):
    rng = np.random.default_rng(7)
    queue, heap = make(1, tangent=True), queues.BinaryHeap(1, tangent=True)
    times = REGIMES[regime](rng, 600).tolist()
    for k, (time, lane) in enumerate(
        in_order_of_lanes((t, k % LANES) for k, t in enumerate(times))
    ):
        time = time if make is lanes else times[k]
        queue.push(time, k, 0.1 * k, **({"lane": lane} if make is lanes else {}))
        heap.push(time, k, 0.1 * k)
        for _ in range(int(rng.integers(0, 3)) if k % 100 > 50 else 0):
            if heap:
                assert bits(queue.pop()) == bits(heap.pop())
    while heap:
        assert bits(queue.pop()) == bits(heap.pop())
    MODULES[make].check(queue._arrays)


@each
def test_growth_doubles_into_new_arrays(make):
    queue = make(2)
    room = queue._arrays.time.size
    for time in range(room):
        queue.push(float(time))
    full = queue._arrays
    queue.push(0.5, **({"lane": 1} if make is lanes else {}))
    assert queue._arrays.time.size == 2 * full.time.size
    assert not np.shares_memory(queue._arrays.time, full.time)
    MODULES[make].check(full)
    MODULES[make].check(queue._arrays)
    assert [queue.pop().time for _ in range(3)] == [0.0, 0.5, 1.0]


@each
def test_an_early_call_of_grown_keeps_the_rows(make):
    queue = make(8)
    for time in (1.0, 2.0, 3.0):
        queue.push(time)
    queue.pop()
    larger = MODULES[make].grown(queue._arrays)
    MODULES[make].check(larger)
    assert (larger.time.size, larger.size[0]) == (2 * queue._arrays.time.size, 2)


@each
def test_a_cleared_queue_begins_anew_and_goes_on_counting(make):
    queue = make(1)
    for time in (1.0, 2.0, 3.0):
        queue.push(time)
    queue.clear()
    MODULES[make].check(queue._arrays)
    assert len(queue) == 0
    assert queue.push(0.5, 9) == 3
    assert queue.pop() == queues.Entry(time=0.5, payload=9, order=3, tangent=0.0)
    with pytest.raises(queues.EmptyQueueError, match=r"pop\(\) of a queue of 0 entries"):
        queue.pop()


@each
def test_a_refused_row_does_no_harm(make):
    queue = make(1)
    queue.push(1.0)
    for row in ((np.nan,), (np.inf,), (2.0, 0.5), (2.0, 0, 1.0)):
        with pytest.raises(queues.QueueError, match=r"expected"):
            queue.push(*row)
    assert (len(queue), queue.push(1.0)) == (1, 1)
    with pytest.raises(queues.QueueError, match="capacity = 0"):
        make(0)


def break_order(queue):
    queue._arrays.time[queue._kernels.top(queue._arrays)] = 2.5


def lose_a_row(queue):
    queue._arrays.free[0] = -1


@pytest.mark.parametrize(
    ("make", "damage"),
    [(make, break_order) for make in MODULES]
    + [(make, lose_a_row) for make in MODULES if "free" in make()._arrays._fields],
)
def test_the_checks_can_fail(make, damage):
    queue = make(5)
    for time in (1.0, 2.0, 2.25):
        queue.push(time)
    damage(queue)
    with pytest.raises(AssertionError):
        MODULES[make].check(queue._arrays)


@pytest.mark.parametrize("d", [0, 2, 3, 16])
def test_a_heap_has_4_or_8_children(d):
    with pytest.raises(queues.QueueError, match=rf"d = {d}; expected 4 or 8"):
        queues.DaryHeap(d=d)


@pytest.mark.parametrize("width", [0.0, -1.0, np.inf, np.nan, 1e-300, 1e300, "1"])
def test_a_bad_width(width):
    with pytest.raises(queues.QueueError, match="width = "):
        queues.CalendarQueue(width=width)


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=300, deadline=None)
@given(a=FINITE, b=FINITE | st.none(), width=st.floats(1e-280, 1e280))
def test_days_never_decrease(a, b, width):
    b = float(np.nextafter(a, 1e308)) if b is None else b
    early, late = sorted((a, b))
    assert calendar.day_of(width, early) <= calendar.day_of(width, late)


@pytest.mark.parametrize("width", [1e-280, 1e-3, 1.0, 1e280])
@pytest.mark.parametrize("gap", [1e-9, 1.0, 1e9])
def test_the_width_follows_the_gaps(width, gap):
    queue = queues.CalendarQueue(width=width)
    rng = np.random.default_rng(1)
    for time in rng.permutation(1000):
        queue.push(gap * float(time))
    assert 1.0 < queue.width / gap < 10.0
    calendar.check(queue._arrays)


def test_the_width_follows_the_gaps_of_a_queue_that_does_not_grow():
    queue = queues.CalendarQueue(64)
    rng = np.random.default_rng(3)
    for scale in (1.0, 1e6, 1e-6):
        queue.clear()
        for time in rng.exponential(50 * scale, 50).tolist():
            queue.push(time)
        for delay in rng.exponential(50 * scale, 600).tolist():
            queue.push(queue.pop().time + delay)
        assert queue._arrays.time.size == 64
        assert 0.3 < queue.width / scale < 30.0


def test_a_lane_keeps_order_of_time():
    queue = queues.FifoMerge(2, check_order=True)
    queue.push(2.0, lane=1)
    queue.push(1.0, lane=0)
    queue.pop()
    with pytest.raises(queues.TimeOrderError, match=r"time = 1.5; expected at least 2.0.* lane 1"):
        queue.push(1.5, lane=1)
    assert queue.push(1.5, lane=0) == 2
    queue.clear()
    assert queue.push(0.0, lane=1) == 3


def test_an_unchecked_lane_keeps_order_of_push():
    queue = queues.FifoMerge(2, check_order=False)
    for time, lane in ((2.0, 0), (1.0, 0), (1.5, 1)):
        queue.push(time, lane=lane)
    assert [queue.pop().time for _ in range(3)] == [1.5, 2.0, 1.0]


@pytest.mark.parametrize("lane", [-1, 2, 1.0, None])
def test_a_bad_lane(lane):
    queue = queues.FifoMerge(2)
    with pytest.raises(queues.QueueError, match="lane = "):
        queue.push(1.0, lane=lane)
    with pytest.raises(queues.QueueError, match="n_lanes = 0"):
        queues.FifoMerge(0)


@each
@pytest.mark.parametrize("tangent", [False, True])
def test_each_structure_conforms(make, tangent):
    semantics = "fifo" if make is lanes else "exact"
    assert_conforms(lambda: make(1, tangent=tangent), semantics, tangent, examples=30)


class LanesModel(FifoModel):
    """Lane 0 as a FIFO, and other lanes with last times of their own."""

    def __init__(self):
        super().__init__()
        self.last_times = {}

    def push_to(self, lane, time, payload, tangent):
        self.last_times[lane] = time
        return ExactModel.push(self, time, payload, tangent)

    def clear(self):
        super().clear()
        self.last_times.clear()


class LanesMachine(QueueMachine):
    """The rules of every queue play on lane 0; another one plays on all others."""

    model_class = LanesModel

    @initialize(n_lanes=st.integers(2, 5), capacity=st.integers(1, 5))
    def build(self, n_lanes, capacity):
        self.n_lanes = n_lanes
        queue = queues.FifoMerge(n_lanes, capacity, check_order=True, tangent=True)
        self.start(queue, tangents=True)

    @rule(number=st.integers(1, 100), pushes=st.lists(st.tuples(times(), st.integers(-3, 3))))
    def push_to_a_lane(self, number, pushes):
        lane = 1 + number % (self.n_lanes - 1)
        for time, payload in pushes:
            last = self.model.last_times.get(lane, -np.inf)
            if time < last:
                with pytest.raises(queues.TimeOrderError, match=f"lane {lane}"):
                    self.queue.push(time, lane=lane)
            row = (max(time, last), payload, 0.5 * payload)
            assert self.queue.push(*row, lane=lane) == self.model.push_to(lane, *row)

    @invariant()
    def is_sound(self):
        fifo_merge.check(self.queue._arrays)


TestLanes = LanesMachine.TestCase
TestLanes.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("group", [0, -1, 2.0, None])
def test_a_bad_group(group):
    with pytest.raises(queues.QueueError, match="group = "):
        queues.BatchHeap(group=group)


@pytest.mark.parametrize("group", [1, 3, 4, 8])
@pytest.mark.parametrize("regime", ["uniform", "few", "ascending", "descending"])
def test_groups_stay_sorted_and_in_order(group, regime):
    """Long enough for a heap of several levels of groups, looked at after each operation."""
    rng = np.random.default_rng(11)
    queue = queues.BatchHeap(1, group)
    expected = []
    for order, time in enumerate(REGIMES[regime](rng, 40 * group).tolist()):
        queue.push(time)
        insort(expected, (time, order))
        batch_heap.check(queue._arrays)
        if order % 3 == 2:
            entry = queue.pop()
            assert (entry.time, entry.order) == expected.pop(0)
            batch_heap.check(queue._arrays)
    assert queue._arrays.groups[0] > 8
    while expected:
        entry = queue.pop()
        assert (entry.time, entry.order) == expected.pop(0)
        batch_heap.check(queue._arrays)


def swap_two_groups(arrays):
    arrays.time[[2, 4]] = arrays.time[[4, 2]]


def lose_the_buffer(arrays):
    arrays.buffer.size[0] = 0


def hide_a_group(arrays):
    arrays.groups[0] -= 1


@pytest.mark.parametrize("damage", [swap_two_groups, lose_the_buffer, hide_a_group])
def test_the_check_of_a_batch_heap_can_fail(damage):
    queue = queues.BatchHeap(1, 2)
    for time in range(11):
        queue.push(float(time))
    batch_heap.check(queue._arrays)
    damage(queue._arrays)
    with pytest.raises(AssertionError):
        batch_heap.check(queue._arrays)


def test_a_binary_heap_is_sorted_beyond_the_rows_near_its_top():
    rng = np.random.default_rng(5)
    queue = heap.empty(20_000)
    expected = []
    for order, time in enumerate(rng.integers(0, 5_000, 20_000).tolist()):
        heap.add(queue, float(time), order, 0, 0.0)
        expected.append((float(time), order))
    heap.check(queue)
    for key in sorted(expected):
        assert (queue.time[0], queue.order[0]) == key
        heap.pop(queue)


@jit
def _run_each_kernel(dary, array, pairing, days, fifos, batches, ring, n):
    for i in range(n):
        time = 1.0 * (i & 7)
        dary_heap.add(dary, time, i, i, 0.0)
        sorted_array.add(array, time, i, i, 0.0)
        pairing_heap.add(pairing, time, i, i, 0.0)
        calendar.add(days, time, i, i, 0.0)
        fifo_merge.add(fifos, 1.0 * i, i, i, 0.0, i & 1)
        batch_heap.add(batches, time, i, i, 0.0)
        ring_buffer.add(ring, time, i, i, 0.25)
    dary_heap.pop(dary)
    sorted_array.pop(array)
    pairing_heap.pop(pairing)
    calendar.pop(days)
    fifo_merge.pop(fifos)
    batch_heap.pop(batches)
    ring_buffer.pop(ring)
    return (
        dary.order[dary_heap.top(dary)],
        array.order[sorted_array.top(array)],
        pairing.order[pairing_heap.top(pairing)],
        days.order[calendar.top(days)],
        fifos.order[fifo_merge.top(fifos)],
        batches.order[batch_heap.top(batches)],
        ring.order[ring_buffer.top(ring)],
        ring_buffer.take(ring, ring.now[0])[1],
    )


def test_kernels_work_inside_kernels_and_are_compiled_once():
    arrays = (
        dary_heap.empty(64, 2),
        sorted_array.empty(64),
        pairing_heap.empty(64),
        calendar.empty(64, 1.0),
        fifo_merge.empty(2, 64),
        batch_heap.empty(64, 4),
        ring_buffer.empty(8, 64, 0),
    )
    assert _run_each_kernel(*arrays, 40) == (8, 8, 8, 8, 1, 8, 8, 1.0)
    if numba.config.DISABLE_JIT:
        return
    for module in {*MODULES.values(), ring_buffer}:
        for name, kernel in vars(module).items():
            if hasattr(kernel, "signatures") and name != "lengthened":  # for two types of column
                assert len(kernel.signatures) <= 1, (module.__name__, name, kernel.signatures)
