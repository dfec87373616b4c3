"""Extreme but legal arguments: a right result or a refusal, never nan, a hang or a warning."""

import warnings

import numpy as np
import pytest
from everywhere import simulate, vjp

import adjoint
import refsim
from refsim import (
    DoubleExpPort,
    ExpPort,
    IllConditionedWarning,
    InvalidValueError,
    Network,
    SpikeLimitError,
    SpikeTrain,
    UndefinedGradientError,
    connect,
)

ONE_ULP_BELOW_1 = np.nextafter(1.0, 0.0)
ONE_ULP_ABOVE_1 = np.nextafter(1.0, 2.0)
LIMIT = 500


def driven(weight=50.0, delay=1.0, n_synapses=1, **parameters):
    """One neuron and one channel."""
    synapses = connect(np.full(n_synapses, 1), 0, weight, delay)
    return Network(1, synapses, n_inputs=1, **parameters)


def spikes_at(*times):
    return SpikeTrain(times, np.zeros(len(times), dtype=int), 1)


def all_products(network, inputs=None, duration=50.0, samples=None):
    """Simulate; check that every derivative is finite and that the products are dual."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IllConditionedWarning)
        run, pullback = vjp(network, inputs, duration, samples=samples, max_spikes=LIMIT)
        one = adjoint.jvp(
            network, inputs, duration, {"weight": 1.0}, samples=samples, max_spikes=LIMIT
        )
    assert np.array_equal(one[0].spikes.time, run.spikes.time)
    gradient = pullback(1.0, 1.0)
    for name, values in gradient.items():
        assert np.all(np.isfinite(values)), name
    tangents = np.concatenate(one[1])
    assert np.sum(tangents) == pytest.approx(
        np.sum(gradient.weight), rel=1e-6, abs=1e-9 * np.abs(tangents).sum()
    )
    assert np.all(np.isfinite(run.voltages))
    assert np.all(run.spikes.time <= duration)
    assert np.all(np.diff(run.spikes.time) >= 0.0)
    assert np.all(np.isfinite(run.trace(times=[0.0, duration]).voltage))
    return run


def within_limits(*args, **kwargs):
    """Run ``all_products``, where a stop at the limit with a sound partial result is right too."""
    try:
        return all_products(*args, **kwargs)
    except SpikeLimitError as error:
        return check_partial(error)


def check_partial(error):
    run = error.partial
    assert len(run.spikes.time) == run.counts.spikes == LIMIT
    assert {len(column) for column in run.spikes} == {LIMIT}
    assert run.duration == run.spikes.time[-1]
    assert run.duration > 0.0
    assert np.all(np.diff(run.spikes.time) >= 0.0)
    assert np.all(np.isfinite(run.spikes.slope_before))
    assert sorted(run.origin[run.origin >= 0]) == list(range(LIMIT))
    assert sum(map(len, run.by_neuron())) == LIMIT
    assert np.all(np.isfinite(run.trace(times=[0.0, run.duration]).voltage))
    return run


TAUS = [1e-9, 1e-3, 5.0, 1e12]


@pytest.mark.parametrize("tau_m", TAUS)
@pytest.mark.parametrize("tau", TAUS)
def test_time_constants_at_their_limits(tau_m, tau):
    network = driven(tau_m=tau_m, ports=ExpPort(tau))
    within_limits(network, spikes_at(1.0, 2.0), 50.0, ([0, 0], [0.0, 50.0]))


@pytest.mark.parametrize("rise", TAUS)
@pytest.mark.parametrize("decay", TAUS)
def test_time_constants_of_two_filters_at_their_limits(rise, decay):
    network = driven(ports=DoubleExpPort(rise, decay))
    within_limits(network, spikes_at(1.0, 2.0), 50.0, ([0, 0], [0.0, 50.0]))


@pytest.mark.parametrize("weight", [1e100, 1.0, 1e-300])
def test_scale_of_voltage_does_not_matter(weight):
    """Weights and threshold scaled by one factor leave the spikes where they were."""
    reference = simulate(driven(50.0), spikes_at(1.0, 2.0), 50.0)
    scaled = driven(weight, v_th=weight / 50.0, i_ext=0.0)
    run = all_products(scaled, spikes_at(1.0, 2.0), 50.0, ([0], [50.0]))
    np.testing.assert_allclose(run.spikes.time, reference.spikes.time, rtol=1e-9)


def test_weight_far_above_threshold_runs_away_and_is_stopped():
    with pytest.raises(SpikeLimitError, match=f"max_spikes is {LIMIT} and was reached at 2 of 50"):
        all_products(driven(1e100), spikes_at(1.0))
    run = all_products(driven(1e100, t_ref=1.0), spikes_at(1.0))
    assert run.spikes.time[0] == np.nextafter(2.0, 3.0)
    np.testing.assert_allclose(np.diff(run.spikes.time), 1.0)


def test_weight_far_below_zero():
    run = all_products(driven(-1e100), spikes_at(1.0), 50.0, ([0], [50.0]))
    assert len(run.spikes.time) == 0
    assert -1e100 < run.voltages[0] < -1e98


def test_threshold_out_of_reach():
    assert len(all_products(driven(v_th=1e100), spikes_at(1.0)).spikes.time) == 0


def test_voltages_over_the_whole_range():
    network = driven(v_th=1e100, v_rest=-1e100, i_ext=1e100)
    assert len(all_products(network, spikes_at(1.0), 50.0, ([0], [50.0])).spikes.time) == 0
    network = Network(1, v_th=1e100, v_rest=9e99, i_ext=1e100, t_ref=1.0)
    period = 20.0 * np.log((1.9e100 - 9e99) / (1.9e100 - 1e100))
    run = all_products(network)
    np.testing.assert_allclose(run.spikes.time[:2], [period, 2 * period + 1.0])


def test_smallest_threshold_gives_spikes_and_refuses_derivatives():
    network = driven(v_th=5e-324, t_ref=1.0)
    assert len(simulate(network, spikes_at(1.0), 50.0).spikes.time) > 10
    network = driven(1e-320, v_th=1e-322, t_ref=1.0)
    with np.errstate(all="ignore"):
        pullback = adjoint.vjp(network, spikes_at(1.0), 50.0)[1]
        with pytest.raises(UndefinedGradientError, match=r"gradient\.weight\[0\] is "):
            pullback(1.0)


def test_longest_delay_and_duration():
    run = all_products(driven(delay=1e12), spikes_at(0.0, 1.0), 1e12, ([0, 0], [0.0, 1e12]))
    assert run.counts.arrivals == 1
    assert run.voltages.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("ports", [ExpPort(10.0), DoubleExpPort(2.0, 10.0)])
@pytest.mark.parametrize("duration", [500.0, 1e3, 1e6])
@pytest.mark.parametrize("rest", [0.5, -0.7])
def test_a_late_end_hides_no_spike_of_a_driven_neuron(ports, duration, rest):
    """The voltage returns to a resting value that is not zero, and rounds to it."""
    network = driven(5.0, tau_m=5.0, ports=ports, v_rest=rest, v_reset=-1.0, t_ref=50.0)
    expected = simulate(network, spikes_at(1.0), 20.0).spikes.time
    assert len(expected) == 1
    found = simulate(network, spikes_at(1.0), duration).spikes.time
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("ports", [ExpPort(5.0), DoubleExpPort(1.0, 5.0)])
@pytest.mark.parametrize("duration", [3e4, 1e5, 1e12])
def test_a_silent_rest_of_the_run_changes_no_spike(ports, duration):
    network = driven(ports=ports)
    expected = simulate(network, spikes_at(1.0, 2.0), 50.0).spikes.time
    assert len(expected) > 20
    found = simulate(network, spikes_at(1.0, 2.0), duration).spikes.time
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("tau", [1e-9, 1e-6, 1e-3])
def test_a_short_pulse_in_a_long_run_is_not_missed(tau):
    """V peaks at weight/e = 18, a time tau after the arrival."""
    network = driven(tau_m=tau, ports=ExpPort(tau), t_ref=10.0)
    spikes = simulate(network, spikes_at(1.0), 50.0).spikes.time
    assert len(spikes) == 1
    assert 2.0 < spikes[0] < 2.0 + tau


def test_rise_and_decay_are_interchangeable():
    """The response to a double_exp port is symmetric in its time constants, far apart or near."""
    for rise, decay in [(1e-6, 5.0), (1e-3, 10.0), (1.0, 5.0), (5.0, 5.0 + 1e-9)]:
        first = simulate(driven(ports=DoubleExpPort(rise, decay)), spikes_at(1.0), 20.0)
        second = simulate(driven(ports=DoubleExpPort(decay, rise)), spikes_at(1.0), 20.0)
        np.testing.assert_allclose(first.spikes.time, second.spikes.time, rtol=1e-12)


def test_rise_and_decay_at_opposite_limits():
    run = simulate(driven(ports=DoubleExpPort(1e12, 1e-9), t_ref=100.0), spikes_at(1.0), 50.0)
    other = simulate(driven(ports=DoubleExpPort(1e-9, 1e12), t_ref=100.0), spikes_at(1.0), 50.0)
    np.testing.assert_allclose(run.spikes.time, other.spikes.time, rtol=1e-9)


def test_denormal_delays_times_and_durations():
    expected = simulate(driven(delay=0.0), spikes_at(0.0), 50.0).spikes.time
    run = all_products(driven(delay=5e-324), spikes_at(5e-324))
    np.testing.assert_allclose(run.spikes.time, expected, rtol=1e-12)
    run = all_products(driven(delay=5e-324), spikes_at(1e-310), 1e-300, ([0, 0], [0.0, 1e-300]))
    assert len(run.spikes.time) == 0
    run = all_products(driven(delay=0.0), spikes_at(0.0), 5e-324, ([0], [0.0]))
    assert run.rates().tolist() == [0.0]


def test_longest_refractoriness():
    for duration in (50.0, 1e12):
        network = driven(t_ref=1e12, v_reset=0.25)
        run = simulate(network, spikes_at(1.0, 2.0), duration, samples=([0], [duration]))
        assert len(run.spikes.time) == 1
        assert run.voltages[0] == 0.25


def test_ten_thousand_simultaneous_arrivals_are_one():
    expected = simulate(driven(100.0), spikes_at(1.0), 50.0).spikes.time
    run = all_products(driven(0.01), spikes_at(*np.ones(10_000)))
    np.testing.assert_allclose(run.spikes.time, expected, rtol=1e-9)
    assert run.counts.arrivals == 10_000


def test_a_hundred_thousand_synapses_between_a_pair_are_one():
    expected = simulate(driven(100.0), spikes_at(1.0), 10.0).spikes.time
    run = simulate(driven(0.001, n_synapses=100_000), spikes_at(1.0), 10.0)
    np.testing.assert_allclose(run.spikes.time, expected, rtol=1e-9)
    assert run.counts.arrivals == 100_000


@pytest.mark.parametrize("weight", [1.0, -5.0, 0.0])
def test_autapse_without_delay(weight):
    network = Network(1, connect([1, 0], [0, 0], [50.0, weight], 0.0), n_inputs=1)
    run = all_products(network, spikes_at(1.0))
    assert run.counts.arrivals == 1 + len(run.spikes.time)
    assert np.all(np.diff(run.spikes.time) > 0.0)


def test_loop_without_delay_runs_away_and_is_stopped():
    network = Network(
        2, connect([2, 0, 1], [0, 1, 0], [1e9, 1e9, 1e9], 0.0), n_inputs=1, tau_m=1e-3
    )
    with pytest.raises(SpikeLimitError) as caught:
        all_products(network, spikes_at(1.0))
    check_partial(caught.value)


def test_nothing_at_all():
    run = all_products(Network(1), None, 50.0, ([0, 0], [0.0, 50.0]))
    assert run.voltages.tolist() == [0.0, 0.0]
    assert run.spikes.time.shape == (0,)
    assert run.trace([]).voltage.shape == (0, 501)
    assert run.by_neuron()[0].shape == (0,)
    assert np.isinf(run.conditioning.min_slope)


def test_inputs_after_the_end_and_at_it():
    run = all_products(driven(delay=0.0), spikes_at(60.0, 50.0, 1e12), 50.0, ([0], [50.0]))
    assert run.counts.inputs == run.counts.arrivals == 1
    assert run.voltages[0] == 0.0


def test_reset_one_ulp_below_threshold_runs_away_and_is_stopped():
    network = Network(1, v_th=1.0, v_rest=2.0, v_reset=ONE_ULP_BELOW_1, v0=0.0)
    with pytest.raises(SpikeLimitError, match="the attribute partial holds") as caught:
        simulate(network, None, 50.0, max_spikes=LIMIT)
    run = check_partial(caught.value)
    assert run.spikes.time[0] == pytest.approx(20.0 * np.log(2.0))


@pytest.mark.parametrize("drive", [1.0, ONE_ULP_ABOVE_1, 1.0 + 1e-12])
def test_drive_at_threshold(drive):
    """V = drive (1 - e^{-t/20}) crosses 1 only if the drive is above it."""
    network = Network(1, v_th=1.0, v_rest=0.0, i_ext=drive)
    run = all_products(network, None, 2000.0, ([0], [2000.0]))
    if drive == 1.0:
        assert len(run.spikes.time) == 0
    else:
        exact = 20.0 * np.log(drive / (drive - 1.0))
        assert run.spikes.time[0] == pytest.approx(exact, rel=1e-14)
        assert len(run.spikes.time) == int(2000.0 / run.spikes.time[0])


def test_products_of_rates_that_leave_float64_are_refused():
    ports = [ExpPort(1e-9 * (1 + k)) for k in range(40)]
    with pytest.raises(InvalidValueError, match="ports have 40 time constants"):
        Network(1, ports=ports)
    many = [ExpPort(5.0 + k / 10.0) for k in range(40)]
    network = Network(1, connect([1] * 40, 0, 2.0, 1.0, range(40)), n_inputs=1, ports=many)
    assert len(all_products(network.replace(t_ref=5.0), spikes_at(1.0)).spikes.time) > 0


@pytest.mark.parametrize("engine", [refsim.Events(), refsim.Windows()])
def test_derivatives_beyond_float64_are_refused(engine):
    """Here dt/dweight is 1e299, so that a cotangent or tangent of 1e100 leads out of the range."""
    network = driven(1e-300, v_th=1e-302)
    with np.errstate(all="ignore"):
        pullback = adjoint.vjp(network, spikes_at(1.0), 50.0, engine=engine)[1]
        with pytest.raises(UndefinedGradientError, match=r"gradient\.\w+\[0\] is "):
            pullback(1e100)
        with pytest.raises(UndefinedGradientError, match=r"gradient\.weight\[0\] is "):
            pullback(1e100, wrt="weight")
        with pytest.raises(UndefinedGradientError, match=r"tangents\.time\[0\] is -inf; expected"):
            adjoint.jvp(network, spikes_at(1.0), 50.0, {"weight": 1e100})


class Series:
    """An array in the wrapping of a data frame."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __array__(self, dtype=None, copy=None):
        return self.values

    def __len__(self):
        return len(self.values)


