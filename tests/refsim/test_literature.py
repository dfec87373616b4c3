"""Published numbers: closed forms, other simulators, and one network that several of them share.

Convention: tau_m V' = -V + I, tau_s I' = -I, an arrival adds its weight to I. Spike times are in
ms. A spike time inherits the rounding of the voltage, a few units in the last place of the terms
that make up V, divided by the slope at the crossing; the tolerances below are this figure times
a small factor and say so where the slope makes it large.
"""

import numpy as np
import pytest

from adjoint import vjp
from refsim import ExpPort, Network, SpikeTrain, all_to_all, connect, layered, simulate

EPS = np.finfo(float).eps


def one_neuron(tau_m, tau_s, weights=(), delay=0.0, **parameters):
    """One neuron with an input channel and a synapse for each weight."""
    k = len(weights)
    synapses = connect(np.arange(1, k + 1), np.zeros(k, dtype=int), weights, delay)
    return Network(
        1, synapses, n_inputs=k, ports=(ExpPort(tau_s),), tau_m=tau_m, **{"v_th": 1.0, **parameters}
    )


def at_zero(n=1):
    """One spike of each of n channels at time 0: an initial current."""
    return SpikeTrain(np.zeros(n), np.arange(n), n)


# --- T1: the solver of jaxsnn -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("tau_m", "time", "by_scale"),
    [
        (10.0, 3.235071311574467398, -6.180339887498948482),
        (5.0, 1.2958555090953687253, -1.7491967609218358355),
    ],
)
def test_t1_first_spike_of_an_initial_current(tau_m, time, by_scale):
    """Slopes are 0.1 and 0.26: 3 eps / 0.1 is 7e-15 ms, 2e-15 of the spike time."""
    network = one_neuron(tau_m, 5.0, [3.0], v_th=0.6)
    simulation, pullback = vjp(network, at_zero(), time + 1e-3)
    np.testing.assert_allclose(simulation.spikes.time, [time], rtol=4e-15)
    np.testing.assert_allclose(3.0 * pullback([1.0]).weight, [by_scale], rtol=2e-14)


@pytest.mark.parametrize(
    ("tau_m", "current", "v0"), [(10.0, 2.0, 0.0), (5.0, 1.0, 0.0), (10.0, 1.368, 0.239)]
)
def test_t1_no_spike_and_no_gradient(tau_m, current, v0):
    network = one_neuron(tau_m, 5.0, [current], v_th=0.6, v0=v0)
    simulation, pullback = vjp(network, at_zero(), 1000.0)
    assert len(simulation.spikes.time) == 0
    for name, values in pullback().items():
        assert not values.any(), name


# --- T2: lossless spike detection (NEST; Krishnan et al. 2018) --------------------------------


@pytest.mark.parametrize(
    ("picoampere", "time"),
    [(55.0, None), (70.0, 4.0144154599123257472), (90.0, 4.0065863856661800508)],
)
def test_t2_brief_excursion_above_threshold(picoampere, time):
    """The state is given at t = 4 ms. One unit in the last place of 21 mV is 3.6e-15; the slopes
    are 0.07 and 0.15 mV/ms, so that rounding of v0 alone moves the spikes by 2.5e-14 ms.
    """
    network = one_neuron(
        100.0, 1.0, [picoampere * 100.0 / 250.0], v_th=21.0, v0=20.999019801326693245
    )
    simulation = simulate(network, at_zero(), 50.0)
    expected = [] if time is None else [time]
    np.testing.assert_allclose(4.0 + simulation.spikes.time, expected, rtol=0, atol=2e-13)


# --- T3: NEST, constant current ---------------------------------------------------------------


def test_t3_constant_current():
    """Tolerance of NEST's own test: 1e-13; here the drive of 40 mV against 25 mV left makes
    the slope 2.5 mV/ms, and rounding of 40 mV moves the spike by 3e-15 ms.
    """
    network = one_neuron(10.0, 1.0, v_th=15.0, i_ext=1000.0 * 10.0 / 250.0)
    simulation = simulate(network, None, 6.0)
    np.testing.assert_allclose(simulation.spikes.time, [4.7000362924573555365], rtol=2e-15)
    free = network.replace(v_th=1000.0)
    voltages = simulate(free, None, 500.0, samples=([0, 0], [5.0, 500.0])).voltages
    np.testing.assert_allclose(voltages, -40.0 * np.expm1([-0.5, -50.0]), rtol=4 * EPS)


