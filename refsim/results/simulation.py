"""The result of a simulation."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from queues.summary import span, summary
from refsim.errors import InvalidValueError
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.transit.lossy import Losses, NoLosses
from refsim.types import KeptState, Tape
from refsim.validate import (
    LONGEST,
    ReadOnlyArrays,
    as_array,
    freeze_all,
    indices,
    scalar,
    vector,
)

_WAYS = {"window": "windows", "layers": "layers"}  # of what has no queue
_MOST_VOLTAGES = 1e9  # of a trace on the default grid, 8 GB


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


class Dropped(NamedTuple):
    """Synaptic events that bounded queues have lost, by order of emission of their spike."""

    source: NDArray[np.int64]  # (k,) neuron, or n_neurons + input channel
    emitted: NDArray[np.float64]  # (k,) ms, time of the spike
    synapse: NDArray[np.int64]  # (k,) number of the synapse in the network
    arrival: NDArray[np.float64]  # (k,) ms, when it would have arrived, be it after the end

    def __repr__(self) -> str:
        return summary(self)


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
    def of(cls, tape: Tape, gap: float, release_gap: float, sample_gap: float) -> Conditioning:
        """Collect the figures of a run."""
        gaps = float(gap), float(release_gap), float(sample_gap)
        if not len(tape.time):
            return cls(np.inf, -1, *gaps)
        k = int(np.argmin(tape.slope_before))
        return cls(float(tape.slope_before[k]), k, *gaps)


@dataclass(frozen=True, eq=False, repr=False)
class Simulation(ReadOnlyArrays):
    """Spikes, sampled voltages and what the adjoint needs.

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
    queue : str
        Structure of the event queue, such as "heap" or "fifo"; "none" in the window engine.
    engine, engine_reason : str
        "event", "window" or "layers", and why it was chosen.
    dt : float
        Step of the grid of arrivals in ms, 0.0 for none.
    losses : NoLosses or Losses
        Bounded queues, as the kernels leave them; see ``dropped``.
    origin : (e,) int
        Source of each emission in order: a row of spikes, or -1 - i for the i-th input spike in
        order of time.
    state : WindowState, EventState or None
        State at the end, or before the last window, if it was to be kept: what
        :func:`refsim.resume` begins from.
    begin : float
        Time in ms after which spikes, voltages and input spikes are held; later than 0 where a
        simulation went on from one that was forgotten. ``counts`` count from time 0 on.
    """

    network: Network
    inputs: SpikeTrain
    duration: float
    samples: Samples
    spikes: Spikes
    voltages: NDArray[np.float64]
    conditioning: Conditioning
    counts: EventCounts
    queue: str
    engine: str
    engine_reason: str
    dt: float
    losses: NoLosses | Losses
    origin: NDArray[np.int64] = field(repr=False)
    state: KeptState | None = field(default=None, repr=False)
    begin: float = 0.0

    def __post_init__(self) -> None:
        freeze_all((self.spikes, self.voltages, self.origin, self.losses, self.state or ()))

    @cached_property
    def dropped(self) -> Dropped:
        """Synaptic events that bounded queues have lost."""
        from refsim.results.trace import dropped

        return Dropped(*dropped(self))

    def __repr__(self) -> str:
        lost = "" if isinstance(self.losses, NoLosses) else f", {self.counts.dropped} dropped"
        when = f"{self.begin:g} to {self.duration:g}" if self.begin else f"{self.duration:g}"
        return (
            f"<Simulation: {self.n_spikes} spikes of {self.network.n_neurons} neurons in "
            f"{when} ms, {self.counts.arrivals} arrivals, "
            f"{_WAYS.get(self.engine, self.queue)}{lost}>"
        )

    @property
    def n_spikes(self) -> int:
        """Number of spikes."""
        return len(self.spikes.time)

    @property
    def drop_rate(self) -> float:
        """Fraction of the synaptic events of all emissions, also after the end, that were lost."""
        offered = 0 if isinstance(self.losses, NoLosses) else int(self.losses.used[0])
        return self.counts.dropped / offered if offered else 0.0

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

    def trace(
        self, neurons: ArrayLike | None = None, times: ArrayLike | None = None, dt: float = 0.1
    ) -> Trace:
        """Compute voltages on a dense grid from the events, after the simulation.

        Parameters
        ----------
        neurons : (m,) int, optional
            Neurons wanted, all by default.
        times : (k,) float, optional
            Times in ms in ascending order; every ``dt`` from 0 to the end by default.
        dt : float
            Step of the default grid in ms.

        Returns
        -------
        Trace
            Times (k,) and voltages (m, k), the same to the last bit as samples there.
        """
        from refsim.results.trace import replay

        if self.begin > 0.0:
            raise InvalidValueError(
                f"this simulation begins at {self.begin:g} ms, and what was before is forgotten; "
                "expected one from time 0 on, or samples"
            )
        n = self.network.n_neurons
        wanted = np.arange(n) if neurons is None else as_array("neurons", neurons, "integers")
        wanted = indices("neurons", np.atleast_1d(wanted), None, n)
        grid = self._grid(dt, len(wanted)) if times is None else self._ascending(times)
        return Trace(grid, wanted, replay(self, wanted, grid))

    def _grid(self, dt: Any, n_wanted: int) -> NDArray[np.float64]:
        """Return the times every ``dt`` up to the end."""
        dt = scalar("dt", dt, 0.0, LONGEST, strict=True)
        steps = self.duration / dt
        if steps * n_wanted > _MOST_VOLTAGES:
            raise InvalidValueError(
                f"dt is {dt} for {self.duration:g} ms of {n_wanted} neurons; expected a step "
                f"that gives at most {_MOST_VOLTAGES:g} voltages"
            )
        return np.minimum(np.arange(int(np.floor(steps + 1e-9)) + 1) * dt, self.duration)

    def _ascending(self, times: Any) -> NDArray[np.float64]:
        """Return ``times``, which must be within the simulation and ascend."""
        grid = vector("times", times, None, 0.0, self.duration)
        descents = np.flatnonzero(np.diff(grid) < 0)
        if descents.size:
            i = int(descents[0])
            raise InvalidValueError(
                f"times[{i + 1}] is {grid[i + 1]} after {grid[i]}; expected ascending times"
            )
        return grid


class Trace(NamedTuple):
    """Voltages on a grid of times."""

    time: NDArray[np.float64]  # (k,) ms
    neuron: NDArray[np.int64]  # (m,)
    voltage: NDArray[np.float64]  # (m, k)

    def __repr__(self) -> str:
        when = f", {span(self.time)} ms" if len(self.time) else ""
        return f"<Trace: {len(self.neuron)} neurons at {len(self.time)} times{when}>"