def of_kind(kind, values):
    array = np.array(values, dtype=np.float64)
    return {
        "list": list(values),
        "tuple": tuple(values),
        "int": array.astype(np.int32),
        "unsigned": array.astype(np.uint8),
        "float32": array.astype(np.float32),
        "float16": array.astype(np.float16),
        "long double": array.astype(np.longdouble),
        "big endian": array.astype(">f8"),
        "strided": np.repeat(array, 3)[::3],
        "reversed": array[::-1].copy()[::-1],
        "Fortran": np.asfortranarray(np.tile(array, (2, 1)))[0],
        "read-only": np.lib.stride_tricks.as_strided(array, array.shape, writeable=False),
        "unmasked": np.ma.array(array),
        "series": Series(array),
        "memory": memoryview(array),
    }[kind]


KINDS = [
    *("list", "tuple", "int", "unsigned", "float32", "float16", "long double", "big endian"),
    *("strided", "reversed", "Fortran", "read-only", "unmasked", "series", "memory"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_any_array_of_numbers_will_do(kind):
    weight, delay, times = [50.0, 5.0, 7.0], [1.0, 2.0, 1.0], [1.0, 4.0]

    def simulated(of):
        network = Network(
            2,
            connect([2, 0, 1], [0, 1, 0], of(weight), of(delay)),
            n_inputs=1,
            tau_m=of([20.0, 10.0]),
            t_ref=of([2.0, 3.0]),
        )
        inputs = SpikeTrain(of(times), np.zeros(2, dtype=np.uint8), 1)
        run, pullback = adjoint.vjp(network, inputs, 30.0, samples=([0, 1], of([3.0, 9.0])))
        return run, pullback(of([1.0] * len(run.spikes.time)), of([1.0, 2.0]))

    run, gradient = simulated(lambda values: of_kind(kind, values))
    expected, expected_gradient = simulated(np.array)
    assert np.array_equal(run.spikes.time, expected.spikes.time)
    assert np.array_equal(run.voltages, expected.voltages)
    for name, values in gradient.items():
        assert np.array_equal(values, getattr(expected_gradient, name))


@pytest.mark.parametrize("number", [5, np.float32(5.0), np.int8(5), np.array(5.0), np.uint64(5)])
def test_any_number_will_do(number):
    network = Network(2, connect([0], [1], number, number), tau_m=number, ports=ExpPort(number))
    run = simulate(network, None, number, samples=([0], [number]))
    assert type(run.duration) is float
    assert network.tau_m.dtype == network.weight.dtype == np.float64
    assert type(network.ports[0].tau) is float
