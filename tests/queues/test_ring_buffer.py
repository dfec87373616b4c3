"""The ring of steps: as a queue on its window, and as counts and sums that are taken at once."""

from functools import partial

import numba
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from queues import BinaryHeap, Entry, HorizonError, QueueError, RingBuffer
from queues.exact import ring_buffer
from queues.testing import QueueMachine, RingBufferModel, assert_conforms


def grid(slots, first):
    return partial(RingBufferModel, slots, first)


def test_the_ring_of_the_kit_conforms():
    assert_conforms(lambda: RingBuffer(16, capacity=1, tangent=True), "ring_buffer", examples=50)


@pytest.mark.parametrize("tangent", [False, True])
@pytest.mark.parametrize(("n_slots", "start"), [(1, 0), (2, -7), (5, 3), (81, 2**40)])
def test_a_ring_conforms(n_slots, start, tangent):
    def new():
        return RingBuffer(n_slots, capacity=1, tangent=tangent, start=start)

    assert_conforms(new, grid(n_slots, start), tangent, examples=20)


class RingMachine(QueueMachine):
    """Any number of slots, `take` among pops and pushes, and what is refused."""

    @initialize(n_slots=st.integers(1, 9), start=st.integers(-20, 20), capacity=st.integers(1, 4))
    def build(self, n_slots, start, capacity):
        self.model_class = grid(n_slots, start)
        self.start(RingBuffer(n_slots, capacity=capacity, tangent=True, start=start))

    @rule(ahead=st.integers(0, 20))
    def take(self, ahead):
        step = self.model.now + ahead
        entries = self.model.entries
        if entries:
            step = min(step, int(entries[0].time))
        gone = [entry for entry in entries if entry.time == step]
        total = 0.0
        for entry in gone:
            total += entry.tangent
        assert self.queue.take(step) == (len(gone), total)
        self.model.entries = entries[len(gone) :]
        self.model.now = step

    @rule(ahead=st.integers(1, 20))
    @precondition(lambda self: len(self.model))
    def refuse_to_skip(self, ahead):
        with pytest.raises(HorizonError, match="step = "):
            self.queue.take(int(self.model.entries[0].time) + ahead)

    @rule(back=st.integers(1, 20))
    def refuse_what_is_outside(self, back):
        now, n_slots = self.model.now, self.model.n_slots
        with pytest.raises(HorizonError, match="step = "):
            self.queue.take(now - back)
        for step in (now - back, now + n_slots - 1 + back):
            with pytest.raises(HorizonError, match=f"time = {step}; expected {now} <= time"):
                self.queue.push(step)

    @invariant()
    def is_sound(self):
        ring_buffer.check(self.queue._arrays)
        assert (self.queue.now, self.queue.n_slots) == (self.model.now, self.model.n_slots)


TestRing = RingMachine.TestCase
TestRing.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("takes_first", [False, True])
@settings(max_examples=50, deadline=None)
@given(
    delays=st.lists(st.lists(st.integers(1, 6), max_size=4), max_size=40),
    tangent=st.floats(-10.0, 10.0),
)
def test_steps_count_what_arrives_as_in_a_table(takes_first, delays, tangent):
    """Every step sends some events ahead and takes its own, in either order."""
    n_steps = len(delays) + 7
    counts, sums = [0] * n_steps, [0.0] * n_steps
    queue = RingBuffer(7 if takes_first else 8, tangent=True)
    for step in range(n_steps):
        if takes_first:
            assert queue.take(step) == (counts[step], sums[step])
        for k, delay in enumerate(delays[step] if step < len(delays) else ()):
            queue.push(step + delay, tangent=tangent * k)
            counts[step + delay] += 1
            sums[step + delay] += tangent * k
        if not takes_first:
            assert queue.take(step) == (counts[step], sums[step])
    assert len(queue) == 0


def test_rows_leave_as_they_leave_a_binary_heap():
    rng = np.random.default_rng(3)
    queue, heap = RingBuffer(50, capacity=1, tangent=True), BinaryHeap(1, tangent=True)
    for k in range(2000):
        step = queue.now + int(rng.integers(0, 50))
        assert queue.push(step, -k, 0.1 * k) == heap.push(step, -k, 0.1 * k)
        while len(heap) > 40 or (heap and rng.random() < 0.4):
            assert queue.pop() == heap.pop()
    while heap:
        assert queue.pop() == heap.pop()


