"""Derivatives of runs of queues: duality, and structures of the adjoint against each other."""

from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import queues
from queues import Keep, Log, Recorder
from queues.derivative.log import CLEARED, DROPPED, QUEUED
from queues.testing import assert_conforms

EXACT = {
    "BinaryHeap": partial(queues.BinaryHeap, 1),
    "DaryHeap": partial(queues.DaryHeap, 1),
    "SortedArray": partial(queues.SortedArray, 1),
    "PairingHeap": partial(queues.PairingHeap, 1),
    "CalendarQueue": partial(queues.CalendarQueue, 1),
    "FIFO": partial(queues.FIFO, 1),
    "FifoMerge": partial(queues.FifoMerge, 1, 1),
}
BOUNDED = {
    "Null": queues.Null,
    "SingleSpike": queues.SingleSpike,
    "SingleSpikeKeep": queues.SingleSpikeKeep,
    **{
        f"{kind.__name__}-{capacity}": partial(kind, capacity)
        for kind in (
            queues.LossyRing,
            queues.BoundedFifo,
            queues.BoundedSortedArray,
            queues.BoundedHeap,
        )
        for capacity in (1, 3, 8)
    },
}
MAKERS = EXACT | BOUNDED
IN_ORDER = ("FIFO", "FifoMerge", "BoundedFifo")
each = pytest.mark.parametrize("name", MAKERS)

# Sums of few dyadic numbers of few bits are exact in float64, in any order.
DYADIC = st.integers(-(2**10), 2**10).map(lambda k: k / 64)
SCRIPTS = st.lists(
    st.tuples(st.just("push"), st.integers(0, 30), DYADIC)
    | st.tuples(st.just("pop"))
    | st.tuples(st.just("poll"), st.integers(0, 3))
    | st.tuples(st.just("clear")),
    max_size=60,
)


def played(name, script):
    """Return the log of a script, the tangents pushed and those that the queue itself popped."""
    queue = Recorder(MAKERS[name](tangent=True))
    pushed, popped = [], []
    latest, now = 0.0, 0.0
    for kind, *arguments in script:
        if kind == "push":
            delay, tangent = arguments
            time = now + delay
            latest = max(latest, time)
            queue.push(latest if name.startswith(IN_ORDER) else time, 7, tangent)
            pushed.append(tangent)
        elif kind == "clear":
            queue.clear()
        elif kind == "poll":
            now += arguments[0]
            entry = queue.pop_due(now)
            popped += [] if entry is None else [entry.tangent]
        elif len(queue):
            popped.append(queue.pop().tangent)
    return queue.log, pushed, popped


def random_run(name, seed, n=400):
    """As `played`, of a long script without a clear."""
    rng = np.random.default_rng(seed)
    script = []
    for _ in range(n):
        script += [("push", int(rng.integers(1, 9)), rng.integers(-999, 999) / 8)]
        script += [("poll", int(rng.integers(0, 2)))] * int(rng.integers(0, 3))
    return played(name, script)


def cotangents(log, seed):
    return np.random.default_rng(seed).integers(-999, 999, log.n_pops) / 32


# --- the linear map ---------------------------------------------------------------------------


@each
@settings(max_examples=60, deadline=None)
@given(script=SCRIPTS, data=st.data())
def test_forward_and_reverse_mode_are_dual_to_the_last_bit(name, script, data):
    log, pushed_dot, popped_dot = played(name, script)
    assert log.jvp(pushed_dot).tolist() == popped_dot
    bar = data.draw(st.lists(DYADIC, min_size=log.n_pops, max_size=log.n_pops))
    for structure in ("scatter", "heap"):
        pushed_bar = log.vjp(bar, structure)
        assert np.dot(bar, log.jvp(pushed_dot)) == np.dot(pushed_bar, pushed_dot)


@each
def test_duality_of_a_long_run(name):
    log, pushed_dot, popped_dot = random_run(name, 0)
    assert log.jvp(pushed_dot).tolist() == popped_dot
    bar = cotangents(log, 1)
    exact = sum(Fraction(a) * Fraction(b) for a, b in zip(bar, popped_dot, strict=True))
    pulled = log.vjp(bar)
    assert exact == sum(Fraction(a) * Fraction(b) for a, b in zip(pulled, pushed_dot, strict=True))
    assert np.count_nonzero(pulled) >= 10 or name == "Null"
    assert (log.n_dropped > 0) == (name in BOUNDED)


