"""What bounded queues lose of a random train: measured, in closed form, and by other programs."""

import math
from itertools import combinations

import numba
import numpy as np
import pytest

from queues import HorizonError, QueueError
from queues.bounded.dispatch import BOUNDED, OF_ONE
from queues.study.drop_rates import drop_rate, expected_drop_rate
from queues.study.streams import Streams, run_streams

STEPS = 20_000 if numba.config.DISABLE_JIT else 5_000_000
RATE = 0.1  # spikes a step
DELAYS = (5, 10, 20, 50)

# Fractions lost at these delays of a train at this rate, polls before pushes: a simulation of 1e8
# steps, independent of ours, of the queues of the package adseq (arXiv 2512.05906); its standard
# error is at most 2e-4.
LONG_RUNS = {
    ("single_spike", 1): (0.32990, 0.59350, 0.85034, 0.99254),
    ("single_spike_keep", 1): (0.27584, 0.46148, 0.64396, 0.82345),
    ("bounded_fifo", 1): (0.27584, 0.46148, 0.64396, 0.82345),
    ("bounded_fifo", 2): (0.04060, 0.15639, 0.36351, 0.65679),
    ("bounded_fifo", 4): (0.000078, 0.005695, 0.06664, 0.36637),
    ("bounded_fifo", 8): (0.0, 1e-7, 0.000146, 0.04763),
}
# The package itself, 100 trains of 10,000 steps: fractions and standard errors, or the last digit
# where nearly nothing was lost.
ADSEQ = {
    ("single_spike", 1): ((0.3272, 0.0015), (0.5917, 0.0015), (0.8510, 0.0011), (0.9925, 0.0003)),
    ("bounded_fifo", 1): ((0.2736, 0.0011), (0.4600, 0.0010), (0.6421, 0.0008), (0.8221, 0.0005)),
    ("bounded_fifo", 2): ((0.0394, 0.0006), (0.1547, 0.0010), (0.3606, 0.0011), (0.6547, 0.0008)),
    ("bounded_fifo", 4): ((0.0001, 0.0001), (0.0056, 0.0003), (0.0658, 0.0008), (0.3634, 0.0013)),
    ("bounded_fifo", 8): ((0.0, 1e-4), (0.0, 1e-4), (0.0002, 1e-4), (0.0457, 0.0008)),
    ("lossy_ring", 4): ((0.0950, 0.0008), (0.1814, 0.0011), (0.3292, 0.0014), (0.6972, 0.0014)),
    ("lossy_ring", 8): ((0.0, 1e-4), (0.0952, 0.0010), (0.1805, 0.0013), (0.4490, 0.0014)),
}
OF_MANY = [name for name in BOUNDED if name not in (*OF_ONE, "bit_array")]
QUEUES = [(name, None) for name in OF_ONE] + [("bit_array", 64)]
QUEUES += [(name, capacity) for name in OF_MANY for capacity in (1, 2, 4, 8)]


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize(("name", "capacity"), QUEUES)
def test_a_queue_loses_what_its_closed_form_says(name, capacity, delay):
    """Four standard errors and one spike: of 160 such rates one in a hundred would fail by chance.

    Seeds are fixed, so it either fails always or never.
    """
    for push_first in (False, True):
        found = drop_rate(name, capacity, RATE, delay, STEPS, push_first=push_first, seed=delay)
        expected = expected_drop_rate(name, capacity, RATE, delay, push_first=push_first)
        assert abs(found.rate - expected) <= 4 * found.standard_error + 1 / found.n_pushes
        assert found.n_pushes == pytest.approx(STEPS * -math.expm1(-RATE), rel=0.1)
        if not numba.config.DISABLE_JIT:
            assert found.standard_error < 1.5e-3


@pytest.mark.parametrize("push_first", [False, True])
@pytest.mark.parametrize(("name", "capacity"), QUEUES)
def test_streams_lose_what_polls_at_every_step_lose(name, capacity, push_first):
    """The same train, without looking at the steps at which nothing happens."""
    delay, steps = 20, 20_000
    found = drop_rate(name, capacity, RATE, delay, steps, push_first=push_first, seed=3)
    train = np.random.default_rng(3).random(steps + 10 * delay) < -math.expm1(-RATE)
    pushed = np.flatnonzero(train)
    streams = Streams(np.array([0, pushed.size]), pushed, pushed + delay)
    outcome = run_streams(name, streams, train.size, capacity=capacity, push_first=push_first)
    counted = outcome.delivered[pushed >= 10 * delay]
    # One lost to the first push that counts may have been pushed before.
    assert abs(np.count_nonzero(counted == -1) - found.rate * found.n_pushes) <= 1.5
    assert counted.size == found.n_pushes


