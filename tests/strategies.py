"""Hypothesis strategies for networks and their inputs, as :class:`refsim.cases.Case` objects.

Numbers are integers over 1000, so that a shrunk counterexample can be read and typed. What breaks
simulators is drawn on purpose: time constants equal, nearly equal and apart, delays zero and
equal, refractoriness zero, resets on both sides of rest and of zero, simultaneous inputs, and
drives above threshold. Weights are sized by the peak of the response that one of them causes, so
that neurons do fire.
"""

from __future__ import annotations

import math

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from refsim import (
    DoubleExpPort,
    ExpPort,
    Network,
    Samples,
    SpikeLimitError,
    SpikeTrain,
    Synapses,
    simulate,
)
from refsim.cases import Case, make_case

DURATION = 40.0
# Relative distances of a time constant from another one.
NEAR = [0.0, 2.0**-52, -(2.0**-52), 1e-12, 1e-9, -1e-6, 1e-3]


def decimals(low, high):
    """Numbers of three decimals in [low, high]."""
    return st.integers(round(low * 1000), round(high * 1000)).map(lambda k: k / 1000)


@st.composite
def time_constants(draw, known):
    """Draw a time constant of 0.5 to 30 ms; now and then equal or close to a known one."""
    if known and draw(st.integers(0, 3)) == 0:
        tau = draw(st.sampled_from(known)) * (1.0 + draw(st.sampled_from(NEAR)))
    else:
        tau = draw(decimals(0.5, 30.0))
    known.append(tau)
    return tau


@st.composite
def ports(draw, known, max_ports=3):
    """Draw one to three ports of both kinds; append their time constants to ``known``."""
    chosen = []
    for _ in range(draw(st.integers(1, max_ports))):
        if draw(st.booleans()):
            chosen.append(ExpPort(draw(time_constants(known))))
        else:
            rise, decay = draw(time_constants(known)), draw(time_constants(known))
            chosen.append(DoubleExpPort(rise, decay))
    return tuple(chosen)


def peak_response(tau_m, port):
    """Peak of the voltage after an arrival of weight 1, to about a percent."""
    step = 0.01 * max(tau_m, *port.time_constants)
    t = np.arange(1, 1200) * step
    if isinstance(port, ExpPort):
        current = np.exp(-t / port.tau)
    else:
        rise, decay = port.time_constants
        if abs(rise - decay) < 1e-3 * decay:
            current = t / decay * np.exp(1.0 - t / decay)
        else:
            current = np.exp(-t / decay) - np.exp(-t / rise)
            current /= current[np.argmax(np.abs(current))]
    kernel = np.exp(-t / tau_m)
    return float(np.max(np.convolve(current, kernel)[: len(t)])) * step / tau_m


@st.composite
def neurons(draw, n, known):
    """Draw the parameters of n neurons, equal ones included, as keyword arguments."""
    rest = draw(st.sampled_from([0.0, 0.0, -65.0, 0.25]))
    gap = draw(st.sampled_from([1.0, 1.0, 0.5, 15.0]))
    columns = {name: [] for name in ("tau_m", "v_th", "v_reset", "v_rest", "i_ext", "t_ref", "v0")}
    for i in range(n):
        if i and draw(st.integers(0, 4)) == 0:
            for column in columns.values():
                column.append(column[-1])
            continue
        drive = draw(st.sampled_from([0.0, 0.0, 0.0, 0.3, -0.2, 1.2, 1.7]))
        reset = draw(st.sampled_from([0.0, 0.0, -0.5, 0.3, -1.2]))
        start = draw(st.sampled_from([0.0, 0.0, 0.5, -0.4]))
        columns["tau_m"].append(draw(time_constants(known)))
        columns["v_rest"].append(rest)
        columns["v_th"].append(rest + gap)
        columns["v_reset"].append(rest + reset * gap)
        columns["v0"].append(rest + start * gap)
        columns["i_ext"].append(round(drive * gap, 3))
        columns["t_ref"].append(draw(st.sampled_from([0.0, 0.0, 0.5, 2.0]) | decimals(0.0, 5.0)))
    return columns