@each
def test_the_log_says_where_every_push_went(name):
    queue = Recorder(MAKERS[name](tangent=True))
    times = [3.0, 5.0, 7.0, 11.0, 12.0]
    for time in times:
        queue.push(time)
    dropped = queue.dropped if name in BOUNDED else 0
    returned = [queue.pop().order for _ in range(min(2, len(queue)))]
    queued = len(queue)
    log = queue.log
    assert [int(log.popped[order]) for order in returned] == [*range(len(returned))]
    assert (log.popped == DROPPED).sum() == log.n_dropped == dropped
    assert (log.popped == QUEUED).sum() == queued
    queue.clear()
    assert (queue.log.popped == CLEARED).sum() == queued
    assert (log.popped == QUEUED).sum() == queued  # an older log stays as it was
    assert (queue.log.n_pushes, queue.log.n_pops) == (5, len(returned))


# --- structures of the adjoint ----------------------------------------------------------------


@each
@pytest.mark.parametrize("seed", [1, 2])
def test_exact_structures_agree(name, seed):
    log, _, _ = random_run(name, seed)
    bar = cotangents(log, seed)
    expected = log.vjp(bar)
    assert (log.vjp(bar, "heap") == expected).all()
    assert (log.vjp(bar, Keep(log.n_pushes, "largest")) == expected).all()
    assert (log.vjp(bar, Keep(log.n_pushes, "recent")) == expected).all()
    leave_in_order = (np.diff([-1 - e for e in log.events if e < 0]) > 0).all()
    if leave_in_order:
        assert (log.vjp(bar, "fifo") == expected).all()
    else:
        with pytest.raises(queues.QueueError, match=r"structure = 'fifo' cannot give push \d+"):
            log.vjp(bar, "fifo")
    assert leave_in_order or not name.startswith((*IN_ORDER, "SingleSpike"))


@pytest.mark.parametrize("name", ["SingleSpike", "SingleSpikeKeep", "BoundedHeap-1"])
def test_one_entry_under_way_needs_no_order(name):
    log, _, _ = random_run(name, 3)
    bar = cotangents(log, 3)
    for structure in ("stack", "fifo", Keep(1, "largest"), Keep(1, "recent")):
        assert (log.vjp(bar, structure) == log.vjp(bar)).all()


@pytest.mark.parametrize("name", BOUNDED)
def test_as_many_cotangents_as_entries_are_under_way(name):
    log, _, _ = random_run(name, 4)
    bar = cotangents(log, 4)
    capacity = max(1, BOUNDED[name]().capacity)
    for which in ("largest", "recent"):
        found, lost = log.vjp_and_losses(bar, Keep(capacity, which))
        assert (found == log.vjp(bar)).all()
        assert lost == 0


def nested(n):
    """Return the log of times that fall: the last one pushed leaves first."""
    queue = Recorder(queues.BinaryHeap())
    for repeat in range(3):
        for k in range(n):
            queue.push(-float(k), repeat)
        for _ in range(n):
            queue.pop()
    return queue.log


def test_a_stack_serves_what_leaves_in_reverse():
    log = nested(7)
    bar = cotangents(log, 0)
    assert (log.vjp(bar, "stack") == log.vjp(bar)).all()
    with pytest.raises(queues.QueueError, match=r"structure = 'fifo' cannot give push 20"):
        log.vjp(bar, "fifo")


def test_a_stack_does_not_serve_a_fifo():
    log, _, _ = random_run("FIFO", 0)
    with pytest.raises(queues.QueueError, match=r"'stack' cannot give push \d+.* expected 'heap'"):
        log.vjp(cotangents(log, 0), "stack")


def most_under_way(log):
    """Return the most entries that were pushed, not popped yet, and popped later."""
    steps = [-1 if e < 0 else int(log.popped[e] >= 0) for e in log.events]
    return int(np.cumsum(steps).max(initial=0))


