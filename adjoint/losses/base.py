"""What a readout and a loss are, and sums of losses."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import numpy as np

from adjoint.losses.runs import Array, Runs, pairs
from adjoint.names import Reduction
from adjoint.types import Cotangents
from queues.summary import summary
from refsim.errors import InvalidTypeError
from refsim.results.batch import BatchResult
from refsim.results.simulation import Simulation
from refsim.validate import LARGEST, ReadOnlyArrays, choice, freeze_all, scalar

Result = Simulation | BatchResult


class NoGradientWarning(UserWarning):
    """A loss has no gradient, since nothing that it reads is there."""


class Reading(NamedTuple):
    """Numbers read off B runs, and the way back."""

    value: Array  # (B, *shape)
    is_there: Array  # (B, *shape) bool; False where the value is one that was stated beforehand
    back: Callable[[Array], Cotangents]  # from cotangents (B, *shape) to those of the runs


@dataclass(frozen=True, eq=False, repr=False)
class Readout(ReadOnlyArrays):
    r"""Numbers that are read off a run: what losses are made of, and what bridges hand over.

    A readout is called with a Simulation or a BatchResult, and returns its numbers: ``shape``, or
    (B, \*shape) for a batch. Losses are readouts of the shape ().
    """

    sense: ClassVar[int] = 1  # -1 where less is better, as for the time of a first spike
    looks_first: ClassVar[bool] = False  # whether its samples depend on the spikes

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what is read off one run."""
        raise NotImplementedError

    def read(self, runs: Runs) -> Reading:
        """Return the numbers and the way back."""
        raise NotImplementedError

    def samples(self, duration: float, run: Simulation | None = None) -> tuple[Array, Array]:
        """Return the voltage samples that the readout needs, as neurons and times.

        Parameters
        ----------
        duration : float
            End of the simulation in ms.
        run : Simulation, optional
            A simulation with the spikes; only readouts that say ``looks_first`` need it.
        """
        return np.zeros(0, np.int64), np.zeros(0)

    def _hold(self, **values: Any) -> None:
        """Set what has been checked; afterwards nothing changes."""
        freeze_all(values.values())
        vars(self).update(values)

    def __repr__(self) -> str:
        return summary(self)

    def __call__(self, result: Result) -> Array:
        """Return the numbers of a run, or of each sample of a batch."""
        value = self.read(Runs.of(result)).value
        return value[0] if not isinstance(result, BatchResult) else value


@dataclass(frozen=True, eq=False, repr=False)
class Loss(Readout):
    """A loss: its value, and the cotangents of spike times and voltages.

    A loss is called with a Simulation, as `adjoint.value_and_grad` does, with a Simulation and its
    number in the batch that the targets are for, as `adjoint.value_and_grad_batch` does, or with a
    whole BatchResult, which is the quickest. Losses can be added, and multiplied by numbers.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what is read off one run: a number."""
        return ()

    def __call__(  # type: ignore[override]
        self, result: Result, number: int | None = None, *, reduce: Reduction | None = "sum"
    ) -> tuple[Any, Cotangents]:
        """Return the value and the cotangents.

        Parameters
        ----------
        result : Simulation or BatchResult
            What was simulated.
        number : int, optional
            Number of a Simulation in the batch whose targets the loss has.
        reduce : {"sum", "mean"} or None
            For a batch, what is made of the losses of its samples. The cotangents are those of the
            value, so that the pullback is called without a reduction of its own. With None the
            value is (B,), and the cotangents are those of the sum.

        Returns
        -------
        value : float or (B,) float
            The loss.
        cotangents : Cotangents
            Flat, in the order of the spikes and voltages of the result.

        Warns
        -----
        NoGradientWarning
            If nothing that the loss reads is there in any of the runs.
        """
        if reduce is not None:
            choice("reduce", reduce, ("sum", "mean"))
        runs = Runs.of(result, number)
        value, is_there, back = self.read(runs)
        if not is_there.any():
            warn_of_silence(self, runs.size, stacklevel=3)
        if not isinstance(result, BatchResult):
            return float(value[0]), back(np.ones(1))
        if reduce is None:
            return value, back(np.ones(runs.size))
        share = 1.0 / runs.size if reduce == "mean" else 1.0
        return share * float(value.sum()), back(np.full(runs.size, share))

    def __add__(self, other: Loss) -> Loss:
        if not isinstance(other, Loss):
            return NotImplemented
        return WeightedSum((*self._parts(), *other._parts()))

    def __mul__(self, factor: float) -> Loss:
        if not isinstance(factor, Real):
            return NotImplemented
        number = scalar("factor", factor, -LARGEST)
        return WeightedSum(tuple((number * one, loss) for one, loss in self._parts()))

    __rmul__ = __mul__

    def __neg__(self) -> Loss:
        return -1.0 * self

    def __sub__(self, other: Loss) -> Loss:
        return self + -other if isinstance(other, Loss) else NotImplemented

    def _parts(self) -> tuple[tuple[float, Loss], ...]:
        return ((1.0, self),)


