"""The flow of a neuron between events, by matrix exponentials."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.network.network import Network
from refsim.network.ports import DoubleExpPort

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

TERMS = 20  # of a series in a matrix of norm 1


class Stages(NamedTuple):
    """The synaptic states of a network: places in z, from 1, and what they do."""

    entry: list[int]  # place that arrivals at each port enter
    last: list[int]  # place whose state is the current of the port
    rate: Vector  # (K,)
    gain: list[float]  # of each port, 0.0 for exp


def exponential(a: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the exponential of a matrix, or of each of a stack of them.

    All couplings of A are positive. With its diagonal lifted to zero or above no term of the series
    is negative, nor is anything in the squarings, so no digit cancels. (SciPy's ``expm`` loses all
    digits of triangular matrices whose eigenvalues are nearly equal.)
    """
    size = a.shape[-1]
    lift = np.max(np.abs(np.diagonal(a, axis1=-2, axis2=-1)), initial=0.0)
    lifted = a + lift * np.eye(size)
    norm = float(np.max(np.abs(lifted).sum(axis=-1), initial=1.0))
    halvings = int(np.ceil(np.log2(norm)))
    lifted = lifted / 2.0**halvings
    term = np.broadcast_to(np.eye(size), a.shape)
    total = term
    for k in range(1, TERMS):
        term = term @ lifted / k
        total = total + term
    total = total * np.exp(-lift / 2.0**halvings)
    for _ in range(halvings):
        total = total @ total
    return total


def peak_gain(r: float, s: float) -> float:
    """Return the gain of a cascade of rates r and s whose response has unit peak.

    At its peak the inflow r-state equals s times the response, which is exp(-r t)/s there.
    """
    return s * float(np.exp(r * peak_time(r, s)))


def peak_time(r: float, s: float) -> float:
    """Return log(r/s)/(r - s)."""
    return 1.0 / r if r == s else float(np.log1p((r - s) / s) / (r - s))


def stages_of(network: Network) -> Stages:
    """Lay out the synaptic states of a network."""
    entry, last, gain = [], [], []
    rate = 1.0 / network.tau
    place = 1
    for port in network.ports:
        two = isinstance(port, DoubleExpPort)
        entry.append(place)
        last.append(place + two)
        gain.append(peak_gain(rate[place - 1], rate[place]) if two else 0.0)
        place += 1 + two
    return Stages(entry, last, rate, gain)


def matrix(network: Network, stages: Stages, n: int, held: bool) -> Matrix:
    """Return A of a neuron; while it is held its voltage stands still."""
    size = 1 + len(stages.rate)
    a = np.zeros((size, size))
    a[np.arange(1, size), np.arange(1, size)] = -stages.rate
    for first, last, gain in zip(stages.entry, stages.last, stages.gain, strict=True):
        if last != first:
            a[last, first] = gain
        if not held:
            a[0, last] = 1.0 / network.tau_m[n]
    if not held:
        a[0, 0] = -1.0 / network.tau_m[n]
    return a
