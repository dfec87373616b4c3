"""Streams of independent queues: the same outcome as polling a queue of Python at every step."""

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

import queues
from queues.exact.dispatch import STRUCTURES
from queues.study.streams import BOUNDED, DROPPED, QUEUED, Streams, run_streams

PYTHON = {
    "null": queues.Null,
    "single_spike": queues.SingleSpike,
    "single_spike_keep": queues.SingleSpikeKeep,
    "bounded_fifo": lambda c: queues.BoundedFifo(c, check_order=False),
    "bounded_sorted_array": queues.BoundedSortedArray,
    "bounded_heap": queues.BoundedHeap,
    "lossy_ring": queues.LossyRing,
    "bit_array": queues.BitArray,
}
SINGLE = ("null", "single_spike", "single_spike_keep")


def polled(make, streams, n_steps, push_first):
    """Return the outcome of a queue of Python for each stream, polled at every step."""
    delivered = np.full(len(streams.pushed), QUEUED)
    for q in range(streams.n_queues):
        queue = make()
        numbers = list(range(streams.start[q], streams.start[q + 1]))
        waiting = dict.fromkeys(numbers)

        def poll(step, queue=queue, waiting=waiting):
            entry = queue.pop_due(step)
            if entry is not None:
                due = [i for i in waiting if streams.arrival[i] == entry.time]
                i = due[0] if entry.order < 0 else entry.payload
                delivered[i] = step
                del waiting[i]

        for step in range(n_steps):
            if not push_first:
                poll(step)
            for i in [i for i in numbers if streams.pushed[i] == step]:
                before = queue.dropped if hasattr(queue, "dropped") else 0
                is_bits = isinstance(queue, queues.BitArray)
                queue.push(int(streams.arrival[i]), 0 if is_bits else i)
                if is_bits and queue.dropped > before:  # bits do not say which of two events it was
                    delivered[i] = DROPPED
                    del waiting[i]
            if push_first:
                poll(step)
        left = set()
        while len(queue):
            entry = queue.pop()
            left.add(next(i for i in waiting if streams.arrival[i] == entry.time)
                     if entry.order < 0 else entry.payload)  # fmt: skip
        for i in waiting:
            if i not in left:
                delivered[i] = DROPPED
    return delivered


@st.composite
def streams(draw, longest=20):
    """Draw streams of a few queues, some empty, with leads of 1 to ``longest`` steps."""
    pushed, arrival, start = [], [], [0]
    for _ in range(draw(st.integers(1, 3))):
        steps = sorted(draw(st.lists(st.integers(0, 40), max_size=15)))
        lead = (
            st.just(draw(st.integers(1, longest)))
            if draw(st.booleans())
            else st.integers(1, longest)
        )
        pushed += steps
        arrival += [step + draw(lead) for step in steps]
        start.append(len(pushed))
    return Streams(np.array(start), np.array(pushed, int), np.array(arrival, int))


@pytest.mark.parametrize("structure", BOUNDED)
@settings(deadline=None, max_examples=60)
@given(given_streams=streams(), capacity=st.integers(1, 5), push_first=st.booleans())
def test_bounded(structure, given_streams, capacity, push_first):
    make, options = PYTHON[structure], {"push_first": push_first}
    if structure not in SINGLE:
        options["capacity"] = 32 if structure == "bit_array" else capacity
        limited = make

        def make():
            return limited(options["capacity"])

    found = run_streams(structure, given_streams, 50, **options)
    expected = polled(make, given_streams, 50, push_first)
    assert found.delivered.tolist() == expected.tolist()
    assert found.hits == np.count_nonzero(expected >= 0)
    assert found.dropped == np.count_nonzero(expected == DROPPED)


@pytest.mark.parametrize("structure", STRUCTURES)
@settings(deadline=None, max_examples=30)
@given(given_streams=streams(), push_first=st.booleans())
def test_exact(structure, given_streams, push_first):
    needs_order = STRUCTURES[structure].in_order or STRUCTURES[structure].in_lanes
    assume(not needs_order or given_streams.arrives_in_order)
    found = run_streams(structure, given_streams, 50, push_first=push_first)
    expected = polled(queues.BinaryHeap, given_streams, 50, push_first)
    assert found.delivered.tolist() == expected.tolist()
    assert found.dropped == 0


@pytest.mark.parametrize("structure", [*BOUNDED, *STRUCTURES])
def test_threads_and_duality(structure):
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 30, 50)
    pushed = np.concatenate([np.sort(rng.choice(200, count)) for count in counts])
    given_streams = Streams(np.concatenate([[0], np.cumsum(counts)]), pushed, pushed + 25)
    capacity = None if structure in SINGLE or structure in STRUCTURES else 32
    one, three, many = (
        run_streams(structure, given_streams, 220, capacity=capacity, threads=threads)
        for threads in (1, 3, 64)
    )
    assert np.array_equal(one.delivered, three.delivered)
    assert np.array_equal(one.delivered, many.delivered)
    # Whole numbers, so that both sides are exact.
    a, v = rng.integers(-99, 99, (2, len(pushed))).astype(float)
    assert a @ one.jvp(v) == one.vjp(a) @ v
    assert np.array_equal(one.jvp(v) != 0.0, (one.delivered >= 0) & (v != 0.0))