@dataclass(frozen=True, eq=False, repr=False)
class WeightedSum(Loss):
    """A sum of losses, each with a factor: what ``loss_a + 0.1 * loss_b`` is.

    Attributes
    ----------
    parts : tuple of (float, Loss)
        Factors and losses.
    """

    parts: tuple[tuple[float, Loss], ...]

    def __repr__(self) -> str:
        return " + ".join(f"{factor:g} * {loss!r}" for factor, loss in self.parts)

    @property
    def looks_first(self) -> bool:  # type: ignore[override]
        """Whether the samples of a part depend on the spikes."""
        return any(loss.looks_first for _, loss in self.parts)

    def samples(self, duration: float, run: Simulation | None = None) -> tuple[Array, Array]:
        """Return the samples of all parts, each once."""
        return joined_samples([loss for _, loss in self.parts], duration, run)

    def read(self, runs: Runs) -> Reading:
        """Return the sum."""
        readings = [loss.read(runs) for _, loss in self.parts]
        factors = [factor for factor, _ in self.parts]
        value = sum(f * reading.value for f, reading in zip(factors, readings, strict=True))

        def back(bar: Array) -> Cotangents:
            bars = [reading.back(f * bar) for f, reading in zip(factors, readings, strict=True)]
            return added(bars, runs)

        is_there = np.any([reading.is_there for reading in readings], axis=0)
        return Reading(np.asarray(value), is_there, back)

    def _parts(self) -> tuple[tuple[float, Loss], ...]:
        return self.parts


def joined_samples(
    readouts: list[Any], duration: float, run: Simulation | None
) -> tuple[Array, Array]:
    """Return the samples that several readouts need, each once."""
    parts = [one.samples(duration, run) for one in readouts]
    neurons, times = (np.concatenate(column) for column in zip(*parts, strict=True))
    distinct = np.unique(pairs(neurons, times))
    return distinct.real.astype(np.int64), distinct.imag


def added(bars: list[Cotangents], runs: Runs) -> Cotangents:
    """Return the sum of cotangents of the same runs."""
    time, voltage = np.zeros(len(runs.time)), np.zeros(len(runs.voltage))
    for bar in bars:
        if bar.time is not None:
            time += np.asarray(bar.time)
        if bar.voltage is not None:
            voltage += np.asarray(bar.voltage)
    return Cotangents(time, voltage)


def checked_readout(name: str, value: Any) -> Readout:
    """Return a readout, which is no loss."""
    if not isinstance(value, Readout) or isinstance(value, Loss):
        raise InvalidTypeError(
            f"{name} is a {type(value).__name__}; expected a readout such as SpikeTime(neurons)"
        )
    return value


def warn_of_silence(loss: Loss, n_runs: int, stacklevel: int) -> None:
    """Warn that a loss has no gradient, and say what helps."""
    where = "the run" if n_runs == 1 else f"any of the {n_runs} samples"
    warnings.warn(
        f"nothing that {loss!r} reads is there in {where}, so that its gradient is zero. What "
        "helps: larger weights to begin with, KeepAlive (a loss on the peak of the voltage of "
        "silent neurons), or WeightIncrease (larger weights onto silent neurons)",
        NoGradientWarning,
        stacklevel=stacklevel + 1,
    )
