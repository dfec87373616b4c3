"""The bounded queues: each against its model, many in one set of arrays, and what they refuse."""

import importlib
import math
from functools import partial

import numba
import numpy as np
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import initialize, invariant, rule

import queues
from queues.bounded import bit_array
from queues.compiled.jit import jit
from queues.exact.chains import NONE
from queues.testing import (
    SEMANTICS,
    BitArrayModel,
    BoundedFifoModel,
    PopDue,
    QueueMachine,
    assert_conforms as assert_conforms_to,
)

CAPACITIES = (1, 2, 4, 8)
OF_ONE = {"null": queues.Null, "single_spike": queues.SingleSpike}
OF_ONE["single_spike_keep"] = queues.SingleSpikeKeep
OF_MANY = {
    "lossy_ring": queues.LossyRing,
    "bounded_fifo": partial(queues.BoundedFifo, check_order=True),
    "bounded_sorted_array": queues.BoundedSortedArray,
    "bounded_heap": queues.BoundedHeap,
}
CASES = [(name, 0 if name == "null" else 1) for name in OF_ONE]
CASES += [(name, capacity) for name in OF_MANY for capacity in CAPACITIES]
MODULES = {
    name: importlib.import_module(f"queues.bounded.{name.removeprefix('bounded_')}")
    for name in (*OF_ONE, *OF_MANY)
}
OF_STEPS = ("lossy_ring", "bit_array")

each = pytest.mark.parametrize(("name", "capacity"), CASES)
each_of_many = pytest.mark.parametrize("name", OF_MANY)


def maker(name, capacity, **options):
    """Return what makes a queue that carries tangents."""
    if name == "bit_array":
        return partial(queues.BitArray, capacity, **options)
    make = OF_ONE[name] if name in OF_ONE else partial(OF_MANY[name], capacity)
    return partial(make, tangent=True, **options)


def assert_conforms(name, capacity, **options):
    assert_conforms_to(maker(name, capacity), name, examples=60, capacity=capacity, **options)


# --- against the models -----------------------------------------------------------------------


@each
def test_scripts_agree_with_the_model(name, capacity):
    assert_conforms(name, capacity)


@each
def test_stepped_scripts_agree_with_the_model(name, capacity):
    assert_conforms(name, capacity, stepped=True)


@pytest.mark.parametrize("slots", [32, 64])
@pytest.mark.parametrize("stepped", [False, True])
def test_bits_agree_with_the_model(slots, stepped):
    assert_conforms("bit_array", slots, stepped=stepped)


@pytest.mark.parametrize("capacity", CAPACITIES)
@pytest.mark.parametrize("stepped", [False, True])
def test_a_fifo_of_unchecked_order_agrees_with_the_model(capacity, stepped):
    make = partial(queues.BoundedFifo, capacity, False, tangent=True)
    model = partial(BoundedFifoModel, capacity, False)
    assert_conforms_to(make, model, examples=60, stepped=stepped)


@pytest.mark.parametrize("make", [queues.BinaryHeap, queues.CalendarQueue, queues.FifoMerge])
def test_an_exact_queue_can_be_polled(make):
    first = (1,) if make is queues.FifoMerge else ()
    semantics = "fifo" if make is queues.FifoMerge else "exact"
    assert_conforms_to(
        partial(make, *first, tangent=True, capacity=1), semantics, examples=60, stepped=True
    )


class BoundedMachine(QueueMachine):
    """All methods of a queue in one script, and the invariant of its structure."""

    @initialize(
        name=st.sampled_from([*OF_ONE, *OF_MANY, "bit_array"]), capacity=st.sampled_from(CAPACITIES)
    )
    def build(self, name, capacity):
        capacity = {"null": 0, "bit_array": 32 * min(capacity, 2)}.get(name, capacity)
        if name in OF_ONE:
            capacity = SEMANTICS[name].only_capacity
        type(self).model_class = staticmethod(partial(SEMANTICS[name], capacity))
        self.module = MODULES.get(name, bit_array)
        self.start(maker(name, capacity)())

    @rule(now=st.integers(-3, 50) | st.sampled_from([math.nan, math.inf, 2.0**53]))
    def poll(self, now):
        self.play(PopDue(float(now)))

    @invariant()
    def is_sound(self):
        if hasattr(self, "player"):
            self.module.check(self.queue._arrays)


