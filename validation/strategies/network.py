"""Strategies for the parts of a network, and for networks: see `validation.strategies`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from refsim.errors import MissingExtraError
from refsim.network.network import Network
from refsim.network.ports import DoubleExpPort, ExpPort, Port
from refsim.network.synapses import Synapses
from refsim.validate import integer

try:
    from hypothesis import reject, strategies as st
    from hypothesis.strategies import DrawFn, SearchStrategy
except ImportError:
    raise MissingExtraError(
        'validation.strategies needs hypothesis: pip install "refsim[test]"'
    ) from None

__all__ = [
    "NEAR",
    "DrawFn",
    "SearchStrategy",
    "decimals",
    "networks",
    "neurons",
    "peak_response",
    "ports",
    "reject",
    "st",
    "synapses",
    "time_constants",
]

# Relative distances of a time constant from another one.
NEAR = [0.0, 2.0**-52, -(2.0**-52), 1e-12, 1e-9, -1e-6, 1e-3]


def decimals(low: float, high: float) -> SearchStrategy[float]:
    """Return a strategy for numbers of three decimals in [low, high]."""
    return st.integers(round(low * 1000), round(high * 1000)).map(lambda k: k / 1000)


@st.composite
def time_constants(draw: DrawFn, known: list[float]) -> float:
    """Draw a time constant of 0.5 to 30 ms; now and then equal or close to a known one."""
    if known and draw(st.integers(0, 3)) == 0:
        tau = draw(st.sampled_from(known)) * (1.0 + draw(st.sampled_from(NEAR)))
    else:
        tau = draw(decimals(0.5, 30.0))
    known.append(tau)
    return tau


@st.composite
def ports(draw: DrawFn, known: list[float], max_ports: int = 3) -> tuple[Port, ...]:
    """Draw one to three ports of both kinds; append their time constants to ``known``."""
    chosen: list[Port] = []
    for _ in range(draw(st.integers(1, max_ports))):
        if draw(st.booleans()):
            chosen.append(ExpPort(draw(time_constants(known))))
        else:
            rise, decay = draw(time_constants(known)), draw(time_constants(known))
            chosen.append(DoubleExpPort(rise, decay))
    return tuple(chosen)


@lru_cache(maxsize=1024)
def peak_response(tau_m: float, port: Port) -> float:
    """Return the peak of the voltage after an arrival of weight 1, to about a percent."""
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
def _neuron(draw: DrawFn, rest: float, gap: float, known: list[float]) -> dict[str, float] | None:
    """Draw the parameters of a neuron; None stands for those of the neuron before it."""
    if draw(st.integers(0, 4)) == 0:
        return None
    drive = draw(st.sampled_from([0.0, 0.0, 0.0, 0.3, -0.2, 1.2, 1.7]))
    reset = draw(st.sampled_from([0.0, 0.0, -0.5, 0.3, -1.2]))
    start = draw(st.sampled_from([0.0, 0.0, 0.5, -0.4]))
    return {
        "tau_m": draw(time_constants(known)),
        "v_rest": rest,
        "v_th": rest + gap,
        "v_reset": rest + reset * gap,
        "v0": rest + start * gap,
        "i_ext": round(drive * gap, 3),
        "t_ref": draw(st.sampled_from([0.0, 0.0, 0.5, 2.0]) | decimals(0.0, 5.0)),
    }


@st.composite
def neurons(draw: DrawFn, max_neurons: int, known: list[float]) -> dict[str, list[float]]:
    """Draw the parameters of one or more neurons, equal ones included, as keyword arguments."""
    rest = draw(st.sampled_from([0.0, 0.0, -65.0, 0.25]))
    gap = draw(st.sampled_from([1.0, 1.0, 0.5, 15.0]))
    plain = {"tau_m": 10.0, "v_rest": rest, "v_th": rest + gap, "v_reset": rest, "v0": rest}
    row: dict[str, float] = plain | {"i_ext": 0.0, "t_ref": 0.0}
    drawn = draw(st.lists(_neuron(rest, gap, known), min_size=1, max_size=max_neurons))
    columns: dict[str, list[float]] = {name: [] for name in row}
    for given in drawn:
        row = row if given is None else given
        for name, column in columns.items():
            column.append(row[name])
    return columns


@st.composite
def _synapse(
    draw: DrawFn,
    pre: SearchStrategy[int],
    columns: dict[str, list[float]],
    chosen_ports: Sequence[Port],
    delays: SearchStrategy[float],
) -> tuple[int, int, float, float, int]:
    """Draw (pre, post, weight, delay, port) of a synapse."""
    n = len(columns["tau_m"])
    source = draw(pre)
    post = draw(st.integers(0, n - 1))
    port = draw(st.integers(0, len(chosen_ports) - 1))
    strength = draw(decimals(0.2, 3.0))
    if draw(st.integers(0, 3)) == 3:
        strength = -strength
    elif source < n:
        strength *= 0.4  # recurrent excitation of full strength runs away
    gap = columns["v_th"][post] - columns["v_rest"][post]
    weight = strength * gap / peak_response(columns["tau_m"][post], chosen_ports[port])
    return source, post, round(weight, 3), draw(delays), port


@st.composite
def synapses(
    draw: DrawFn,
    n_inputs: int,
    columns: dict[str, list[float]],
    chosen_ports: Sequence[Port],
    max_synapses: int = 12,
) -> Any:
    """Draw synapses of neurons and of input channels; every channel reaches a neuron."""
    n = len(columns["tau_m"])
    delay = draw(decimals(0.0, 5.0))
    delays = st.sampled_from([0.0, delay, delay]) | decimals(0.0, 8.0)
    rows = [
        draw(_synapse(st.just(n + channel), columns, chosen_ports, delays))
        for channel in range(n_inputs)
    ]
    # Neurons are counted from the last, so that a source survives the loss of those before it.
    sources = st.integers(0, n + n_inputs - 1).map(lambda k: n - 1 - k if k < n else k)
    other = _synapse(sources, columns, chosen_ports, delays)
    rows += draw(st.lists(other, max_size=max_synapses))
    return Synapses(*(list(column) for column in zip(*rows, strict=True))) if rows else ()


def networks(max_neurons: int = 6, max_inputs: int = 3) -> SearchStrategy[Network]:
    """Return a strategy for networks.

    Parameters
    ----------
    max_neurons : int
        Most neurons, at least 1.
    max_inputs : int
        Most input channels; no more than 3 are drawn.

    Returns
    -------
    SearchStrategy of Network
        With one to three ports and up to 15 synapses.
    """
    integer("max_neurons", max_neurons, 1)
    integer("max_inputs", max_inputs, 0)
    return _networks(max_neurons, max_inputs)


@st.composite
def _networks(draw: DrawFn, max_neurons: int, max_inputs: int) -> Network:
    n_inputs = min(max_inputs, draw(st.sampled_from([0, 1, 2, 3])))
    known: list[float] = []
    chosen_ports = draw(ports(known))
    columns = draw(neurons(max_neurons, known))
    return Network(
        len(columns["tau_m"]),
        draw(synapses(n_inputs, columns, chosen_ports)),
        n_inputs=n_inputs,
        ports=chosen_ports,
        **columns,
    )
