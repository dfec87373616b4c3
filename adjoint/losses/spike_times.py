"""Readouts of spikes: their times, their number, their rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike

from adjoint.losses.base import Reading, Readout
from adjoint.losses.runs import Array, Runs, checked_neurons
from adjoint.types import Cotangents
from refsim.errors import InvalidTypeError
from refsim.validate import LONGEST, integer, scalar


@dataclass(frozen=True, eq=False, repr=False, init=False)
class SpikeTimes(Readout):
    """The times of the first ``count`` spikes of neurons, (c, count).

    Parameters
    ----------
    neurons : (c,) int
        Neurons, each once.
    count : int
        How many spikes of each.
    late : float, optional
        What stands for the time of a spike that is missing, in ms, without gradient; the end of
        the simulation by default.
    """

    sense: ClassVar[int] = -1

    neurons: Array
    count: int
    late: float | None

    def __init__(self, neurons: ArrayLike, count: int = 1, late: float | None = None):
        self._hold(
            neurons=checked_neurons(neurons),
            count=integer("count", count, 1),
            late=_checked_late(late),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (c, count)."""
        return len(self.neurons), self.count

    def read(self, runs: Runs) -> Reading:
        """Return the times, and the way back to the rows of these spikes."""
        return _reading_of(runs, runs.first_rows(self.neurons, self.count), self.late)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class SpikeTime(Readout):
    """The time of the k-th spike of each of some neurons, (c,); by default that of the first.

    Parameters
    ----------
    neurons : (c,) int
        Neurons, each once.
    k : int
        Which spike, counted from 1.
    late : float, optional
        What stands for the time of a spike that is missing, in ms, without gradient; the end of
        the simulation by default.
    """

    sense: ClassVar[int] = -1

    neurons: Array
    k: int
    late: float | None

    def __init__(self, neurons: ArrayLike, k: int = 1, late: float | None = None):
        self._hold(neurons=checked_neurons(neurons), k=integer("k", k, 1), late=_checked_late(late))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (c,)."""
        return (len(self.neurons),)

    def read(self, runs: Runs) -> Reading:
        """Return the times, and the way back to the rows of these spikes."""
        return _reading_of(runs, runs.first_rows(self.neurons, self.k)[:, :, -1], self.late)


def _checked_late(late: Any) -> float | None:
    return None if late is None else scalar("late", late, 0.0, LONGEST)


def _reading_of(runs: Runs, rows: Array, late: float | None) -> Reading:
    """Return the times of some rows, -1 for one that is missing."""
    is_there = rows >= 0
    missing = runs.duration if late is None else np.full(runs.size, late)
    missing = missing.reshape(-1, *[1] * (rows.ndim - 1))
    value = np.where(is_there, np.append(runs.time, 0.0)[rows], missing)

    def back(bar: Array) -> Cotangents:
        time_bar = np.zeros(len(runs.time) + 1)  # the last for those that are missing
        time_bar[rows] = bar
        return Cotangents(time=time_bar[:-1])

    return Reading(value, is_there, back)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class IntervalRate(Readout):
    """The rate of each of some neurons by its intervals, in Hz, (c,), with its exact derivative.

    With m spikes, the first at t_1 and the last at t_m, the rate is 1000 (m - 1)/(t_m - t_1): the
    inverse of the mean interval. It is 0, without gradient, for fewer than two spikes
    and for spikes all at one time.

    Parameters
    ----------
    neurons : (c,) int
        Neurons, each once.
    """

    neurons: Array

    def __init__(self, neurons: ArrayLike):
        self._hold(neurons=checked_neurons(neurons))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (c,)."""
        return (len(self.neurons),)

    def read(self, runs: Runs) -> Reading:
        """Return the rates, and the way back to the first and last spike of each neuron."""
        row, cell = runs.spikes_of(self.neurons)
        size = np.bincount(cell, minlength=runs.size * len(self.neurons))
        end = np.cumsum(size)
        time = np.append(runs.time[row], 0.0)
        is_there = (size >= 2) & (time[end - 1] > time[end - size])
        chosen = np.flatnonzero(is_there)
        first, last = row[end[chosen] - size[chosen]], row[end[chosen] - 1]
        span = runs.time[last] - runs.time[first]
        rate = np.zeros(len(size))
        rate[chosen] = 1000.0 * (size[chosen] - 1) / span

        def back(bar: Array) -> Cotangents:
            time_bar = np.zeros(len(runs.time))
            slope = rate[chosen] / span * bar.reshape(-1)[chosen]
            time_bar[first] += slope
            time_bar[last] -= slope
            return Cotangents(time=time_bar)

        shape = runs.size, len(self.neurons)
        return Reading(rate.reshape(shape), is_there.reshape(shape), back)


