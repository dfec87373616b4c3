"""Losses of any readout: classes by cross entropy or margin, targets by squares, bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from adjoint.losses.base import Loss, Reading, Readout, checked_readout
from adjoint.losses.runs import Array, Runs
from adjoint.types import Cotangents
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.results.simulation import Simulation
from refsim.validate import LARGEST, as_array, check_indices, scalar


@dataclass(frozen=True, eq=False, repr=False, init=False)
class _Objective(Loss):
    """A loss of what one readout reads."""

    of: Readout

    @property
    def looks_first(self) -> bool:  # type: ignore[override]
        """Whether the samples of the readout depend on the spikes."""
        return self.of.looks_first

    def samples(self, duration: float, run: Simulation | None = None) -> tuple[Array, Array]:
        """Return the samples of the readout."""
        return self.of.samples(duration, run)

    def read(self, runs: Runs) -> Reading:
        """Return the loss of each run."""
        value, is_there, back = self.of.read(runs)
        loss, slope = self._loss_and_slope(value, runs)
        places = tuple(range(1, value.ndim))

        def through(bar: Array) -> Cotangents:
            return back(slope * bar.reshape(-1, *[1] * len(places)))

        return Reading(loss, np.asarray(is_there.any(axis=places)), through)

    def _loss_and_slope(self, value: Array, runs: Runs) -> tuple[Array, Array]:
        """Return the loss of each run, (B,), and its derivative by ``value``, (B, *shape)."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, repr=False, init=False)
class _Classes(_Objective):
    """A loss of classes, of each of which the readout has a number."""

    labels: Array

    def _hold_classes(self, of: Any, labels: Any, **values: Any) -> None:
        readout = checked_readout("of", of)
        if len(readout.shape) != 1:
            raise InvalidValueError(
                f"of has the shape {readout.shape}; expected one number for each class"
            )
        self._hold(of=readout, labels=_checked_labels(labels, readout.shape[0]), **values)

    def _scores(self, value: Array, runs: Runs) -> tuple[Array, Array]:
        """Return what is the larger the better, (B, c), and the label of each run."""
        return self.of.sense * value, runs.of_each("labels", self.labels, 0)


def _checked_labels(labels: Any, n_classes: int) -> Array:
    array = as_array("labels", labels, "integers")
    if array.ndim > 1:
        raise InvalidValueError(
            f"labels has shape {array.shape}; expected an integer, or one for each sample"
        )
    if array.size and array.dtype.kind not in "iu":
        raise InvalidTypeError(f"labels has the dtype {array.dtype}; expected integers")
    check_indices("labels", array, n_classes)
    return array.astype(np.int64)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class CrossEntropy(_Classes):
    """The cross entropy of classes, by a softmax of what is read.

    With scores s_j = x_j/scale, or s_j = -x_j/scale for times of spikes, and y the label,
    L = log(sum_j exp(s_j)) - s_y. For times of first spikes this is the loss of J. Goeltz et al.,
    Nature Machine Intelligence 3 (2021) 823, and of T. C. Wunderlich and C. Pehle, Scientific
    Reports 11 (2021) 12829; for voltages that of T. Nowotny, J. P. Turner and J. C. Knight,
    arXiv 2212.01232.

    Parameters
    ----------
    of : Readout
        A number of each of c classes, such as ``SpikeTime(outputs)``.
    labels : int or (B,) int
        The class wanted, or that of each sample of a batch.
    scale : float
        The difference that counts, in the unit of what is read.
    """

    scale: float

    def __init__(self, of: Readout, labels: ArrayLike, scale: float = 1.0):
        self._hold_classes(of, labels, scale=scalar("scale", scale, 0.0, strict=True))

    def _loss_and_slope(self, value: Array, runs: Runs) -> tuple[Array, Array]:
        scores, label = self._scores(value / self.scale, runs)
        run = np.arange(runs.size)
        relative = scores - scores[run, label][:, None]
        top = relative.max(axis=1, keepdims=True)
        odds = np.exp(relative - top)
        total = odds.sum(axis=1, keepdims=True)
        slope = odds / total
        slope[run, label] -= 1.0
        return (top + np.log(total))[:, 0], self.of.sense / self.scale * slope


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Margin(_Classes):
    """The sum of what other classes lack to be worse than the label by a margin.

    L = sum over j != y of max(0, margin - (s_y - s_j)), with s_j = x_j, or s_j = -x_j for times of
    spikes (J. Weston and C. Watkins, ESANN 1999). Where a difference is just the margin it has no
    derivative, and that from within, 0, is taken.

    Parameters
    ----------
    of : Readout
        A number of each of c classes.
    labels : int or (B,) int
        The class wanted, or that of each sample of a batch.
    margin : float
        The distance wanted, in the unit of what is read.
    """

    margin: float

    def __init__(self, of: Readout, labels: ArrayLike, margin: float):
        self._hold_classes(of, labels, margin=scalar("margin", margin, 0.0, strict=True))

    def _loss_and_slope(self, value: Array, runs: Runs) -> tuple[Array, Array]:
        scores, label = self._scores(value, runs)
        run = np.arange(runs.size)
        lack = self.margin - (scores[run, label][:, None] - scores)
        lack[run, label] = 0.0
        slope = (lack > 0.0).astype(np.float64)
        slope[run, label] = -slope.sum(axis=1)
        return np.maximum(lack, 0.0).sum(axis=1), self.of.sense * slope