@pytest.mark.parametrize(("name", "capacity"), LONG_RUNS)
def test_closed_forms_are_what_long_runs_give(name, capacity):
    for delay, long_run in zip(DELAYS, LONG_RUNS[name, capacity], strict=True):
        assert expected_drop_rate(name, capacity, RATE, delay) == pytest.approx(long_run, abs=6e-4)


@pytest.mark.parametrize(("name", "capacity"), ADSEQ)
def test_closed_forms_are_what_adseq_gives(name, capacity):
    """Up to 3.5 standard errors: its figures for one delay share their trains."""
    for delay, (rate, error) in zip(DELAYS, ADSEQ[name, capacity], strict=True):
        assert abs(expected_drop_rate(name, capacity, RATE, delay) - rate) <= 3.5 * error


@pytest.mark.parametrize("push_first", [False, True])
@pytest.mark.parametrize(("capacity", "delay"), [(1, 4), (2, 4), (2, 7), (3, 7), (4, 5)])
def test_a_formula_of_erlang_in_discrete_time(capacity, delay, push_first):
    """The chain of all sets of ages of the spikes under way, by brute force."""
    p = -math.expm1(-0.7)
    ages = delay + push_first  # steps at whose end a spike is there, its own one included
    states = [set(s) for k in range(capacity + 1) for s in combinations(range(ages), k)]
    chance = np.full(len(states), 1 / len(states))
    move = np.zeros((len(states), len(states)))
    blocked = np.zeros(len(states))
    for i, state in enumerate(states):
        older = {age + 1 for age in state} - {ages}
        blocked[i] = len(older) == capacity
        move[i, states.index(older)] += 1 - p
        move[i, states.index(older if blocked[i] else older | {0})] += p
    for _ in range(2000):
        chance = chance @ move
    expected = expected_drop_rate("bounded_fifo", capacity, 0.7, delay, push_first=push_first)
    assert chance @ blocked == pytest.approx(expected, rel=1e-12)


def test_equal_seeds_give_equal_trains():
    one, same, other = (drop_rate("bounded_heap", 2, RATE, 9, 20_000, seed=s) for s in (1, 1, 2))
    assert one == same
    assert one != other
    assert drop_rate("bounded_fifo", 2, RATE, 9, 20_000, seed=1) == one


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ring", 1, 0.1, 5), "structure = 'ring'; expected one of"),
        (("bounded_fifo", 0, 0.1, 5), "capacity = 0; expected at least 1"),
        (("null", 1, 0.0, 5), "rate = 0.0; expected a positive number"),
        (("null", 1, math.nan, 5), "rate = nan; expected a finite number"),
        (("null", 1, 0.1, 0), "delay = 0; expected at least 1"),
        (("null", 2, 0.1, 5), "capacity = 2; expected none for 'null'"),
        (("bit_array", 32, 0.1, 32), "delay = 32; expected at most 31 for 32 bits"),
    ],
)
def test_bad_arguments(arguments, message):
    for function in (drop_rate, expected_drop_rate):
        with pytest.raises(QueueError, match=message):
            function(*arguments)


def test_the_reach_of_bits():
    for push_first, reach in ((False, 31), (True, 30)):
        found = drop_rate("bit_array", 32, RATE, reach, 20_000, push_first=push_first)
        assert found.rate == 0.0
        with pytest.raises(HorizonError, match=rf"delay = {reach + 1}; expected at most {reach}"):
            drop_rate("bit_array", 32, RATE, reach + 1, 20_000, push_first=push_first)


def test_bad_lengths():
    with pytest.raises(QueueError, match=r"n_steps = 100; expected at least 10,000"):
        drop_rate("null", 1, 0.1, 5, 100)
    with pytest.raises(QueueError, match=r"no spike was drawn"):
        drop_rate("null", 1, 1e-9, 5, 10_000)
