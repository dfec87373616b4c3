"""Tangents by windows are those that the event engine carries, and dual to the backward pass."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from test_window_pass import (
    TOLERANCE,
    bars_of,
    by_windows,
    simulated,
    usual,
    well_conditioned,
    with_delays,
)

import adjoint
import refsim
from adjoint.types import as_parameters
from adjoint.windows.forward.run import window_tangents
from adjoint.windows.run import WindowPass
from refsim.cases import gradient_sizes
from refsim.network.rows import pack
from refsim.windows import plan
from validation.case_suite import zoo
from validation.strategies import cases, decimals
from validation.tolerances import rounding_weight

GROUPS = ("weight", "delay", "tau_m", "tau", "v_th", "v_reset", "v_rest", "i_ext", "t_ref", "v0")
DIRECTIONS = [(*GROUPS, "input_times"), ("weight", "delay", "input_times"), ("tau_m",), ("tau",)]


def direction_of(case, names=DIRECTIONS[0], seed=0):
    """Return random tangents of some groups, and zeros for the others."""
    rng = np.random.default_rng(seed)
    sizes = gradient_sizes(case.network, len(case.inputs))
    given = {name: rng.normal(size=sizes[name]) for name in names}
    return as_parameters("tangents", given, case.network, len(case.inputs))


def by_events(case, direction):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        return adjoint.jvp(
            case.network,
            case.inputs,
            case.duration,
            direction,
            samples=case.samples,
            engine=refsim.Events(),
        )[1]


def in_windows(pullback, direction, longest=np.inf, n_blocks=None, dtype=np.float64):
    """Return tangents by windows along the simulation of a pullback."""
    question, spikes = pullback._question, pullback._simulation.spikes
    network = question.network
    n_sources = network.n_neurons + network.n_inputs
    rows = pack(network.n_neurons, n_sources, network.synapses, dtype, n_blocks)
    windows = WindowPass(question, None, longest, rows)
    return window_tangents(question, spikes, direction, windows)


def assert_same(found, expected, tolerance=TOLERANCE):
    for ours, theirs, name in zip(found, expected, ("time", "voltage"), strict=True):
        scale = np.abs(theirs).max(initial=1e-300)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale, err_msg=name)


@pytest.mark.parametrize(("longest", "n_blocks"), [(np.inf, 1), (0.13, 3)])
@pytest.mark.parametrize("names", DIRECTIONS, ids=lambda names: names[0] + str(len(names)))
@pytest.mark.parametrize("case", zoo.zoo(), ids=lambda case: case.name)
def test_the_zoo(case, names, longest, n_blocks):
    """Rounding of a few dozen operations an event; largest of all here 1.5e-14."""
    direction = direction_of(case, names)
    _, pullback = simulated(case)
    found = in_windows(pullback, direction, longest, n_blocks)
    assert_same(found, by_events(case, direction), 1e-13)


@settings(usual, max_examples=30)
@given(
    case=cases(),
    least=decimals(0.05, 3.0),
    longest=st.sampled_from([np.inf, np.inf, 0.11, 1.0]),
    n_blocks=st.sampled_from([1, 2, 5]),
    names=st.sampled_from(DIRECTIONS),
)
def test_random_networks(case, least, longest, n_blocks, names):
    case = with_delays(case, least)
    simulation, pullback = simulated(case)
    assume(well_conditioned(simulation))
    direction = direction_of(case, names)
    found = in_windows(pullback, direction, longest, n_blocks)
    assert_same(found, by_events(case, direction))


@settings(usual, max_examples=30)
@given(case=cases(max_neurons=4), least=decimals(0.05, 3.0))
def test_duality_of_the_passes_by_windows(case, least):
    """<a, J v> = <J^T a, v>, with the bound of rounding that validation.tolerances derives."""
    case = with_delays(case, least)
    simulation, pullback = simulated(case)
    assume(well_conditioned(simulation) and not simulation.conditioning.has_ties)
    time_bar, voltage_bar = bars_of(case, simulation)
    direction = direction_of(case)
    time_dot, voltage_dot = in_windows(pullback, direction)
    windows = by_windows(pullback)
    gradient = windows(time_bar, voltage_bar)
    outputs = np.concatenate([time_bar * time_dot, voltage_bar * voltage_dot])
    inputs = np.concatenate([bar * getattr(direction, name) for name, bar in gradient.items()])
    spike_bar = windows.spike_cotangents(time_bar, voltage_bar)
    weight = rounding_weight(simulation, spike_bar, time_dot, np.concatenate([outputs, inputs]))
    assert abs(outputs.sum() - inputs.sum()) <= 1e-12 * weight


def large(rng, n=300, in_degree=40, **delays):
    """Return a network of spikes in all windows, with one delay, a few, or any."""
    synapses = refsim.random(n, n, in_degree=in_degree, weight=0.02, rng=rng, **delays)
    drive = rng.uniform(1.1, 1.6, n)
    return refsim.Network(n, synapses, tau_m=10.0, i_ext=drive, v0=rng.uniform(0.0, 0.9, n))


@pytest.mark.parametrize("delays", [{"delay": 1.5}, {"delay": np.linspace(0.5, 3.0, 12_000)}])
@pytest.mark.parametrize("names", [("weight", "delay"), GROUPS])
def test_threads_and_packed_synapses_give_the_same(delays, names, monkeypatch):
    """One delay takes the loop over long rows. Threads own blocks, so no bit depends on them."""
    network = large(np.random.default_rng(3), **delays)
    sizes = gradient_sizes(network, 0)
    rng = np.random.default_rng(1)
    tangents = {name: rng.normal(size=sizes[name]) for name in names}
    monkeypatch.setattr(plan, "_WORTHWHILE", 10_000)
    run, dot = adjoint.jvp(network, None, 30.0, tangents, engine=refsim.Windows(threads=1))
    assert run.engine == "windows"
    assert len(run.spikes.time) > 300
    _, carried = adjoint.jvp(network, None, 30.0, tangents, engine=refsim.Events())
    assert_same(dot, carried)
    _, two = adjoint.jvp(network, None, 30.0, tangents, engine=refsim.Windows(threads=2))
    assert np.array_equal(dot.time, two.time)
    packed = network.replace(synapses=network.synapses.packed(network.n_neurons, 0))
    number = network.rows[1]
    for name in ("weight", "delay"):
        tangents[name] = tangents[name][number]
    _, compact = adjoint.jvp(packed, None, 30.0, tangents, engine=refsim.Windows())
    assert np.array_equal(dot.time, compact.time)


def test_many_blocks_and_single_precision():
    case = zoo.zoo()[-1]
    _, pullback = simulated(case)
    direction = direction_of(case)
    whole = in_windows(pullback, direction, n_blocks=1)
    assert_same(in_windows(pullback, direction, n_blocks=100), whole, 1e-13)
    # Weights of 24 bits move every tangent by about 6e-8, and not by nothing.
    single = in_windows(pullback, direction, n_blocks=1, dtype=np.float32)
    assert_same(single, whole, 1e-5)
    assert not np.array_equal(single[0], whole[0])


def test_silence_takes_the_tangents_of_the_start():
    """V = v0 exp(-t/tau_m): its derivatives are known, over any number of windows."""
    network = refsim.Network(3, v0=[0.5, 0.0, 0.25], tau_m=[10.0, 20.0, 40.0])
    samples = refsim.Samples([0, 1, 2, 0], [30.0, 31.0, 2000.0, 0.0])
    _, dot = adjoint.jvp(
        network, None, 2000.0, {"v0": 1.0, "tau_m": 1.0}, samples=samples, engine=refsim.Windows()
    )
    t, tau, v0 = samples.times, network.tau_m[samples.neurons], network.v0[samples.neurons]
    known = np.exp(-t / tau) * (1.0 + v0 * t / (tau * tau))
    np.testing.assert_allclose(dot.voltage, known, rtol=1e-13)
