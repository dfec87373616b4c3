"""The result of a batch: many simulations of one network, end to end in flat arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.results.result import Conditioning, EventCounts, Result, Spikes
from refsim.results.simulation import Simulation
from refsim.transit.lossy import Losses, NoLosses
from refsim.types import Tape
from refsim.validate import ReadOnlyArrays, freeze_all, frozen, indices, shown


@dataclass(frozen=True, eq=False, repr=False)
class BatchResult(ReadOnlyArrays):
    """Simulations of one network, one for each of its inputs: a sequence of :class:`Simulation`.

    ``batch[i]`` is what :func:`refsim.simulate` gives for the i-th inputs, to the last bit. Losses
    of many samples are quicker on the flat arrays, in which the samples lie one after the other.

    Attributes
    ----------
    network : Network
        The network.
    inputs, samples : tuple
        Input spikes and voltage samples of each sample.
    durations : (B,) float
        The time in ms that each simulation has reached. In the ``partial`` of an error those that
        have not ended have less than the duration that was asked for, and 0 before they begin.
    spikes : Spikes
        Spikes of all samples; those of sample i are rows ``spike_start[i]:spike_start[i + 1]``,
        sorted by (time, neuron).
    spike_start : (B + 1,) int
        First row of each sample.
    voltages : float
        Voltages of all samples, each in the order given; see ``voltage_start``.
    voltage_start : (B + 1,) int
        First voltage of each sample.
    input_start : (B + 1,) int
        First input spike of each sample, where those of all lie end to end in the order given, as
        in the gradient.
    has_ties : (B,) bool
        Whether the gradient of a sample is one-sided; see :class:`Conditioning`.
    queue, engine, engine_reason, dt
        As for :class:`Simulation`.
    """

    network: Network
    inputs: tuple[SpikeTrain, ...]
    samples: tuple[Samples, ...]
    durations: NDArray[np.float64]
    spikes: Spikes
    spike_start: NDArray[np.int64]
    voltages: NDArray[np.float64]
    queue: str
    engine: str
    engine_reason: str
    dt: float
    counts_of: NDArray[np.int64] = field(repr=False)  # (B, 5) columns of EventCounts
    gaps: NDArray[np.float64] = field(repr=False)  # (B, 3) as in Conditioning
    origin: NDArray[np.int64] = field(repr=False)
    origin_start: NDArray[np.int64] = field(repr=False)
    losses: tuple[NoLosses | Losses, ...] = field(repr=False)

    def __post_init__(self) -> None:
        columns = {name: value for name, value in vars(self).items() if name != "losses"}
        freeze_all(columns.values())
        freeze_all({id(one): one for one in self.losses}.values())  # most often one for all

    def __repr__(self) -> str:
        n = self.network.n_neurons
        return (
            f"<BatchResult: {len(self)} samples, {self.counts.spikes} spikes of {n} neurons in "
            f"{self.durations.max():g} ms, {self.counts.arrivals} arrivals>"
        )

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Iterator[Simulation]:
        return (self._simulation(i) for i in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Simulation: ...

    @overload
    def __getitem__(self, index: slice) -> list[Simulation]: ...

    def __getitem__(self, index: int | slice) -> Simulation | list[Simulation]:
        rows = range(len(self))
        if isinstance(index, slice):
            return [self._simulation(i) for i in rows[index]]
        try:
            return self._simulation(rows[index])
        except IndexError:
            raise IndexError(f"index is {shown(index)}; there are {len(self)} samples") from None

    @cached_property
    def voltage_start(self) -> NDArray[np.int64]:
        """(B + 1,) first voltage of each sample."""
        return starts([len(samples) for samples in self.samples])

    @cached_property
    def input_start(self) -> NDArray[np.int64]:
        """(B + 1,) first input spike of each sample."""
        return starts([len(inputs) for inputs in self.inputs])

    @cached_property
    def sample_of_spike(self) -> NDArray[np.int64]:
        """(k,) sample of each row of ``spikes``."""
        return frozen(np.repeat(np.arange(len(self)), np.diff(self.spike_start)))

    @cached_property
    def has_ties(self) -> NDArray[np.bool_]:
        """(B,) whether events coincide, or a voltage sample coincides with one."""
        return frozen((self.gaps == 0.0).any(axis=1))

    @property
    def counts(self) -> EventCounts:
        """Numbers of events of all samples together."""
        return EventCounts(*map(int, self.counts_of.sum(axis=0)))

    def first_spikes(self, neurons: ArrayLike) -> NDArray[np.int64]:
        """Return the row in ``spikes`` of the first spike of each neuron in each sample.

        Parameters
        ----------
        neurons : (c,) int
            Neurons, such as the outputs of a classifier, each once.

        Returns
        -------
        (B, c) int
            Rows; -1 for a neuron that is silent.
        """
        wanted = indices("neurons", np.atleast_1d(neurons), None, self.network.n_neurons)
        column = np.full(self.network.n_neurons, -1)
        column[wanted] = np.arange(len(wanted))
        rows = np.flatnonzero(column[self.spikes.neuron] >= 0)[::-1]  # the first is written last
        first = np.full((len(self), len(wanted)), -1)
        first[self.sample_of_spike[rows], column[self.spikes.neuron[rows]]] = rows
        return first

    def _simulation(self, i: int) -> Any:
        rows = slice(self.spike_start[i], self.spike_start[i + 1])
        spikes = Spikes._make(column[rows] for column in self.spikes)
        tape = Tape(*spikes, tangent=np.zeros(0))
        voltages = slice(*self.voltage_start[i : i + 2])
        return Simulation(
            network=self.network,
            inputs=self.inputs[i],
            duration=float(self.durations[i]),
            samples=self.samples[i],
            spikes=spikes,
            voltages=self.voltages[voltages],
            conditioning=Conditioning.of(tape, *self.gaps[i]),
            counts=EventCounts(*map(int, self.counts_of[i])),
            queue=self.queue,
            engine=self.engine,
            engine_reason=self.engine_reason,
            dt=self.dt,
            losses=self.losses[i],
            origin=self.origin[self.origin_start[i] : self.origin_start[i + 1]],
        )


def starts(sizes: ArrayLike) -> NDArray[np.int64]:
    """Return where parts of such sizes begin that lie end to end, and where the last one ends."""
    return frozen(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))


@dataclass(frozen=True, eq=False, repr=False)
class WholeResults(BatchResult):
    """A batch that keeps each simulation as it is, since it has more than the flat arrays hold."""

    simulations: tuple[Result, ...] = ()

    def _simulation(self, i: int) -> Result:
        return self.simulations[i]


def joined(simulations: list[Any]) -> BatchResult:
    """Return the batch of simulations of one network."""
    first = simulations[0]
    kind: type[BatchResult] = BatchResult
    own: dict[str, Any] = {
        "queue": "none",
        "origin": np.zeros(0, dtype=np.int64),
        "origin_start": np.zeros(len(simulations) + 1, dtype=np.int64),
        "losses": (),
    }
    if isinstance(first, Simulation):
        own = {
            "queue": first.queue,
            "origin": np.concatenate([one.origin for one in simulations]),
            "origin_start": starts([len(one.origin) for one in simulations]),
            "losses": tuple(one.losses for one in simulations),
        }
    else:
        kind, own["simulations"] = WholeResults, tuple(simulations)
    return kind(
        network=first.network,
        inputs=tuple(one.inputs for one in simulations),
        samples=tuple(one.samples for one in simulations),
        durations=np.array([one.duration for one in simulations]),
        spikes=Spikes(*map(np.concatenate, zip(*(s.spikes for s in simulations), strict=True))),
        spike_start=starts([one.n_spikes for one in simulations]),
        voltages=np.concatenate([one.voltages for one in simulations]),
        engine=first.engine,
        engine_reason=first.engine_reason,
        dt=first.dt,
        counts_of=np.array([one.counts for one in simulations]),
        gaps=np.array([one.conditioning[2:] for one in simulations]),
        **own,
    )
