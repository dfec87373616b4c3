"""How far two correct computations of a gradient may differ by rounding.

Adjoint and tangent meet at every spike: with the total cotangent b_k of spike k and its tangent
t_k, the product b_k t_k is what this spike contributes to <a, J v> = <J^T a, v>. Both factors come
out of a division by the slope V'_k; the slope is a sum of terms of size
(|v_th - drive| + |J|)/tau_m, where J is the current, so its relative rounding error is about
eps kappa_k, with

    kappa_k = 1 + (|v_th - drive| + |J|) / (tau_m V'_k),    |J| <= tau_m V'_k + |v_th - drive|.

Errors of different events add up, so the rounding error of either side is at most a small multiple
of eps times

    weight = sum of the terms that are added up + sum over k of kappa_k |b_k t_k|.

The multiple covers the few dozen operations between two events of a neuron.

A comparison with known values cannot share the roundings of the other side. A spike time is off by
about eps kappa_k tau_m, and by as much as the spikes before it; a spike that is off has another
slope: V'' is of the size kappa_k V'_k / tau, so that 1/V'_k, and with it every derivative through
the spike, is off by about eps kappa_k^2. At ordinary crossings, kappa_k below 100, this is below
other tolerances; at grazing ones no computation in float64 does better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refsim.results.simulation import Simulation

EPS = float(np.finfo(np.float64).eps)
ROUNDINGS = 4.0  # of a voltage at a crossing


def slope_condition(simulation: Simulation) -> NDArray[np.float64]:
    """Return kappa (k,) of every spike."""
    network, spikes = simulation.network, simulation.spikes
    n = spikes.neuron
    distance = np.abs(network.v_th - network.v_rest - network.i_ext)[n]
    scaled = network.tau_m[n] * np.maximum(spikes.slope_before, np.finfo(np.float64).tiny)
    return 2.0 + 2.0 * distance / scaled


def time_rounding(simulation: Simulation) -> NDArray[np.float64]:
    """Return by how many ms (k,) each spike time may be off."""
    tau_m = simulation.network.tau_m[simulation.spikes.neuron]
    return ROUNDINGS * EPS * np.maximum.accumulate(slope_condition(simulation) * tau_m)


def voltage_rounding(simulation: Simulation) -> float:
    """Return by how much a voltage may be off, relative to the largest."""
    return ROUNDINGS * EPS * float(np.max(slope_condition(simulation), initial=1.0))


def gradient_rounding(simulation: Simulation) -> float:
    """Return how far a derivative may be off, relative to the largest of its group."""
    return ROUNDINGS * EPS * float(np.max(slope_condition(simulation), initial=1.0)) ** 2


def rounding_weight(
    simulation: Simulation,
    spike_bar: NDArray[np.float64],
    time_dot: NDArray[np.float64],
    terms: NDArray[np.float64],
) -> float:
    """Return the weight against which an error is measured."""
    through_spikes = slope_condition(simulation) * np.abs(spike_bar * time_dot)
    return float(np.abs(terms).sum() + through_spikes.sum())
