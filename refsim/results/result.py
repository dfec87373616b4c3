"""What results of all engines have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queues.summary import span
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.types import Tape
from refsim.validate import ReadOnlyArrays, freeze_all


class Spikes(NamedTuple):
    """Spikes sorted by (time, neuron); with the slopes, all that the adjoint keeps of a run."""

    time: NDArray[np.float64]  # (k,) ms
    neuron: NDArray[np.int64]  # (k,)
    slope_before: NDArray[np.float64]  # (k,) dV/dt at the crossing
    slope_after: NDArray[np.float64]  # (k,) dV/dt at the release, 0 if that is after the end

    def part(self, rows: slice) -> Spikes:
        """Return a copy of some rows."""
        return Spikes(
            self.time[rows].copy(),
            self.neuron[rows].copy(),
            self.slope_before[rows].copy(),
            self.slope_after[rows].copy(),
        )

    def __repr__(self) -> str:
        span = f", {self.time[0]:g} to {self.time[-1]:g} ms" if len(self.time) else ""
        return f"<Spikes: {len(self.time)}{span}; fields {', '.join(self._fields)}>"


class EventCounts(NamedTuple):
    """What a run has done."""

    spikes: int
    inputs: int  # input spikes
    arrivals: int  # synaptic events
    searches: int  # searches for a threshold crossing
    dropped: int  # synaptic events that bounded queues have lost


class Conditioning(NamedTuple):
    """How far a run is from a change of its spike pattern, or of what its samples see.

    Near such a change gradients grow without bound (slope) or jump (gaps); a comparison that
    fails there says little. Each is inf where there is nothing to compare. The window engine
    compares arrivals with the crossings, releases and samples of the same window only.

    A sample is compared with what its own neuron does: its spikes, its releases, and, while it is
    free, the arrivals at its ports of one exponential, which bend the voltage. Arrivals at other
    ports do not, and while the voltage is held there is nothing that they could change.
    """

    min_slope: float  # dV/dt at the most grazing crossing
    min_slope_spike: int  # which spike that is, -1 for none
    min_gap: float  # ms, between a crossing of a neuron and an arrival at it from elsewhere
    min_release_gap: float  # ms, between the end of refractoriness and an arrival
    min_sample_gap: float = np.inf  # ms, between a voltage sample and an event of its neuron

    @property
    def has_ties(self) -> bool:
        """Whether an arrival coincides with a crossing or a release, or a sample with an event.

        Gradients are one-sided there.
        """
        return 0.0 in self[2:]

    @classmethod
    def of(
        cls, tape: Tape | Spikes, gap: float, release_gap: float, sample_gap: float
    ) -> Conditioning:
        """Collect the figures of a run."""
        gaps = float(gap), float(release_gap), float(sample_gap)
        if not len(tape.time):
            return cls(np.inf, -1, *gaps)
        k = int(np.argmin(tape.slope_before))
        return cls(float(tape.slope_before[k]), k, *gaps)


class Trace(NamedTuple):
    """Voltages on a grid of times."""

    time: NDArray[np.float64]  # (k,) ms
    neuron: NDArray[np.int64]  # (m,)
    voltage: NDArray[np.float64]  # (m, k)

    def __repr__(self) -> str:
        when = f", {span(self.time)} ms" if len(self.time) else ""
        return f"<Trace: {len(self.neuron)} neurons at {len(self.time)} times{when}>"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Result(ReadOnlyArrays):
    """The face of every result: what was simulated, spikes, voltages, and how it was found.

    Attributes
    ----------
    network, inputs, samples
        What was simulated.
    duration : float
        End of the simulation in ms; of a partial result, the time that it has reached.
    spikes : Spikes
        Spikes sorted by (time, neuron).
    voltages : (V,) float
        Voltages at the samples, in the order given; nan where a partial result has not come.
    conditioning : Conditioning
        Distance from the next change of the spike pattern.
    counts : EventCounts
        Numbers of events.
    engine, engine_reason : str
        "events", "windows" or "grid", and why it was chosen.
    dt : float
        Step in ms of the time grid, or of that to which arrivals are rounded; 0.0 for none.
    begin : float
        Time in ms after which spikes, voltages and input spikes are held; later than 0 where a
        simulation went on from one that was forgotten. ``counts`` count from time 0 on.
    """

    network: Network
    inputs: SpikeTrain
    samples: Samples
    duration: float
    spikes: Spikes
    voltages: NDArray[np.float64]
    conditioning: Conditioning
    counts: EventCounts
    engine: str
    engine_reason: str
    dt: float
    begin: float = 0.0

    def __post_init__(self) -> None:
        freeze_all((self.spikes, self.voltages))

    @property
    def n_spikes(self) -> int:
        """Number of spikes."""
        return len(self.spikes.time)

    def by_neuron(self) -> list[NDArray[np.float64]]:
        """Return the spike times of each neuron in ms."""
        order = np.argsort(self.spikes.neuron, kind="stable")
        counts = np.bincount(self.spikes.neuron, minlength=self.network.n_neurons)
        return np.split(self.spikes.time[order], np.cumsum(counts)[:-1])

    def rates(self) -> NDArray[np.float64]:
        """Return the mean rate of each neuron in Hz, 0 for one that is silent."""
        counts = np.bincount(self.spikes.neuron, minlength=self.network.n_neurons)
        rates = np.zeros(len(counts))
        with np.errstate(over="ignore"):  # a spike in a duration of 1e-310 ms: the rate is inf
            np.divide(counts * 1000.0, self.duration - self.begin, out=rates, where=counts > 0)
        return rates

    def to_numpy(self) -> NDArray[np.void]:
        """Return the spikes as a structured array with the fields of Spikes."""
        dtype = [(name, column.dtype) for name, column in self.spikes._asdict().items()]
        rows = np.zeros(len(self.spikes.time), dtype=dtype)
        for name, column in self.spikes._asdict().items():
            rows[name] = column
        return rows
