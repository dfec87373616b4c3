"""One script of operations for every queue, against a sorted list that anyone can believe."""

import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
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
    fifo,
    heap,
    indexed_heap,
)

# Few distinct times, so that ties are common, among arbitrary ones.
TIMES = st.sampled_from([0.0, -0.0, 1.0, 1.0 + 2.0**-52, 2.0]) | st.floats(-1e9, 1e9)
PAYLOADS = st.integers(-(2**63), 2**63 - 1)
TANGENTS = st.floats(-1e3, 1e3)
NO_TIMES = st.sampled_from([float("nan"), float("inf"), -float("inf"), "1.0", None, 1j, True])


class QueueMachine(RuleBasedStateMachine):
    """What all queues share. The model is a list of entries; the least (time, order) is first."""

    structure: object

    def __init__(self):
        super().__init__()
        self.model: list[Entry] = []

    def first(self):
        return min(self.model, key=lambda entry: (entry.time, entry.order))

    @rule(count=st.integers(1, 10))
    @precondition(lambda self: self.model)
    def pop(self, count):
        for _ in range(min(count, len(self.model))):
            self.pop_one()

    def pop_one(self):
        expected = self.first()
        assert self.queue.pop() == expected
        self.model.remove(expected)

    @rule()
    @precondition(lambda self: not self.model)
    def refuse_the_top_of_nothing(self):
        with pytest.raises(EmptyQueueError, match="peek"):
            self.queue.peek()
        with pytest.raises(EmptyQueueError, match="pop"):
            self.queue.pop()

    @rule()
    def drain(self):
        expected = sorted(self.model, key=lambda entry: (entry.time, entry.order))
        assert [self.queue.pop() for _ in range(len(self.queue))] == expected
        self.model.clear()

    @rule()
    def clear(self):
        self.queue.clear()
        self.model.clear()

    @invariant()
    def agrees_with_the_model(self):
        self.structure.check(self.queue._arrays)
        assert len(self.queue) == len(self.model)
        assert bool(self.queue) == bool(self.model)
        if self.model:
            assert self.queue.peek() == self.first()


class RowQueueMachine(QueueMachine):
    """Queues of any number of entries, with orders and tangents."""

    @initialize(capacity=st.integers(1, 5), tangent=st.booleans())
    def build(self, capacity, tangent):
        self.pushes = 0
        self.last_time = -1e9
        self.keeps_tangent = tangent
        self.queue = self.make(capacity, tangent)

    def allowed(self, time):
        return time

    def push_one(self, time, payload, tangent):
        self.last_time = time = self.allowed(time)
        tangent = tangent if self.keeps_tangent else 0.0
        assert self.queue.push(time, payload, tangent) == self.pushes
        self.model.append(Entry(time, payload, self.pushes, tangent))
        self.pushes += 1

    @rule(time=TIMES, payload=PAYLOADS, tangent=TANGENTS)
    def push(self, time, payload, tangent):
        self.push_one(time, payload, tangent)

    @rule(times=st.lists(TIMES, min_size=5, max_size=40))
    def push_through_several_doublings(self, times):
        for k, time in enumerate(times):
            self.push_one(time, -self.pushes, 0.5 * self.pushes)
            if k % 3 == 1:  # so that a ring grows with its head anywhere
                self.pop_one()

    @rule(time=NO_TIMES)
    def refuse_a_time(self, time):
        with pytest.raises(QueueError, match="time = "):
            self.queue.push(time)

    @rule(tangent=st.sampled_from([float("nan"), "1", 1.0]), payload=st.sampled_from([1.5, 2**63]))
    def refuse_a_row(self, tangent, payload):
        time = self.allowed(self.last_time)
        with pytest.raises(QueueError, match="payload = "):
            self.queue.push(time, payload)
        if tangent != 1.0 or not self.keeps_tangent:
            with pytest.raises(QueueError, match="tangent = "):
                self.queue.push(time, 0, tangent)


class BinaryHeapMachine(RowQueueMachine):
    structure = heap

    def make(self, capacity, tangent):
        return BinaryHeap(capacity, tangent=tangent)


class FifoMachine(RowQueueMachine):
    structure = fifo

    def make(self, capacity, tangent):
        return FIFO(capacity, check_order=True, tangent=tangent)

    def allowed(self, time):
        return max(time, self.last_time)

    @rule(early=st.floats(1e-3, 1e3))
    @precondition(lambda self: self.model)
    def refuse_to_go_back(self, early):
        assume(self.last_time - early < self.last_time)
        with pytest.raises(TimeOrderError, match="time = "):
            self.queue.push(self.last_time - early)


class IndexedHeapMachine(QueueMachine):
    """A queue of items: the order of an entry is its item, so the model's key is (time, item)."""

    structure = indexed_heap

    @initialize(n=st.integers(1, 20))
    def build(self, n):
        self.n = n
        self.queue = IndexedHeap(n)

    def item(self, number):
        return number % self.n

    def forget(self, item):
        self.model = [entry for entry in self.model if entry.order != item]

    def present(self, item):
        return any(entry.order == item for entry in self.model)

    @rule(time=TIMES, number=st.integers(0, 19))
    def push(self, time, number):
        item = self.item(number)
        assert (item in self.queue) == self.present(item)
        if self.present(item):
            with pytest.raises(ItemError, match="item = "):
                self.queue.push(time, item)
        else:
            self.queue.push(time, item)
            self.model.append(Entry(time, item, item, 0.0))

    @rule(times=st.lists(TIMES | st.just(float("inf")), min_size=1, max_size=40))
    def update_many(self, times):
        for k, time in enumerate(times):
            self.update(time, 7 * k)

    @rule(time=TIMES | st.just(float("inf")), number=st.integers(0, 19))
    def update_one(self, time, number):
        self.update(time, number)

    def update(self, time, number):
        item = self.item(number)
        self.queue.update(time, item)
        self.forget(item)
        if time != float("inf"):
            self.model.append(Entry(time, item, item, 0.0))

    @rule(number=st.integers(0, 19))
    def remove(self, number):
        item = self.item(number)
        if self.present(item):
            self.queue.remove(item)
            self.forget(item)
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


# No deadline: the first example may compile.
SCRIPTS = settings(max_examples=100, stateful_step_count=30, deadline=None)

TestBinaryHeap = BinaryHeapMachine.TestCase
TestFifo = FifoMachine.TestCase
TestIndexedHeap = IndexedHeapMachine.TestCase
TestBinaryHeap.settings = TestFifo.settings = TestIndexedHeap.settings = SCRIPTS