TestBoundedMachine = BoundedMachine.TestCase
TestBoundedMachine.settings = settings(max_examples=150, deadline=None)


# --- many queues in one set of arrays ---------------------------------------------------------


def expected_loss(model, row):
    """Push to a model and return the order of the entry that it lost, or NONE."""
    before = {entry.order for entry in model.entries}
    model.push(row[0], row[2], row[3])
    (lost,) = (before | {row[1]}) - {entry.order for entry in model.entries} or {NONE}
    return lost


@each
def test_queues_of_one_set_of_arrays_do_not_meet(name, capacity):
    module, n = MODULES[name], 3
    arrays = module.empty(n, capacity)
    models = [SEMANTICS[name](capacity) for _ in range(n)]
    rng = np.random.default_rng(capacity)
    for order in range(400):
        q, now = int(rng.integers(n)), order // 8
        model = models[q]
        model.pushes = order
        row = (model.allowed(float(now + rng.integers(0, 10))), order, -order, 0.5 * order)
        assert module.push(arrays, q, *row) == expected_loss(model, row)
        q = int(rng.integers(n))
        found = module.due(arrays, q, float(now))
        entry = models[q].pop_due(float(now))
        assert (found == NONE) == (entry is None)
        if entry is not None:
            columns = arrays.time, arrays.payload, arrays.order, arrays.tangent
            assert tuple(column[found] for column in columns) == entry
            assert capacity * q <= found < capacity * (q + 1)
            module.take(arrays, q, found)
        module.check(arrays)
        assert arrays.size.tolist() == [len(model) for model in models]
        assert arrays.dropped.tolist() == [model.dropped for model in models]
        top = module.first(arrays, q)
        assert top == NONE if not models[q].entries else arrays.time[top] == models[q].peek().time


def test_sets_of_bits_do_not_meet():
    arrays = bit_array.empty(3, 64)
    arrays.now[:] = 10
    for q, step in enumerate([10, 42, 73]):
        assert bit_array.push(arrays, q, float(step), 0, 0, 0.0) == NONE
        assert bit_array.push(arrays, q, float(step), 1, 0, 0.0) == 1
        for outside in (9.0, 74.0):
            assert bit_array.push(arrays, q, outside, 2, 0, 0.0) == bit_array.OUTSIDE
    for q, step in enumerate([10, 42, 73]):
        row = bit_array.due(arrays, q, 100.0)
        assert bit_array.step(arrays, q, row) == step
        bit_array.take(arrays, q, row)
        assert bit_array.due(arrays, q, 1e9) == NONE
    assert arrays.now.tolist() == [10**9] * 3
    assert arrays.dropped.tolist() == [1] * 3


@jit
def _push_and_poll(ring, array, heap, fifo, spike, keep, nothing, bits, q, n):
    found = np.zeros(8, np.int64)
    for i in range(n):
        time = 1.0 * (i + 3)
        queues.bounded.lossy_ring.push(ring, q, time, i, i, 0.0)
        queues.bounded.sorted_array.push(array, q, time, i, i, 0.0)
        queues.bounded.heap.push(heap, q, time, i, i, 0.0)
        queues.bounded.fifo.push(fifo, q, time, i, i, 0.0)
        queues.bounded.single_spike.push(spike, q, time, i, i, 0.0)
        queues.bounded.single_spike_keep.push(keep, q, time, i, i, 0.0)
        queues.bounded.null.push(nothing, q, time, i, i, 0.0)
        bit_array.push(bits, q, time, i, i, 0.0)
    now = 1.0 * n
    found[0] = queues.bounded.lossy_ring.due(ring, q, now)
    found[1] = queues.bounded.sorted_array.due(array, q, now)
    found[2] = queues.bounded.heap.due(heap, q, now)
    found[3] = queues.bounded.fifo.due(fifo, q, now)
    found[4] = queues.bounded.single_spike.due(spike, q, now)
    found[5] = queues.bounded.single_spike_keep.due(keep, q, now)
    found[6] = queues.bounded.null.due(nothing, q, now)
    found[7] = bit_array.due(bits, q, now)
    queues.bounded.lossy_ring.take(ring, q, found[0])
    queues.bounded.fifo.take(fifo, q, found[3])
    queues.bounded.heap.take(heap, q, found[2])
    bit_array.take(bits, q, found[7])
    return found