@dataclass(frozen=True, eq=False, repr=False, init=False)
class EarlyLabel(_Classes):
    """A price of what the label reads, L = exp(x_y/scale) - 1: it is to spike early.

    The regulariser of J. Goeltz et al. and of T. C. Wunderlich and C. Pehle; see CrossEntropy.

    Parameters
    ----------
    of : Readout
        A number of each of c classes, such as ``SpikeTime(outputs)``.
    labels : int or (B,) int
        The class wanted, or that of each sample of a batch.
    scale : float
        The time in ms in which the price grows e-fold.
    """

    scale: float

    def __init__(self, of: Readout, labels: ArrayLike, scale: float):
        self._hold_classes(of, labels, scale=scalar("scale", scale, 0.0, strict=True))

    def _loss_and_slope(self, value: Array, runs: Runs) -> tuple[Array, Array]:
        label, run = runs.of_each("labels", self.labels, 0), np.arange(runs.size)
        read = value[run, label] / self.scale
        slope = np.zeros(value.shape)
        slope[run, label] = np.exp(read) / self.scale
        return np.expm1(read), slope


@dataclass(frozen=True, eq=False, repr=False, init=False)
class MeanSquare(_Objective):
    """The mean square of errors, L = mean((x - target)**2) over the numbers of a run.

    Parameters
    ----------
    of : Readout
        What is read.
    targets : float, (*shape) float or (B, *shape) float
        What is wanted: a number for all, an array of the readout's shape, or one for each sample.
    """

    targets: Array

    def __init__(self, of: Readout, targets: ArrayLike):
        readout = checked_readout("of", of)
        self._hold(of=readout, targets=_checked_targets(targets, readout.shape))

    def _loss_and_slope(self, value: Array, runs: Runs) -> tuple[Array, Array]:
        error = value - runs.of_each("targets", self.targets, value.ndim - 1)
        places = tuple(range(1, value.ndim))
        return np.mean(error * error, axis=places), 2.0 / max(error[0].size, 1) * error


def _checked_targets(targets: Any, shape: tuple[int, ...]) -> Array:
    array = as_array("targets", targets, "real numbers")
    if array.ndim == 0:
        return np.full(shape, scalar("targets", targets))
    if array.shape not in (shape, (len(array), *shape)):
        raise InvalidValueError(
            f"targets has shape {array.shape}; expected a number, {shape}, or (B, "
            f"{', '.join(map(str, shape))}) for a batch"
        )
    if array.size and array.dtype.kind not in "iuf":
        raise InvalidTypeError(f"targets has the dtype {array.dtype}; expected real numbers")
    bad = np.flatnonzero(~(np.abs(array) <= LARGEST))
    if bad.size:
        raise InvalidValueError(
            f"targets holds {array.flat[bad[0]]}; expected finite numbers up to {LARGEST:g}"
        )
    return array.astype(np.float64)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Band(_Objective):
    """A price of numbers outside a band, L = sum(max(0, low - x)**2 + max(0, x - high)**2).

    A regulariser of rates, of ``IntervalRate`` or of ``SpikeCount`` with a pseudo-gradient.

    Parameters
    ----------
    of : Readout
        What is read.
    low, high : float, optional
        Ends of the band, in the unit of what is read; one of them at least.
    """

    low: float | None
    high: float | None

    def __init__(self, of: Readout, low: float | None = None, high: float | None = None):
        if low is None and high is None:
            raise InvalidValueError("low and high are None; expected one of them at least")
        least = None if low is None else scalar("low", low)
        most = None if high is None else scalar("high", high, -LARGEST if least is None else least)
        self._hold(of=checked_readout("of", of), low=least, high=most)

    def _loss_and_slope(self, value: Array, runs: Runs) -> tuple[Array, Array]:
        above = np.zeros(value.shape) if self.high is None else np.maximum(value - self.high, 0.0)
        below = np.zeros(value.shape) if self.low is None else np.maximum(self.low - value, 0.0)
        places = tuple(range(1, value.ndim))
        return np.sum(above * above + below * below, axis=places), 2.0 * (above - below)
