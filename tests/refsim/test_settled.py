"""Voltages settled on the threshold, and drives next to it or far beyond it, by every engine."""

import math
import warnings

import numpy as np
import pytest

import adjoint
import refsim
from refsim import DoubleExpPort, ExpPort, Network, SpikeTrain, connect

ULP = 2.0**-52


def by_events(network, inputs, duration, **options):
    return refsim.simulate(network, inputs, duration, **options, engine=refsim.Events())


def by_calendar(network, inputs, duration, **options):
    return refsim.simulate(network, inputs, duration, **options, engine=refsim.Events("calendar"))


def by_windows(network, inputs, duration, **options):
    return refsim.simulate(network, inputs, duration, **options, engine=refsim.Windows())


def in_a_batch(network, inputs, duration, samples=None):
    given = [SpikeTrain.empty(network.n_inputs) if inputs is None else inputs]
    read = None if samples is None else [samples]
    return refsim.simulate_batch(network, given, duration, samples=read, engine=refsim.Events())[0]


ENGINES = [by_events, by_calendar, by_windows, in_a_batch]
everywhere = pytest.mark.parametrize("run", ENGINES)


def driven(i_ext, tau_m, delay=1.0, **parameters):
    """A driven neuron, and one to which it has a synapse, which decides how long windows are."""
    ports = ExpPort(5.0)
    synapses = connect(0, 1, weight=0.1, delay=delay)
    return Network(2, synapses, tau_m=tau_m, i_ext=[i_ext, 0.0], ports=ports, **parameters)


def first_spike(excess, tau_m):
    """Return when V = drive (1 - e^{-t/tau_m}) reaches 1, for drive = 1 + excess."""
    return tau_m * math.log((1.0 + excess) / excess)


# --- settled on the threshold -------------------------------------------------------------------

LEVELS = {
    "unit": {"v_rest": 0.0, "i_ext": 1.0, "v_th": 1.0},
    "millivolts": {"v_rest": -65.0, "i_ext": 15.0, "v_th": -50.0},
}


@everywhere
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("silence", [50.0, 500.0, 2000.0, 20_000.0])
def test_an_arrival_after_a_silence_at_the_threshold_causes_spikes(run, level, silence):
    """The voltage rises from the threshold, for V' = 0 and V'' > 0: the neuron fires at once.

    V starts e^{-silence/10} below it, and rises by 5 g s^2/20: by 500 ms that takes 1e-10 ms.
    """
    levels = LEVELS[level]
    gap = levels["v_th"] - levels["v_rest"]
    synapses = connect(1, 0, weight=5.0 * gap, delay=1.0)
    network = Network(1, synapses, 1, DoubleExpPort(2.0, 8.0), tau_m=10.0, **levels)
    found = run(network, SpikeTrain([silence], [0], 1), silence + 40.0)
    assert len(found.spikes.time) == 8
    arrival = silence + 1.0
    late = 10.0 * math.exp(-0.05 * silence)
    assert arrival <= found.spikes.time[0] <= arrival + late + 4.0 * math.ulp(arrival)
    assert found.spikes.time[-1] - arrival == pytest.approx(24.0887, abs=0.01 + 5.0 * late)


@everywhere
def test_currents_that_cancel_at_an_arrival_cause_the_spike_that_the_slower_one_does(run):
    synapses = connect([1, 1], [0, 0], [5.0, -5.0], 1.0, [0, 1])
    ports = (ExpPort(8.0), ExpPort(2.0))
    network = Network(1, synapses, 1, ports, tau_m=10.0, i_ext=1.0)
    found = run(network, SpikeTrain([500.0], [0], 1), 540.0).spikes.time
    assert len(found) >= 1
    assert 501.0 <= found[0] < 501.0 + 1e-9
    against = network.replace(weight=[-5.0, 5.0])
    assert len(run(against, SpikeTrain([500.0], [0], 1), 502.0).spikes.time) == 0


