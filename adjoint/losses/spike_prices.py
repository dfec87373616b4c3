"""Losses of all spikes of some neurons: those that come too early, or too late."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from adjoint.losses.base import Loss, Reading
from adjoint.losses.runs import Array, Runs, checked_neurons
from adjoint.types import Cotangents
from refsim.validate import LONGEST, scalar


@dataclass(frozen=True, eq=False, repr=False, init=False)
class _SpikePrice(Loss):
    """A sum over spikes of a function of their times."""

    neurons: Array

    def read(self, runs: Runs) -> Reading:
        """Return the sum of each run."""
        row, _ = runs.spikes_of(self.neurons)
        excess, sign = self._excess(runs.time[row])
        run = runs.run[row]
        value = np.bincount(run, excess * excess, runs.size)

        def back(bar: Array) -> Cotangents:
            time_bar = np.zeros(len(runs.time))
            time_bar[row] = 2.0 * sign * excess * bar[run]
            return Cotangents(time=time_bar)

        return Reading(value, np.bincount(run, minlength=runs.size) > 0, back)

    def _excess(self, time: Array) -> tuple[Array, float]:
        """Return how far spikes are out of bounds, 0 or more, and the sign of its derivative."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, repr=False, init=False)
class EarlySpikes(_SpikePrice):
    """A price of early spikes, L = sum over spikes of max(0, before - t)**2.

    Parameters
    ----------
    neurons : (c,) int
        Neurons, each once.
    before : float
        Time in ms.
    """

    before: float

    def __init__(self, neurons: ArrayLike, before: float):
        self._hold(neurons=checked_neurons(neurons), before=scalar("before", before, 0.0, LONGEST))

    def _excess(self, time: Array) -> tuple[Array, float]:
        return np.maximum(self.before - time, 0.0), -1.0


@dataclass(frozen=True, eq=False, repr=False, init=False)
class LateSpikes(_SpikePrice):
    """A price of late spikes, L = sum over spikes of max(0, t - after)**2.

    Parameters
    ----------
    neurons : (c,) int
        Neurons, each once.
    after : float
        Time in ms.
    """

    after: float

    def __init__(self, neurons: ArrayLike, after: float):
        self._hold(neurons=checked_neurons(neurons), after=scalar("after", after, 0.0, LONGEST))

    def _excess(self, time: Array) -> tuple[Array, float]:
        return np.maximum(time - self.after, 0.0), 1.0