# --- T4: closed forms of eventax --------------------------------------------------------------


@pytest.mark.parametrize("current", [1.001, 1.1, 1.5, 3.0, 40.0])
def test_t4_constant_drive_and_its_derivative(current):
    """Spike time tau_m ln(i/(i - v_th)); its derivative by i is tau_m (1/i - 1/(i - v_th)).

    The voltage is a difference of numbers of size i, so it is rounded by eps i, over a slope of
    (i - v_th)/tau_m: relative errors grow as i/(i - v_th), a thousand times for the first, and
    as i itself where the spike comes early.
    """
    network = one_neuron(10.0, 5.0, i_ext=current)
    time = -10.0 * np.log1p(-1.0 / current)
    simulation, pullback = vjp(network, None, 1.5 * time)
    loss = current * current / (current - 1.0)
    np.testing.assert_allclose(simulation.spikes.time, [time], rtol=4 * EPS * loss)
    by_current = 10.0 * (1.0 / current - 1.0 / (current - 1.0))
    gradient = pullback([1.0])
    np.testing.assert_allclose(gradient.i_ext, [by_current], rtol=8 * EPS * loss)
    np.testing.assert_allclose(gradient.tau_m, [time / 10.0], rtol=8 * EPS * loss)
    np.testing.assert_allclose(gradient.v_th, [10.0 / (current - 1.0)], rtol=8 * EPS * loss)


# --- T5: no gradient from the future ----------------------------------------------------------


def test_t5_an_input_after_the_spike_has_no_gradient():
    network = one_neuron(10.0, 5.0, [6.0])
    inputs = SpikeTrain([1.0, 12.0], [0, 0], 1)
    simulation, pullback = vjp(network, inputs, 30.0)
    bar = np.zeros(len(simulation.spikes.time))
    bar[0] = 1.0
    gradient = pullback(bar)
    np.testing.assert_allclose(simulation.spikes.time[0], 3.3740078615161914609, rtol=2e-15)
    np.testing.assert_allclose(gradient.weight, [-0.61004233964073107794], rtol=1e-14)
    np.testing.assert_allclose(gradient.input_times[0], 1.0, rtol=1e-14)
    assert gradient.input_times[1] == 0.0


# --- T6: ties ---------------------------------------------------------------------------------


def test_t6_identical_neurons_both_spike():
    """The slope at the second spike is 0.03/ms, which stretches 4 eps to 3e-14 ms."""
    weights = np.array([[2.6, 2.6], [2.2, 2.2], [3.0, 3.0]])
    network = Network(
        2, all_to_all([2, 3, 4], 2, weights, 0.0), n_inputs=3, ports=(ExpPort(5.0),), tau_m=10.0
    )
    simulation = simulate(network, SpikeTrain([1.0, 3.0, 6.5], [0, 1, 2], 3), 40.0)
    first, second = simulation.by_neuron()
    assert first.tolist() == second.tolist()
    assert simulation.spikes.neuron.tolist() == [0, 1, 0, 1]
    expected = [5.6482303423048262639, 9.0516747529399200357]
    np.testing.assert_allclose(first, expected, rtol=4e-15)


# --- T10: feed-forward network, agreed by EventProp, jaxsnn and spikegd -------------------------

