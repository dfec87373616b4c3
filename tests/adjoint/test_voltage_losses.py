"""Losses of voltages, and what helps silent neurons."""

import pickle
import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from loss_cases import DURATION, LABELS, OUTPUTS, of_voltages
from quotients import assert_slope, layers, values_of, with_values
from scipy.integrate import quad

import adjoint
import refsim
from adjoint import losses
from adjoint.losses import (
    CrossEntropy,
    KeepAlive,
    MeanSquare,
    SpikeTime,
    Voltage,
    VoltageIntegral,
    VoltageMaximum,
    WeightIncrease,
    without_threshold,
)
from refsim.results.peaks import voltage_peaks
from validation.strategies import networks

STEP, TOLERANCE = 1e-3, 1e-9  # quotients of this step have ten digits or more here
PORTS = {"exp": refsim.ExpPort(5.0), "double": refsim.DoubleExpPort(2.0, 6.0)}


def readouts(port="exp"):
    """Return the layers, whose outputs are leaky readouts."""
    network, inputs = layers(ports=PORTS[port])
    return without_threshold(network, OUTPUTS), inputs


def value_of(loss, name, network, inputs):
    evaluate = losses.value_and_grad(loss, wrt=())
    return lambda x: evaluate(*with_values(name, x, network, inputs), DURATION)[0]


@pytest.mark.parametrize("name", ["weight", "delay", "tau_m", "tau", "v_reset", "input_times"])
@pytest.mark.parametrize("loss", of_voltages(), ids=lambda loss: repr(loss)[:60])
def test_gradients_are_those_of_quotients(loss, name):
    network, inputs = readouts()
    _, gradient = losses.value_and_grad(loss, wrt=name)(network, inputs, DURATION)
    value = value_of(loss, name, network, inputs)
    assert_slope(value, values_of(name, network, inputs), getattr(gradient, name), STEP, TOLERANCE)


@pytest.mark.parametrize("name", ["weight", "tau", "delay"])
@pytest.mark.parametrize("loss", of_voltages()[3:7], ids=lambda loss: repr(loss)[:60])
def test_gradients_with_double_exponentials(loss, name):
    network, inputs = readouts("double")
    _, gradient = losses.value_and_grad(loss, wrt=name)(network, inputs, DURATION)
    value = value_of(loss, name, network, inputs)
    assert_slope(value, values_of(name, network, inputs), getattr(gradient, name), STEP, TOLERANCE)


@pytest.mark.parametrize("name", ["weight", "v_th", "v_reset", "t_ref", "v0"])
def test_integrals_of_neurons_that_fire(name):
    """At a spike the voltage jumps, by what v_th and v_reset are apart."""
    network, inputs = layers()
    loss = MeanSquare(VoltageIntegral(OUTPUTS, tau=9.0), 1.0)
    _, gradient = losses.value_and_grad(loss, wrt=name)(network, inputs, DURATION)
    value = value_of(loss, name, network, inputs)
    assert_slope(value, values_of(name, network, inputs), getattr(gradient, name), 3e-4, TOLERANCE)


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("fires", [False, True])
def test_integrals_are_those_of_a_quadrature(port, fires):
    """SciPy's, between the events of the trace."""
    network, inputs = layers(ports=PORTS[port])
    network = network if fires else without_threshold(network, OUTPUTS)
    readout = VoltageIntegral([4], tau=7.0)
    plain = refsim.simulate(network, inputs[0], DURATION)
    run = refsim.simulate(network, inputs[0], DURATION, samples=readout.samples(DURATION, plain))
    spikes = run.by_neuron()[4]
    onto = [
        (run.by_neuron()[pre], d)
        for pre, d in zip(network.pre[12:], network.delay[12:], strict=True)
    ]
    arrivals = [t + d for (t, d), post in zip(onto, network.post[12:], strict=True) if post == 4]
    events = np.concatenate([*arrivals, spikes, spikes + network.t_ref[4]])
    edges = [0.0, *np.sort(events[events < DURATION]), DURATION]

    def weighted(t):
        return np.exp(-(DURATION - t) / 7.0) / 7.0 * run.trace([4], times=[t]).voltage[0, 0]

    pieces = [quad(weighted, a, b, epsabs=1e-11, epsrel=1e-9)[0] for a, b in pairwise(edges)]
    assert readout(run)[0] == pytest.approx(sum(pieces), rel=1e-8)


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(drawn=networks(max_neurons=3))
def test_peaks_are_above_a_dense_trace(drawn):
    """And not above it by more than a step of the trace can hide."""
    network = without_threshold(drawn, np.arange(drawn.n_neurons))
    inputs = refsim.poisson_inputs(network.n_inputs, 100.0, 20.0, rng=1)
    run = refsim.simulate(network, inputs, 20.0)
    peaks = voltage_peaks(run, np.arange(network.n_neurons))
    voltage = run.trace(step=0.01).voltage
    size = np.abs(voltage).max(axis=1) + 1e-300
    assert np.all(peaks.voltage >= voltage.max(axis=1) - 1e-13 * size)
    for time, n, v in zip(*peaks[:3], strict=True):
        read = run.trace([n], times=[time]).voltage[0, 0]
        assert abs(read - v) <= 1e-12 * size[n]


