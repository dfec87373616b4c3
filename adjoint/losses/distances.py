"""Distances from wanted spike trains, as losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adjoint.losses.base import Loss, Reading
from adjoint.losses.distance_kernels import van_rossum, victor_purpura
from adjoint.losses.runs import Array, Runs, checked_neurons
from adjoint.types import Cotangents
from queues.summary import summary
from refsim.errors import InvalidValueError
from refsim.network.inputs import SpikeTrain
from refsim.validate import LONGEST, members, scalar

Targets = SpikeTrain | Sequence[SpikeTrain] | Sequence[ArrayLike]


class Trains(NamedTuple):
    """Spike trains that are wanted, by sample, then neuron, then time."""

    time: Array  # (k,) ms
    start: Array  # (cells + 1,) first spike of each
    n_samples: int  # 0 where they are the same for all

    def __repr__(self) -> str:
        return summary(self)

    @classmethod
    def of(cls, given: Any, size: int) -> Trains:
        """Return the trains that are wanted of ``size`` neurons."""
        if isinstance(given, SpikeTrain):
            return cls._of_samples([given], size)._replace(n_samples=0)
        parts = members(
            "targets", given, "spike times of each neuron, or SpikeTrain of each sample"
        )
        if parts and all(isinstance(part, SpikeTrain) for part in parts):
            return cls._of_samples(parts, size)
        return cls.of(SpikeTrain.from_lists(parts), size)

    @classmethod
    def _of_samples(cls, trains: list[SpikeTrain], size: int) -> Trains:
        for i, train in enumerate(trains):
            if train.n_inputs != size:
                raise InvalidValueError(
                    f"targets{f'[{i}]' if len(trains) > 1 else ''} has {train.n_inputs} trains; "
                    f"expected {size}, one for each neuron"
                )
        time = np.concatenate([train.times for train in trains])
        cell = np.concatenate([i * size + train.sources for i, train in enumerate(trains)])
        order = np.lexsort((time, cell))
        counts = np.bincount(cell, minlength=size * len(trains))
        return cls(time[order], np.concatenate([[0], np.cumsum(counts)]), len(trains))

    def of_runs(self, runs: Runs, size: int) -> tuple[Array, Array]:
        """Return what is wanted in each run: times, and where each cell begins."""
        if self.n_samples:
            row = runs.rows_of("targets", self.n_samples)
        else:
            row = np.zeros(runs.size, np.int64)
        cell = (row[:, None] * size + np.arange(size)).ravel()
        count = np.diff(self.start)[cell]
        start = np.concatenate([[0], np.cumsum(count)])
        shift = np.repeat(self.start[cell] - start[:-1], count)
        return self.time[np.arange(start[-1]) + shift], start


@dataclass(frozen=True, eq=False, repr=False, init=False)
class _Distance(Loss):
    """A sum of the distances of neurons from the trains that are wanted."""

    neurons: Array
    targets: Trains

    def _hold_trains(self, neurons: Any, targets: Any, **values: Any) -> None:
        chosen = checked_neurons(neurons)
        self._hold(neurons=chosen, targets=Trains.of(targets, len(chosen)), **values)

    def read(self, runs: Runs) -> Reading:
        """Return the sum of each run."""
        size = len(self.neurons)
        row, cell = runs.spikes_of(self.neurons)
        start = np.searchsorted(cell, np.arange(runs.size * size + 1))
        wanted, wanted_start = self.targets.of_runs(runs, size)
        value, slope = np.zeros(runs.size * size), np.zeros(len(row))
        self._measure(runs.time[row], start, wanted, wanted_start, value, slope)
        run = runs.run[row]

        def back(bar: Array) -> Cotangents:
            time_bar = np.zeros(len(runs.time))
            time_bar[row] = slope * bar[run]
            return Cotangents(time=time_bar)

        by_run = slice(None, None, size)
        has_spikes = np.diff(start[by_run]) > 0
        is_there = has_spikes | (np.diff(wanted_start[by_run]) == 0)
        return Reading(value.reshape(runs.size, size).sum(axis=1), is_there, back)

    def _measure(
        self, time: Array, start: Array, wanted: Array, wanted_start: Array, value: Array,
        slope: Array,
    ) -> None:  # fmt: skip
        """Write the distance of each cell, and its derivatives."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, repr=False, init=False)
class VanRossum(_Distance):
    """The distance of M. C. W. van Rossum, Neural Computation 13 (2001) 751.

    L = sum over neurons of 1/tau times the integral of (f - g)**2, where f is the train of the
    neuron, each spike followed by exp(-t/tau), and g the one wanted. A spike too many or too few
    far from others costs 1/2. The distance is smooth but where a spike is at the very time of a
    wanted one: there it has a kink, and 0, the mean of both sides, is taken as the derivative.

    Parameters
    ----------
    neurons : (c,) int
        Neurons, each once.
    targets : sequence of (k,) float, SpikeTrain, or sequence of SpikeTrain
        Spike times in ms wanted of each neuron, or a SpikeTrain whose i-th channel is
        ``neurons[i]``; or such a SpikeTrain for each sample of a batch.
    tau : float
        Time constant in ms.
    """

    tau: float

    def __init__(self, neurons: ArrayLike, targets: Targets, tau: float):
        self._hold_trains(neurons, targets, tau=scalar("tau", tau, 1e-9, LONGEST))

    def _measure(
        self, time: Array, start: Array, wanted: Array, wanted_start: Array, value: Array,
        slope: Array,
    ) -> None:  # fmt: skip
        van_rossum(time, start, wanted, wanted_start, self.tau, value, slope)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class VictorPurpura(_Distance):
    """The distance of J. D. Victor and K. P. Purpura, J. Neurophysiology 76 (1996) 1310.

    The least cost of making one train into the other, where to add or remove a spike costs 1, and
    to move it ``cost`` for each ms. The derivative by a spike that is moved is ``cost``, towards
    what is wanted, and 0 by one that is removed. It has none where the cheapest way changes, and
    where a spike is at the very time of a wanted one, at which 0 is taken: a gradient of constant
    size that does not shrink towards the minimum, and that no spike farther than 2/cost from a
    wanted one has.

    Parameters
    ----------
    neurons : (c,) int
        Neurons, each once.
    targets : sequence of (k,) float, SpikeTrain, or sequence of SpikeTrain
        As for :class:`VanRossum`.
    cost : float
        Cost of a ms.
    """

    cost: float

    def __init__(self, neurons: ArrayLike, targets: Targets, cost: float):
        self._hold_trains(neurons, targets, cost=scalar("cost", cost, 0.0))

    def _measure(
        self, time: Array, start: Array, wanted: Array, wanted_start: Array, value: Array,
        slope: Array,
    ) -> None:  # fmt: skip
        most = [int(np.diff(begin).max(initial=0)) + 1 for begin in (start, wanted_start)]
        room = np.zeros(most)
        victor_purpura(time, start, wanted, wanted_start, self.cost, room, value, slope)
