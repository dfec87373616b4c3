"""The synaptic events of a finished run."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queues.summary import summary
from refsim.results.simulation import Simulation
from refsim.results.trace import emissions


class Arrivals(NamedTuple):
    """All synaptic events of a run, also those after its end, by emission, then by synapse."""

    time: NDArray[np.float64]  # (m,) ms
    neuron: NDArray[np.int64]  # (m,)
    synapse: NDArray[np.int64]  # (m,) number in the network
    origin: NDArray[np.int64]  # (m,) row of the spike, or -1 - i for the i-th input in time

    def __repr__(self) -> str:
        return summary(self)


def arrivals(simulation: Simulation) -> Arrivals:
    """Return all synaptic events that the emissions of a run cause."""
    wiring = simulation.network.wiring
    emitted, source = emissions(simulation)
    fan_out = np.diff(wiring.start)[source]
    ends = np.cumsum(fan_out)
    row = np.arange(ends[-1] if len(ends) else 0)
    row += np.repeat(wiring.start[source] - (ends - fan_out), fan_out)
    return Arrivals(
        time=np.repeat(emitted, fan_out) + wiring.delay[row],
        neuron=wiring.post[row].astype(np.int64),
        synapse=wiring.number[row].astype(np.int64),
        origin=np.repeat(simulation.origin, fan_out),
    )
