"""Gradients neuron by neuron and layer by layer are those event by event, and of differences."""

import warnings

import acyclic
import numpy as np
import pytest
from acyclic import MOST, both, pullbacks, without_cycles
from hypothesis import HealthCheck, assume, given, settings, strategies as st

import refsim
from adjoint.batch.layers import LayersPullback
from refsim import Network, SpikeLimitError, SpikeTrain, Synapses, UndefinedGradientError
from refsim.batch.layers import LayersBatch
from refsim.layers.run import LayersRun
from refsim.question import Question
from validation import tolerances
from validation.case_suite import zoo
from validation.strategies import DURATION, cases

usual = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
OF_LAYERS = ["weight", "delay", "input_times"]


def assert_equal(found, expected, simulation):
    """Compare gradients; each group against its own largest entry.

    Both are sums of the same products in another order: they differ by rounding, grown along chains
    of spikes, of terms that may cancel in the group.
    """
    tolerance = max(1e-10, 1e3 * tolerances.gradient_rounding(simulation))
    scales = {name: np.abs(values).max(initial=1e-300) for name, values in expected.items()}
    for name, values in found.items():
        np.testing.assert_allclose(
            values, expected[name], rtol=0, atol=tolerance * scales[name], err_msg=name
        )


def bars(simulation, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=simulation.n_spikes), rng.normal(size=len(simulation.samples))


def is_ordinary(simulation):
    """Return whether derivatives are those of both sides, and no rounding decides them."""
    slope = tolerances.slope_condition(simulation)
    return not simulation.conditioning.has_ties and slope.max(initial=1.0) < 1e3


@usual
@given(cases(max_spikes=MOST))
def test_neurons_one_by_one_give_the_gradient_of_the_event_engine(case):
    network = without_cycles(case.network)
    try:
        question, simulation, _ = both(network, case.inputs, case.duration, case.samples)
    except SpikeLimitError:
        assume(False)
    assume(is_ordinary(simulation))
    by_events, by_layers = pullbacks(question, simulation)
    given_bars = bars(simulation)
    assert_equal(by_layers(*given_bars), by_events(*given_bars), simulation)


