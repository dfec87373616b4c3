"""Documents of case files from a few lines of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

from refsim.cases import FORMAT
from refsim.network.network import Network
from refsim.network.parameters import OF_NEURONS

# A source below 0 is an input channel: -1 is channel 0, -2 is channel 1.
Synapse = tuple[float, ...]  # (source, target, weight, delay) or (..., port)
Port = dict[str, Any]
Document = dict[str, Any]

_USUAL = Network(1, tau_m=10.0)
_NEURON = {name: float(getattr(_USUAL, name)[0]) for name in OF_NEURONS}
# Cotangents of spikes and of samples, repeated as often as there are any.
SPIKE_BARS = (1.0, -0.6, 0.4, 1.3, -1.1, 0.7, -0.2)
SAMPLE_BARS = (0.8, -0.5, 1.2)


def exp(tau: float = 5.0) -> Port:
    """Return an exponential port."""
    return {"kind": "exp", "tau": tau}


def double_exp(rise: float, decay: float) -> Port:
    """Return a double exponential port."""
    return {"kind": "double_exp", "tau_rise": rise, "tau_decay": decay}


def channel(k: int) -> int:
    """Return the source that stands for input channel ``k``."""
    return -1 - k


def document(
    ports: Port | Sequence[Port],
    inputs: Sequence[tuple[float, int]],
    synapses: Sequence[Synapse],
    duration: float,
    n: int = 1,
    samples: Sequence[tuple[int, float]] = (),
    spike_bars: Sequence[float] = SPIKE_BARS,
    **neurons: Any,
) -> Document:
    """Return a case without results.

    Parameters
    ----------
    ports : port or sequence of ports
        As `exp` and `double_exp` give them.
    inputs : sequence of (time, channel)
        Input spikes.
    synapses : sequence of (source, target, weight, delay) or (..., port)
        Sources as in `channel`.
    duration : float
        End in ms.
    n : int
        Number of neurons.
    samples : sequence of (neuron, time)
        Voltage samples.
    spike_bars : sequence of float
        Cotangents of the spikes, repeated.
    **neurons
        Parameters of the neurons, one number for all or one for each.
    """
    columns = {name: _column(value, n) for name, value in (_NEURON | neurons).items()}
    rows = [(*row, 0) if len(row) == 4 else row for row in synapses]
    used = [-row[0] for row in rows if row[0] < 0] + [1 + source for _, source in inputs]
    return {
        "format": FORMAT,
        "neurons": {
            "n": n,
            "model": "lif",
            **columns,
            "ports": [ports] if isinstance(ports, dict) else list(ports),
        },
        "synapses": {
            "pre": [n - 1 - row[0] if row[0] < 0 else row[0] for row in rows],
            "post": [row[1] for row in rows],
            "port": [row[4] for row in rows],
            "weight": [row[2] for row in rows],
            "delay": [row[3] for row in rows],
        },
        "inputs": {
            "n": max(used, default=0),
            "times": [time for time, _ in inputs],
            "sources": [source for _, source in inputs],
        },
        "duration": duration,
        "voltage_samples": [
            {"neuron": neuron, "time": time, "cotangent": bar}
            for (neuron, time), bar in zip(samples, cycle(SAMPLE_BARS), strict=False)
        ],
        "cotangent": list(spike_bars),
    }


def with_bars(case: Document, n_spikes: int) -> Document:
    """Return a case with as many cotangents as it has spikes, and no empty list of samples."""
    full = case | {"cotangent": list(islice(cycle(case["cotangent"]), n_spikes))}
    if not full["voltage_samples"]:
        del full["voltage_samples"]
    return full


def _column(value: float | Sequence[float], n: int) -> list[float]:
    return [value] * n if isinstance(value, int | float) else list(value)
