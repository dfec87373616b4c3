"""The queues of the JAX package adseq beside ours: where they agree, and where theirs are wrong."""

import os
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import naive_queues
import numpy as np
import pytest

from queues import QueueError
from queues.testing import ConformanceError, Push, assert_conforms
from refsim.errors import InvalidValueError, MissingExtraError
from validation.queue_study import adseq as adseq_queues, player as queue_player
from validation.queue_study.adseq import TYPES, AdseqQueue, comparable, new_queue
from validation.queue_study.sequences import (
    NOTHING,
    POLL,
    PUSH,
    Sequences,
    as_text,
    compare,
    random_sequences,
)

needs_adseq = pytest.mark.skipif(
    find_spec("adseq") is None, reason='adseq is not installed: pip install "refsim[adseq]"'
)
CAPACITIES = {"Ring": [2, 9], "BitArray32": [32], "BGPQ1": [8]}
SIZED = ("FIFORing", "SortedArray", "LossyRing")
WRONG = ("BinaryHeap", "BGPQ1")
CASES = [
    (name, capacity)
    for name, kind in TYPES.items()
    for capacity in CAPACITIES.get(name, [1, 2, 4, 7] if kind.sized else [1])
]
RIGHT = [case for case in CASES if case[0] not in WRONG or case == ("BinaryHeap", 1)]


MANY = 2000 if os.environ.get("NUMBA_DISABLE_JIT") == "1" else 100_000


def modes(name):
    return (True, False) if TYPES[name].differentiable else (False,)


def sequences_for(name, capacity, n, seed=0):
    return random_sequences(n, seed, window=capacity if TYPES[name].counts else None)


def compared(name, capacity, differentiate, sequences):
    """Compare the package with our kernels."""

    def ours(sequences):
        answers = queue_player.play(TYPES[name].semantics, capacity, sequences)
        return comparable(name, differentiate, answers)

    theirs = partial(adseq_queues.play, name, capacity, differentiate=differentiate)
    return compare(sequences, ours, theirs)


def sequence(*operations):
    """Return a batch of one from pairs (kind, time), with a tangent for each push."""
    kind, time = np.array(operations).T[:, None, :]
    tangent = np.arange(1.0, len(operations) + 1.0)[None, :] * (kind == PUSH)
    return Sequences(kind, time, tangent)


# --- sequences, without adseq -----------------------------------------------------------------


def test_sequences_hold_what_they_promise():
    drawn = random_sequences(2000, 0)
    polls = drawn.kind == POLL
    pushes = drawn.kind == PUSH
    now = np.repeat(np.arange(16), 3)
    delays = np.where(pushes, drawn.time - now, 99)
    assert (drawn.time[polls] == np.broadcast_to(now, polls.shape)[polls]).all()
    assert (delays < 0).any()
    assert (delays == 0).any()
    assert (polls.sum(axis=1) < 16).any()
    assert pushes[:, 0].any()
    assert polls[:, 0].any()
    one_delay = [len(set(row[row < 99])) == 1 for row in delays if (row < 99).sum() > 5]
    assert 0.1 < np.mean(one_delay) < 0.9
    assert (drawn.tangent[drawn.kind == NOTHING] == 0.0).all()


@pytest.mark.parametrize("window", [2, 32])
def test_sequences_keep_to_a_window(window):
    drawn = random_sequences(500, 1, window=window)
    for kinds, times in zip(drawn.kind, drawn.time, strict=True):
        last = -1
        for kind, time in zip(kinds, times, strict=True):
            if kind == POLL:
                assert time == last + 1
                last = time
            elif kind == PUSH:
                assert last < time < last + window + (last < 0)


def test_the_shortest_sequence_is_found():
    def forgets_the_second(capacity, sequences):
        pushes = np.cumsum(sequences.kind == PUSH, axis=1) * (sequences.kind == PUSH)
        kind = np.where(pushes == 2, NOTHING, sequences.kind)
        return naive_queues.play("bounded_fifo", capacity, sequences._replace(kind=kind))

    right = partial(naive_queues.play, "bounded_fifo", 8)
    found = compare(random_sequences(300, 2), right, partial(forgets_the_second, 8))
    assert 0 < found.agree < 300
    assert as_text(found.shortest) == "push 0, push 0, poll 0, poll 0"


