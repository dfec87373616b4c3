"""The event-driven JAX back end against refsim, finite differences, mpmath and itself."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from jax_cases import evaluated, gradient_errors, usual

import refsim
from adjoint.check import evaluate
from validation.case_suite.stored import generated_names, standard_cases, stored_cases
from validation.comparison.backend import LossCotangents
from validation.strategies import cases
from validation.tolerances import gradient_rounding, time_rounding, voltage_rounding

jax = pytest.importorskip("jax", reason="needs the extra jax")
import jax.numpy as jnp  # noqa: E402

from refsim.errors import InvalidTypeError, InvalidValueError  # noqa: E402
from validation.backends.jax import (  # noqa: E402
    convolutions as jax_convolutions,
    event as jax_event,
    event_order as jax_event_order,
)
from validation.backends.jax.event_structure import problem  # noqa: E402
from validation.backends.jax.setup import float64  # noqa: E402

# Both sides round a few dozen operations an event; of the standard cases the worst was 4e-13.
GRADIENT = 1e-11
TIME = 1e-11  # ms


def answer(evaluation):
    case, spikes = evaluation.case, evaluation.simulation.spikes
    cotangents = LossCotangents.of(case, spikes.neuron)
    return jax_event.backend(case.network, case.inputs, case.duration, cotangents)


def check(evaluation, tolerance=GRADIENT, ms=TIME):
    simulation = evaluation.simulation
    found = answer(evaluation)
    assert np.array_equal(found.neuron, simulation.spikes.neuron)
    assert np.all(np.diff(found.time) >= 0.0)
    np.testing.assert_allclose(found.time, simulation.spikes.time, rtol=0.0, atol=ms)
    atol = max(1e-11, voltage_rounding(simulation)) * np.abs(case_voltages(evaluation.case)).max()
    np.testing.assert_allclose(found.voltages, simulation.voltages, rtol=0.0, atol=atol)
    errors = gradient_errors(evaluation, found.gradient)
    worst = max(errors, key=errors.get)
    assert errors[worst] < tolerance, (worst, errors[worst])


def case_voltages(case):
    network = case.network
    return np.concatenate([network.v_th, network.v_reset, network.v_rest, network.i_ext])


# --- networks -----------------------------------------------------------------------------------


GENERATED = generated_names()


def standard(is_large):
    """Return cases by size; the many that the oracle has made have a test of their own."""
    found = [case for case in standard_cases() if (case.network.n_neurons > 15) == is_large]
    return [pytest.param(case, id=case.name) for case in found if case.name not in GENERATED]


@pytest.mark.parametrize("case", standard(is_large=False))
def test_standard_cases(case):
    check(evaluate(case))


@pytest.mark.slow  # another size of arrays, hence another compilation
@pytest.mark.parametrize("case", standard(is_large=True))
def test_large_standard_cases(case):
    check(evaluate(case))


def generated():
    return [pytest.param(case, id=case.name) for case in stored_cases() if case.name in GENERATED]


@pytest.mark.slow
@pytest.mark.parametrize("case", generated())
def test_cases_of_the_oracle(case):
    """To 1e-9, or what rounding does to two answers where a spike grazes its threshold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        evaluation = evaluate(case)
        if evaluation.simulation.conditioning.has_ties:
            pytest.skip("an arrival coincides with a crossing or a release: one-sided gradients")
        _ = evaluation.gradient
        grazing = float(np.max(time_rounding(evaluation.simulation), initial=0.0))
        check(evaluation, max(1e-9, 2.0 * gradient_rounding(evaluation.simulation)), TIME + grazing)


def check_drawn(case):
    evaluation = evaluated(case)
    counts = evaluation.simulation.counts
    assume(counts.arrivals + 2 * counts.spikes + 4 <= 1024)  # one size of arrays for all
    check(evaluation, 1e-9)


@settings(usual, max_examples=40)
@given(case=cases(min_spikes=1))
def test_random_networks(case):
    check_drawn(case)


@pytest.mark.slow
@settings(usual, max_examples=400)
@given(case=cases(min_spikes=1))
def test_many_random_networks(case):
    check_drawn(case)