def test_a_sum_after_pops_is_that_of_the_rows_left():
    """In floating point a sum less its first term is not the sum of the others."""
    queue = RingBuffer(4, tangent=True)
    for tangent in (1e16, 1.0, 1.0):
        queue.push(2, tangent=tangent)
    queue.pop()
    assert queue.take(2) == (2, 2.0)
    assert queue.take(2) == (0, 0.0)
    for tangent in (1e16, 1.0):
        queue.push(2, tangent=tangent)
    queue.pop()
    queue.push(2, tangent=0.5)
    assert queue.take(2) == (2, 1.5)
    ring_buffer.check(queue._arrays)


def test_the_window_follows_pops_and_takes():
    queue = RingBuffer(3)
    assert (queue.push(2), queue.push(0)) == (0, 1)
    with pytest.raises(HorizonError, match=r"time = 3; expected 0 <= time < 3"):
        queue.push(3)
    assert queue.pop() == Entry(time=0.0, payload=0, order=1, tangent=0.0)
    assert queue.peek().time == 2.0
    assert (queue.now, len(queue)) == (0, 1)
    assert queue.take(1) == (0, 0.0)
    assert queue.push(3) == 2
    with pytest.raises(HorizonError, match=r"step = 3; expected at most 2"):
        queue.take(3)
    assert queue.take(2) == (1, 0.0)
    assert queue.take(3) == (1, 0.0)
    assert queue.take(1000) == (0, 0.0)
    assert queue.push(1002) == 3


def test_a_cleared_ring_begins_at_its_start():
    queue = RingBuffer(4, start=-2)
    queue.push(1)
    queue.pop()
    queue.push(3)
    queue.clear()
    ring_buffer.check(queue._arrays)
    assert (queue.now, len(queue), queue.push(-2)) == (-2, 0, 2)


@pytest.mark.parametrize(
    "time", [0.5, 2.0**53, -(2**53), 2**53 + 1, np.nan, np.inf, "1", None, True, 1j, 10**400]
)
def test_a_time_that_is_no_step(time):
    queue = RingBuffer(4)
    queue.push(1)
    with pytest.raises(QueueError, match=r"time = .*expected"):
        queue.push(time)
    with pytest.raises(QueueError, match=r"step = .*expected"):
        queue.take(time)
    assert (len(queue), queue.push(1), queue.take(1)) == (1, 1, (2, 0.0))


@pytest.mark.parametrize("start", [2**53 - 2, -(2**53) + 1])
def test_steps_at_the_ends_of_the_range(start):
    queue = RingBuffer(3, start=start)
    assert (queue.push(start), queue.push(start + 1)) == (0, 1)
    assert [queue.pop().time, queue.pop().time] == [start, start + 1]


def test_bad_arguments():
    for options in ({"n_slots": 0}, {"n_slots": 1.0}, {"n_slots": 1, "capacity": 0}):
        with pytest.raises(QueueError, match="expected"):
            RingBuffer(**options)
    for start in (0.5, 2**53, "0", None):
        with pytest.raises(QueueError, match="start = "):
            RingBuffer(1, start=start)


def lose_a_row(arrays):
    arrays.free[0] = -1


def miscount(arrays):
    arrays.counts[1] += 1


def missum(arrays):
    arrays.tangent_sum[1] += 1e-9


def go_too_far(arrays):
    arrays.now[0] = arrays.soonest[0] = 2


def mix_steps(arrays):
    arrays.time[arrays.first[1]] += arrays.first.size


@pytest.mark.parametrize("damage", [lose_a_row, miscount, missum, go_too_far, mix_steps])
def test_the_check_can_fail(damage):
    queue = RingBuffer(4, tangent=True)
    for _ in range(3):
        queue.push(1, tangent=0.5)
    ring_buffer.check(queue._arrays)
    damage(queue._arrays)
    with pytest.raises(AssertionError):
        ring_buffer.check(queue._arrays)


def test_each_kernel_is_compiled_once():
    queue = RingBuffer(2, capacity=1, tangent=True)
    for step in (0, 0, 1):
        queue.push(step)
    queue.pop()
    queue.take(0)
    queue.clear()
    if not numba.config.DISABLE_JIT:
        for kernel in vars(ring_buffer).values():
            if hasattr(kernel, "signatures") and kernel.__name__ != "lengthened":
                assert len(kernel.signatures) <= 1, (kernel, kernel.signatures)