class PseudoGradient(Protocol):
    """What stands in for the derivative of a number of spikes."""

    def by_time(self, time: Array, duration: Array) -> Array:
        """Return what a spike at ``time`` (k,) of a run that ends at ``duration`` (k,) adds."""


@dataclass(frozen=True)
class EndOfTrial:
    """Spikes enter and leave at the end of a run: each counts s((T - t)/scale), s the sigmoid.

    Parameters
    ----------
    scale : float
        Width of the end in ms.
    """

    scale: float

    def __post_init__(self) -> None:
        scalar("scale", self.scale, 0.0, LONGEST, strict=True)

    def by_time(self, time: Array, duration: Array) -> Array:
        """Return the derivative of s((T - t)/scale) by t."""
        half = 0.5 / np.cosh(np.minimum(0.5 * np.abs(duration - time) / self.scale, 350.0))
        return -half * half / self.scale


@dataclass(frozen=True)
class EqualPull:
    """Every spike is worth the same: one that comes earlier by ``1/gain`` ms counts one more.

    Parameters
    ----------
    gain : float
        Spikes a ms.
    """

    gain: float

    def __post_init__(self) -> None:
        scalar("gain", self.gain, 0.0, strict=True)

    def by_time(self, time: Array, duration: Array) -> Array:
        """Return -gain for every spike."""
        return np.full(len(time), -float(self.gain))


@dataclass(frozen=True, eq=False, repr=False, init=False)
class SpikeCount(Readout):
    """The number of spikes of each of some neurons, (c,), with a derivative that is none.

    A number of spikes is constant but for jumps, and its derivative is zero. What the way back
    takes instead has to be named.

    Parameters
    ----------
    neurons : (c,) int
        Neurons, each once.
    pseudo : EndOfTrial, EqualPull or None
        What stands in for the derivative by spike times; with None it is zero, as it is. Anything
        with a method ``by_time(time, duration)`` is taken.
    """

    neurons: Array
    pseudo: PseudoGradient | None

    def __init__(self, neurons: ArrayLike, pseudo: PseudoGradient | None):
        if pseudo is not None and not hasattr(pseudo, "by_time"):
            raise InvalidTypeError(
                f"pseudo is a {type(pseudo).__name__}; expected EndOfTrial(scale), EqualPull(gain) "
                "or None"
            )
        self._hold(neurons=checked_neurons(neurons), pseudo=pseudo)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (c,)."""
        return (len(self.neurons),)

    def read(self, runs: Runs) -> Reading:
        """Return the numbers, and the way back by the pseudo-gradient."""
        row, cell = runs.spikes_of(self.neurons)
        shape = runs.size, len(self.neurons)
        count = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)

        def back(bar: Array) -> Cotangents:
            time_bar = np.zeros(len(runs.time))
            if self.pseudo is not None:
                pull = self.pseudo.by_time(runs.time[row], runs.duration[runs.run[row]])
                time_bar[row] = pull * bar.reshape(-1)[cell]
            return Cotangents(time=time_bar)

        is_there = np.zeros(shape, bool) if self.pseudo is None else count > 0
        return Reading(count.astype(np.float64), is_there, back)