def test_kernels_work_inside_kernels_and_are_compiled_once():
    names = ["lossy_ring", "bounded_sorted_array", "bounded_heap", "bounded_fifo"]
    names += ["single_spike", "single_spike_keep", "null"]
    arrays = [MODULES[name].empty(2, 16) for name in names]
    found = _push_and_poll(*arrays, bit_array.empty(2, 32), 1, 16)
    assert found.tolist() == [16, 16, 16, 16, NONE, 1, NONE, 32 + 3]
    if numba.config.DISABLE_JIT:
        return
    for module in (*MODULES.values(), bit_array, queues.bounded.shell):
        for name, kernel in vars(module).items():
            if hasattr(kernel, "signatures"):
                assert len(kernel.signatures) <= 1, (module.__name__, name, kernel.signatures)


# --- what is counted, and what is refused -----------------------------------------------------


@each
def test_drops_and_orders_keep_counting_over_a_clear(name, capacity):
    queue = maker(name, capacity)()
    for _ in range(10):
        queue.push(3.0)
    dropped = queue.dropped
    assert dropped + len(queue) == 10
    queue.clear()
    assert (len(queue), queue.dropped) == (0, dropped)
    assert queue.pop_due(1e3) is None
    assert queue.push(1.0) == 10


@each
def test_a_refused_row_does_no_harm(name, capacity):
    queue = maker(name, capacity)()
    queue.push(1.0, 7, 0.5)
    before = repr(queue), queue.dropped
    for row in ((math.nan,), (math.inf,), ("1",), (None,), (2.0, 0.5), (2.0, 0, math.nan)):
        with pytest.raises(queues.QueueError, match=r"expected"):
            queue.push(*row)
    for now in (math.nan, math.inf, "1", None, True):
        with pytest.raises(queues.QueueError, match=r"now = .*expected"):
            queue.pop_due(now)
    assert (repr(queue), queue.dropped) == before
    assert queue.push(2.0) == 1


@each
def test_the_top_of_nothing_is_an_error(name, capacity):
    queue = maker(name, capacity)()
    for method in ("peek", "pop"):
        with pytest.raises(queues.EmptyQueueError, match=rf"{method}\(\) of a queue of 0 entries"):
            getattr(queue, method)()
    assert queue.pop_due(0.0) is None
    assert queue.capacity == capacity


@each_of_many
@pytest.mark.parametrize("capacity", [0, -1, 1.0, None, True])
def test_a_bad_capacity(name, capacity):
    with pytest.raises(queues.QueueError, match="capacity = "):
        maker(name, capacity)()


@each
def test_without_tangents_one_is_an_error(name, capacity):
    queue = maker(name, capacity)(tangent=False)
    with pytest.raises(queues.QueueError, match=r"tangent = 1.0; expected 0.0"):
        queue.push(1.0, tangent=1.0)
    assert queue.push(1.0) == 0


def test_the_order_of_a_bounded_fifo_is_checked_against_the_last_push():
    queue = queues.BoundedFifo(1, check_order=True)
    queue.push(1.0)
    queue.push(3.0)  # lost, and yet the last push
    with pytest.raises(queues.TimeOrderError, match=r"time = 2.0; expected at least 3.0"):
        queue.push(2.0)
    queue.clear()
    assert queue.push(0.0) == 2


