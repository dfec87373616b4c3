"""The backward pass by windows gives the gradient of the one by events, whatever the network."""

import warnings

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st

import adjoint
import refsim
from adjoint.check import Evaluation
from adjoint.pullback import Pullback
from adjoint.windows.run import WindowPass, number_of_windows
from refsim.network.rows import pack
from refsim.validate import LARGEST
from validation.case_suite import zoo
from validation.case_suite.stored import given_cases
from validation.judges import duality, identities
from validation.strategies import cases, decimals, ports

usual = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
# Both passes take the same tape, so nothing but the rounding of some dozens of operations a spike
# tells them apart: 1e-14 of the largest entry of a group, times the growth of errors along chains
# of a hundred spikes, and where the entries of a group are what is left of larger terms.
TOLERANCE = 1e-11


def with_delays(case, least):
    """Return the case with delays that have at least this length in ms."""
    network = case.network
    delay = np.maximum(network.delay, least)
    return case.__class__(**{**vars(case), "network": network.replace(delay=delay)})


def simulated(case, **options):
    """Return the pullback of a case by events, or reject it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        try:
            return adjoint.vjp(
                case.network,
                case.inputs,
                case.duration,
                samples=case.samples,
                max_spikes=300,
                **options,
                engine=refsim.Events(),
            )
        except refsim.SpikeLimitError:
            assume(False)


def by_windows(pullback, longest=np.inf, n_blocks=None, dtype=np.float64):
    """Return a pullback by windows of the same simulation."""
    question, simulation = pullback._question, pullback._simulation
    network = question.network
    n_sources = network.n_neurons + network.n_inputs
    rows = pack(network.n_neurons, n_sources, network.synapses, dtype, n_blocks)
    other = Pullback(question, simulation)
    other._pass = WindowPass(question, simulation.spikes, longest, rows)
    return other


def bars_of(case, simulation, seed=0):
    """Return cotangents of a case, random ones if it has none for these spikes."""
    rng = np.random.default_rng(seed)
    n_spikes, n_samples = len(simulation.spikes.time), len(simulation.samples)
    time_bar = case.time_bar
    if time_bar is None or len(time_bar) != n_spikes:
        time_bar = rng.normal(size=n_spikes)
    return time_bar, rng.normal(size=n_samples) if case.voltage_bar is None else case.voltage_bar


def assert_same(found, expected, tolerance=TOLERANCE):
    for name, values in expected.items():
        scale = np.abs(values).max(initial=1e-300)
        np.testing.assert_allclose(
            getattr(found, name), values, rtol=0, atol=tolerance * scale, err_msg=name
        )


@pytest.mark.parametrize("n_blocks", [1, 3])
@pytest.mark.parametrize("longest", [np.inf, 0.13])
@pytest.mark.parametrize("case", zoo.zoo(), ids=lambda case: case.name)
def test_the_zoo(case, longest, n_blocks):
    simulation, pullback = simulated(case)
    bars = bars_of(case, simulation)
    windows = by_windows(pullback, longest, n_blocks)
    assert_same(windows(*bars), pullback(*bars), 1e-13)
    np.testing.assert_allclose(
        windows.spike_cotangents(*bars), pullback.spike_cotangents(*bars), rtol=1e-11, atol=1e-13
    )


@pytest.mark.parametrize("case", given_cases(), ids=lambda case: case.name)
def test_stored_cases(case):
    """Values known to 30 digits, with the bound of the event engine."""
    if number_of_windows(case.network, case.duration) == 0:
        pytest.skip("a delay between neurons is 0")
    simulation, pullback = simulated(case)
    gradient = by_windows(pullback)(*bars_of(case, simulation))
    for name, values in case.expected.gradient.items():
        difference = np.max(np.abs(getattr(gradient, name) - values))
        assert difference <= 1e-12 * np.max(np.abs(values)), name


def well_conditioned(simulation, least=1e-3):
    network, spikes = simulation.network, simulation.spikes
    scale = ((network.v_th - network.v_reset) / network.tau_m)[spikes.neuron]
    return np.all(spikes.slope_before > least * scale)


@usual
@given(
    case=cases(),
    least=decimals(0.05, 3.0),
    longest=st.sampled_from([np.inf, np.inf, 0.11, 1.0]),
    n_blocks=st.sampled_from([1, 2, 5]),
)
def test_random_networks(case, least, longest, n_blocks):
    case = with_delays(case, least)
    simulation, pullback = simulated(case)
    assume(well_conditioned(simulation))
    bars = bars_of(case, simulation)
    assert_same(by_windows(pullback, longest, n_blocks)(*bars), pullback(*bars))


@usual
@given(case=cases(), least=decimals(0.05, 3.0))
def test_no_entry_is_larger_than_what_events_inject(case, least):
    """The bound for which entries need not be looked at, with the weights that there are."""
    case = with_delays(case, least)
    simulation, pullback = simulated(case)
    time_bar, voltage_bar = bars_of(case, simulation)
    sample_bar = voltage_bar[pullback._question.sample_order]
    found = by_windows(pullback)._pass(time_bar.copy(), sample_bar, True, False)
    assume(np.isfinite(found.bound))
    bound = found.bound / LARGEST
    assert np.abs(found.weight).max(initial=0.0) <= bound
    assert np.abs(found.delay).max(initial=0.0) <= bound * np.abs(case.network.weight).max(
        initial=0
    )


@usual
@given(case=cases(max_neurons=4), least=decimals(0.05, 3.0))
def test_duality_and_identities(case, least):
    """Theorems that say nothing of another implementation."""
    case = with_delays(case, least)
    simulation, pullback = simulated(case)
    assume(well_conditioned(simulation) and not simulation.conditioning.has_ties)
    time_bar, voltage_bar = bars_of(case, simulation)
    case = case.__class__(**{**vars(case), "time_bar": time_bar, "voltage_bar": voltage_bar})
    evaluation = Evaluation(case, simulation, by_windows(pullback))
    for judge in (duality.judge, identities.judge):
        judgement = judge(evaluation)
        assert judgement.verdict == "pass", judgement


@settings(usual, max_examples=30)
@given(
    chosen=st.builds(list).flatmap(ports),
    seed=st.integers(0, 999),
    n_classes=st.sampled_from([1, 2, 7, 20]),
)
def test_ports_and_classes(chosen, seed, n_classes):
    """Twenty neurons of one to twenty membrane time constants, some of them those of a port."""
    rng = np.random.default_rng(seed)
    taus = [tau for port in chosen for tau in port.time_constants]
    tau_m = rng.permutation([*taus, *rng.uniform(1.0, 20.0, 20)])[:n_classes]
    network = driven(20, rng, ports=chosen, tau_m=np.resize(tau_m, 20))
    samples = (rng.integers(0, 20, 10), rng.uniform(0.0, 30.0, 10))
    assert_same_gradient(network, 30.0, samples=samples, longest=rng.choice([0.2, np.inf]))


def driven(n, rng, k=8, **changes):
    """Return a network in which every neuron fires by itself, and some weights disturb it."""
    chosen = changes.get("ports", (refsim.ExpPort(2.0),))
    pre = np.concatenate([rng.choice(n, k, replace=False) for _ in range(n)])
    size = len(pre)
    delay = changes.pop("delay", np.round(rng.uniform(0.5, 4.0, size), rng.integers(1, 9)))
    synapses = refsim.Synapses(
        pre, np.repeat(np.arange(n), k), rng.normal(0.0, 0.3, size) / np.sqrt(k / 8), delay,
        rng.integers(0, len(chosen), size),
    )  # fmt: skip
    parameters = {
        "ports": chosen,
        "tau_m": 10.0,
        "t_ref": rng.choice([0.0, 0.5, 2.0], n),
        "i_ext": rng.uniform(1.2, 2.0, n),
        "v0": rng.uniform(0.0, 0.9, n),
    }
    return refsim.Network(n, synapses, **{**parameters, **changes})


def assert_same_gradient(
    network, duration, inputs=None, samples=None, tolerance=TOLERANCE, **options
):
    """Compare both passes on a network, with random cotangents; return the simulation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        simulation, pullback = adjoint.vjp(
            network, inputs, duration, samples=samples, engine=refsim.Events()
        )
    rng = np.random.default_rng(0)
    bars = rng.normal(size=len(simulation.spikes.time)), rng.normal(size=len(simulation.samples))
    assert_same(by_windows(pullback, **options)(*bars), pullback(*bars), tolerance)
    return simulation


