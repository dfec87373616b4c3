"""The time-stepped JAX back end against the grid engine, differences, and the exact gradient."""

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jax_cases import VOLTAGES, usual

import adjoint
import refsim
from adjoint.check import evaluate
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.grid.scheme import MEMBRANES, RECEIVES, RESETS, SPIKE_TIMES, GridScheme
from validation.case_suite.stored import given_cases
from validation.comparison.backend import LossCotangents, nth_of_neuron
from validation.strategies import cases
from validation.tolerances import EPS

jax = pytest.importorskip("jax", reason="needs the extra jax")
import jax.numpy as jnp  # noqa: E402

from validation.backends.jax import grid as jax_grid  # noqa: E402
from validation.backends.jax.grid_structure import grid_problem  # noqa: E402
from validation.backends.jax.layout import gradient_of  # noqa: E402
from validation.backends.jax.setup import float64  # noqa: E402

SINGLE = 2.0**-24  # unit roundoff of float32


def question(case, dt, scheme, seed=0):
    """Return the simulation and the gradient of the grid engine, and what a back end is asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        simulation, pullback = adjoint.vjp(
            case.network,
            case.inputs,
            case.duration,
            samples=case.samples,
            engine=refsim.Grid(dt, scheme=scheme),
        )
    rng = np.random.default_rng(seed)
    neuron = simulation.spikes.neuron
    time_bar, voltage_bar = rng.normal(size=len(neuron)), rng.normal(size=len(case.samples))
    asked = LossCotangents(time_bar, neuron, nth_of_neuron(neuron), case.samples, voltage_bar)
    return simulation, pullback(time_bar, voltage_bar), asked


def relative_errors(found, expected, n_steps=0, unit=EPS):
    """Return the errors of all groups, relative to the largest entry.

    What passes through spikes is of one size in all groups of one unit, and may cancel in one of
    them: the rounding of so many steps is left out.
    """
    errors = {}
    for group, values in expected.items():
        kin = [v for name, v in expected.items() if (name in VOLTAGES) == (group in VOLTAGES)]
        size = max(np.max(np.abs(v), initial=0.0) for v in kin)
        error = np.max(np.abs(found[group] - values), initial=0.0)
        beyond = max(error - n_steps * unit * size, 0.0)
        errors[group] = beyond / max(np.max(np.abs(values), initial=0.0), 1e-300)
    return errors


def check(case, dt, scheme, seed=0):
    simulation, gradient, asked = question(case, dt, scheme, seed)
    answer = jax_grid.backend(case.network, case.inputs, case.duration, asked, dt=dt, scheme=scheme)
    assert np.array_equal(answer.neuron, simulation.spikes.neuron)
    np.testing.assert_allclose(answer.time, simulation.spikes.time, rtol=0.0, atol=1e-11)
    np.testing.assert_allclose(answer.voltages, simulation.voltages, rtol=1e-11, atol=1e-11)
    errors = relative_errors(answer.gradient, gradient, simulation.n_steps)
    for group, error in errors.items():
        limit = 1e-10 if error < 1e-10 else 1e-10 + sensitivity(case, dt, scheme, seed)[group]
        assert error < limit, (group, error, limit)


def sensitivity(case, dt, scheme, seed):
    """Return by how much gradients change, relatively, with voltages and taus moved by 1e-13.

    That is the rounding of some hundred steps, and no two computations can agree better. A soft
    reset is at times that sensitive: its factor 1 - (V - v_reset) g may be close to 0, or far
    above 1 at spike after spike. Of some random moves the largest change counts, for in one of
    them those of several parameters may cancel.
    """
    network = case.network
    names = ("weight", "tau_m", "tau", "v_th", "v_reset", "v_rest", "i_ext", "v0")
    values = {name: getattr(network, name) for name in names}
    gradient = question(case, dt, scheme, seed)[1]
    largest = dict.fromkeys(dict(gradient.items()), 0.0)
    for draw in range(6):
        rng = np.random.default_rng(draw)
        moved = {
            name: v * (1.0 + 1e-13 * rng.choice([-1.0, 1.0], v.shape)) for name, v in values.items()
        }
        nearby = replace(case, network=network.replace(**moved))
        other = dict(question(nearby, dt, scheme, seed)[1].items())
        for name, change in relative_errors(other, gradient).items():
            largest[name] = max(largest[name], change)
    return largest


# --- the grid engine ----------------------------------------------------------------------------

schemes = st.builds(
    GridScheme,
    membrane=st.sampled_from(MEMBRANES),
    spike_time=st.sampled_from(SPIKE_TIMES),
    receive=st.sampled_from(RECEIVES),
    reset=st.sampled_from(RESETS),
    steepness=st.sampled_from([1.0, 10.0]),
    hold=st.booleans(),
    latency=st.integers(0, 2),
)
steps = st.sampled_from([0.1, 0.125, 0.25, 0.4])  # all in one size of arrays


@settings(usual, max_examples=25)
@given(case=cases(), dt=steps, scheme=schemes, seed=st.integers(0, 9))
def test_random_networks(case, dt, scheme, seed):
    check(case, dt, scheme, seed)


@pytest.mark.slow
@settings(usual, max_examples=200)
@given(case=cases(), dt=steps, scheme=schemes, seed=st.integers(0, 9))
def test_many_random_networks(case, dt, scheme, seed):
    check(case, dt, scheme, seed)


def stored(name):
    return next(case for case in given_cases() if case.name.startswith(name))


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("membrane", MEMBRANES)
def test_every_membrane_and_reset(membrane, reset, hold):
    for spike_time, receive in itertools.product(SPIKE_TIMES, RECEIVES):
        scheme = GridScheme(membrane, spike_time, receive, reset, hold=hold)
        check(stored("two_ports"), 0.1, scheme)


def test_rules_of_adseq():
    check(stored("refractory"), 0.1, GridScheme.adseq())


# --- other judges -------------------------------------------------------------------------------


def one_layer():
    """Three neurons that drive nobody: their gradient goes through no rounded time."""
    rng = np.random.default_rng(3)
    synapses = refsim.all_to_all(3 + np.arange(2), 3, rng.uniform(2.0, 3.0, (2, 3)), 1.5)
    network = refsim.Network(
        3,
        synapses,
        n_inputs=2,
        ports=(refsim.DoubleExpPort(2.0, 5.0),),
        tau_m=[8.0, 10.0, 12.0],
        i_ext=0.1,
    )
    inputs = refsim.SpikeTrain([1.0, 2.0, 3.5, 11.0, 12.5, 14.0], [0, 1, 0, 1, 0, 1], 2)
    return network, inputs, refsim.Samples([0, 1, 2], [9.0, 30.0, 38.0])


@pytest.mark.parametrize("membrane", MEMBRANES)
def test_tangents_are_limits_of_differences(membrane):
    """By all parameters that are no times; the reset has no tangent of time either."""
    network, inputs, samples = one_layer()
    scheme = GridScheme(membrane, reset="none")
    parameters, structure, _ = grid_problem(network, inputs, 40.0, samples, 0.1, scheme)
    rng = np.random.default_rng(0)
    dot = jax.tree.map(lambda x: rng.normal(size=x.shape), parameters)
    dot = dot._replace(**{t: 0.0 * getattr(dot, t) for t in ("delay", "t_ref", "input_times")})

    def moved(h):  # one compiled function serves for all
        shifted = jax.tree.map(lambda x, x_dot: x + h * x_dot, parameters, dot)
        return tangent_run(shifted, dot, structure)[0]

    with float64():
        h = 1e-6
        outputs, tangents = jax.device_get(tangent_run(parameters, dot, structure))
        ahead, behind = jax.device_get((moved(h), moved(-h)))
    is_spike = outputs.part >= 0.0
    assert np.count_nonzero(is_spike) > 3
    for found in (ahead, behind):
        assert np.array_equal(found.part >= 0.0, is_spike)
    time = 0.1 * (ahead.part - behind.part) / (2 * h)
    voltage = (ahead.voltage - behind.voltage) / (2 * h)
    # Rounding eps/h and, by the third derivative, h^2: both far below.
    np.testing.assert_allclose(tangents.late, time, rtol=1e-7, atol=1e-7 * np.abs(time).max())
    np.testing.assert_allclose(tangents.voltage, voltage, rtol=1e-7, atol=1e-7)


@jax.jit
def tangent_run(parameters, dot, structure):
    return jax.jvp(lambda p: jax_grid.simulate(p, structure), (parameters,), (dot,))


def two_layers():
    """The same three neurons, of which the first excites the others."""
    network, inputs, samples = one_layer()
    inner = refsim.all_to_all([0], [1, 2], 0.5, 2.0, autapses=False)
    network = network.replace(synapses=[network.synapses, inner], t_ref=0.7)
    return network, inputs, samples


def test_the_exact_gradient_is_the_limit():
    """An eighth of the step, at most half of the error (arrivals are rounded at random)."""
    network, inputs, _ = two_layers()
    samples = refsim.Samples([1, 2], [16.0, 19.2])
    simulation, pullback = adjoint.vjp(network, inputs, 20.0, samples=samples)
    neuron = simulation.spikes.neuron
    rng = np.random.default_rng(0)
    time_bar, voltage_bar = rng.normal(size=len(neuron)), rng.normal(size=2)
    exact = dict(pullback(time_bar, voltage_bar).items())
    asked = LossCotangents(time_bar, neuron, nth_of_neuron(neuron), samples, voltage_bar)
    errors = []
    for dt in (0.32, 0.04):
        answer = jax_grid.backend(network, inputs, 20.0, asked, dt=dt)
        assert np.array_equal(np.sort(answer.neuron), np.sort(neuron))
        errors.append(relative_errors(answer.gradient, exact))
    for group in exact:
        assert errors[1][group] < min(errors[0][group] / 2.0, 0.1), group


# --- single precision ---------------------------------------------------------------------------


def single_bounds(case, dt, simulation):
    """Return bounds (times, relative error of gradients) for float32, to first order.

    With u the unit roundoff and A the size of the terms of a voltage: a step makes an error of
    8 u A at most (it has as many operations), and keeps e^{-dt/tau} of earlier ones, so a voltage
    is wrong by 8 u A tau/dt at most, for the longest tau. A spike time is wrong by that, and by the
    rounding of the two voltages of its step, over the slope; the slope itself by the rounding of
    these voltages over dt, and through the current. Relative errors of slopes, twice as each is the
    divisor of one tangent and a factor of another, and 8 u of each step add up in the gradient.
    """
    trace = simulation.trace().voltage
    network = case.network
    drive = network.v_rest + network.i_ext
    change = np.abs(np.diff(trace, axis=1))
    for later in range(2):  # a reset is no current, at once or after a step above threshold
        reset = np.minimum(simulation.spike_step + later, change.shape[1] - 1)
        change[simulation.spikes.neuron, reset] = 0.0
    current = network.tau_m * change.max(axis=1) / dt
    size = 2.0 * np.abs(trace).max(axis=1) + np.abs(drive) + current
    tau = np.maximum(network.tau_m, network.tau.max())
    voltage = 8.0 * SINGLE * size * tau / dt
    n, slope = simulation.spikes.neuron, simulation.spikes.slope_before
    time = ((voltage + 4.0 * SINGLE * size)[n] / slope).max()
    of_slopes = (4.0 * SINGLE * size / dt + voltage / tau)[n] / slope
    return time, 2.0 * of_slopes.sum() + 8.0 * SINGLE * simulation.n_steps


@pytest.mark.parametrize(
    "scheme", [GridScheme(), GridScheme.adseq(), GridScheme("euler", receive="current")]
)
def test_single_precision(scheme):
    check_single_precision(scheme)


def check_single_precision(scheme):
    dt = 0.1
    for case in given_cases():
        if len(case.samples):  # of another size of arrays
            continue
        simulation, gradient, asked = question(case, dt, scheme)
        traced = refsim.simulate(
            case.network,
            case.inputs,
            case.duration,
            engine=refsim.Grid(dt, scheme=scheme, keep_voltages=True),
        )
        time, relative = single_bounds(case, dt, traced)
        assert relative < 0.1  # or else this says nothing
        answer = jax_grid.backend(
            case.network, case.inputs, case.duration, asked, dt=dt, scheme=scheme, dtype="float32"
        )
        assert np.array_equal(answer.neuron, simulation.spikes.neuron)
        assert np.abs(answer.time - simulation.spikes.time).max() < time
        errors = relative_errors(answer.gradient, dict(gradient.items()))
        errors = {g: e for g, e in errors.items() if np.any(getattr(gradient, g))}
        worst = max(errors, key=errors.get)
        assert errors[worst] < relative, (case.name, worst, errors[worst], relative)


# --- batches ------------------------------------------------------------------------------------


def test_a_batch_is_the_sum_of_its_samples():
    check_batch()


def check_batch():
    network, _, _ = two_layers()
    trains = [refsim.poisson_inputs(2, 150.0, 40.0, rng=k) for k in range(3)]
    nothing = refsim.Samples([], [])
    problems = [
        grid_problem(network, t, 40.0, nothing, 0.1, GridScheme(), is_batch=True) for t in trains
    ]
    parameters, structure = jax_grid.batched([found[:2] for found in problems])
    time_bar = np.random.default_rng(0).normal(size=(len(parameters.v0), 3))
    with float64():
        found = jax_grid.batch_gradient(parameters, structure, time_bar, wrt_inputs=True)
        part, gradient = jax.device_get(found)
    found = gradient_of(gradient._replace(input_times=np.zeros(len(trains[0]))), problems[0][2])
    total = dict.fromkeys(found, 0.0)
    for k, train in enumerate(trains):
        simulation, pullback = adjoint.vjp(network, train, 40.0, engine=refsim.Grid(0.1))
        time, neuron = jax_grid.spikes_of(part[k], 0.1)
        assert np.array_equal(neuron, simulation.spikes.neuron)
        np.testing.assert_allclose(time, simulation.spikes.time, rtol=0.0, atol=1e-12)
        nth = nth_of_neuron(neuron)
        bar = np.where(nth < 3, time_bar[neuron, np.minimum(nth, 2)], 0.0)
        for name, values in pullback(bar).items():
            total[name] = total[name] + (values if name != "input_times" else 0.0)
            if name == "input_times":
                by_inputs = gradient.input_times[k][: len(train)]
                np.testing.assert_allclose(by_inputs, values, rtol=1e-10, atol=1e-12)
    total["input_times"] = found["input_times"]
    assert max(relative_errors(found, total).values()) < 1e-10


# --- errors and settings ------------------------------------------------------------------------


def ask(**changes):
    case = stored("chain")
    asked = LossCotangents.of(case, evaluate(case).simulation.spikes.neuron)
    options = {"dt": 0.1} | changes
    return jax_grid.backend(case.network, case.inputs, case.duration, asked, **options)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"dt": 0.0}, InvalidValueError, "dt is 0"),
        ({"dt": 1e-7}, InvalidValueError, "expected at most 10000000 steps"),
        ({"dt": 5.5, "scheme": GridScheme("euler")}, InvalidValueError, "shortest time constant"),
        ({"scheme": "euler"}, InvalidTypeError, "expected GridScheme"),
        ({"dtype": "float16"}, InvalidValueError, "dtype is 'float16'"),
    ],
)
def test_bad_input_is_refused(changes, error, words):
    with pytest.raises(error, match=words):
        ask(**changes)


def test_the_precision_of_the_user_is_left_alone():
    ask()
    assert jnp.asarray(1.0).dtype == jnp.float32