def test_room_grows_until_nothing_is_missing():
    network = refsim.Network(1, ports=refsim.ExpPort(5.0), tau_m=10.0, i_ext=3.0)
    expected = refsim.simulate(network, None, 1000.0).spikes.time
    assert len(expected) > 128
    structure = jax_event.sized_problem(network, None, 1000.0)[1]
    assert len(structure.spikes) >= len(expected)
    parameters, too_small, _ = problem(
        network, refsim.SpikeTrain.empty(), 1000.0, refsim.Samples([], [])
    )
    dot = direction(parameters, 0)
    with float64():
        outputs, tangents = jax.device_get(with_tangents(parameters, dot, too_small))
    assert np.all(np.isnan([*outputs.time, *outputs.voltage]))
    assert np.all(np.isnan([*tangents.time, *tangents.voltage]))


def test_more_events_than_allowed_is_an_error():
    network = refsim.Network(1, ports=refsim.ExpPort(5.0), tau_m=10.0, i_ext=3.0)
    with pytest.raises(jax_event.NotFinishedError, match="more than 128 events"):
        jax_event.sized_problem(network, None, 1000.0, most_events=128)


# --- derivatives --------------------------------------------------------------------------------


def small_case():
    return next(case for case in standard_cases() if case.name == "equal time constants")


def with_tangents(parameters, dot, structure):
    return jax.jvp(lambda p: jax_event.spikes_and_samples(p, structure), (parameters,), (dot,))


def direction(parameters, seed):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda z: np.where(np.isfinite(z), rng.normal(size=z.shape), 0.0), parameters
    )


def test_tangents_are_limits_of_differences():
    """Central differences of the whole, with two steps: the error falls as the square."""
    case = small_case()
    parameters, structure, _ = jax_event.sized_problem(
        case.network, case.inputs, case.duration, case.samples
    )
    dot = direction(parameters, 0)
    with float64():
        outputs, tangents = with_tangents(parameters, dot, structure)

        def moved(h):  # one compiled function serves for all
            shifted = jax.tree.map(lambda x, x_dot: x + h * x_dot, parameters, dot)
            return with_tangents(shifted, dot, structure)[0]

        errors = []
        for h in (2e-5, 1e-5):
            quotient = jax.tree.map(lambda a, b, h=h: (a - b) / (2.0 * h), moved(h), moved(-h))
            differences = jax.tree.map(lambda q, t: np.nanmax(np.abs(q - t)), quotient, tangents)
            errors.append(np.array(differences))
    size = np.array([np.nanmax(np.abs(tangents.time)), np.abs(tangents.voltage).max()])
    assert np.all(errors[1] < 1e-6 * size)
    assert np.all(errors[1] < 0.3 * errors[0]) or np.all(errors[1] < 1e-9 * size)
    assert not np.isnan(outputs.time[0])


def test_gradient_of_any_loss():
    """jax.grad of a loss written in JAX: the adjoint of the tangents of another direction."""
    case = small_case()
    parameters, structure, _ = jax_event.sized_problem(
        case.network, case.inputs, case.duration, case.samples
    )
    dot = direction(parameters, 1)

    def loss(p):
        outputs = jax_event.spikes_and_samples(p, structure)
        return jnp.nansum((outputs.time - 20.0) ** 2) + jnp.sum(jnp.tanh(outputs.voltage))

    with float64():
        gradient = jax.grad(loss)(parameters)
        _, tangent = jax.jvp(loss, (parameters,), (dot,))
    terms = [np.sum(np.asarray(g) * d) for g, d in zip(gradient, dot, strict=True)]
    assert abs(sum(terms) - float(tangent)) < 1e-12 * np.sum(np.abs(terms))


# --- parts --------------------------------------------------------------------------------------


@jax.jit
def all_convolutions(rates, t):
    functions = (jax_convolutions.convolve2, jax_convolutions.convolve3, jax_convolutions.convolve4)
    return [f(*rates[:m], t) for f, m in zip(functions, (2, 3, 4), strict=True)]


