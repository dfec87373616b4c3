"""Cases that show one thing: a parameter, a port, a reset, a delay, silence.

Unless a case says otherwise: time constants of 10 ms (membrane) and 5 ms (current), rest and reset
at 0, threshold at 1, no refractoriness.
"""

from __future__ import annotations

from typing import Any

from validation.case_suite.document import Document, channel, document, double_exp, exp

IN, IN2, IN3 = channel(0), channel(1), channel(2)
TWO_SPIKES = [(1.0, 0), (4.0, 0)]


def weight_alone() -> Document:
    """One input spike over one synapse makes one spike."""
    return document(exp(), [(1.0, 0)], [(IN, 0, 5.0, 0.5)], 8.0)


def delay_alone() -> Document:
    """Two synapses of different delays must meet for a spike."""
    rows = [(IN, 0, 2.4, 0.5), (IN, 0, 2.8, 3.25)]
    return document(exp(), [(1.0, 0)], rows, 12.0)


def tau_m_alone() -> Document:
    """A voltage decays without input, by the time constant of the membrane alone."""
    return document(exp(), [], [], 20.0, samples=[(0, 3.0), (0, 12.5)], v0=0.75, tau_m=8.0)


def tau_alone() -> Document:
    """Rise and decay of one double exponential port, read from the voltage alone."""
    samples = [(0, 3.0), (0, 6.0), (0, 15.0)]
    return document(double_exp(1.5, 6.0), [(1.0, 0)], [(IN, 0, 0.75, 0.5)], 20.0, samples=samples)


def v_th_alone() -> Document:
    """A chain of three neurons hands on what the threshold of each one delays."""
    rows = [(IN, 0, 6.0, 0.5), (0, 1, 6.5, 1.0), (1, 2, 7.0, 1.5)]
    bars = [0.0, 0.0, 1.0]
    return document(exp(), [(1.0, 0)], rows, 12.0, n=3, v_th=[1.0, 1.125, 0.875], spike_bars=bars)


def v_reset_alone() -> Document:
    """The second of two spikes of a driven neuron begins at the reset."""
    return document(exp(), [], [], 40.0, i_ext=1.5, v_reset=-0.375, spike_bars=[0.0, 1.0, 0.0])


def v_rest_alone() -> Document:
    """The resting potential itself is above threshold and drives the neuron."""
    return document(exp(), [], [], 30.0, v_rest=1.25, v0=0.25)


def i_ext_alone() -> Document:
    """A constant current makes one spike of known time, 10 ln 3."""
    return document(exp(), [], [], 15.0, i_ext=1.5)


def t_ref_alone() -> Document:
    """The fourth spike of a driven neuron comes after three refractory times."""
    return document(exp(), [], [], 40.0, i_ext=2.0, t_ref=2.5, spike_bars=[0.0, 0.0, 0.0, 1.0])


def v0_alone() -> Document:
    """The start decides on the time of the first spike, and a reset forgets it."""
    rows = [(IN, 0, 4.0, 0.0)]
    return document(exp(), [(2.0, 0)], rows, 12.0, v0=0.625, spike_bars=[1.0, 0.0])


def input_times_alone() -> Document:
    """Three input spikes of one channel, each of which counts for the spike."""
    return document(exp(), [(0.5, 0), (2.0, 0), (3.75, 0)], [(IN, 0, 1.9, 0.25)], 15.0)


def fast_current() -> Document:
    """A current of 0.5 ms into a membrane of 30 ms: steps of the voltage."""
    inputs = [(1.0, 0), (2.5, 0), (6.0, 0), (6.5, 0)]
    return document(exp(0.5), inputs, [(IN, 0, 31.0, 0.5)], 30.0, tau_m=30.0, samples=[(0, 20.0)])


def slow_current() -> Document:
    """A current of 40 ms into a membrane of 4 ms: a current that lasts makes many spikes."""
    return document(exp(40.0), TWO_SPIKES, [(IN, 0, 1.4, 0.5)], 40.0, tau_m=4.0)


def double_exp_alone() -> Document:
    """One double exponential port, two spikes."""
    return document(double_exp(2.0, 8.0), TWO_SPIKES, [(IN, 0, 2.1, 0.5)], 30.0)


def double_exp_swapped() -> Document:
    """A rise that is slower than the decay: the response is symmetric in the two."""
    return document(double_exp(8.0, 2.0), TWO_SPIKES, [(IN, 0, 2.1, 0.5)], 30.0)


def three_ports() -> Document:
    """Three ports of both kinds at one neuron, one of them inhibitory."""
    rows = [(IN, 0, 3.0, 0.5, 0), (IN2, 0, 2.0, 1.25, 1), (IN3, 0, -0.5, 0.0, 2)]
    inputs = [(1.0, 0), (2.0, 1), (3.0, 2), (7.5, 0), (9.0, 1), (11.0, 0)]
    ports = [exp(3.0), double_exp(1.0, 7.0), double_exp(0.5, 20.0)]
    return document(ports, inputs, rows, 40.0, samples=[(0, 25.0)])


