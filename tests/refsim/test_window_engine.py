"""The window engine finds the spikes of the event engine, to rounding, whatever the network."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, event, given, settings, strategies as st
from networks import assert_same, balanced, well_conditioned, with_delays

import adjoint
import refsim
from refsim.models.lif.response import polynomial, times_within
from refsim.windows import plan, room as room_of_windows
from refsim.windows.plan import obstacle, time_to_peak, window_length, window_tables
from validation.case_suite import zoo
from validation.case_suite.stored import given_cases
from validation.strategies import cases, decimals

usual = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
EPS = 2.0**-52


def both(case, **options):
    """Simulate a case with either engine."""
    arguments = (case.network, case.inputs, case.duration)
    return (
        refsim.simulate(*arguments, samples=case.samples, engine=engine, **options)
        for engine in (refsim.Events(), refsim.Windows())
    )


def assert_equal(a, b, tolerance):
    """Compare runs; spikes of different neurons may change places if they nearly coincide."""
    for run in (a, b):
        assert (np.diff(run.spikes.time) >= 0.0).all()
    first, second = (np.lexsort((run.spikes.time, run.spikes.neuron)) for run in (a, b))
    assert np.array_equal(a.spikes.neuron[first], b.spikes.neuron[second])
    np.testing.assert_allclose(b.spikes.time[second], a.spikes.time[first], rtol=0, atol=tolerance)
    assert a.counts[:3] == b.counts[:3]


@usual
@given(case=cases(), least=decimals(0.05, 3.0))
def test_random_networks(case, least):
    case = with_delays(case, least)
    assume(obstacle(case.network, case.duration) is None)
    try:
        a, b = both(case, max_spikes=300)
    except refsim.SpikeLimitError:
        assume(False)
    assume(well_conditioned(a))
    event(f"{len(a.spikes.time) // 20 * 20} spikes or more")
    # Rounding of times of 40 ms, and its growth along a chain of a hundred well-defined spikes.
    assert_equal(a, b, 1e-9)
    size = np.abs(a.voltages).max(initial=1.0) + np.abs(case.network.v_rest).max()
    np.testing.assert_allclose(b.voltages, a.voltages, rtol=0, atol=1e-9 * size)


@pytest.mark.parametrize("case", zoo.zoo(), ids=lambda case: case.name)
def test_the_zoo(case):
    a, b = both(case)
    assert_equal(a, b, 1e-11)
    np.testing.assert_allclose(b.voltages, a.voltages, rtol=0, atol=1e-12)
    np.testing.assert_allclose(b.spikes.slope_before, a.spikes.slope_before, rtol=1e-11)
    np.testing.assert_allclose(b.spikes.slope_after, a.spikes.slope_after, rtol=0, atol=1e-12)
    assert np.array_equal(a.origin, b.origin)


@pytest.mark.parametrize("case", zoo.zoo(), ids=lambda case: case.name)
def test_gradients_of_the_zoo(case):
    arguments = (case.network, case.inputs, case.duration)
    gradients = []
    for engine in (refsim.Events(), refsim.Windows()):
        _, pullback = adjoint.vjp(*arguments, samples=case.samples, engine=engine)
        gradients.append(pullback(case.time_bar, case.voltage_bar))
    for name, expected in gradients[0].items():
        scale = np.abs(expected).max(initial=1e-300)
        found = getattr(gradients[1], name)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * scale, err_msg=name)


@pytest.mark.parametrize("case", given_cases(), ids=lambda case: case.name)
def test_stored_cases(case):
    """Spike times of 30 digits; a case without delays between neurons has windows all the same."""
    if obstacle(case.network, case.duration) is not None:
        pytest.skip("a delay between neurons is 0")
    run = refsim.simulate(case.network, case.inputs, case.duration, engine=refsim.Windows())
    expected = np.asarray(case.expected.spike_times, dtype=float)
    np.testing.assert_allclose(run.spikes.time, expected, rtol=2e-15 * 100)
    assert run.spikes.neuron.tolist() == list(case.expected.spike_neurons)


@usual
@given(case=cases(max_neurons=4), seed=st.integers(0, 99))
def test_samples_and_limits_of_memory_change_nothing(case, seed):
    """A window starts over where room runs out; voltages are read without a trace."""
    case = with_delays(case, 0.5)
    assume(obstacle(case.network, case.duration) is None)
    arguments = (case.network, case.inputs, case.duration)
    try:
        plain = refsim.simulate(*arguments, max_spikes=300, engine=refsim.Windows())
    except refsim.SpikeLimitError:
        assume(False)
    usual_room = room_of_windows.ROOM
    try:
        room_of_windows.ROOM = 1
        tight = refsim.simulate(*arguments, max_spikes=300, engine=refsim.Windows())
    finally:
        room_of_windows.ROOM = usual_room
    for a, b in zip(plain.spikes, tight.spikes, strict=True):
        assert np.array_equal(a, b)
    rng = np.random.default_rng(seed)
    samples = (rng.integers(0, case.network.n_neurons, 5), rng.uniform(0.0, case.duration, 5))
    read = refsim.simulate(*arguments, samples=samples, max_spikes=300, engine=refsim.Windows())
    assume(well_conditioned(plain))
    assert_equal(plain, read, 1e-9)


def runs_of_turns(network, inputs, duration):
    """Simulate with turns of at most 1, 3 and 4 windows."""
    for most in (1, 3, 4):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plan, "_MOST_IN_TURN", most)
            fresh = network.replace()  # whose windows are not known yet
            assert window_tables(fresh).turn <= most
            yield refsim.simulate(fresh, inputs, duration, engine=refsim.Windows())


@usual
@given(case=cases(), least=decimals(0.2, 3.0))
def test_turns_of_any_length_give_the_same_to_the_last_bit(case, least):
    network = with_delays(case, least).network
    assume(obstacle(network, case.duration) is None)
    try:
        one, *others = runs_of_turns(network, case.inputs, case.duration)
    except refsim.SpikeLimitError:
        assume(False)
    event(f"turns of {window_tables(network).turn}")
    for run in others:
        assert_same(run, one)


def test_turns_add_arrivals_in_one_order():
    """Spikes and inputs of a turn are under way in order of time, as they are after short ones."""
    rng = np.random.default_rng(4)
    n, n_inputs, size = 400, 40, 4000
    one = balanced(n)
    synapses = refsim.Synapses(
        np.append(one.pre, rng.integers(n, n + n_inputs, size)),
        np.append(one.post, rng.integers(0, n, size)),
        np.append(one.weight, rng.normal(0.0, 5.0, size)),
        np.append(np.full(len(one.pre), 1.5), rng.uniform(1.0, 4.0, size)),
    )
    network = refsim.Network(
        n, synapses, ports=refsim.ExpPort(2.0), tau_m=20.0, v_th=20.0, t_ref=2.0, i_ext=40.0,
        v0=one.v0, n_inputs=n_inputs,
    )  # fmt: skip
    times = np.sort(rng.uniform(0.0, 50.0, 800))
    inputs = refsim.SpikeTrain(times, rng.integers(0, n_inputs, 800), n_inputs)
    one, *others = runs_of_turns(network, inputs, 50.0)
    assert window_tables(network).turn > 1
    assert len(one.spikes.time) > 300
    for run in others:
        assert_same(run, one)


@pytest.mark.parametrize("max_spikes", [1, 700, 5000])
def test_a_limit_within_a_turn_keeps_the_first_spikes(max_spikes):
    """Every neuron spikes some dozen times in a window, of which a turn has four."""
    network = balanced(i_ext=4000.0, t_ref=0.0, delay=4.0)
    assert window_tables(network).turn == 4
    partial = []
    for engine in (refsim.Events(), refsim.Windows()):
        with pytest.raises(refsim.SpikeLimitError) as error:
            refsim.simulate(network, None, 40.0, max_spikes=max_spikes, engine=engine)
        partial.append(error.value.partial.spikes)
    assert len(partial[1].time) == max_spikes
    assert np.array_equal(partial[1].neuron, partial[0].neuron)
    np.testing.assert_allclose(partial[1].time, partial[0].time, rtol=0, atol=1e-11)


def test_a_release_in_the_turn_of_its_spike():
    """Refractoriness of less than a window, of a window, and of more than a turn of four."""
    for t_ref in (0.1, 0.5, 1.0, 6.0):
        network = balanced(t_ref=t_ref, delay=4.0)
        assert window_tables(network).turn == 4
        a, b = (
            refsim.simulate(network, None, 40.0, engine=name)
            for name in (refsim.Events(), refsim.Windows())
        )
        assert len(a.spikes.time) > 300
        np.testing.assert_allclose(b.spikes.slope_after, a.spikes.slope_after, rtol=1e-9)


@pytest.mark.parametrize(
    "network",
    [
        balanced(),
        balanced(delay=np.random.default_rng(1).uniform(0.5, 5.0, 16_000)),
        balanced(tau_m=np.random.default_rng(2).choice([10.0, 20.0], 400)),
        balanced(tau_m=np.random.default_rng(2).uniform(10.0, 20.0, 400)),
        balanced(ports=refsim.DoubleExpPort(1.0, 3.0)),
        balanced(t_ref=0.0),
    ],
    ids=["equal", "delays", "two-tau", "many-tau", "double-exp", "no-t-ref"],
)
def test_balanced_networks(network):
    a, b = (
        refsim.simulate(network, None, 60.0, engine=e) for e in (refsim.Events(), refsim.Windows())
    )
    assert len(a.spikes.time) > 200
    assert_equal(a, b, 1e-9)


def test_silence_costs_no_windows():
    network = refsim.Network(3, refsim.connect([3, 0], [0, 1], 0.1, 0.05), n_inputs=1, tau_m=10.0)
    inputs = refsim.SpikeTrain([5.0, 9e5], [0, 0], 1)
    # Twenty million windows, of which those after the two inputs take time.
    run = refsim.simulate(network, inputs, 1e6, samples=([0], [9e5 + 5.0]), engine=refsim.Windows())
    event_run = refsim.simulate(network, inputs, 1e6, samples=([0], [9e5 + 5.0]))
    np.testing.assert_allclose(run.voltages, event_run.voltages, rtol=1e-9)
    assert run.counts.spikes == 0


def test_runaway_activity_keeps_the_spikes_so_far():
    network = balanced(i_ext=400.0)
    with pytest.raises(refsim.SpikeLimitError) as caught:
        refsim.simulate(network, None, 1000.0, max_spikes=500, engine=refsim.Windows())
    partial = caught.value.partial
    assert partial.counts.spikes == 500
    whole = refsim.simulate(network, None, partial.duration, engine=refsim.Events())
    np.testing.assert_allclose(partial.spikes.time, whole.spikes.time[:500], rtol=0.0, atol=1e-9)


def shower(n):
    """One input makes n neurons fire again and again."""
    synapses = [
        refsim.connect(n, np.arange(n), weight=3000.0, delay=0.0),
        refsim.connect(0, 1, weight=0.01, delay=0.5),
    ]
    return refsim.Network(n, synapses, n_inputs=1, ports=refsim.ExpPort(5.0), tau_m=10.0, t_ref=0.2)


def test_a_replay_that_runs_out_of_room_begins_again_held(monkeypatch):
    inputs = refsim.SpikeTrain([0.3987], [0], 1)
    for room in (1, 7, 64):
        monkeypatch.setattr(room_of_windows, "ROOM", room)
        a, b = (
            refsim.simulate(shower(40), inputs, 1.2, engine=e)
            for e in (refsim.Events(), refsim.Windows())
        )
        assert_equal(a, b, 1e-9)
        assert len(a.spikes.time) == 160


def test_spikes_after_the_end_do_not_count_towards_the_limit():
    synapses = refsim.connect([2, 3], [0, 1], weight=[60.0, 0.1], delay=0.5)
    port = refsim.ExpPort(5.0)
    network = refsim.Network(2, synapses, n_inputs=2, ports=port, tau_m=10.0, i_ext=[0.0, 30.0])
    inputs = refsim.SpikeTrain.from_lists([[8.2], [1.0]])
    for limit in (35, 36, 38, 10_000):
        run = refsim.simulate(network, inputs, 10.0, max_spikes=limit, engine=refsim.Windows())
        assert run.counts.spikes == 35
    with pytest.raises(refsim.SpikeLimitError):
        refsim.simulate(network, inputs, 10.0, max_spikes=34, engine=refsim.Windows())


@pytest.mark.parametrize("limit", [1, 2, 5, 20])
def test_a_partial_result_holds_the_first_spikes_and_ends_with_the_last(limit):
    synapses = refsim.connect([2, 3], [0, 1], weight=60.0, delay=[0.5, 1.5])
    network = refsim.Network(2, synapses, n_inputs=2, ports=refsim.ExpPort(5.0), tau_m=10.0)
    inputs = refsim.SpikeTrain([0.0, 0.0, 6.5], [1, 0, 0], 2)
    partials = []
    for engine in (refsim.Events(), refsim.Windows()):
        with pytest.raises(refsim.SpikeLimitError) as caught:
            refsim.simulate(
                network,
                inputs,
                20.0,
                samples=([0, 1, 1], [0.2, 3.0, 5.0]),
                engine=engine,
                max_spikes=limit,
            )
        partials.append(caught.value.partial)
    a, b = partials
    np.testing.assert_allclose(b.spikes.time, a.spikes.time, rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(b.voltages, a.voltages, rtol=0.0, atol=1e-12)
    assert abs(b.duration - a.duration) < 1e-12


def test_the_choice_of_engine_and_its_reason(monkeypatch):
    monkeypatch.setattr(plan, "_WORTHWHILE", 20_000)
    small, large = zoo.recurrent(), balanced()
    run = refsim.simulate(small.network, small.inputs, 5.0)
    assert (run.engine, "synapses" in run.engine_reason) == ("events", True)
    large = balanced(n=600)
    assert refsim.simulate(large, None, 5.0).engine == "windows"
    assert refsim.simulate(large, None, 5.0, engine=refsim.Events()).engine == "events"
    assert refsim.simulate(balanced(n=600, delay=0.0), None, 1.0).engine == "events"
    with pytest.raises(refsim.InvalidValueError, match="a delay between neurons is 0"):
        refsim.simulate(balanced(delay=0.0), None, 5.0, engine=refsim.Windows())


def test_windows_end_before_a_response_falls():
    """The time to peak is where the response to an arrival has its maximum."""
    a, r = 1.0 / 20.0, 1.0 / 2.0
    t = np.linspace(0.0, 30.0, 300_001)
    peak = t[np.argmax((np.exp(-a * t) - np.exp(-r * t)) / (r - a))]
    assert peak - 2e-4 < time_to_peak(a, r) <= peak + 2e-4
    assert window_length(balanced(delay=100.0)) <= time_to_peak(a, r)
    network = balanced(delay=0.3)
    assert window_length(network) == 0.3


@pytest.mark.parametrize("rate", [0.01, 1.0, 3.0])
def test_polynomials_are_exact_to_the_last_bits(rate):
    terms = polynomial(np.exp(-rate * times_within(2.0)))
    z = np.linspace(-1.0, 1.0, 997)
    values = np.polynomial.polynomial.polyval(z, terms)
    np.testing.assert_allclose(values, np.exp(-rate * (z + 1.0)), rtol=0, atol=8 * EPS)