@settings(usual, max_examples=60)
@given(
    rates=st.lists(st.floats(0.01, 3.0), min_size=4, max_size=4),
    near=st.lists(
        st.sampled_from([0.0, 1e-15, 1e-9, 1e-5, 1e-2, None, None]), min_size=3, max_size=3
    ),
    t=st.sampled_from([0.0, 1e-6, 0.01, 1.0, 7.5, 40.0]),
)
def test_convolutions(rates, near, t):
    """Against the integral of their definition, by the exponential of a matrix at 40 digits."""
    mpmath = pytest.importorskip("mpmath", reason="needs mpmath")
    for i, distance in enumerate(near):
        if distance is not None:
            rates[i + 1] = rates[i] * (1.0 + distance)
    with float64():
        numbers = all_convolutions(np.array(rates), np.array(t))
    for found, m in zip(map(float, numbers), (2, 3, 4), strict=True):
        expected = convolution(mpmath, rates[:m], t)
        # Rounding of rate times t is a relative error of the exponential.
        assert abs(found - expected) <= 2e-14 * (1.0 + max(rates) * t) * expected


def convolution(mpmath, rates, t):
    """Return the corner of the exponential of a bidiagonal matrix, which a convolution is."""
    with mpmath.workdps(40):
        m = len(rates)
        matrix = mpmath.zeros(m)
        for i, rate in enumerate(rates):
            matrix[i, i] = -mpmath.mpf(rate) * mpmath.mpf(t)
            if i:
                matrix[i - 1, i] = mpmath.mpf(t)
        return float(mpmath.expm(matrix)[0, m - 1])


@pytest.mark.parametrize("height", [1e-3, 1e-6, 1e-9, 1e-12, -1e-12, -1e-9, -1e-6, -1e-3])
def test_the_shortest_excursion_is_found(height):
    """V peaks `height` above threshold: for 1e-12 it is above for some microseconds."""
    tau_m, tau = 10.0, 5.0
    peak = tau_m / (tau_m - tau) * tau * np.log(tau_m / tau)  # time of the peak
    top = tau / (tau_m - tau) * (np.exp(-peak / tau_m) - np.exp(-peak / tau))
    network = refsim.Network(
        1,
        refsim.Synapses([1], [0], [1.0], [0.0], [0]),
        n_inputs=1,
        ports=refsim.ExpPort(tau),
        tau_m=tau_m,
        v_th=top * (1.0 - height),
    )
    inputs = refsim.SpikeTrain([0.0], [0], 1)
    expected = refsim.simulate(network, inputs, 40.0).spikes.time
    parameters, structure, _ = problem(network, inputs, 40.0, refsim.Samples([], []))
    with float64():
        log = jax.device_get(jax.jit(jax_event_order.event_log)(parameters, structure))
    found = log.time[log.kind == jax_event_order.SPIKE]
    assert len(found) == (height > 0.0) == len(expected)
    # Near its peak V says the time to the square root of its rounding error only.
    assert np.all(np.abs(found - expected) < 1e-15 * tau_m / np.sqrt(abs(height)) + 1e-14)


# --- errors and settings ------------------------------------------------------------------------


def test_single_precision_is_refused():
    case = small_case()
    parameters, structure, _ = problem(case.network, case.inputs, case.duration, case.samples)
    with pytest.raises(InvalidTypeError, match="weight has the dtype float32"):
        jax_event.spikes_and_samples(parameters, structure)


def test_bad_durations_are_refused():
    with pytest.raises(InvalidValueError, match="duration is -1"):
        jax_event.sized_problem(refsim.Network(1), None, -1.0)


def test_the_precision_of_the_user_is_left_alone():
    case = small_case()
    answer(evaluate(case))
    assert jnp.asarray(1.0).dtype == jnp.float32


def test_without_jax_the_extra_is_named():
    code = (
        "import sys; sys.modules['jax'] = None\n"
        "try:\n    import validation.backends.jax.event\n"
        "except ImportError as error:\n    print(type(error).__name__, error)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "MissingExtraError" in shown.stdout
    assert "refsim[jax]" in shown.stdout