# --- our kernels, without adseq ---------------------------------------------------------------


@pytest.mark.parametrize("capacity", [1, 2, 4, 7])
@pytest.mark.parametrize("structure", sorted({*naive_queues.NAIVE} - {"ring_buffer", "bit_array"}))
def test_kernels_agree_with_naive_models(structure, capacity):
    capacity = 1 if structure.startswith("single") else capacity
    sequences = random_sequences(1000, seed=4)
    ours = partial(queue_player.play, structure, capacity)
    found = compare(sequences, ours, partial(naive_queues.play, structure, capacity))
    assert found.agree == found.sequences, as_text(found.shortest)


@pytest.mark.parametrize(
    ("structure", "window"), [("bit_array", 32), ("bit_array", 64), ("ring_buffer", 9)]
)
def test_windows_agree_with_naive_models(structure, window):
    def naive(sequences):
        answers = naive_queues.play(structure, window, sequences)
        missing = "tangent" if structure == "bit_array" else "time"
        return answers._replace(**{missing: 0 * getattr(answers, missing)})

    ours = partial(queue_player.play, structure, window)
    found = compare(random_sequences(1000, seed=4, window=window), ours, naive)
    assert found.agree == found.sequences, as_text(found.shortest)


# --- what agrees ------------------------------------------------------------------------------


@needs_adseq
@pytest.mark.parametrize(("name", "capacity"), RIGHT)
def test_answers_agree(name, capacity):
    for differentiate in modes(name):
        found = compared(name, capacity, differentiate, sequences_for(name, capacity, MANY))
        assert found.agree == found.sequences, as_text(found.shortest)


@needs_adseq
def test_a_wrong_capacity_is_noticed():
    sequences = sequences_for("FIFORing", 4, 2000)
    theirs = partial(adseq_queues.play, "FIFORing", 5)
    found = compare(sequences, partial(queue_player.play, "bounded_fifo", 4), theirs)
    assert found.agree < found.sequences
    assert as_text(found.shortest).count("push") == 5


@needs_adseq
@pytest.mark.parametrize("name", ["SingleSpike", "SingleSpikeKeep", "FIFORing", "SortedArray"])
def test_one_queue_of_the_package_under_our_protocol(name):
    queue = AdseqQueue(name, 2)
    assert queue.push(3, payload=7, tangent=0.5) == 0
    assert queue.pop_due(2.0) is None
    assert queue.pop_due(3.0) == (3.0, 7, 0, 0.5)
    assert queue.pop_due(4.0) is None


@needs_adseq
@pytest.mark.parametrize(
    ("name", "capacity"),
    [("SingleSpike", 1), ("SingleSpikeKeep", 1), *product(SIZED, [1, 3])],
)
def test_the_package_conforms(name, capacity):
    assert_conforms(
        partial(AdseqQueue, name, capacity),
        TYPES[name].semantics,
        capacity=capacity,
        stepped=True,
        examples=60,
    )


# --- what is wrong in the package -------------------------------------------------------------


@needs_adseq
@pytest.mark.parametrize("differentiate", [True, False])
def test_its_heap_of_two_or_more_is_not_ordered(differentiate):
    shortest = sequence((PUSH, 1), (PUSH, 0), (POLL, 0))
    assert compared("BinaryHeap", 2, differentiate, shortest).agree == 0
    found = compared("BinaryHeap", 4, differentiate, sequences_for("BinaryHeap", 4, 2000))
    assert 0 < found.agree < found.sequences / 2
    assert len(as_text(found.shortest).split(",")) == 3


@needs_adseq
def test_its_heap_changes_when_it_is_differentiated():
    in_order = sequence((PUSH, 1), (PUSH, 2), (POLL, 2), (POLL, 3))
    plain = adseq_queues.play("BinaryHeap", 2, in_order, differentiate=False)
    differentiated = adseq_queues.play("BinaryHeap", 2, in_order)
    assert plain.hits.tolist() == differentiated.hits.tolist() == [[0, 0, 1, 1]]
    assert plain.time.tolist() == [[0, 0, 1, 2]]
    assert differentiated.time.tolist() == [[0, 0, 2, 1]]  # the later one left
    assert differentiated.tangent.tolist() == [[0.0, 0.0, 1.0, 1.0]]  # the first, twice