# Fractions lost, in the long run, of streams that push in a step with
# probability p = 1 - exp(-0.1), at delays of 5, 10, 20 and 50 steps: closed forms where there are
# some, else those of an independent model of 1e8 steps.
LAMBDA = 0.1
DELAYS = (5, 10, 20, 50)
P = -np.expm1(-LAMBDA)
LOST = {
    ("single_spike", None): [-np.expm1(-LAMBDA * (d - 1)) for d in DELAYS],
    ("single_spike_keep", None): [1 - 1 / (1 + P * (d - 1)) for d in DELAYS],
    ("bounded_fifo", 2): [0.04060, 0.15639, 0.36351, 0.65679],
    ("bounded_fifo", 4): [0.000078, 0.005695, 0.06664, 0.36637],
    ("bounded_sorted_array", 4): [0.000078, 0.005695, 0.06664, 0.36637],
    ("bounded_heap", 8): [0.0, 1e-7, 0.000146, 0.04763],
    ("lossy_ring", 4): [-np.expm1(-LAMBDA * ((d - 1) // 4)) for d in DELAYS],
    ("lossy_ring", 8): [-np.expm1(-LAMBDA * ((d - 1) // 8)) for d in DELAYS],
}


@pytest.mark.parametrize(("structure", "capacity"), LOST)
def test_drop_rates(structure, capacity):
    rng = np.random.default_rng(11)
    n, n_steps, burn = (100, 20_000, 200)
    pushed = [np.flatnonzero(rng.random(n_steps - burn) < P) for _ in range(n)]
    start = np.concatenate([[0], np.cumsum([len(steps) for steps in pushed])])
    steps = np.concatenate(pushed)
    for delay, expected in zip(DELAYS, LOST[structure, capacity], strict=True):
        given_streams = Streams(start, steps, steps + delay)
        found = run_streams(structure, given_streams, n_steps, capacity=capacity)
        # A queue starts empty, so its first delay is left out; drops come in clusters, so the error
        # is that between queues, and long-run values have one of 2e-4 themselves.
        counted = steps >= 200
        owner = np.repeat(np.arange(n), np.diff(start))
        lost = np.bincount(owner, weights=counted & (found.delivered == DROPPED), minlength=n)
        rates = lost / np.bincount(owner, weights=counted, minlength=n)
        error = rates.std(ddof=1) / np.sqrt(n)
        assert abs(rates.mean() - expected) < 4 * np.hypot(error, 2e-4), (delay, rates.mean())


def test_wrong_arguments():
    good = Streams(np.array([0, 2]), np.array([1, 3]), np.array([4, 5]))
    for columns, words in [
        (([0, 2], [1, 3], [4.0, 5.0]), "arrival has shape"),
        (([0, 2], [[1, 3]], [4, 5]), "pushed has shape"),
        (([0, 1], [1, 3], [4, 5]), "start has ends"),
        (([], [], []), "start has ends"),
        (([0, 2], [1, 3], [4]), "arrival has shape"),
        (([0, 2], [3, 1], [4, 5]), r"pushed\[1\] = 1"),
        (([0, 2], [1, 3], [0, 5]), r"arrival\[0\] = 0"),
        (([0, 2], [-1, 3], [4, 5]), "pushed has steps outside"),
        (([0, 2], [1, 3], [4, 2**60]), "arrival has steps outside"),
    ]:
        with pytest.raises(queues.QueueError, match=words):
            Streams(*columns)
    for arguments, options, words in [
        (("stack", good, 9), {}, "structure = 'stack'"),
        (("bounded_fifo", good, 9), {}, "capacity is missing"),
        (("bounded_fifo", good, 9), {"capacity": 0}, "capacity = 0"),
        (("single_spike", good, 9), {"capacity": 2}, "capacity = 2"),
        (("heap", good, 9), {"capacity": 2}, "capacity = 2"),
        (("bit_array", good, 9), {"capacity": 31}, "capacity = 31"),
        (("heap", good, 3), {}, "n_steps = 3"),
        (("heap", good, 9), {"threads": 0}, "threads = 0"),
    ]:
        with pytest.raises(queues.QueueError, match=words):
            run_streams(*arguments, **options)
    late = Streams(np.array([0, 1]), np.array([1]), np.array([1]))
    with pytest.raises(queues.QueueError, match="push_first"):
        run_streams("heap", late, 9)
    assert run_streams("heap", late, 9, push_first=True).delivered.tolist() == [1]
    far = Streams(np.array([0, 1]), np.array([1]), np.array([33]))
    with pytest.raises(queues.HorizonError, match="32 steps ahead"):
        run_streams("bit_array", far, 40, capacity=32)
    crossed = Streams(np.array([0, 2]), np.array([1, 2]), np.array([9, 5]))
    with pytest.raises(queues.TimeOrderError, match="fifo"):
        run_streams("fifo", crossed, 40)
    with pytest.raises(queues.QueueError, match="popped_bar has shape"):
        run_streams("heap", crossed, 40).vjp([1.0])
    empty = Streams(np.array([0]), np.zeros(0, int), np.zeros(0, int))
    assert run_streams("heap", empty, 1).hits == 0