@everywhere
def test_inhibition_of_a_voltage_on_the_threshold_causes_none(run):
    network = Network(
        1, connect(1, 0, weight=-1.0, delay=1.0), 1, DoubleExpPort(2.0, 8.0), tau_m=1.0, i_ext=1.0
    )
    for silence in (40.0, 800.0, 3000.0):
        found = run(network, SpikeTrain([silence], [0], 1), silence + 500.0)
        assert len(found.spikes.time) == 0


@everywhere
def test_a_settled_voltage_is_read_as_the_drive(run):
    network = driven(0.75, 10.0, v_rest=-65.0, v_th=-50.0)
    found = run(network, None, 900.0, samples=([0, 0], [0.0, 900.0]))
    assert found.voltages.tolist() == [-65.0, -64.25]


# --- drives next to the threshold ---------------------------------------------------------------


@everywhere
@pytest.mark.parametrize(
    ("excess", "tau_m", "delay"),
    [
        (ULP, 20.0, 1.0),
        (2 * ULP, 20.0, 0.1),
        (45 * ULP, 20.0, 0.1),
        (2.0**-40, 20.0, 0.02),
        (2.0**-37, 20.0, 0.02),
        (2.0**-33, 300.0, 0.1),
        (0.01, 300.0, 0.01),
        (-ULP / 2, 20.0, 1.0),
    ],
)
def test_drives_next_to_the_threshold(run, excess, tau_m, delay):
    """A spike is off by a few roundings of time and of tau_m, and by those of so many windows."""
    drive = 1.0 + excess
    if excess < 0.0:
        assert len(run(driven(drive, tau_m, delay), None, 3000.0).spikes.time) == 0
        return
    exact = first_spike(drive - 1.0, tau_m)
    found = run(driven(drive, tau_m, delay), None, 2.5 * exact)
    own = found.by_neuron()[0]
    windows = math.sqrt(2.5 * exact / delay)
    np.testing.assert_allclose(
        own, [exact, 2.0 * exact], rtol=4 * ULP, atol=(4.0 + windows) * ULP * tau_m
    )


@everywhere
def test_a_drive_given_as_a_sum_has_its_own_digits(run):
    """-65.1 + 15.3 rounds to -49.8, below which the exact sum of these numbers lies."""
    network = driven(15.3, 10.0, v_rest=-65.1, v_th=-49.8)
    assert network.v_rest[0] + network.i_ext[0] == pytest.approx(-49.8, abs=1e-14)
    exact = math.fsum([-65.1, 15.3, 49.8])
    spikes = run(network, None, 2000.0).by_neuron()[0]
    if exact <= 0.0:
        assert len(spikes) == 0
    else:
        gap = -49.8 + 65.1
        assert spikes[0] == pytest.approx(10.0 * math.log((gap + exact) / exact), rel=1e-14)


# --- drives far beyond the threshold ------------------------------------------------------------


@everywhere
@pytest.mark.parametrize("drive", [1e5, 1e7, 1e9])
def test_drives_far_beyond_the_threshold(run, drive):
    """The k-th spike comes after k times -tau_m log(1 - 1/drive)."""
    period = -20.0 * math.log1p(-1.0 / drive)
    found = run(driven(drive, 20.0), None, 50.5 * period).by_neuron()[0]
    np.testing.assert_allclose(found, period * np.arange(1, 51), rtol=50 * ULP)


@everywhere
def test_a_ramp_of_a_long_membrane_and_a_large_current(run):
    """V' is 1 here, to 1e-12."""
    network = Network(1, tau_m=1e9, i_ext=1e9, v_th=1e-3)
    found = run(network, None, 0.0025, samples=([0, 0], [5e-4, 1.5e-3]))
    np.testing.assert_allclose(found.spikes.time, [1e-3, 2e-3], rtol=1e-11)
    np.testing.assert_allclose(found.voltages, [5e-4, 5e-4], rtol=1e-11)


