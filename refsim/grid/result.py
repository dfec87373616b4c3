"""The result of a simulation on a time grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.grid.scheme import GridScheme
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.results.simulation import Trace
from refsim.validate import ReadOnlyArrays, freeze_all


class GridSpikes(NamedTuple):
    """Spikes of a simulation on a time grid, sorted by (time, neuron)."""

    time: NDArray[np.float64]  # (k,) ms
    neuron: NDArray[np.int64]  # (k,)
    step: NDArray[np.int64]  # (k,) in which the voltage crosses
    slope: NDArray[np.float64]  # (k,) change of the voltage in that step, over dt

    def __repr__(self) -> str:
        span = f", {self.time[0]:g} to {self.time[-1]:g} ms" if len(self.time) else ""
        return f"<GridSpikes: {len(self.time)}{span}; fields {', '.join(self._fields)}>"


@dataclass(frozen=True, eq=False, repr=False)
class GridSimulation(ReadOnlyArrays):
    """Spikes and sampled voltages of a simulation on a time grid.

    Attributes
    ----------
    network, inputs, samples, scheme
        What was simulated, and by which rules.
    duration : float
        End of the simulation in ms; of a partial result, the time that it has reached.
    dt : float
        Time step in ms.
    n_steps : int
        Number of steps.
    spikes : GridSpikes
        Spikes sorted by (time, neuron).
    voltages : (V,) float
        Voltages at the steps nearest to the samples, in the order given; nan where a partial result
        has not come.
    n_arrivals : int
        Number of synaptic events.
    trace : Trace or None
        Voltages of all neurons at the beginning of each step, if they were asked for.
    """

    network: Network
    inputs: SpikeTrain
    samples: Samples
    scheme: GridScheme
    duration: float
    dt: float
    n_steps: int
    spikes: GridSpikes
    voltages: NDArray[np.float64]
    n_arrivals: int
    trace: Trace | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        freeze_all((self.spikes, self.voltages, self.trace or ()))

    def __repr__(self) -> str:
        return (
            f"<GridSimulation: {len(self.spikes.time)} spikes of {self.network.n_neurons} neurons "
            f"in {self.duration:g} ms, {self.n_steps} steps of {self.dt:g} ms, "
            f"{self.n_arrivals} arrivals>"
        )

    def by_neuron(self) -> list[NDArray[np.float64]]:
        """Return the spike times of each neuron in ms."""
        order = np.argsort(self.spikes.neuron, kind="stable")
        counts = np.bincount(self.spikes.neuron, minlength=self.network.n_neurons)
        return np.split(self.spikes.time[order], np.cumsum(counts)[:-1])