@pytest.mark.parametrize("n_blocks", [1, 4])
@pytest.mark.parametrize("delays", ["equal", "few", "grid", "any"])
def test_long_rows(delays, n_blocks):
    """Rows longer than what is read at once, of all kinds of delays."""
    rng = np.random.default_rng(5)
    n, k = 30, 40
    many = 70 if numba.config.DISABLE_JIT else 700
    size = n * many
    delay = {
        "equal": np.full(size, 1.25),
        "few": rng.choice([1.0, 1.25, 3.0], size),
        "grid": np.round(rng.uniform(1.0, 1.9, size), 1),
        "any": rng.uniform(1.0, 1.2, size),
    }[delays]
    recurrent = refsim.Synapses(
        rng.integers(0, n, size), rng.integers(0, n, size), rng.normal(0.0, 0.02, size), delay
    )
    given = refsim.random(range(n, n + 2), n, in_degree=2, weight=1.0, delay=0.0, rng=1)
    network = driven(n, rng, k=8).replace(n_inputs=2, synapses=[recurrent, given])
    inputs = refsim.poisson_inputs(2, rate=100.0, duration=20.0, rng=0)
    simulation = assert_same_gradient(network, 20.0, inputs, n_blocks=n_blocks)
    assert len(simulation.spikes.time) > k


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="half a million arrivals")
@pytest.mark.parametrize("delays", ["equal", "any"])
def test_a_large_network(delays):
    rng = np.random.default_rng(2)
    n, k = 5000, 50
    delay = np.full(n * k, 1.5) if delays == "equal" else rng.uniform(0.5, 4.0, n * k)
    network = driven(n, rng, k, delay=delay)
    simulation = assert_same_gradient(network, 17.0)
    assert simulation.counts.arrivals > 300_000