# --- time grids ---------------------------------------------------------------------------------


@pytest.mark.parametrize("membrane", ["exact", "euler", "exponential"])
@pytest.mark.parametrize("dt", [1e-5, 1e-6])
def test_short_steps_of_a_ramp(membrane, dt):
    """With a step of 1e-6 ms the spike had been 5 % late: V' dt was a rounding of the drive."""
    network = Network(1, tau_m=1e9, i_ext=1e9, v_th=0.9995e-3)
    scheme = refsim.GridScheme(membrane=membrane)
    found = refsim.simulate(
        network, None, 0.0015, engine=refsim.Grid(dt, scheme=scheme, keep_voltages=True)
    )
    np.testing.assert_allclose(found.spikes.time[0], 0.9995e-3, rtol=1e-10)
    voltage = found.trace().voltage[0]
    steps = int(0.9 * 0.9995e-3 / dt)
    np.testing.assert_allclose(voltage[:steps], dt * np.arange(steps), rtol=1e-9, atol=1e-18)


@pytest.mark.parametrize("excess", [ULP, 1e-12])
def test_steps_of_a_drive_next_to_the_threshold(excess):
    drive = 1.0 + excess
    exact = first_spike(drive - 1.0, 20.0)
    found = refsim.simulate(
        Network(1, tau_m=20.0, i_ext=drive), None, 1.5 * exact, engine=refsim.Grid(0.01)
    )
    assert abs(found.spikes.time[0] - exact) < 0.01


# --- windows without drift ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ports", "rtol"), [(DoubleExpPort(1e12, 1e-3), 1e-13), (ExpPort(1e10), 1e-13)]
)
def test_currents_that_hardly_change_do_not_drift(ports, rtol):
    """In 1e5 windows the roundings of a state that loses 4e-16 in each had added up to 4e-12."""
    synapses = [connect(2, 0, 50.0, 1.0), connect(0, 1, 0.0, 5e-4)]
    network = Network(2, synapses, 1, ports, tau_m=20.0)
    inputs = SpikeTrain([1.0], [0], 1)
    expected = by_events(network, inputs, 40.0).spikes.time
    assert len(expected) > 50
    found = by_windows(network, inputs, 40.0).spikes.time
    np.testing.assert_allclose(found, expected, rtol=rtol)


@pytest.mark.parametrize("sampled", [False, True])
def test_a_slow_membrane_does_not_drift(sampled):
    """0.9 thresholds below, and a window takes 1e-12 of it."""
    network = driven(2.0, 1e9, delay=1e-3, v0=1.0 - 1e-8)
    exact = -1e9 * math.log1p(-(1e-8) / (2.0 - (1.0 - 1e-8)))
    samples = (np.zeros(2000, int), np.arange(1, 2001) * 1e-3) if sampled else None
    found = by_windows(network, None, 15.0, samples=samples)
    np.testing.assert_allclose(found.by_neuron()[0], [exact], rtol=1e-8)
    np.testing.assert_allclose(
        found.by_neuron()[0], by_events(network, None, 15.0).spikes.time, rtol=1e-12
    )


# --- underflow ----------------------------------------------------------------------------------


@everywhere
@pytest.mark.parametrize("end", [640.0, 1100.0, 3000.0])
def test_a_crossing_far_out_is_found_although_the_voltage_underflows_later(run, end):
    """With equal rates V - v_th = (u + x t) e^{-t}: it crosses 625 ms after the first spike."""
    synapses = connect(1, 0, weight=0.01, delay=1.0)
    network = Network(
        1, synapses, 1, ExpPort(1.0), tau_m=1.0, v_rest=1.0, v_th=1.0, v_reset=-1.5, v0=0.5
    )
    found = run(network, SpikeTrain([3.0], [0], 1), end).spikes.time
    first = 0.5 * math.exp(4.0) / 0.01 / math.exp(4.0)  # e^{-4} 0.5 e^{-s} = 0.01 s e^{-s}
    assert len(found) == 2
    left = 0.01 * math.exp(4.0 - found[0])
    assert found[1] == pytest.approx(found[0] + 2.5 / left, rel=1e-12)
    assert found[0] < first + 4.0