@pytest.mark.parametrize("time", [0.5, 2.0**53, -(2.0**53), 1e300])
@pytest.mark.parametrize("name", OF_STEPS)
def test_a_time_that_is_no_step(name, time):
    queue = maker(name, 32)()
    with pytest.raises(queues.QueueError, match=r"time = .* whole number of steps below 2\*\*53"):
        queue.push(time)
    with pytest.raises(queues.QueueError, match=r"now = .* whole number of steps below 2\*\*53"):
        queue.pop_due(time)
    assert (len(queue), queue.push(3)) == (0, 0)


def test_the_slot_of_a_large_or_negative_step():
    queue = queues.LossyRing(3)
    for step in (2**53 - 1, -(2**53) + 1, 0):
        queue.push(step, payload=step)
    slots = {(2**53 - 1) % 3, -(2**53 - 1) % 3, 0}
    assert (len(queue), queue.dropped) == (len(slots), 3 - len(slots))
    assert queue.pop_due(2**53 - 1).payload == 2**53 - 1


# --- bits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("time", [4, -1, 37, 10**6])
def test_a_step_outside_the_window(time):
    queue = queues.BitArray(32)
    assert queue.pop_due(5) is None
    with pytest.raises(queues.HorizonError, match=rf"time = {time}; expected a step from 5 to 36"):
        queue.push(time)
    assert (len(queue), queue.push(36), queue.now) == (0, 0, 5)


def test_a_bit_carries_nothing():
    queue = queues.BitArray()
    with pytest.raises(queues.QueueError, match=r"payload = 7; expected 0, since a bit carries"):
        queue.push(1, payload=7)
    with pytest.raises(queues.QueueError, match=r"tangent = 0.5; expected 0.0, since a bit"):
        queue.push(1, tangent=0.5)
    with pytest.raises(queues.QueueError, match="slots = 16; expected 32 or 64"):
        queues.BitArray(16)
    assert (len(queue), queue.dropped) == (0, 0)


def test_bits_that_were_not_polled_in_time_are_still_due():
    queue = queues.BitArray(64, start=100)
    for step in (163, 100, 131):
        queue.push(step)
    assert [queue.pop_due(1000) for _ in range(3)] == [
        queues.Entry(float(step), 0, -1, 0.0) for step in (100, 131, 163)
    ]
    assert queue.now == 163
    assert queue.pop_due(1000) is None
    assert (queue.now, queue.push(1000)) == (1000, 3)
    queue.clear()
    assert (queue.now, len(queue)) == (100, 0)


def test_a_model_of_bits_may_start_anywhere():
    make = partial(queues.BitArray, 32, -7)
    assert_conforms_to(make, partial(BitArrayModel, 32, -7), examples=60)


# --- the checks -------------------------------------------------------------------------------


def break_size(arrays):
    arrays.size[0] = arrays.capacity[0] + 1


def break_order(arrays):
    arrays.time[:3] = [5.0, 1.0, 3.0]
    arrays.order[:3] = [5, 1, 3]


def break_head(arrays):
    arrays.head[0] = arrays.capacity[0]


def lose_a_row(arrays):
    arrays.order[1] = NONE


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, break_size) for name in MODULES),
        *((name, break_order) for name in OF_MANY),
        ("bounded_fifo", break_head),
        ("bounded_sorted_array", break_head),
        ("lossy_ring", lose_a_row),
    ],
)
def test_the_checks_can_fail(name, damage):
    arrays = MODULES[name].empty(1, 4)
    for order in range(4):
        MODULES[name].push(arrays, 0, float(order), order, 0, 0.0)
    MODULES[name].check(arrays)
    damage(arrays)
    with pytest.raises(AssertionError):
        MODULES[name].check(arrays)