@pytest.mark.parametrize("case", zoo.zoo(), ids=lambda case: case.name)
def test_the_zoo(case):
    network = without_cycles(case.network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        question, simulation, _ = both(network, case.inputs, case.duration, case.samples)
    if not is_ordinary(simulation):
        pytest.skip("its gradient is ill-conditioned")
    by_events, by_layers = pullbacks(question, simulation)
    given_bars = bars(simulation)
    assert_equal(by_layers(*given_bars), by_events(*given_bars), simulation)


@usual
@given(acyclic.layered(), st.sampled_from([["weight"], OF_LAYERS, ["delay"], None]))
def test_layers_give_the_gradient_of_the_event_engine(drawn, wrt):
    network, inputs = drawn
    try:
        question, simulation, _ = both(network, inputs, DURATION)
    except SpikeLimitError:
        assume(False)
    assume(is_ordinary(simulation))
    run = LayersBatch(Question(network, None, DURATION), [inputs], None, 1)
    batch = run.execute()
    assume(batch[0].spikes.neuron.tolist() == simulation.spikes.neuron.tolist())
    time_bar = bars(simulation)[0]
    found = LayersPullback(run, batch)(time_bar, wrt=wrt)
    expected = pullbacks(question, batch[0])[0](time_bar)
    assert_equal(found, expected, simulation)
    assert set(found) == set(wrt or expected)


def layered(seed=3):
    """Return a network of two full layers that are active, and inputs of some samples."""
    rng = np.random.default_rng(seed)
    pre = np.concatenate([np.repeat(13 + np.arange(4), 10), np.repeat(np.arange(10), 3)])
    post = np.concatenate([np.tile(np.arange(10), 4), np.tile(10 + np.arange(3), 10)])
    weight = np.concatenate([rng.normal(3.0, 1.3, 40), rng.normal(1.5, 0.3, 30)])
    delay = np.repeat(rng.uniform(0.0, 2.0, 14), [10] * 4 + [3] * 10)
    network = Network(13, Synapses(pre, post, weight, delay), n_inputs=4)
    sizes = [0, *range(4, 12)]
    trains = [SpikeTrain(rng.uniform(0, 30, k), rng.integers(0, 4, k), 4) for k in sizes]
    return network, trains


def pulled(network, trains, seed=1, threads=1, **options):
    """Return a batch, cotangents, and the gradient."""
    run = LayersBatch(Question(network, None, DURATION), trains, None, threads)
    batch = run.execute()
    time_bar = np.random.default_rng(seed).normal(size=len(batch.spikes.time))
    return batch, time_bar, LayersPullback(run, batch)(time_bar, **options)


@pytest.mark.parametrize("wrt", [["weight"], OF_LAYERS, None])
def test_bits_do_not_depend_on_threads(wrt):
    network, trains = layered()
    results = [pulled(network, 20 * trains, threads=k, wrt=wrt)[2].ravel() for k in (1, 2, 3)]
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


@pytest.mark.parametrize("wrt", [["weight"], OF_LAYERS, None])
def test_a_sum_is_that_of_the_samples(wrt):
    network, trains = layered()
    _, _, whole = pulled(network, 20 * trains, wrt=wrt)
    _, _, parts = pulled(network, 20 * trains, wrt=wrt, reduce=None)
    _, _, mean = pulled(network, 20 * trains, wrt=wrt, reduce="mean")
    for name, values in whole.items():
        if name == "input_times":
            total = np.concatenate([part[name] for part in parts])
        else:
            total = np.sum([part[name] for part in parts], axis=0)
        scale = np.abs(values).max()
        # Sums of 180 samples, in another order.
        np.testing.assert_allclose(values, total, rtol=0, atol=1e-12 * scale)
        np.testing.assert_allclose(mean[name] * len(parts), values, rtol=0, atol=1e-12 * scale)


def richardson(function, step):
    """Return the derivative at 0 from differences of two steps, to the fourth order."""
    wide, narrow = ((function(h) - function(-h)) / (2.0 * h) for h in (step, 0.5 * step))
    return (4.0 * narrow - wide) / 3.0


@pytest.mark.parametrize("name", ["weight", "delay", "tau_m", "tau", "v_th", "v_reset", "v0"])
def test_gradients_are_those_of_differences(name):
    network, trains = layered()
    inputs = trains[5]
    rng = np.random.default_rng(7)
    wrt = [name] if name in OF_LAYERS else None
    batch, time_bar, found = pulled(network, [inputs], wrt=wrt)
    direction = rng.normal(size=len(found[name]))

    def loss(h):
        moved = network.replace(**{name: getattr(network, name) + h * direction})
        run = LayersRun(Question(moved, inputs, DURATION)).execute()
        assert run.spikes.neuron.tolist() == batch[0].spikes.neuron.tolist()
        return float(time_bar @ run.spikes.time)

    difference = richardson(loss, 1e-5)
    # Differences of sums of some 1e2 ms with 1e-16 of that, over 1e-5.
    assert found[name] @ direction == pytest.approx(difference, rel=2e-7, abs=5e-8)


def test_input_times_are_those_of_differences():
    network, trains = layered()
    batch, time_bar, found = pulled(network, [trains[5]], wrt=OF_LAYERS)
    direction = np.random.default_rng(7).normal(size=len(trains[5]))

    def loss(h):
        moved = SpikeTrain(trains[5].times + h * direction, trains[5].sources, 4)
        run = LayersRun(Question(network, moved, DURATION)).execute()
        assert run.spikes.neuron.tolist() == batch[0].spikes.neuron.tolist()
        return float(time_bar @ run.spikes.time)

    assert found.input_times @ direction == pytest.approx(richardson(loss, 1e-5), rel=2e-7)


@pytest.mark.parametrize("wrt", [["weight"], None])
def test_a_gradient_beyond_float64_names_its_sample(wrt):
    """Cotangents go through many spikes of an output whose slopes are small."""
    network, trains = layered()
    run = LayersBatch(Question(network, None, DURATION), trains, None, 1)
    batch = run.execute()
    run.tape.slope_before[batch.spike_start[3] : batch.spike_start[4]] = 1e-300
    with (
        pytest.raises(UndefinedGradientError, match=r"inputs\[3\]"),
        np.errstate(all="ignore"),  # plain Python warns
    ):
        LayersPullback(run, batch)(1e90, wrt=wrt)


@pytest.mark.parametrize("tau_m", [20.0, 3.0])
def test_gradients_over_times_far_apart(tau_m):
    network, _ = layered()
    network = network.replace(tau_m=np.full(13, tau_m))
    times = np.concatenate([start + np.arange(4.0) for start in (0.0, 400.0, 5e4)])
    inputs = SpikeTrain(times, np.tile(np.arange(4), 3), 4)
    question = Question(network, None, 1e5)
    run = LayersBatch(question, [inputs], None, 1)
    batch = run.execute()
    time_bar = np.random.default_rng(0).normal(size=len(batch.spikes.time))
    found = LayersPullback(run, batch)(time_bar, wrt=OF_LAYERS)
    one = Question(network, inputs, 1e5)
    expected = pullbacks(one, batch[0])[0](time_bar)
    assert_equal(found, expected, batch[0])