def test_weights_of_four_bytes():
    """Gradients are those of the weights as they are kept."""
    rng = np.random.default_rng(3)
    network = driven(40, rng)
    network = network.replace(weight=network.weight.astype(np.float32).astype(np.float64))
    assert_same_gradient(network, 30.0, dtype=np.float32)


def test_a_quiet_network_costs_no_windows():
    """Fifty million windows, of which those with events take time."""
    synapses = refsim.connect([2, 0, 1], [0, 1, 0], [9.0, 9.0, 0.1], [0.0, 0.1, 3.0])
    network = refsim.Network(2, synapses, n_inputs=1, ports=refsim.ExpPort(2.0), tau_m=10.0)
    inputs = refsim.SpikeTrain([5.0, 6.0, 4e6, 4.9e6], [0, 0, 0, 0], 1)
    samples = ([0, 1, 1], [12.0, 1e6, 4.9e6 + 3.0])
    # Times of five million ms are rounded by 1e-9 ms, which is that much of a time constant.
    simulation = assert_same_gradient(network, 5e6, inputs, samples, 1e-8)
    assert len(simulation.spikes.time) > 3


def test_rows_wait_over_many_windows():
    """A few arrivals in a thousand neurons, whose rows go back over many windows at once."""
    rng = np.random.default_rng(7)
    n = 300
    recurrent = refsim.Synapses(
        rng.integers(0, n, 900), rng.integers(0, n, 900), 0.5, rng.uniform(0.4, 9.0, 900)
    )
    given = refsim.random([n], n, in_degree=1, weight=12.0, delay=rng.uniform(0.0, 30.0, n), rng=1)
    network = refsim.Network(
        n, [recurrent, given], n_inputs=1, ports=refsim.ExpPort(2.0), tau_m=10.0
    )
    samples = (np.arange(0, n, 7), np.linspace(0.0, 90.0, len(range(0, n, 7))))
    inputs = refsim.SpikeTrain([1.0, 40.0], [0, 0], 1)
    simulation = assert_same_gradient(network, 90.0, inputs, samples)
    assert len(simulation.spikes.time) > 100


def test_events_at_one_time():
    """Arrivals, releases, spikes and samples that coincide are in the order of the event engine."""
    synapses = refsim.connect([3, 3, 4, 0, 0, 1], [0, 1, 0, 1, 2, 0], 3.0, [0, 1, 0, 1, 1, 1.0])
    network = refsim.Network(
        3, synapses, n_inputs=2, ports=(refsim.ExpPort(2.0), refsim.DoubleExpPort(1.0, 1.0)),
        tau_m=2.0, t_ref=1.0, i_ext=[0.0, 1.5, 0.0],
    )  # fmt: skip
    inputs = refsim.SpikeTrain([0.0, 0.0, 1.0, 2.0, 4.0, 6.0], [0, 1, 0, 0, 1, 0], 2)
    spikes = refsim.simulate(network, inputs, 10.0).spikes
    first = spikes.time[:4]
    ends = network.t_ref[0] + first
    times = np.concatenate([first, ends, [0.0, 1.0, 2.0, 4.0, 10.0], first + 1.0])
    neurons = np.concatenate([spikes.neuron[:4], spikes.neuron[:4], [0, 1, 0, 0, 1], [1, 2, 0, 1]])
    inputs = refsim.SpikeTrain([*inputs.times, *ends], [*inputs.sources, 0, 0, 1, 1], 2)
    before = times < 10.0 + 1e-9
    assert_same_gradient(network, 10.0, inputs, (neurons[before], times[before]))


