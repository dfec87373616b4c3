"""Our queues under the conformance kit, and what they promise beyond it."""

import pytest
from hypothesis import assume, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from queues import (
    FIFO,
    BinaryHeap,
    EmptyQueueError,
    Entry,
    IndexedHeap,
    ItemError,
    QueueError,
    TimeOrderError,
)
from queues.exact import fifo, heap, indexed_heap
from queues.testing import ExactModel, FifoModel, QueueMachine, assert_conforms, times

NO_TIMES = st.sampled_from([float("nan"), float("inf"), -float("inf"), "1.0", None, 1j, True])


@pytest.mark.parametrize("tangent", [False, True])
def test_a_binary_heap_conforms(tangent):
    assert_conforms(lambda: BinaryHeap(1, tangent=tangent), "exact", tangent, examples=50)


@pytest.mark.parametrize("tangent", [False, True])
def test_a_fifo_conforms(tangent):
    def new():
        return FIFO(1, check_order=True, tangent=tangent)

    assert_conforms(new, "fifo", tangent, examples=50)


class RowQueueMachine(QueueMachine):
    """Any capacity, the invariant of the structure, and the errors by name."""

    @initialize(capacity=st.integers(1, 5), tangent=st.booleans())
    def build(self, capacity, tangent):
        self.start(self.make(capacity, tangent), tangents=tangent)

    @invariant()
    def is_sound(self):
        self.structure.check(self.queue._arrays)
        assert bool(self.queue) == bool(len(self.model))

    @rule()
    @precondition(lambda self: not len(self.model))
    def refuse_the_top_of_nothing(self):
        with pytest.raises(EmptyQueueError, match="peek"):
            self.queue.peek()
        with pytest.raises(EmptyQueueError, match="pop"):
            self.queue.pop()

    @rule(time=NO_TIMES)
    def refuse_a_time(self, time):
        with pytest.raises(QueueError, match="time = "):
            self.queue.push(time)

    @rule(tangent=st.sampled_from([float("nan"), "1", 1.0]), payload=st.sampled_from([1.5, 2**63]))
    def refuse_a_row(self, tangent, payload):
        time = self.model.allowed(0.0)
        with pytest.raises(QueueError, match="payload = "):
            self.queue.push(time, payload)
        if tangent != 1.0 or not self.carries_tangents:
            with pytest.raises(QueueError, match="tangent = "):
                self.queue.push(time, 0, tangent)


class BinaryHeapMachine(RowQueueMachine):
    structure = heap
    model_class = ExactModel

    def make(self, capacity, tangent):
        return BinaryHeap(capacity, tangent=tangent)


class FifoMachine(RowQueueMachine):
    structure = fifo
    model_class = FifoModel

    def make(self, capacity, tangent):
        return FIFO(capacity, check_order=True, tangent=tangent)

    @rule(early=st.floats(1e-3, 1e3))
    @precondition(lambda self: len(self.model))
    def refuse_to_go_back(self, early):
        time = self.model.last_time - early
        assume(-float("inf") < time < self.model.last_time)
        with pytest.raises(TimeOrderError, match="time = "):
            self.queue.push(time)


class IndexedHeapMachine(RuleBasedStateMachine):
    """A queue of items: the order of an entry is its item, so ties go to the smaller item."""

    @initialize(n=st.integers(1, 20))
    def build(self, n):
        self.n = n
        self.queue = IndexedHeap(n)
        self.model = {}  # time by item

    def item(self, number):
        return number % self.n

    def first(self):
        item = min(self.model, key=lambda item: (self.model[item], item))
        return Entry(self.model[item], item, item, 0.0)

    def pop_one(self):
        expected = self.first()
        assert self.queue.pop() == expected
        del self.model[expected.payload]

    @rule(count=st.integers(1, 10))
    def pop(self, count):
        for _ in range(min(count, len(self.model))):
            self.pop_one()

    @rule()
    def drain(self):
        while self.model:
            self.pop_one()

    @rule()
    def clear(self):
        self.queue.clear()
        self.model.clear()

    @rule()
    @precondition(lambda self: not self.model)
    def refuse_the_top_of_nothing(self):
        with pytest.raises(EmptyQueueError, match="peek"):
            self.queue.peek()
        with pytest.raises(EmptyQueueError, match="pop"):
            self.queue.pop()

    @rule(time=times(), number=st.integers(0, 19))
    def push(self, time, number):
        item = self.item(number)
        assert (item in self.queue) == (item in self.model)
        if item in self.model:
            with pytest.raises(ItemError, match="item = "):
                self.queue.push(time, item)
        else:
            self.queue.push(time, item)
            self.model[item] = time

    @rule(times=st.lists(times() | st.just(float("inf")), min_size=1, max_size=40))
    def update_many(self, times):
        for k, time in enumerate(times):
            self.update(time, 7 * k)

    @rule(time=times() | st.just(float("inf")), number=st.integers(0, 19))
    def update_one(self, time, number):
        self.update(time, number)

    def update(self, time, number):
        item = self.item(number)
        self.queue.update(time, item)
        self.model.pop(item, None)
        if time != float("inf"):
            self.model[item] = time

    @rule(number=st.integers(0, 19))
    def remove(self, number):
        item = self.item(number)
        if item in self.model:
            self.queue.remove(item)
            del self.model[item]
        else:
            with pytest.raises(ItemError, match="item = "):
                self.queue.remove(item)

    @rule(time=NO_TIMES, number=st.integers(0, 19))
    def refuse_a_time(self, time, number):
        with pytest.raises(QueueError, match="time = "):
            self.queue.push(time, self.item(number))
        if time != float("inf"):
            with pytest.raises(QueueError, match="time = "):
                self.queue.update(time, self.item(number))

    @rule(number=st.integers(0, 19))
    def refuse_an_item_out_of_range(self, number):
        for item in (self.n + number, -1 - number):
            for call in (self.queue.remove, lambda i: self.queue.update(0.0, i)):
                with pytest.raises(ItemError, match="item = "):
                    call(item)

    @invariant()
    def agrees_with_the_model(self):
        indexed_heap.check(self.queue._arrays)
        assert len(self.queue) == len(self.model)
        assert bool(self.queue) == bool(self.model)
        if self.model:
            assert self.queue.peek() == self.first()


# No deadline: the first example may compile.
SCRIPTS = settings(max_examples=100, stateful_step_count=30, deadline=None)

TestBinaryHeap = BinaryHeapMachine.TestCase
TestFifo = FifoMachine.TestCase
TestIndexedHeap = IndexedHeapMachine.TestCase
TestBinaryHeap.settings = TestFifo.settings = TestIndexedHeap.settings = SCRIPTS
