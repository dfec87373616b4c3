"""Points and weights for integrals of voltages, exact but for rounding."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adjoint.losses.runs import Array
from refsim.errors import InvalidValueError
from refsim.results.peaks import event_times
from refsim.results.simulation import Simulation

# On [0, 1], the rule of Gauss and Legendre integrates exp(-x) with 8 points to 1e-22 of it. Two
# more leave room for the product with a weight, and for what a cascade of two filters adds.
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(10)

_MOST_PIECES = 1_000_000  # of one neuron


class Nodes(NamedTuple):
    """Points of a quadrature, by neuron, then time."""

    neuron: Array  # (k,)
    time: Array  # (k,) ms
    weight: Array  # (k,) ms


def nodes_of(run: Simulation, neurons: Array, tau: float | None) -> Nodes:
    """Return the points at which the voltages of neurons are to be read, and their weights.

    Parameters
    ----------
    run : Simulation
        A simulation, whose events cut the time into pieces.
    neurons : (c,) int
        Neurons.
    tau : float, optional
        Time constant in ms of a weight, which is as smooth as the voltage.
    """
    network = run.network
    parts = []
    ascending = np.sort(neurons)
    fastest = min(network.tau.min(initial=np.inf), np.inf if tau is None else tau)
    for n, (arrivals, spikes) in zip(ascending, event_times(run, ascending), strict=True):
        edges = np.concatenate([[0.0, run.duration], arrivals, spikes, spikes + network.t_ref[n]])
        edges = np.unique(edges[edges <= run.duration])
        shortest = min(fastest, network.tau_m[n])
        count = np.maximum(np.ceil(np.diff(edges) / shortest), 1.0).astype(np.int64)
        if count.sum() > _MOST_PIECES:
            raise InvalidValueError(
                f"an integral of neuron {n} over {run.duration:g} ms has {count.sum()} pieces of "
                f"{shortest:g} ms, the shortest time constant; expected at most {_MOST_PIECES}"
            )
        begin = np.repeat(edges[:-1], count)
        step = np.repeat(np.diff(edges) / count, count)
        rank = np.arange(len(begin)) - np.repeat(np.cumsum(count) - count, count)
        half = 0.5 * step[:, None]
        middle = begin[:, None] + step[:, None] * rank[:, None] + half
        time = (middle + half * _POINTS).ravel()
        parts.append(Nodes(np.full(len(time), n), time, (half * _WEIGHTS).ravel()))
    return Nodes(*map(np.concatenate, zip(*parts, strict=True)))