def one_spike_two_ports() -> Document:
    """A channel excites over a fast port and inhibits over a slow one."""
    rows = [(IN, 0, 9.0, 0.5, 0), (IN, 0, -1.5, 0.5, 1)]
    ports = [exp(2.0), exp(15.0)]
    return document(ports, [(1.0, 0), (3.0, 0), (20.0, 0)], rows, 40.0, samples=[(0, 10.0)])


def zero_delays() -> Document:
    """A chain of four neurons in which no spike takes any time."""
    rows = [(IN, 0, 6.0, 0.0), (0, 1, 6.5, 0.0), (1, 2, 7.0, 0.0), (2, 3, 7.5, 0.0)]
    return document(exp(), TWO_SPIKES, rows, 25.0, n=4, v_reset=-0.5, t_ref=4.0)


def zero_delay_loop() -> Document:
    """Two neurons excite and inhibit each other without delay."""
    rows = [(IN, 0, 9.0, 0.0), (0, 1, 7.0, 0.0), (1, 0, -2.0, 0.0)]
    return document(exp(), TWO_SPIKES, rows, 25.0, n=2, v_reset=-0.25)


def long_delays() -> Document:
    """Delays of 60 and 75 ms: a second wave of activity, long after the first is over."""
    rows = [(IN, 0, 6.0, 0.5), (IN, 1, 6.5, 60.0), (0, 2, 7.0, 75.0)]
    return document(exp(), [(1.0, 0)], rows, 100.0, n=3)


def delays_beyond_the_end() -> Document:
    """Arrivals after the end have no effect, and all their derivatives are 0."""
    rows = [(IN, 0, 6.0, 0.5), (0, 1, 8.0, 30.0), (IN, 1, 0.5, 25.0), (IN, 1, 2.0, 1.0)]
    return document(exp(), [(1.0, 0), (19.75, 0)], rows, 20.0, n=2, samples=[(1, 20.0)])


def several_delays_of_a_pair() -> Document:
    """Five synapses between the same two neurons, two of them with equal delays."""
    delays = [0.5, 1.5, 1.5, 4.0, 9.0]
    rows = [(IN, 0, 8.0, 0.25), *((0, 1, 1.25 + 0.25 * k, d) for k, d in enumerate(delays))]
    return document(exp(), [(1.0, 0), (5.0, 0)], rows, 30.0, n=2)


def silent_neuron() -> Document:
    """One of two neurons never fires; its voltage is read."""
    rows = [(IN, 0, 7.0, 0.5), (0, 1, 0.375, 1.0)]
    return document(exp(), TWO_SPIKES, rows, 25.0, n=2, samples=[(1, 6.0), (1, 20.0)])


def silent_network() -> Document:
    """No neuron fires: the loss is of voltages alone."""
    rows = [(IN, 0, 1.5, 0.5), (IN, 1, 1.0, 1.5), (IN2, 1, -2.0, 0.0), (0, 1, 5.0, 1.0)]
    samples = [(0, 2.0), (0, 5.0), (1, 5.0), (1, 12.0)]
    inputs = [(1.0, 0), (4.0, 1), (6.0, 0)]
    return document(exp(), inputs, rows, 15.0, n=2, samples=samples, v0=[0.25, -0.5], i_ext=0.125)


def nothing_happens() -> Document:
    """Neither inputs nor spikes nor samples: every derivative is 0."""
    return document(exp(), [], [(0, 1, 5.0, 1.0)], 10.0, n=2)


def zero_weights() -> Document:
    """Synapses of weight 0 have derivatives by their weight and none by their delay."""
    rows = [(IN, 0, 5.0, 0.5), (IN2, 0, 0.0, 1.0), (0, 0, 0.0, 0.75)]
    return document(exp(), [(1.0, 0), (1.5, 1), (6.0, 0)], rows, 20.0)


def samples_at_the_ends() -> Document:
    """Voltages at time 0, where they are v0, and at the end."""
    samples = [(0, 0.0), (0, 15.0), (1, 15.0), (1, 0.0)]
    rows = [(IN, 0, 6.0, 0.5), (IN, 1, 1.0, 2.0)]
    return document(exp(), TWO_SPIKES, rows, 15.0, n=2, samples=samples, v0=[0.125, -0.5])


def arrivals_while_refractory() -> Document:
    """Arrivals during 6 ms of refractoriness charge the current and fire the neuron later."""
    inputs = [(1.0, 0), (3.5, 0), (4.25, 0), (6.0, 0), (15.0, 0)]
    return document(exp(), inputs, [(IN, 0, 5.5, 0.5)], 40.0, t_ref=6.0, samples=[(0, 30.0)])


def refractory_to_the_end() -> Document:
    """A refractory time that outlasts the run: one spike, and v_reset from then on."""
    samples = [(0, 10.0), (0, 2.0)]
    return document(exp(), TWO_SPIKES, [(IN, 0, 6.0, 0.5)], 20.0, t_ref=50.0, samples=samples)