def kept(log, bar, k, which):
    """`Keep` in plain words."""
    under_way, lost = [], 0  # (push, cotangent), in order of insertion
    pushed_bar = np.zeros(log.n_pushes)
    for event in log.events[::-1].tolist():
        if event < 0:
            under_way.append((-1 - event, bar[log.popped[-1 - event]]))
            if len(under_way) > k:
                # Of equal ones the last, and `min` returns the first.
                smallest = min(reversed(under_way), key=lambda pair: abs(pair[1]))
                under_way.remove(smallest if which == "largest" else under_way[0])
                lost += 1
        for pair in [pair for pair in under_way if pair[0] == event]:
            pushed_bar[event] = pair[1]
            under_way.remove(pair)
    return pushed_bar, lost


@pytest.mark.parametrize("name", ["BinaryHeap", "FIFO", "LossyRing-8", "BoundedSortedArray-8"])
@pytest.mark.parametrize("which", ["largest", "recent"])
def test_few_cotangents_under_way(name, which):
    log, _, _ = random_run(name, 5)
    # Few different ones, so that there are ties, some of them in magnitude alone.
    bar = np.random.default_rng(5).integers(-3, 4, log.n_pops) / 2
    enough = most_under_way(log)
    assert enough >= 4
    for k in range(1, enough + 2):
        found, lost = log.vjp_and_losses(bar, Keep(k, which))
        expected, expected_lost = kept(log, bar, k, which)
        assert (found == expected).all()
        assert lost == expected_lost
        assert (lost == 0) == (k >= enough)
        if k >= enough:
            assert (found == log.vjp(bar)).all()
    assert log.vjp_and_losses(bar, "heap")[1] == 0


def test_keep_by_hand():
    queue = Recorder(queues.BinaryHeap())
    for time in (1.0, 2.0, 3.0):
        queue.push(time)
    for _ in range(3):
        queue.pop()
    bar = [-2.0, 1.0, 2.0]  # inserted backwards: that of time 3 first
    losses = queue.log.vjp_and_losses
    for keep, expected in {
        Keep(1, "recent"): ([-2.0, 0.0, 0.0], 2),
        Keep(1, "largest"): ([0.0, 0.0, 2.0], 2),
        Keep(2, "recent"): ([-2.0, 1.0, 0.0], 1),
        Keep(2, "largest"): ([-2.0, 0.0, 2.0], 1),
        Keep(3, "recent"): (bar, 0),
    }.items():
        pushed_bar, lost = losses(bar, keep)
        assert (pushed_bar.tolist(), lost) == expected


# --- pops of sums -----------------------------------------------------------------------------


class Slots:
    """As much of a ring buffer as a recorder needs."""

    def __init__(self):
        self.rows = []
        self.pushes = 0

    def push(self, time, payload=0, tangent=0.0):
        self.rows.append((time, tangent))
        self.pushes += 1
        return self.pushes - 1

    def take(self, step):
        taken = [tangent for time, tangent in self.rows if time == step]
        self.rows = [row for row in self.rows if row[0] != step]
        return len(taken), sum(taken)

    def __len__(self):
        return len(self.rows)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.lists(st.tuples(st.integers(0, 4), DYADIC), max_size=4), max_size=20),
    bar=st.lists(DYADIC, min_size=30, max_size=30),
)
def test_a_sum_spreads_its_cotangent(steps, bar):
    queue = Recorder(Slots())
    popped_dot, pushed_dot, slot_of = [], [], []
    for now, pushes in enumerate(steps):
        for delay, tangent in pushes:
            queue.push(float(now + delay), 0, tangent)
            pushed_dot.append(tangent)
            slot_of.append(now + delay)
        count, tangent_sum = queue.take(now)
        popped_dot += [tangent_sum] if count else []
    log = queue.log
    assert log.jvp(pushed_dot).tolist() == popped_dot
    bar = bar[: log.n_pops]
    slots = sorted({slot for slot in slot_of if slot < len(steps)})
    expected = [bar[slots.index(slot)] if slot in slots else 0.0 for slot in slot_of]
    for structure in ("scatter", "heap", Keep(100)):
        assert log.vjp(bar, structure).tolist() == expected
    assert np.dot(bar, popped_dot) == np.dot(expected, pushed_dot)


def test_a_take_that_does_not_tell_what_was_pushed():
    inner = Slots()
    queue = Recorder(inner)
    queue.push(1.0)
    inner.push(1.0)  # behind its back
    with pytest.raises(queues.QueueError, match=r"take\(1\) returned 2 entries; 1 were pushed"):
        queue.take(1)


