"""Queues in a network: exact ones change no bit, bounded ones drop what they say, grids round.

Forward, bounded queues and grids are compared with the naive twin, whose queues are dictionaries.
Gradients are compared with tangents (duality) and with differences of simulations.
"""

import os
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from naive import Dropping, Exact, Grid, dense_spikes
from rounding import rounding_errors

import adjoint
import refsim
from adjoint.check import Evaluation
from queues.exact.dispatch import STRUCTURES
from refsim.cases import make_case, to_dict
from validation.case_suite import zoo
from validation.strategies import cases, decimals
from validation.tolerances import rounding_weight

usual = settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
# Compiled loops of these take ten seconds each; as plain Python they are tested with the others.
SELDOM = {"pairing_heap", "calendar", "batch_heap", "ring_buffer"}
PLAIN = os.environ.get("NUMBA_DISABLE_JIT") == "1"
structures = pytest.mark.parametrize(
    "queue",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SELDOM and not PLAIN else [])
        for name in STRUCTURES
    ],
)
SPECS = st.one_of(
    st.builds(
        refsim.Lossy,
        st.sampled_from(["null", "single_spike", "single_spike_keep"]),
        per=st.sampled_from(["synapse", "source"]),
    ),
    st.builds(
        refsim.Lossy,
        st.sampled_from(["bounded_fifo", "bounded_heap", "bounded_sorted_array", "lossy_ring"]),
        st.integers(1, 4),
        st.sampled_from(["synapse", "source"]),
    ),
    st.builds(
        refsim.Lossy,
        st.just("bit_array"),
        st.sampled_from([32, 64]),
        st.sampled_from(["synapse", "source"]),
    ),
)
STEPS = st.sampled_from([0.1, 0.25, 1.0])


