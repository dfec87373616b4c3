"""Neurons next to the threshold, on every engine, against a judge in decimals."""

import math

import pytest
from certain import EPS, Leeway, Undecided, bounds_of, objections
from hypothesis import assume, given, settings

import refsim
from refsim import simulate, simulate_batch
from refsim.layers.run import LayersRun
from refsim.question import Question
from refsim.windows.plan import window_tables
from validation.strategies import near_threshold


def by_events(case, **options):
    return simulate(case.network, case.inputs, case.duration, **options, engine=refsim.Events())


def in_a_batch(case):
    return simulate_batch(case.network, [case.inputs], case.duration, engine=refsim.Events())[0]


def by_windows(case):
    return simulate(case.network, case.inputs, case.duration, engine=refsim.Windows())


def by_layers(case):
    return LayersRun(Question(case.network, case.inputs, case.duration)).execute()


def leeway(case, windows):
    """A few roundings an arrival; a window adds one of its own, and some of its length."""
    roundings = 32.0 + 8.0 * len(case.inputs)
    if not windows:
        return Leeway(roundings * EPS, 0.0, 4.0)
    length = window_tables(case.network).length
    roundings += 4.0 * math.sqrt(case.duration / length)
    # Responses are polynomials, good to the last bits of their largest value in a window.
    response = 8.0 * EPS * length / (length + float(case.network.tau_m.min()))
    return Leeway(roundings * EPS, response, 8.0)


def check(case):
    try:
        exact = bounds_of(case.network, case.inputs, case.duration, leeway(case, windows=False))
        by_length = bounds_of(case.network, case.inputs, case.duration, leeway(case, windows=True))
    except Undecided:
        assume(False)
    # Windows solve for crossings to the last bits of their own length.
    of_length = EPS * window_tables(case.network).length
    for run, bounds, rounding in (
        (by_events, exact, 0.0),
        (in_a_batch, exact, 0.0),
        (by_layers, exact, 0.0),
        (by_windows, by_length, of_length),
    ):
        wrong = objections(run(case).by_neuron(), bounds, case.duration, rounding)
        assert not wrong, f"{run.__name__}: {wrong}"


@settings(max_examples=60, deadline=None)
@given(near_threshold())
def test_no_spike_is_lost_next_to_the_threshold(case):
    check(case)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(near_threshold(max_neurons=3))
def test_no_spike_is_lost_next_to_the_threshold_at_length(case):
    check(case)