# --- the recorder -----------------------------------------------------------------------------


def test_a_recorded_queue_is_a_queue():
    assert_conforms(lambda: Recorder(queues.BinaryHeap(1, tangent=True)), examples=50)
    make = partial(queues.BoundedHeap, 3, tangent=True)
    assert_conforms(lambda: Recorder(make()), "bounded_heap", examples=50, capacity=3)
    assert_conforms(lambda: Recorder(make()), "bounded_heap", examples=50, capacity=3, stepped=True)


def test_a_recorder_hands_on_what_it_does_not_know():
    queue = Recorder(queues.FifoMerge(2))
    assert [queue.push(2.0, lane=0), queue.push(1.0, lane=1)] == [0, 1]
    assert queue.peek().order == 1
    assert queue.pop().order == 1
    assert queue.log.vjp([3.0]).tolist() == [0.0, 3.0]
    assert Recorder(queues.BoundedHeap(5)).capacity == 5
    assert repr(queue) == "<Recorder of <FifoMerge of 1 entries>>"
    with pytest.raises(AttributeError):
        queue.wind()


def test_orders_are_counted_from_the_first_push_of_the_recorder():
    inner = queues.BoundedHeap(1)
    inner.push(1.0)
    inner.pop()
    queue = Recorder(inner)
    assert [queue.push(2.0), queue.push(3.0)] == [1, 2]
    queue.pop()
    assert queue.log.popped.tolist() == [0, DROPPED]


def test_a_refused_operation_leaves_no_trace():
    queue = Recorder(queues.BinaryHeap())
    with pytest.raises(queues.QueueError):
        queue.push(np.nan)
    with pytest.raises(queues.EmptyQueueError):
        queue.pop()
    assert queue.pop_due(1.0) is None
    log = queue.log
    assert (log.n_pushes, log.n_pops, log.events.size) == (0, 0, 0)
    for structure in ("scatter", "stack", "fifo", "heap", Keep(1)):
        assert log.vjp([], structure).shape == (0,)


def test_a_queue_without_orders_has_no_derivative():
    with pytest.raises(queues.QueueError, match=r"keeps no orders, so that a run of it has no"):
        Recorder(queues.BitArray())

    class Forgets:
        def push(self, time, payload=0, tangent=0.0):
            return 0

        def pop(self):
            return queues.Entry(0.0, 0, -1, 0.0)

    queue = Recorder(Forgets())
    queue.push(0.0)
    with pytest.raises(queues.QueueError, match=r"popped the order -1; expected that of an entry"):
        queue.pop()


def test_a_queue_with_entries_cannot_be_recorded():
    queue = queues.FIFO()
    queue.push(1.0)
    with pytest.raises(queues.QueueError, match=r"1 entries>; expected an empty one"):
        Recorder(queue)


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0], r"is of shape \(1,\); expected \(2,\)"),
        ([[1.0, 2.0]], r"is of shape \(1, 2\); expected \(2,\)"),
        ([1.0, np.nan], r"is not finite"),
        ([1.0, 2j], r"is of dtype complex128; expected real"),
        (["a", "b"], r"is of dtype <U1; expected real"),
        ([[1.0], [2.0, 3.0]], r"is no array"),
    ],
)
def test_bad_cotangents_and_tangents(values, message):
    log = Log(np.array([0, 1]), np.array([0, 1, -1, -2]), 2)
    with pytest.raises(queues.QueueError, match=f"popped_bar {message}"):
        log.vjp(values)
    with pytest.raises(queues.QueueError, match=f"pushed_dot {message}"):
        log.jvp(values)


def test_bad_structures():
    log = nested(2)
    with pytest.raises(queues.QueueError, match=r"structure = 'tree'; expected a Keep or one of"):
        log.vjp(np.zeros(6), "tree")
    with pytest.raises(queues.QueueError, match=r"k = 0; expected at least 1"):
        Keep(0)
    with pytest.raises(queues.QueueTypeError, match=r"k = 1.5 is a float; expected an integer"):
        Keep(1.5)
    with pytest.raises(queues.QueueError, match=r"which = 'first'; expected one of"):
        Keep(1, "first")