def refractory_mixture() -> Document:
    """Refractory times of 0, 0.5, 2 and 7 ms in a ring of four neurons."""
    rows = [(IN, i, 5.5 + 0.5 * i, 0.5 + 0.25 * i) for i in range(4)]
    rows += [(i, (i + 1) % 4, 2.25, 1.0 + 0.375 * i) for i in range(4)]
    inputs = [(1.0, 0), (3.0, 0), (9.0, 0), (14.0, 0)]
    return document(exp(), inputs, rows, 30.0, n=4, t_ref=[0.0, 0.5, 2.0, 7.0])


def reset_above_rest() -> Document:
    """A reset halfway to the threshold: spikes come in groups."""
    return document(exp(), [(1.0, 0), (12.0, 0)], [(IN, 0, 5.0, 0.5)], 40.0, v_reset=0.5)


def reset_below_rest() -> Document:
    """A reset two thresholds below rest."""
    inputs = [(1.0, 0), (3.0, 0), (6.0, 0), (9.0, 0)]
    return document(exp(), inputs, [(IN, 0, 6.0, 0.5)], 40.0, v_reset=-2.0, samples=[(0, 35.0)])


def reset_next_to_threshold() -> Document:
    """A reset at 15/16 of the threshold: one input makes several spikes."""
    return document(exp(), [(1.0, 0)], [(IN, 0, 4.75, 0.5)], 40.0, v_reset=0.9375)


def millivolts() -> Document:
    """Rest at -65 mV, threshold at -50 mV, reset at -70 mV; weights in mV."""
    units: dict[str, Any] = {"v_rest": -65.0, "v_th": -50.0, "v_reset": -70.0, "v0": -62.5}
    rows = [(IN, 0, 90.0, 1.5), (0, 1, 110.0, 0.75), (1, 0, -60.0, 1.0)]
    return document(exp(), TWO_SPIKES, rows, 40.0, n=2, samples=[(0, 30.0)], t_ref=2.0, **units)


def below_zero() -> Document:
    """Threshold, rest and reset all negative, with a slow port and a constant current."""
    units: dict[str, Any] = {
        "v_rest": -80.0,
        "v_th": -54.0,
        "v_reset": -75.0,
        "v0": -75.0,
        "i_ext": 12.0,
    }
    ports = [double_exp(0.5, 3.0), double_exp(2.0, 30.0)]
    rows = [(IN, 0, 105.0, 0.5, 0), (IN2, 0, -6.0, 0.5, 1)]
    inputs = [(1.0, 0), (2.5, 1), (4.0, 0), (9.0, 0)]
    return document(ports, inputs, rows, 40.0, samples=[(0, 20.0)], tau_m=20.0, **units)


def strong_inhibition() -> Document:
    """Inhibition pulls a driven neuron forty thresholds down; the next spike comes late."""
    rows = [(IN, 0, -200.0, 0.5)]
    return document(exp(), [(3.0, 0)], rows, 80.0, i_ext=1.75, samples=[(0, 12.0)])


def inhibition_cuts_a_rise() -> Document:
    """Inhibition arrives just before a crossing that would have come, and delays it."""
    rows = [(IN, 0, 4.6, 0.5), (IN2, 0, -4.0, 0.5)]
    return document(exp(), [(1.0, 0), (3.75, 1), (8.0, 0)], rows, 30.0)


def pacemaker() -> Document:
    """A constant current makes a regular train of spikes."""
    return document(exp(), [], [], 50.0, i_ext=2.25, t_ref=1.0, v0=0.5)


def driven_pair() -> Document:
    """Two neurons under constant currents, each of which delays the other."""
    rows = [(0, 1, -0.75, 1.0), (1, 0, -1.25, 2.0)]
    return document(exp(), [], rows, 60.0, n=2, i_ext=[1.5, 1.625], v_reset=[0.0, -0.25])


def drive_just_above() -> Document:
    """A drive of 1 + 1/1024 creeps to the threshold for 69 ms and crosses it with slope 1e-4."""
    return document(exp(), [], [], 100.0, i_ext=1.0009765625)


def loss_of_the_last_spike() -> Document:
    """Only the last of several spikes has a cotangent: the derivative passes all resets."""
    bars = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    inputs = [(1.0, 0), (4.0, 0), (9.0, 0), (13.0, 0)]
    return document(exp(), inputs, [(IN, 0, 5.0, 0.5)], 40.0, v_reset=-0.25, spike_bars=bars)


CASES = [
    *(weight_alone, delay_alone, tau_m_alone, tau_alone, v_th_alone, v_reset_alone),
    *(v_rest_alone, i_ext_alone, t_ref_alone, v0_alone, input_times_alone),
    *(fast_current, slow_current, double_exp_alone, double_exp_swapped, three_ports),
    *(one_spike_two_ports, zero_delays, zero_delay_loop, long_delays, delays_beyond_the_end),
    *(several_delays_of_a_pair, silent_neuron, silent_network, nothing_happens, zero_weights),
    *(samples_at_the_ends, arrivals_while_refractory, refractory_to_the_end),
    *(refractory_mixture, reset_above_rest, reset_below_rest, reset_next_to_threshold),
    *(millivolts, below_zero, strong_inhibition, inhibition_cuts_a_rise, pacemaker),
    *(driven_pair, drive_just_above, loss_of_the_last_spike),
]