@pytest.mark.parametrize("name", ["weight", "delay", "input_times", "tau_m", "tau", "v_th"])
def test_a_peak_at_an_arrival(name):
    """An inhibitory spike cuts a rise off: what moves it moves the peak, be it a neuron's spike."""
    synapses = refsim.connect([3, 4, 2, 3], [0, 0, 1, 2], [3.0, -20.0, -15.0, 9.0], 0.5)
    synapses = refsim.Synapses.concatenate([synapses, refsim.connect([3], [1], 2.5, 0.7)])
    network = refsim.Network(
        3, synapses, n_inputs=2, ports=refsim.ExpPort(5.0), v_th=[1e9, 1e9, 1.0], tau_m=10.0
    )
    inputs = [refsim.SpikeTrain([1.0, 3.0], [0, 1], 2), refsim.SpikeTrain([2.0, 3.5], [0, 1], 2)]
    loss = MeanSquare(VoltageMaximum([0, 1]), [2.0, 0.1])
    peaks = voltage_peaks(refsim.simulate(network, inputs[0], 20.0), np.array([0, 1]))
    assert peaks.time[0] == 3.5
    assert np.all(peaks.slope_before > 0.0)
    assert np.all(peaks.slope_after < 0.0)
    evaluate = losses.value_and_grad(loss, wrt=name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the samples are beside the arrival
        _, gradient = evaluate(network, inputs, 20.0)

    def value(x):
        return evaluate(*with_values(name, x, network, inputs), 20.0)[0]

    x = values_of(name, network, inputs)
    assert_slope(value, x, getattr(gradient, name), STEP, TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("loss", of_voltages(), ids=lambda loss: repr(loss)[:60])
def test_windows_have_the_same_gradients(loss):
    """To rounding; samples beside arrivals are on the same side of these in both engines."""
    network, inputs = readouts()
    events, windows = (
        losses.value_and_grad(loss, wrt=("weight", "delay"))(
            network, inputs, DURATION, engine=engine
        )
        for engine in (refsim.Events(), refsim.Windows())
    )
    assert windows[0] == pytest.approx(events[0], rel=1e-12)
    for name in ("weight", "delay"):
        ours, theirs = getattr(events[1], name), getattr(windows[1], name)
        np.testing.assert_allclose(theirs, ours, rtol=1e-10, atol=1e-11 * np.abs(ours).max())


def test_peaks_at_the_ends():
    """A voltage that falls from its start, and one that rises to the end."""
    network = refsim.Network(2, v0=[0.5, 0.0], i_ext=[0.0, 0.9])
    run = refsim.simulate(network, None, 10.0)
    peaks = voltage_peaks(run, np.array([0, 1]))
    assert peaks.time.tolist() == [0.0, 10.0]
    assert peaks.voltage[0] == 0.5
    assert peaks.voltage[1] == pytest.approx(0.9 * (1.0 - np.exp(-0.5)), rel=1e-14)


@pytest.mark.parametrize("loss", of_voltages(), ids=lambda loss: repr(loss)[:60])
def test_a_batch_is_its_samples(loss):
    network, inputs = readouts()
    evaluate = losses.value_and_grad(pickle.loads(pickle.dumps(loss)))
    value, gradient = evaluate(network, inputs, DURATION)
    mean, of_mean = losses.value_and_grad(loss, reduce="mean")(network, inputs, DURATION)
    assert mean == pytest.approx(value / 4.0, rel=1e-15)
    np.testing.assert_allclose(of_mean.weight, gradient.weight / 4.0, rtol=1e-13, atol=1e-15)
    total = 0.0
    for i, one in enumerate(inputs):
        plain = refsim.simulate(network, one, DURATION)
        samples = loss.samples(DURATION, plain)
        run, pullback = adjoint.vjp(network, one, DURATION, samples=samples)
        part, bars = loss(run, i)
        total = total + pullback(*bars).weight
        value -= part
    np.testing.assert_allclose(gradient.weight, total, rtol=1e-12, atol=1e-14)
    assert abs(value) < 1e-12


def test_sums_read_samples_once():
    network, inputs = readouts()
    loss = CrossEntropy(Voltage(OUTPUTS), LABELS) + 0.5 * MeanSquare(Voltage(OUTPUTS), 1.0)
    neurons, times = loss.samples(DURATION)
    assert neurons.tolist() == OUTPUTS
    assert times.tolist() == [DURATION] * 3
    value, gradient = losses.value_and_grad(loss, wrt="weight")(network, inputs, DURATION)
    parts = [losses.value_and_grad(one)(network, inputs, DURATION) for _, one in loss.parts]
    assert value == pytest.approx(parts[0][0] + 0.5 * parts[1][0], rel=1e-15)
    expected = parts[0][1].weight + 0.5 * parts[1][1].weight
    np.testing.assert_allclose(gradient.weight, expected, rtol=1e-12, atol=1e-15)


def test_peak_and_end_together():
    """Samples of the end are no peaks, and those of the peak no end."""
    network, inputs = readouts()
    parts = [MeanSquare(VoltageMaximum(OUTPUTS), 1.0), MeanSquare(Voltage(OUTPUTS), 1.0)]
    both, _ = losses.value_and_grad(parts[0] + parts[1])(network, inputs, DURATION)
    each = [losses.value_and_grad(one)(network, inputs, DURATION)[0] for one in parts]
    assert both == pytest.approx(sum(each), rel=1e-15)


def test_samples_that_are_not_there():
    network, inputs = readouts()
    run = refsim.simulate(network, inputs[0], DURATION, samples=([3], [DURATION]))
    for readout, says in (
        (Voltage(OUTPUTS), "samples has none of neuron 4 at 30 ms; expected samples="),
        (VoltageMaximum([4]), "samples has none of neuron 4 at .* expected samples=loss.samples"),
        (VoltageIntegral([3]), "samples has none of neuron 3 at 0.*"),
    ):
        with pytest.raises(refsim.InvalidValueError, match=says):
            readout(run)
    with pytest.raises(refsim.InvalidValueError, match="samples has none of neuron 3 at 30 ms"):
        Voltage([3])(refsim.simulate(network, inputs[0], DURATION))
    with pytest.raises(refsim.InvalidTypeError, match="run is None"):
        VoltageMaximum([0]).samples(DURATION)


def test_integrals_have_a_limit():
    """A port of 1e-6 ms would need ten billion samples a second."""
    network = refsim.Network(1, ports=refsim.ExpPort(1e-6))
    run = refsim.simulate(network, None, 1e3)
    with pytest.raises(refsim.InvalidValueError, match="1000000000 pieces of 1e-06 ms"):
        VoltageIntegral([0]).samples(1e3, run)


def test_thresholds_out_of_reach_change_no_bit_below():
    """The voltage is measured from the drive, and not from a threshold of 1e100."""
    network, inputs = layers(v_th=1e3)
    samples = (OUTPUTS, [7.0, 12.0, 19.0])
    low = refsim.simulate(network, inputs[0], DURATION, samples=samples)
    high = without_threshold(network, np.arange(6))
    assert np.array_equal(
        refsim.simulate(high, inputs[0], DURATION, samples=samples).voltages, low.voltages
    )


def weak():
    """Return the layers with outputs that do not spike, but for one that does in some samples."""
    network, inputs = layers()
    weight = np.array(network.weight)
    weight[12:] *= 0.12
    return network.replace(weight=weight), inputs


def test_keep_alive_wakes_silent_neurons():
    """Steps along its gradient end with a spike of every neuron in every sample."""
    network, inputs = weak()
    loss = KeepAlive(OUTPUTS)
    first = SpikeTime(OUTPUTS)
    assert np.any(first(refsim.simulate_batch(network, inputs, DURATION)) == DURATION)
    evaluate = losses.value_and_grad(loss, wrt="weight")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # not even when all are awake
        for _ in range(200):
            value, gradient = evaluate(network, inputs, DURATION)
            if value == 0.0:
                break
            network = network.replace(weight=network.weight - 0.05 * gradient.weight)
    assert value == 0.0
    assert np.all(first(refsim.simulate_batch(network, inputs, DURATION)) < DURATION)


def test_keep_alive_leaves_neurons_that_spike_alone():
    """Its gradient is exact where some spike, and it says on whom it acts."""
    network, inputs = weak()
    loss = KeepAlive(OUTPUTS)
    x = values_of("weight", network, inputs)
    _, gradient = losses.value_and_grad(loss, wrt="weight")(network, inputs, DURATION)
    assert_slope(value_of(loss, "weight", network, inputs), x, gradient.weight, 1e-4, 1e-8)
    plain = refsim.simulate_batch(network, inputs, DURATION)
    samples = [loss.samples(DURATION, run) for run in plain]
    batch = refsim.simulate_batch(network, inputs, DURATION, samples=samples)
    is_silent = SpikeTime(OUTPUTS)(batch) == DURATION
    assert np.array_equal(loss.acts_on(batch), is_silent)
    assert np.array_equal(loss.acts_on(batch[2]), is_silent[2])


def test_weight_increase():
    network, inputs = weak()
    network = network.replace(weight=np.where(network.post == 4, 0.0, network.weight))
    batch = refsim.simulate_batch(network, inputs, DURATION)
    found = WeightIncrease(OUTPUTS, 0.25)(batch)
    silent = [n for n in OUTPUTS if all(n not in run.spikes.neuron for run in batch)]
    assert 4 in silent
    assert found.neurons.tolist() == silent
    assert np.array_equal(found.weight, 0.25 * np.isin(network.post, silent))
    seldom = WeightIncrease(OUTPUTS, 0.25, share=1e-9)(batch)
    assert set(silent) <= set(seldom.neurons.tolist()) <= set(OUTPUTS)
    assert WeightIncrease([0, 1, 2], 0.25)(batch).weight.sum() == 0.0
    assert repr(found).startswith("<Increase: weight (21,) 0 to 0.25, neurons")
    assert WeightIncrease([4], 0.25)(batch[0]).neurons.tolist() == [4]
    again = pickle.loads(pickle.dumps(WeightIncrease([4], 0.25)))
    assert repr(again) == "<WeightIncrease: neurons [4], amount 0.25, share 1.0>"
    with pytest.raises(refsim.InvalidValueError, match="amount is 0"):
        WeightIncrease([4], 0.0)
