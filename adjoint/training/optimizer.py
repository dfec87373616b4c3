"""Adam, schedules of the learning rate, and ranges in which parameters stay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from refsim.errors import InvalidValueError
from refsim.network.parameters import BOUNDED, OF_NETWORK, TIME_CONSTANTS
from refsim.validate import LARGEST, scalar

Array = NDArray[np.float64]


class AdamState(NamedTuple):
    """What Adam remembers of a parameter."""

    step: int
    mean: Array  # of the gradient
    square: Array  # mean of its square


@dataclass(frozen=True)
class Adam:
    """The optimiser of D. P. Kingma and J. Ba, arXiv 1412.6980.

    Others work as well: parameters are arrays by name (see docs/training.md for optax).

    Parameters
    ----------
    rate : float or mapping
        Learning rate, or that of each parameter by its name.
    beta1, beta2 : float
        Decay of the means of the gradient and of its square.
    epsilon : float
        Added to the root of the latter.
    """

    rate: float | Mapping[str, float] = 5e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        rates = self.rate if isinstance(self.rate, Mapping) else {"rate": self.rate}
        for name, value in rates.items():
            scalar(f"rate[{name!r}]" if name != "rate" else name, value, 0.0)
        for name in ("beta1", "beta2"):
            if not 0.0 <= scalar(name, getattr(self, name)) < 1.0:
                raise InvalidValueError(f"{name} is {getattr(self, name)}; expected >= 0 and < 1")
        scalar("epsilon", self.epsilon, 0.0, strict=True)

    def rate_of(self, name: str) -> float:
        """Return the learning rate of a parameter."""
        if not isinstance(self.rate, Mapping):
            return float(self.rate)
        if name not in self.rate:
            raise InvalidValueError(
                f"rate has no entry {name!r}; expected one for each parameter that is trained"
            )
        return float(self.rate[name])

    def begin(self, value: Array) -> AdamState:
        """Return the state before the first step."""
        return AdamState(0, np.zeros(value.shape), np.zeros(value.shape))

    def step(self, state: AdamState, gradient: Array, rate: float) -> tuple[Array, AdamState]:
        """Return what is to be added to a parameter, and the state afterwards."""
        t = state.step + 1
        mean = self.beta1 * state.mean + (1.0 - self.beta1) * gradient
        square = self.beta2 * state.square + (1.0 - self.beta2) * gradient * gradient
        size = np.sqrt(square / (1.0 - self.beta2**t)) + self.epsilon
        return -rate * (mean / (1.0 - self.beta1**t)) / size, AdamState(t, mean, square)


class Schedule(Protocol):
    """A factor of the learning rate."""

    def __call__(self, done: float) -> float:
        """Return the factor when a share ``done`` of the training, in [0, 1), is over."""


@dataclass(frozen=True)
class Constant:
    """The same learning rate throughout."""

    def __call__(self, done: float) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class Cosine:
    """A learning rate that falls to ``end`` times what it was, like half a period of a cosine.

    I. Loshchilov and F. Hutter, ICLR 2017, arXiv 1608.03983, without restarts.

    Parameters
    ----------
    end : float
        Factor at the end.
    """

    end: float = 0.0

    def __post_init__(self) -> None:
        scalar("end", self.end, 0.0, 1.0)

    def __call__(self, done: float) -> float:
        """Return the factor when a share ``done`` of the training is over."""
        return self.end + (1.0 - self.end) * 0.5 * (1.0 + math.cos(math.pi * done))


@dataclass(frozen=True)
class Exponential:
    """A learning rate that falls to ``end`` times what it was, by the same factor in equal times.

    Parameters
    ----------
    end : float
        Factor at the end.
    """

    end: float = 0.01

    def __post_init__(self) -> None:
        scalar("end", self.end, 0.0, 1.0, strict=True)

    def __call__(self, done: float) -> float:
        """Return the factor when a share ``done`` of the training is over."""
        return float(self.end**done)


class Range(Protocol):
    """Where a parameter may lie, and the coordinate in which steps are taken."""

    def free(self, value: Array) -> Array:
        """Return the coordinate of a value."""

    def value(self, free: Array) -> Array:
        """Return the value at a coordinate."""

    def pull(self, bar: Array, value: Array) -> Array:
        """Return the gradient by the coordinate, given that by the value."""


@dataclass(frozen=True)
class Within:
    """Values between two bounds: a step that leads out ends at the bound.

    Parameters
    ----------
    low, high : float
        The bounds.
    """

    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise InvalidValueError(
                f"low is {self.low} and high is {self.high}; expected low < high"
            )

    def free(self, value: Array) -> Array:
        """Return the coordinate of a value, which is itself."""
        return value

    def value(self, free: Array) -> Array:
        """Return the value at a coordinate."""
        return np.clip(free, self.low, self.high)

    def pull(self, bar: Array, value: Array) -> Array:
        """Return the gradient by the coordinate."""
        return bar


@dataclass(frozen=True)
class Logarithmic:
    """Positive values, whose logarithm takes the steps: time constants.

    Parameters
    ----------
    low, high : float
        Bounds of the value.
    """

    low: float = 1e-3
    high: float = 1e6

    def __post_init__(self) -> None:
        scalar("high", self.high, scalar("low", self.low, 0.0, strict=True), LARGEST)

    def free(self, value: Array) -> Array:
        """Return the coordinate of a value."""
        return np.log(value)

    def value(self, free: Array) -> Array:
        """Return the value at a coordinate."""
        return np.clip(np.exp(np.clip(free, -230.0, 230.0)), self.low, self.high)

    def pull(self, bar: Array, value: Array) -> Array:
        """Return the gradient by the coordinate."""
        return bar * value


# Ranges of the parameters, where nothing else is said.
RANGES: dict[str, Range] = {
    name: Logarithmic() if name in TIME_CONSTANTS else Within(0.0) if name in BOUNDED else Within()
    for name in OF_NETWORK
}
