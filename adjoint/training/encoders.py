"""Numbers as spikes: values of samples become input spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refsim.errors import InvalidValueError
from refsim.network.inputs import SpikeTrain, poisson_inputs
from refsim.validate import LONGEST, as_array, generator, integer, scalar

Array = NDArray[Any]


def _rows(values: ArrayLike) -> Array:
    """Return samples as rows of finite numbers in [0, 1]."""
    array = np.asarray(as_array("values", values, "real numbers"), dtype=np.float64)
    if array.ndim != 2:
        raise InvalidValueError(f"values has shape {array.shape}; expected (samples, features)")
    bad = np.argwhere(~((array >= 0.0) & (array <= 1.0)))
    if bad.size:
        i, j = bad[0]
        raise InvalidValueError(f"values[{i}, {j}] is {array[i, j]}; expected >= 0 and <= 1")
    return array


@dataclass(frozen=True)
class Latency:
    """One spike a feature: at ``early`` for 0, at ``late`` for 1, and a bias spike.

    Parameters
    ----------
    early, late : float
        Times in ms.
    bias : float, optional
        Time of the spike of a further channel, which tells when a trial begins; None for none.
    largest_first : bool
        Whether large values spike early, and zeros never: for pictures with dark ground.
    """

    early: float = 0.0
    late: float = 30.0
    bias: float | None = 0.0
    largest_first: bool = False

    def __post_init__(self) -> None:
        scalar("late", self.late, scalar("early", self.early, 0.0, LONGEST), LONGEST)
        if self.bias is not None:
            scalar("bias", self.bias, 0.0, LONGEST)

    def channels(self, features: int) -> int:
        """Return the number of input channels for so many features."""
        return features + (self.bias is not None)

    def __call__(self, values: ArrayLike) -> list[SpikeTrain]:
        """Return the input spikes of each row of values in [0, 1]."""
        rows = _rows(values)
        n = self.channels(rows.shape[1])
        share = 1.0 - rows if self.largest_first else rows
        times = self.early + (self.late - self.early) * share
        spikes = rows > 0.0 if self.largest_first else np.ones(rows.shape, dtype=bool)
        if self.bias is not None:
            times = np.hstack([times, np.full((len(rows), 1), self.bias)])
            spikes = np.hstack([spikes, np.ones((len(rows), 1), dtype=bool)])
        return [
            SpikeTrain(time[mask], np.flatnonzero(mask), n)
            for time, mask in zip(times, spikes, strict=True)
        ]


@dataclass(frozen=True)
class Population:
    """Several spikes a feature: one channel for each of ``size`` centres, early if it is near.

    Channel k of a feature prefers (k + 1/2)/size, and spikes at late (1 - exp(-(d/width)^2/2)) for
    the distance d of the value; beyond ``reach`` widths it is silent (S. M. Bohte, J. N. Kok and
    H. La Poutre, Neurocomputing 48 (2002) 17).

    Parameters
    ----------
    size : int
        Channels a feature.
    late : float
        Latest time in ms.
    width : float, optional
        Width of the fields; 1.5/size by default.
    reach : float
        Widths beyond which a channel is silent.
    """

    size: int = 5
    late: float = 30.0
    width: float | None = None
    reach: float = 2.0

    def __post_init__(self) -> None:
        integer("size", self.size, 1)
        scalar("late", self.late, 0.0, LONGEST, strict=True)
        scalar("reach", self.reach, 0.0, strict=True)
        if self.width is not None:
            scalar("width", self.width, 0.0, strict=True)

    def channels(self, features: int) -> int:
        """Return the number of input channels for so many features."""
        return features * self.size

    def __call__(self, values: ArrayLike) -> list[SpikeTrain]:
        """Return the input spikes of each row of values in [0, 1]."""
        rows = _rows(values)
        centres = (np.arange(self.size) + 0.5) / self.size
        width = 1.5 / self.size if self.width is None else self.width
        distance = np.abs(rows[:, :, None] - centres).reshape(len(rows), -1) / width
        times = self.late * -np.expm1(-0.5 * distance * distance)
        return [
            SpikeTrain(time[near], np.flatnonzero(near), rows.shape[1] * self.size)
            for time, near in zip(times, distance <= self.reach, strict=True)
        ]


@dataclass(frozen=True)
class Poisson:
    """Poisson spikes of each feature, at a rate from ``low`` for 0 to ``high`` for 1.

    Parameters
    ----------
    low, high : float
        Rates in Hz.
    duration : float
        Length of a trial in ms.
    rng : int or numpy.random.Generator, optional
        Source of randomness: a seed gives the same spikes at each call.
    """

    low: float = 0.0
    high: float = 100.0
    duration: float = 100.0
    rng: int | np.random.Generator | None = None

    def __post_init__(self) -> None:
        scalar("high", self.high, scalar("low", self.low, 0.0))
        scalar("duration", self.duration, 0.0, LONGEST, strict=True)

    def channels(self, features: int) -> int:
        """Return the number of input channels for so many features."""
        return features

    def __call__(self, values: ArrayLike) -> list[SpikeTrain]:
        """Return the input spikes of each row of values in [0, 1]."""
        rows, source = _rows(values), generator(self.rng)
        rates = self.low + (self.high - self.low) * rows
        return [poisson_inputs(rows.shape[1], rate, self.duration, source) for rate in rates]