@st.composite
def synapses(draw, n, n_inputs, columns, chosen_ports, max_synapses=12):
    """Draw synapses of neurons and of input channels; every channel reaches a neuron."""
    delay = draw(decimals(0.0, 5.0))
    delays = st.sampled_from([0.0, delay, delay]) | decimals(0.0, 8.0)
    rows = []
    count = draw(st.integers(0, max_synapses))
    sources = [n + c for c in range(n_inputs)]
    sources += [draw(st.integers(0, n + n_inputs - 1)) for _ in range(count)]
    for pre in sources:
        post = draw(st.integers(0, n - 1))
        port = draw(st.integers(0, len(chosen_ports) - 1))
        strength = draw(decimals(0.2, 3.0))
        if draw(st.integers(0, 3)) == 0:
            strength = -strength
        elif pre < n:
            strength *= 0.4  # recurrent excitation of full strength runs away
        gap = columns["v_th"][post] - columns["v_rest"][post]
        weight = strength * gap / peak_response(columns["tau_m"][post], chosen_ports[port])
        rows.append((pre, post, round(weight, 3), draw(delays), port))
    return Synapses(*(list(column) for column in zip(*rows, strict=True))) if rows else ()


@st.composite
def networks(draw, max_neurons=6, max_inputs=3):
    """Draw a network."""
    n = draw(st.integers(1, max_neurons))
    n_inputs = min(max_inputs, draw(st.sampled_from([2, 1, 3, 0])))
    known: list[float] = []
    chosen_ports = draw(ports(known))
    columns = draw(neurons(n, known))
    return Network(
        n,
        draw(synapses(n, n_inputs, columns, chosen_ports)),
        n_inputs=n_inputs,
        ports=chosen_ports,
        **columns,
    )


@st.composite
def spike_trains(draw, n_inputs, max_spikes=15):
    """Draw input spikes in any order, simultaneous ones and time 0 included."""
    if n_inputs == 0:
        return SpikeTrain.empty()
    times = st.sampled_from([0.0, 1.0, 5.0]) | decimals(0.0, DURATION)
    least = min(max_spikes, draw(st.sampled_from([0, 5, 8])))
    row = st.tuples(times, st.integers(0, n_inputs - 1))
    rows = draw(st.lists(row, min_size=least, max_size=max_spikes))
    return SpikeTrain([t for t, _ in rows], [c for _, c in rows], n_inputs)


@st.composite
def cases(draw, max_neurons=6, max_inputs=3, max_spikes=100, min_spikes=0):
    """Draw a case of 40 ms with cotangents for all its spikes and voltage samples.

    Cotangents of spikes are a short pattern that is repeated. Networks outside ``min_spikes`` and
    ``max_spikes`` are rejected.
    """
    network = draw(networks(max_neurons, max_inputs))
    inputs = draw(spike_trains(network.n_inputs))
    n = network.n_neurons
    rows = draw(st.lists(st.tuples(st.integers(0, n - 1), decimals(0.0, DURATION)), max_size=4))
    samples = Samples([i for i, _ in rows], [t for _, t in rows])
    pattern = draw(st.lists(decimals(-2.0, 2.0), min_size=1, max_size=5))
    voltage_bar = [draw(decimals(-2.0, 2.0)) for _ in rows]
    try:
        count = simulate(network, inputs, DURATION, max_spikes=max_spikes).counts.spikes
    except SpikeLimitError:
        reject()
    if count < min_spikes:
        reject()
    time_bar = (pattern * math.ceil(count / len(pattern)))[:count]
    return make_case("drawn", network, inputs, DURATION, samples, time_bar, voltage_bar)


__all__ = [
    "Case",
    "cases",
    "decimals",
    "networks",
    "neurons",
    "peak_response",
    "ports",
    "spike_trains",
    "synapses",
    "time_constants",
]