@needs_adseq
def test_its_heap_does_not_conform():
    with pytest.raises(ConformanceError) as found:
        assert_conforms(
            partial(AdseqQueue, "BinaryHeap", 3),
            "bounded_heap",
            capacity=3,
            stepped=True,
            examples=60,
            seed=0,
        )
    assert sum(isinstance(operation, Push) for operation in found.value.script) == 2


@needs_adseq
def test_bgpq1_loses_events():
    times = [10, 11, 12, 13, 14]
    all_of_them = sequence(*[(PUSH, t) for t in times], *[(POLL, t) for t in range(10, 30)])
    hits = adseq_queues.play("BGPQ1", 8, all_of_them).hits
    assert hits.sum() == 2
    assert compared("BGPQ1", 8, False, all_of_them).agree == 0


@needs_adseq
def test_bgpq1_finds_events_in_an_empty_queue_from_step_100_000_on():
    polls = sequence((POLL, 99_999), (POLL, 100_000))
    assert adseq_queues.play("BGPQ1", 8, polls).hits.tolist() == [[0, 1]]


@needs_adseq
@pytest.mark.parametrize("name", ["SingleSpike", "SingleSpikeKeep", "FIFORing", "SortedArray"])
def test_tangents_leak_without_a_hit(name):
    jax, jnp, _ = adseq_queues.packages()

    def polled(time):
        queue, early = new_queue(name, 2, True).enqueue(time).pop(2.0)
        return jnp.stack([early, queue.pop(3.0)[1]])

    hits, tangents = jax.jvp(polled, (3.0,), (0.5,))
    assert hits.tolist() == [0.0, 1.0]
    assert tangents.tolist() == [0.5, 0.5]


@needs_adseq
def test_the_sentinel_becomes_a_tangent():
    jax, jnp, _ = adseq_queues.packages()

    def polled(time):
        queue, hit = new_queue("FIFORing", 1, True).enqueue(time).pop(3.0)
        return jnp.stack([hit, queue.pop(4.0)[1]])

    hits, tangents = jax.jvp(polled, (3.0,), (0.5,))
    assert hits.tolist() == [1.0, 0.0]
    assert tangents.tolist() == [0.5, 2.0**31]


@needs_adseq
def test_slots_are_found_in_float32():
    odd = 2**24 + 1  # in float32 it is the step before
    early = sequence((PUSH, odd), (POLL, odd - 1))
    assert adseq_queues.play("Ring", 4, early, differentiate=False).hits[0, 1] == 1
    both = sequence((PUSH, odd), (PUSH, odd - 1), (POLL, odd - 1), (POLL, odd))
    assert adseq_queues.play("LossyRing", 4, both, differentiate=False).hits.sum() == 1


# --- arguments --------------------------------------------------------------------------------


@needs_adseq
def test_arguments_are_checked():
    with pytest.raises(InvalidValueError, match="name is 'Heap'; expected one of"):
        new_queue("Heap", 4, True)
    with pytest.raises(QueueError, match="capacity = 0; expected at least 1"):
        new_queue("FIFORing", 0, True)
    with pytest.raises(InvalidValueError, match="name is 'Ring'"):
        AdseqQueue("Ring", 4)
    queue = AdseqQueue("FIFORing", 4)
    for time in (0.5, 2.0**24 + 2.0):
        with pytest.raises(InvalidValueError, match="expected a whole number of steps"):
            queue.push(time)
    with pytest.raises(QueueError, match="time = nan"):
        queue.push(float("nan"))
    assert queue.push(1.0) == 0


def test_the_structure_is_checked():
    with pytest.raises(
        InvalidValueError, match="structure is 'heap'; expected one of null, single"
    ):
        queue_player.play("heap", 4, random_sequences(1, 0))
    with pytest.raises(QueueError, match="capacity = 0; expected at least 1"):
        queue_player.play("bounded_fifo", 0, random_sequences(1, 0))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "adseq", None)
    monkeypatch.setattr(adseq_queues, "packages", adseq_queues.packages.__wrapped__)
    with pytest.raises(MissingExtraError, match=r'pip install "refsim\[adseq\]"'):
        adseq_queues.packages()


def test_the_package_is_imported_on_first_use():
    code = "import validation.queue_study.adseq, sys; print('jax' in sys.modules)"
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert result.stdout.strip() == "False", result.stderr