@everywhere
@pytest.mark.parametrize("tau_m", [0.5, 1.0, 3.0])
def test_a_voltage_that_underflows_below_the_threshold_causes_no_spike(run, tau_m):
    assert len(run(driven(1.0, tau_m), None, 2600.0 * tau_m).by_neuron()[0]) == 0
    alpha = Network(
        1, connect(1, 0, weight=-1.0, delay=1.0), 1, DoubleExpPort(1.0, 1.0), tau_m=tau_m, i_ext=1.0
    )
    for inputs in (None, SpikeTrain([3.0], [0], 1)):
        assert len(run(alpha, inputs, 3000.0).spikes.time) == 0


@everywhere
@pytest.mark.parametrize(("v_th", "v_reset"), [(1e12, 1e12 - 2e-4), (1.0, 0.9999), (1e-9, 9.9e-10)])
def test_readouts_with_a_reset_close_to_the_threshold_keep_their_digits(run, v_th, v_reset):
    weight = 1e-3 * min(v_th, 1.0)
    network = Network(
        1, connect(1, 0, weight=weight, delay=1.0), 1, v_th=v_th, v_reset=v_reset, v0=0.0
    )
    t = np.array([0.5, 3.0, 10.0, 50.0, 200.0])
    found = run(network, SpikeTrain([1.0], [0], 1), 300.0, samples=([0] * 5, t)).voltages
    since = np.maximum(t - 2.0, 0.0)
    exact = weight * (np.exp(-since / 20.0) - np.exp(-since / 5.0)) / 3.0
    np.testing.assert_allclose(found, exact, rtol=1e-12)


@everywhere
def test_a_spike_a_few_bits_after_the_end_belongs_to_a_longer_run(run):
    """What followed the end by 4e-15 of it had been moved to it, which a longer run took back."""
    network = driven(1e7, 1.03, t_ref=2.0, v0=1.0 - ULP / 2)
    exact = 2.0 + 1.03 * -np.log1p(-1e-7)  # 5.1e-15 after the end of the shorter run
    found = run(network, None, 2.000000103).spikes.time
    assert len(found) == 1
    assert found[0] < 1e-22
    longer = run(network, None, 2.0000001031).spikes.time
    assert abs(longer[1] - exact) <= ULP * 4


# --- gradients of what follows next to no time after an arrival -----------------------------------


@pytest.mark.parametrize(
    "port", [DoubleExpPort(10.0, 10.0), DoubleExpPort(5.0, 10.0), ExpPort(5.0)]
)
@pytest.mark.parametrize("gap", [ULP / 2, 1e-13, 1e-11, 1e-9, 1e-7])
def test_gradients_of_a_spike_right_after_an_arrival(port, gap):
    """Windows had taken responses from polynomials, whose error is that of the largest ones."""
    network = Network(
        1, connect(1, 0, weight=0.75, delay=0.7), 1, port, tau_m=20.0, v_rest=1.0 - gap,
        v_reset=-9.0, v0=1.0 - gap, t_ref=5.0,
    )  # fmt: skip
    inputs = SpikeTrain([4.1], [0], 1)
    gradients = []
    for engine in (refsim.Events(), refsim.Windows()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", refsim.IllConditionedWarning)
            _, pullback = adjoint.vjp(network, inputs, 14.1, engine=engine)
        gradients.append(pullback([1.0]))
    for name, values in gradients[0].items():
        np.testing.assert_allclose(getattr(gradients[1], name), values, rtol=1e-12, err_msg=name)