def test_the_end_lies_in_refractoriness():
    network = driven(10, np.random.default_rng(1), t_ref=5.0)
    times = refsim.simulate(network, None, 40.0).spikes.time
    for end in (times[-1], times[-1] + 2.0, times[-3] + 5.0):
        samples = (np.arange(10), np.full(10, end))
        assert_same_gradient(network, float(end), samples=samples)


def squares(simulation):
    return float(np.sum(simulation.spikes.time**2)), 2.0 * simulation.spikes.time


@pytest.mark.parametrize("engine", [refsim.Events(), refsim.Windows()])
def test_the_gradient_by_some_parameters(engine):
    network = driven(20, np.random.default_rng(4), ports=(refsim.DoubleExpPort(1.0, 3.0),))
    simulation, pullback = adjoint.vjp(network, None, 20.0, engine=engine)
    assert (pullback.by_windows) == (engine == refsim.Windows())
    bar = 2.0 * simulation.spikes.time
    everything = pullback(bar)
    for wrt in ("weight", ("weight", "delay"), ["tau"], {"v0", "tau_m"}, ("i_ext", "input_times")):
        gradient = pullback(bar, wrt=wrt)
        names = [wrt] if isinstance(wrt, str) else wrt
        assert {name for name, _ in gradient.items()} == set(names)
        assert_same(gradient, {name: getattr(everything, name) for name in names}, 1e-14)
        _, again = adjoint.value_and_grad(squares, wrt=wrt)(network, None, 20.0, engine=engine)
        for name, values in gradient.items():
            assert np.array_equal(getattr(again, name), values)
    assert pullback(bar, wrt=()).weight is None
    assert pullback(bar, wrt="v0").weight is None


def test_what_a_gradient_lacks():
    network = driven(5, np.random.default_rng(4), 3)
    _, pullback = adjoint.vjp(network, None, 20.0)
    by_weight, everything = pullback(1.0, wrt="weight"), pullback(1.0)
    assert by_weight.dot(by_weight) == np.dot(everything.weight, everything.weight)
    with pytest.raises(refsim.InvalidValueError, match="is missing in self, and not zero"):
        by_weight.dot(everything)
    _, dot = adjoint.jvp(network, None, 20.0, by_weight)
    assert np.dot(np.ones(len(dot.time)), dot.time) == pytest.approx(by_weight.dot(by_weight))
    assert "delay" not in repr(by_weight)
    with pytest.raises(
        refsim.InvalidValueError, match=r"wrt\[0\] is 'weights'; expected names among"
    ):
        pullback(1.0, wrt=("weights",))
    with pytest.raises(refsim.InvalidTypeError, match="wrt is 3"):
        adjoint.value_and_grad(squares, wrt=3)


def test_a_second_call_is_the_same_to_the_last_bit():
    network = driven(30, np.random.default_rng(6))
    simulation, pullback = adjoint.vjp(network, None, 20.0, engine=refsim.Windows())
    bar = np.random.default_rng(0).normal(size=len(simulation.spikes.time))
    first, second = pullback(bar), pullback(bar)
    for name, values in first.items():
        assert np.array_equal(getattr(second, name), values)
    doubled = pullback(2.0 * bar)
    assert np.array_equal(doubled.weight, 2.0 * first.weight)


def test_windows_are_chosen_after_windows():
    network = driven(5, np.random.default_rng(4), 3)
    by_engine = {
        (engine, queue): adjoint.vjp(network, None, 5.0, engine=engine, adjoint_queue=queue)[1]
        for engine in (refsim.Events(), refsim.Windows())
        for queue in ("auto", "heap")
    }
    chosen = {key for key, pullback in by_engine.items() if pullback.by_windows}
    assert chosen == {(refsim.Windows(), "auto")}