def quietly(function, *arguments, **options):
    """Call without warnings of ties, which grids are full of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        return function(*arguments, **options)


def outputs(case, **options):
    """Return everything that a run computes, its gradient and a tangent, as one vector."""
    arguments = (case.network, case.inputs, case.duration)
    adjoint_queue = options.pop("adjoint_queue", "auto")
    simulation, pullback = quietly(
        adjoint.vjp, *arguments, samples=case.samples, adjoint_queue=adjoint_queue, **options
    )
    gradient = pullback(*pattern(simulation))
    _, tangents = quietly(
        adjoint.jvp, *arguments, {"delay": 1.0, "tau_m": 0.5}, samples=case.samples, **options
    )
    parts = [simulation.spikes.time, simulation.voltages, *tangents]
    return np.concatenate([*parts, *(np.ravel(values) for _, values in gradient.items())])


def pattern(simulation):
    """Return cotangents for any number of spikes and samples."""
    return (
        np.sin(1.0 + np.arange(len(simulation.spikes.time))),
        np.cos(1.0 + np.arange(len(simulation.voltages))),
    )


@structures
@settings(usual, max_examples=15)
@given(case=cases(), dt=st.none() | STEPS)
def test_exact_queues_change_no_bit(queue, case, dt):
    structure = STRUCTURES[queue]
    assume(not structure.in_order or case.network.has_equal_delays)
    assume(not structure.in_steps or dt is not None)
    backwards = "auto" if structure.in_lanes or structure.in_steps else queue
    expected = outputs(case, engine=refsim.Events("heap", dt))
    assert np.array_equal(
        outputs(case, adjoint_queue=backwards, engine=refsim.Events(queue, dt)), expected
    )


@usual
@given(case=cases(), dt=st.none() | STEPS)
def test_the_sorted_pass_changes_no_bit(case, dt):
    engine = refsim.Events(dt=dt)
    found = outputs(case, adjoint_queue="sorted_pass", engine=engine)
    assert np.array_equal(found, outputs(case, engine=engine))


@structures
def test_exact_queues_change_no_bit_of_the_zoo(queue):
    for case in zoo.zoo():
        if STRUCTURES[queue].in_order and not case.network.has_equal_delays:
            continue
        if case.name == "balanced" and PLAIN:
            continue
        dt = 0.25 if STRUCTURES[queue].in_steps else None
        expected = outputs(case, engine=refsim.Events("heap", dt))
        assert np.array_equal(outputs(case, engine=refsim.Events(queue, dt)), expected), case.name


def suits(spec, network, dt):
    """Return whether bounded queues can be used with a network."""
    if spec.needs_steps and dt is None:
        return False
    longest = network.delay.max(initial=0.0)
    return spec.structure != "bit_array" or longest <= (spec.capacity - 1) * dt


# The twin takes equal time constants of a port to be 1e-5 apart, and errors grow along a chain.
TWIN_ERROR = 1e-6


def compare_with_twin(case, simulation, transit):
    """Compare spikes, away from what the twin may miss between two points of its grid."""
    spikes, network = simulation.spikes, case.network
    scale = ((network.v_th - network.v_reset) / network.tau_m)[spikes.neuron]
    assume(np.all(spikes.slope_before > 0.1 * scale))
    gap = min(simulation.conditioning.min_gap, simulation.conditioning.min_release_gap)
    assume(gap > 1e-3)
    times, neurons = dense_spikes(to_dict(case), points=20_000, transit=transit)
    order, other = np.lexsort((times, neurons)), np.lexsort((spikes.time, spikes.neuron))
    assert neurons[order].tolist() == spikes.neuron[other].tolist()
    np.testing.assert_allclose(spikes.time[other], times[order], rtol=0, atol=TWIN_ERROR)


def twin(spec, dt):
    return Dropping(spec.structure, spec.capacity, spec.per, dt)


@settings(usual, max_examples=60)
@given(case=cases(max_neurons=3, max_spikes=40), spec=SPECS, dt=st.none() | STEPS)
def test_bounded_queues_are_those_of_the_naive_twin(case, spec, dt):
    assume(suits(spec, case.network, dt))
    arguments = (case.network, case.inputs, case.duration)
    simulation = refsim.simulate(*arguments, max_spikes=200, engine=refsim.Events(spec, dt=dt))
    transit = twin(spec, dt)
    compare_with_twin(case, simulation, transit)
    expected = sorted((*transit.emitted[number], synapse) for number, synapse in transit.lost)
    found = dropped_by(simulation)
    assert [row[1:] for row in found] == [row[1:] for row in expected]
    for row, other in zip(found, expected, strict=True):
        assert abs(row[0] - other[0]) < TWIN_ERROR


def dropped_by(simulation):
    """Return (time of emission, source, synapse) of all that was dropped, sorted."""
    dropped = simulation.dropped
    assert len(dropped.source) == simulation.counts.dropped
    columns = (dropped.emitted.tolist(), dropped.source.tolist(), dropped.synapse.tolist())
    return sorted(zip(*columns, strict=True))


@settings(usual, max_examples=30)
@given(case=cases(max_neurons=3, max_spikes=40), dt=STEPS)
def test_a_grid_is_that_of_the_naive_twin(case, dt):
    simulation = refsim.simulate(
        case.network, case.inputs, case.duration, max_spikes=200, engine=refsim.Events(dt=dt)
    )
    compare_with_twin(case, simulation, Grid(dt))


@settings(usual, max_examples=60)
@given(case=cases(), spec=st.none() | SPECS, dt=st.none() | STEPS, seed=st.integers(0, 99))
def test_duality(case, spec, dt, seed):
    assume(spec is None or suits(spec, case.network, dt))
    queue = "auto" if spec is None else spec
    options = {"engine": refsim.Events(queue, dt), "samples": case.samples}
    arguments = (case.network, case.inputs, case.duration)
    simulation, pullback = quietly(adjoint.vjp, *arguments, **options)
    # Differences of sums cancel where a spike grazes: digits are lost on both sides.
    network, spikes = case.network, simulation.spikes
    scale = ((network.v_th - network.v_reset) / network.tau_m)[spikes.neuron]
    assume(np.all(spikes.slope_before > 1e-4 * scale))
    bars = pattern(simulation)
    gradient = pullback(*bars)
    rng = np.random.default_rng(seed)
    direction = {name: rng.normal(size=np.shape(value)) for name, value in gradient.items()}
    _, tangents = quietly(adjoint.jvp, *arguments, direction, **options)
    terms = [bars[0] * tangents.time, bars[1] * tangents.voltage]
    parts = [np.ravel(value * direction[name]) for name, value in gradient.items()]
    left, right = np.concatenate(terms), np.concatenate(parts)
    spike_bar = pullback.spike_cotangents(*bars)
    weight = rounding_weight(simulation, spike_bar, tangents.time, np.concatenate([left, right]))
    assert abs(left.sum() - right.sum()) <= 1e-12 * weight


def moved(case, direction, h, **options):
    """Return the spike times and voltages of a case whose parameters are moved by h * direction."""
    changes = {name: getattr(case.network, name) + h * v for name, v in direction.items()}
    network = case.network.replace(**changes)
    run = refsim.simulate(network, case.inputs, case.duration, samples=case.samples, **options)
    return run.spikes.neuron, run.spikes.time, run.voltages


def quotient_of(run, h):
    """Return the central difference, by Richardson with an error of h**4, of times and voltages.

    Spikes keep their neurons; two of different neurons may pass each other.
    """
    values = []
    for step in (h, 2 * h):
        lows, highs = run(-step), run(step)
        order = [np.argsort(neurons, kind="stable") for neurons in (lows[0], highs[0])]
        assert np.array_equal(lows[0][order[0]], highs[0][order[1]]), "the step changes spikes"
        times = highs[1][order[1]] - lows[1][order[0]]
        others = [high - low for low, high in zip(lows[2:], highs[2:], strict=True)]
        values.append(np.concatenate([times, *others]) / (2 * step))
    return (4 * values[0] - values[1]) / 3


@pytest.mark.parametrize(
    "spec",
    [
        refsim.Lossy("single_spike"),
        refsim.Lossy("single_spike", per="source"),
        refsim.Lossy("single_spike_keep"),
        refsim.Lossy("bounded_fifo", 2),
        refsim.Lossy("bounded_heap", 2, "source"),
    ],
    ids=lambda spec: f"{spec.structure}-{spec.per}",
)
@pytest.mark.parametrize("make", [zoo.recurrent, zoo.heterogeneous_delays, zoo.two_ports])
def test_the_gradient_is_that_of_the_run_with_its_drops(make, spec):
    case = make()
    case = replace(case, network=case.network.replace(delay=3.0 * case.network.delay))
    rng = np.random.default_rng(3)
    names = ("weight", "delay", "tau_m", "v_th", "i_ext")
    direction = {name: rng.normal(size=len(getattr(case.network, name))) for name in names}
    quotient = quotient_of(
        lambda step: moved(case, direction, step, engine=refsim.Events(spec)), 2e-6
    )
    arguments = (case.network, case.inputs, case.duration)
    simulation, tangents = adjoint.jvp(
        *arguments, direction, samples=case.samples, engine=refsim.Events(spec)
    )
    assert simulation.counts.dropped > 0
    order = np.argsort(simulation.spikes.neuron, kind="stable")
    carried = np.concatenate([tangents.time[order], tangents.voltage])
    # Times of 60 ms are rounded to 1e-14, which a step of 2e-6 makes 1e-8 of the parameters' scale.
    np.testing.assert_allclose(carried, quotient, rtol=0, atol=1e-7 * np.abs(carried).max())
    _, pullback = adjoint.vjp(*arguments, samples=case.samples, engine=refsim.Events(spec))
    bars = pattern(simulation)
    gradient = pullback(*bars)
    bars = (bars[0][order], bars[1])
    total = sum(float((getattr(gradient, name) * v).sum()) for name, v in direction.items())
    expected = float(np.concatenate(bars) @ quotient)
    assert abs(total - expected) <= 1e-7 * np.abs(np.concatenate(bars) * quotient).sum()


@pytest.mark.parametrize("make", [zoo.feed_forward_chain, zoo.heterogeneous_delays])
def test_the_gradient_passes_straight_through_the_grid(make):
    """It is that of a twin whose distances from times of arrival to the grid are frozen."""
    case = make()
    dt = 0.5
    grid = Grid(dt)
    dense_spikes(to_dict(case), transit=grid)
    rng = np.random.default_rng(5)
    direction = {
        "weight": rng.normal(size=len(case.network.weight)),
        "delay": rng.normal(size=len(case.network.delay)),
    }

    def frozen(step):
        changes = {name: getattr(case.network, name) + step * v for name, v in direction.items()}
        other = replace(case, network=case.network.replace(**changes))
        transit = Exact(grid.offsets)
        return dense_spikes(to_dict(other), points=20_000, transit=transit)[::-1]

    quotient = quotient_of(frozen, 1e-5)
    simulation, tangents = adjoint.jvp(
        case.network, case.inputs, case.duration, direction, engine=refsim.Events(dt=dt)
    )
    carried = tangents.time[np.argsort(simulation.spikes.neuron, kind="stable")]
    np.testing.assert_allclose(carried, quotient, rtol=0, atol=1e-7 * np.abs(carried).max())


def exact_and_lossy(case, keep, bars=None):
    """Return an exact evaluation, and the gradient and pullback of a backward pass that forgets."""
    arguments = (case.network, case.inputs, case.duration)
    simulation, pullback = quietly(adjoint.vjp, *arguments, samples=case.samples)
    time_bar, voltage_bar = pattern(simulation) if bars is None else bars
    case = replace(case, time_bar=time_bar, voltage_bar=voltage_bar)
    exact = Evaluation(case, simulation, pullback)
    _, lossy = quietly(adjoint.vjp, *arguments, samples=case.samples, adjoint_queue=keep)
    return exact, lossy(time_bar, voltage_bar), lossy


@usual
@given(case=cases(), k=st.integers(1, 3), which=st.sampled_from(["largest", "recent"]))
def test_a_lossy_backward_pass_without_losses_is_exact(case, k, which):
    exact, approximate, lossy = exact_and_lossy(case, adjoint.Keep(k, which))
    if lossy.dropped == 0:
        errors = rounding_errors(approximate, exact.gradient, exact)
        assert max(errors.values()) <= 1e-14, errors


def test_sums_that_cancel_are_exact_to_rounding_of_their_terms():
    """Cotangents of two spikes leave next to nothing of the derivative by the time constant."""
    pre, post = [2, 0, 0, 0, 0, 1, 1], [0, 1, 1, 1, 0, 0, 0]
    weight = [2.0, 1.5, 0.9, 0.5, 0.3, 0.7, 0.4]
    synapses = refsim.Synapses(pre, post, weight, [1.0, 3.7, 2.3, 1.1, 4.3, 2.9, 5.0])
    ports = refsim.ExpPort(3.0)
    network = refsim.Network(2, synapses, 1, ports=ports, i_ext=[1.6, 1.3], tau_m=10.0)
    case = make_case("cancels", network, refsim.SpikeTrain([1.0, 9.0, 20.0], [0, 0, 0], 1), 40.0)
    exact, *_ = exact_and_lossy(case, adjoint.Keep(3))
    by_spike = [float(exact.pullback(bar).tau[0]) for bar in np.eye(exact.simulation.n_spikes)]
    bar = np.zeros(len(by_spike))
    bar[[3, 4]] = -by_spike[4], by_spike[3]
    exact, approximate, lossy = exact_and_lossy(case, adjoint.Keep(3), (bar, np.zeros(0)))
    assert lossy.dropped == 0
    largest, left = abs(by_spike[3] * by_spike[4]), abs(exact.gradient.tau[0])
    assert left < 1e-14 * largest
    assert max(rounding_errors(approximate, exact.gradient, exact).values()) < 1e-14


def test_a_lossy_backward_pass_drops_what_it_says():
    """Three spikes are under way to one synapse; two cotangents of three are kept."""
    network = refsim.Network(
        2,
        refsim.Synapses([2, 0], [0, 1], [9.0, 0.5], [0.0, 20.0]),
        n_inputs=1,
        ports=(refsim.ExpPort(1.0),),
        tau_m=5.0,
        t_ref=1.0,
    )
    inputs = refsim.SpikeTrain([1.0, 5.0, 9.0], [0, 0, 0], 1)
    samples = ([1], [60.0])
    exact = adjoint.vjp(network, inputs, 60.0, samples=samples)[1]
    shares = exact.spike_cotangents(voltage_bar=[1.0])
    assert len(shares) == 3
    assert np.all(shares != 0.0)
    for which, kept in (("largest", np.argsort(np.abs(shares))[1:]), ("recent", [0, 1])):
        _, lossy = adjoint.vjp(
            network, inputs, 60.0, samples=samples, adjoint_queue=adjoint.Keep(2, which)
        )
        found = lossy.spike_cotangents(voltage_bar=[1.0])
        expected = np.zeros(3)
        expected[kept] = shares[kept]
        assert np.array_equal(found, expected), which
        assert lossy.dropped == 1
        gradient = lossy(voltage_bar=[1.0])
        np.testing.assert_allclose(gradient.delay[1], expected.sum(), rtol=1e-15)
        full = exact(voltage_bar=[1.0])
        assert gradient.weight[1] == full.weight[1]


def test_what_is_dropped_is_told():
    network = refsim.Network(1, refsim.Synapses([1, 1], [0, 0], [0.1, 0.1], [5.0, 0.5]), n_inputs=1)
    inputs = refsim.SpikeTrain([0.0, 1.0, 2.0], [0, 0, 0], 1)
    run = refsim.simulate(network, inputs, 30.0, engine=refsim.Events(refsim.Lossy("single_spike")))
    assert run.counts.dropped == 2
    assert run.counts.arrivals == 4
    assert run.dropped.source.tolist() == [1, 1]
    assert run.dropped.emitted.tolist() == [0.0, 1.0]
    assert run.dropped.synapse.tolist() == [0, 0]
    assert run.dropped.arrival.tolist() == [5.0, 6.0]
    assert "2 dropped" in repr(run)
    by_source = refsim.simulate(
        network, inputs, 30.0, engine=refsim.Events(refsim.Lossy("single_spike", per="source"))
    )
    assert by_source.counts.dropped == 2  # the short delay is over before the next spike


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("heap",), "structure is 'heap'"),
        (("bounded_fifo",), "capacity is missing"),
        (("bounded_fifo", 0), "capacity is 0"),
        (("bounded_fifo", 2.5), "capacity is 2.5"),
        (("single_spike", 3), "capacity is 3"),
        (("bit_array", 16), "capacity is 16"),
        (("null", None, "neuron"), "per is 'neuron'"),
    ],
)
def test_wrong_bounded_queues(arguments, words):
    with pytest.raises((refsim.InvalidValueError, refsim.InvalidTypeError), match=words):
        refsim.Lossy(*arguments)


def test_wrong_combinations():
    case = zoo.heterogeneous_delays()
    arguments = (case.network, case.inputs, case.duration)
    for options, words in [
        (("ring",), "queue is 'ring'"),
        (("single_spike",), "which drops spikes"),
        (("ring_buffer",), "dt is missing"),
        (("ring_buffer", 1e-8), "steps for 'ring_buffer'"),
        (("fifo",), "delays run from"),
        ((refsim.Lossy("lossy_ring", 4),), "dt is missing"),
        ((refsim.Lossy("bit_array", 32), 0.01), "delays of at most 31 steps"),
        (("auto", 0.0), "dt is 0.0"),
        (("auto", -1.0), "dt is -1.0"),
        (("auto", float("nan")), "dt is nan"),
        (("auto", 1e-20), "steps"),
        (("auto", "0.1"), "dt"),
    ]:
        with pytest.raises((refsim.InvalidValueError, refsim.InvalidTypeError), match=words):
            refsim.simulate(*arguments, engine=refsim.Events(*options))
    for queue in ("fifo_merge", "stack", 3):
        with pytest.raises(refsim.InvalidValueError, match="adjoint_queue is"):
            adjoint.vjp(*arguments, adjoint_queue=queue)
    with pytest.raises(ValueError, match="k = 0"):
        adjoint.Keep(0)
    with pytest.raises(ValueError, match="which = 'first'"):
        adjoint.Keep(1, "first")


@settings(usual, max_examples=200)
@given(emitted=decimals(0.0, 50.0), delay=decimals(0.0, 20.0), dt=decimals(0.001, 3.0))
def test_arrivals_on_a_grid_are_those_of_round(emitted, delay, dt):
    from refsim.transit.arrivals import arrival_times

    (found,) = arrival_times(dt, np.array([emitted]), delay)
    step = round((emitted + delay) / dt)
    while step * dt < emitted:
        step += 1
    assert found == step * dt