FF_TIMES = np.array(
    [4.527, 5.827, 6.072, 8.751, 9.779, 14.505, 16.149, 17.659, 17.942, 22.147, 22.818, 26.608]
)
FF_LINES = np.array([1, 0, 2, 2, 1, 0, 2, 1, 0, 2, 1, 0])
FF_IN = np.array([[1.528, 2.261, 1.485], [1.726, 1.214, 1.645], [1.326, 1.42, 2.201]])
FF_OUT = np.array([[1.593, 1.879], [2.573, 2.546], [2.215, 1.958]])
FF_GRADIENT = {
    "weight": [
        *(-28.96498972474566, -11.157351048450607, -8.963951803216323),
        *(-30.886846680280918, -13.014724052170902, -10.531583817385528),
        *(-31.95627825589754, -13.772727853504746, -11.19423126768567),
        *(-91.22429982947679, 32.46048360791738),
        *(-95.1667791668895, 34.769941309143334),
        *(-109.30307819626336, 40.21556859058488),
    ],
    "input_times": [
        *(-0.8788292535984962, -0.4797415565468022, -0.28757144189825307, 1.1199678572107683),
        *(0.602207238926995, 0.8907550492527128, 1.3726158202679724, 0.7362825256034891),
        *(0.7576733364645788, 0.954244420679924, 1.3888538570765885, 0.8235421465605234),
    ],
    "tau_m": [
        *(11.325761844356022, 5.108974156776543, 4.736150695682803),
        *(58.62526088880538, -21.288899732823293),
    ],
    "v_th": [
        *(139.94322663689638, 60.58391927185904, 55.27442682755159),
        *(632.2907506294865, -228.2596025727209),
    ],
}


def test_t10_feed_forward_network():
    """63 spikes and their gradients; the printed digits have 15 to 16 places.

    The steepest entry, dL/dv_th = 632, collects 41 output spikes, each with a rounding of a few
    eps over its slope; relative to the largest of a group the sum stays within 1e-13.
    """
    network = Network(
        5,
        layered([3, 3, 2], [FF_IN, FF_OUT], 0.0),
        n_inputs=3,
        ports=(ExpPort(5.0),),
        tau_m=10.0,
    )
    simulation, pullback = vjp(network, SpikeTrain(FF_TIMES, FF_LINES, 3), 60.0)
    time, neuron = simulation.spikes.time, simulation.spikes.neuron
    assert np.bincount(neuron).tolist() == [7, 7, 8, 21, 20]
    by_neuron = simulation.by_neuron()
    assert neuron[0] == 2
    assert neuron[-1] == 3
    np.testing.assert_allclose(time[0], 8.49331505563428309, rtol=2e-15)
    np.testing.assert_allclose(by_neuron[1][0], 8.89332758131472549, rtol=2e-15)
    np.testing.assert_allclose(time[-1], 40.2847913549295434, rtol=1e-14)
    bar = np.where(neuron == 3, 1.0, np.where(neuron == 4, -0.7, 0.0))
    np.testing.assert_allclose(bar @ time, 176.82140900348321373, rtol=1e-14)
    gradient = pullback(bar)
    for group, expected in FF_GRADIENT.items():
        scale = np.max(np.abs(expected))
        found = getattr(gradient, group)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * scale, err_msg=group)


# --- T12: maximum of a leaky integrator (EventProp) --------------------------------------------


def test_t12_maximum_of_a_leaky_integrator():
    """Time constants 20 and 10 ms, input at 100 ms of weight 4: the peak is 1, 20 ln 2 later."""
    network = one_neuron(20.0, 10.0, [4.0], v_th=2.0)
    inputs = SpikeTrain([100.0], [0], 1)
    peak = 113.86294361119890619
    simulation, pullback = vjp(network, inputs, 200.0, samples=([0], [peak]))
    assert len(simulation.spikes.time) == 0
    np.testing.assert_allclose(simulation.voltages, [1.0], rtol=4 * EPS)
    gradient = pullback(voltage_bar=[1.0])
    np.testing.assert_allclose(gradient.weight, [0.25], rtol=8 * EPS)
    # At its maximum the voltage does not change with time: what is left is rounding.
    np.testing.assert_allclose(gradient.input_times, [0.0], rtol=0.0, atol=8 * EPS)
    grid = np.sort(np.append(np.linspace(113.0, 115.0, 2001), peak))
    trace = simulation.trace(times=grid)
    # Near a maximum a parabola: a grid of 1 us sees it to 1e-9, the time to half a step.
    assert abs(grid[np.argmax(trace.voltage[0])] - peak) <= 1e-3
    assert trace.voltage.max() <= 1.0 + 4 * EPS
