"""The backward pass by windows gives the gradients of the one event by event."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from networks import balanced, well_conditioned, with_delays

import adjoint
import refsim
from adjoint.pullback import Pullback
from adjoint.windows.run import WindowPass, number_of_windows
from refsim.events.run import EventRun
from refsim.network import rows
from refsim.question import Question
from refsim.windows.plan import obstacle
from validation.case_suite import zoo
from validation.case_suite.stored import given_cases
from validation.strategies import cases, decimals

usual = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def pullbacks(network, inputs, duration, samples=None, longest=None):
    """Return a simulation and its pullbacks event by event and by windows."""
    question = Question(network, inputs, duration, samples, max_spikes=100_000)
    simulation = EventRun(question).execute()
    by_events = Pullback(question, simulation)
    by_windows = Pullback(question, simulation)
    by_windows._pass = WindowPass(question, simulation.spikes, longest or np.inf)
    return simulation, by_events, by_windows


def assert_equal(found, expected, tolerance):
    """Compare gradients; each group against its own largest entry.

    Both are sums of the same products, in another order and by responses with errors of some last
    bits, so they differ by rounding of the largest terms, grown along chains of spikes.
    """
    for name, values in expected.items():
        scale = np.abs(values).max(initial=1e-300)
        np.testing.assert_allclose(
            getattr(found, name), values, rtol=0, atol=tolerance * scale, err_msg=name
        )


def bars(simulation, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=len(simulation.spikes.time)), rng.normal(size=len(simulation.samples))


@pytest.mark.parametrize("case", zoo.zoo(), ids=lambda case: case.name)
def test_the_zoo(case):
    if number_of_windows(case.network, case.duration) == 0:
        pytest.skip("a delay between neurons is 0")
    simulation, by_events, by_windows = pullbacks(
        case.network, case.inputs, case.duration, case.samples
    )
    time_bar, voltage_bar = bars(simulation)
    assert_equal(by_windows(time_bar, voltage_bar), by_events(time_bar, voltage_bar), 1e-10)
    np.testing.assert_allclose(
        by_windows.spike_cotangents(time_bar, voltage_bar),
        by_events.spike_cotangents(time_bar, voltage_bar),
        rtol=0,
        atol=1e-10 * np.abs(by_events.spike_cotangents(time_bar, voltage_bar)).max(initial=1e-300),
    )


@pytest.mark.parametrize("case", given_cases(), ids=lambda case: case.name)
def test_stored_cases(case):
    """Gradients of 30 digits."""
    if obstacle(case.network, case.duration) is not None:
        pytest.skip("a delay between neurons is 0")
    _, pullback = adjoint.vjp(
        case.network, case.inputs, case.duration, samples=case.samples, engine=refsim.Windows()
    )
    assert pullback.by_windows
    found = pullback(case.time_bar, case.voltage_bar)
    for name, values in case.expected.gradient.items():
        expected = np.asarray(values, dtype=float)
        scale = np.abs(expected).max(initial=1e-300)
        np.testing.assert_allclose(getattr(found, name), expected, rtol=0, atol=1e-11 * scale)


@usual
@given(case=cases(), least=decimals(0.05, 3.0), longest=decimals(0.05, 3.0))
def test_random_networks(case, least, longest):
    case = with_delays(case, least)
    assume(number_of_windows(case.network, case.duration, longest) > 0)
    try:
        simulation, by_events, by_windows = pullbacks(
            case.network, case.inputs, case.duration, case.samples, longest
        )
    except refsim.SpikeLimitError:
        assume(False)
    assume(well_conditioned(simulation) and len(simulation.spikes.time) < 300)
    time_bar, voltage_bar = bars(simulation)
    try:
        expected = by_events(time_bar, voltage_bar)
    except refsim.UndefinedGradientError:
        assume(False)
    event(f"{len(simulation.spikes.time) // 20 * 20} spikes or more")
    size = max(np.abs(values).max(initial=0.0) for _, values in expected.items())
    assume(size < 1e6)  # else sensitivities of chaos, which grow rounding as well
    assert_equal(by_windows(time_bar, voltage_bar), expected, 1e-7)


NETWORKS = {
    "equal": {},
    "spread": {"delay": np.random.default_rng(1).uniform(0.5, 5.0, 16_000)},
    "few delays": {"delay": np.random.default_rng(1).integers(1, 9, 16_000) * 0.5},
    "two tau": {"tau_m": np.random.default_rng(2).choice([10.0, 20.0], 400)},
    "many tau": {"tau_m": np.random.default_rng(2).uniform(10.0, 20.0, 400)},
    "double exp": {"ports": refsim.DoubleExpPort(1.0, 3.0)},
    "near tau": {"ports": refsim.ExpPort(20.0 * (1.0 + 1e-9))},
    "no t_ref": {"t_ref": 0.0},
}


@pytest.mark.parametrize("blocks", [1, 8])
@pytest.mark.parametrize("changes", NETWORKS.values(), ids=NETWORKS.keys())
def test_balanced_networks(monkeypatch, changes, blocks):
    if blocks > 1:
        monkeypatch.setattr(rows, "_ROW", 1)
    network = balanced(**changes)
    assert len(network.rows[0].edge) == blocks + 1
    samples = ([0, 7, 7, 399], [3.0, 3.0, 11.0, 19.5])
    simulation, by_events, by_windows = pullbacks(network, None, 20.0, samples)
    time_bar, voltage_bar = bars(simulation)
    # Over 20 ms of this activity sensitivities grow a thousandfold, and rounding with them.
    assert_equal(by_windows(time_bar, voltage_bar), by_events(time_bar, voltage_bar), 1e-9)


@pytest.mark.parametrize("changes", [{}, NETWORKS["spread"], NETWORKS["double exp"]])
def test_threads_change_no_bit(monkeypatch, changes):
    monkeypatch.setattr(rows, "_ROW", 1)
    network = balanced(**changes)
    gradients = []
    for threads in (1, 2, 3):
        simulation, pullback = adjoint.vjp(
            network, None, 20.0, engine=refsim.Windows(threads=threads)
        )
        time_bar, _ = bars(simulation)
        gradients.append(pullback(time_bar))
    for other in gradients[1:]:
        for name, values in gradients[0].items():
            assert np.array_equal(getattr(other, name), values), name


def test_packed_networks_in_float32():
    plain = balanced()
    packed = plain.synapses.packed(400, weight_dtype=np.float32)
    network = plain.replace(synapses=packed)
    simulation, by_events, by_windows = pullbacks(network, None, 20.0)
    time_bar, _ = bars(simulation)
    assert_equal(by_windows(time_bar), by_events(time_bar), 1e-9)


def test_what_is_not_wanted_is_none():
    for engine in (refsim.Events(), refsim.Windows()):
        simulation, pullback = adjoint.vjp(balanced(), None, 20.0, engine=engine)
        assert pullback.by_windows == (engine == refsim.Windows())
        time_bar, _ = bars(simulation)
        full = pullback(time_bar)
        for wrt in ("weight", ("weight", "delay"), ["tau_m"], ("v_th", "i_ext"), ()):
            part = pullback(time_bar, wrt=wrt)
            names = [wrt] if isinstance(wrt, str) else list(wrt)
            assert [name for name, _ in part.items()] == [n for n, _ in full.items() if n in names]
            assert_equal(part, full.only(names), 1e-15)
            assert part.t_ref is None
    with pytest.raises(refsim.InvalidValueError, match=r"wrt\[1\] is 'taus'"):
        pullback(time_bar, wrt=("tau", "taus"))
    with pytest.raises(refsim.InvalidTypeError, match="wrt is 3"):
        pullback(time_bar, wrt=3)
    with pytest.raises(refsim.InvalidValueError, match=r"wrt\[0\]"):
        adjoint.value_and_grad(lambda run: (0.0, None), wrt="wight")
    loss = adjoint.value_and_grad(
        lambda run: (run.spikes.time.sum(), np.ones(len(run.spikes.time))), wrt="weight"
    )
    _, grad = loss(balanced(), None, 20.0)
    assert grad.delay is None
    assert grad.weight.any()


def test_a_queue_of_choice_goes_event_by_event():
    simulation, pullback = adjoint.vjp(
        balanced(), None, 20.0, adjoint_queue="heap", engine=refsim.Windows()
    )
    _, by_windows = adjoint.vjp(balanced(), None, 20.0, engine=refsim.Windows())
    assert not pullback.by_windows
    time_bar, _ = bars(simulation)
    assert_equal(by_windows(time_bar), pullback(time_bar), 1e-9)


def test_scaling_of_time_and_voltage():
    """The gradient of a homogeneous function gives its value: no other engine is needed."""
    network = balanced(delay=np.random.default_rng(1).uniform(0.5, 5.0, 16_000))
    read = ([1, 2], [7.0, 13.0])
    simulation, pullback = adjoint.vjp(network, None, 20.0, samples=read, engine=refsim.Windows())
    time_bar, _ = bars(simulation)
    grad = pullback(time_bar)
    times = (
        np.dot(network.tau_m, grad.tau_m)
        + np.dot(network.tau, grad.tau)
        + np.dot(network.delay, grad.delay)
        + np.dot(network.t_ref, grad.t_ref)
    )
    np.testing.assert_allclose(times, np.dot(time_bar, simulation.spikes.time), rtol=1e-9)
    voltage_bar = np.array([1.0, -2.0])
    grad = pullback(None, voltage_bar)
    names = ("weight", "v_th", "v_reset", "v_rest", "i_ext", "v0")
    volts = sum(np.dot(getattr(network, name), getattr(grad, name)) for name in names)
    np.testing.assert_allclose(volts, np.dot(voltage_bar, simulation.voltages), rtol=1e-9)
