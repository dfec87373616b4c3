"""The time-grid engine of refsim as a back end: one whose errors in the time step are known."""

from __future__ import annotations

import adjoint
from refsim.grid.scheme import Grid, GridScheme
from refsim.network.inputs import SpikeTrain
from refsim.network.network import Network
from validation.comparison.backend import Answer, LossCotangents


def backend(
    network: Network,
    inputs: SpikeTrain,
    duration: float,
    cotangents: LossCotangents,
    *,
    dt: float,
    scheme: GridScheme = GridScheme(),  # noqa: B008  (frozen)
) -> Answer:
    """Simulate a network in time steps, and return its spikes and the gradient of the loss.

    Parameters
    ----------
    network, inputs, duration, cotangents
        See `validation.comparison.backend`.
    dt : float
        Time step in ms.
    scheme : GridScheme
        Rules of the simulation. With "full" arrivals and "exact" resets spikes and gradients
        converge at the first order; with the others gradients do not.
    """
    simulation, pullback = adjoint.vjp(
        network, inputs, duration, samples=cotangents.samples, engine=Grid(dt, scheme=scheme)
    )
    spikes = simulation.spikes
    gradient = pullback(cotangents.of_spikes(spikes.neuron), cotangents.voltage)
    return Answer(spikes.time, spikes.neuron, dict(gradient.items()), simulation.voltages)
