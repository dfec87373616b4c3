"""Where training begins: distributions of weights, delays and time constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refsim.engine import simulate
from refsim.network.connect import connect
from refsim.network.inputs import SpikeTrain
from refsim.network.network import Network
from refsim.network.ports import Port
from refsim.validate import LARGEST, scalar, vector

Array = NDArray[np.float64]


class Layer(NamedTuple):
    """What a distribution may know of the connections that it is drawn for."""

    fan_in: int  # synapses onto a neuron
    peak: float  # of the voltage above rest, over the distance of the threshold, for weight 1


class Initial(Protocol):
    """A distribution of the parameters of some synapses."""

    def draw(self, size: int, layer: Layer, rng: np.random.Generator) -> Array:
        """Return ``size`` numbers."""


@dataclass(frozen=True)
class Normal:
    """A normal distribution.

    Parameters
    ----------
    mean, std : float
        Mean and standard deviation.
    """

    mean: float
    std: float

    def __post_init__(self) -> None:
        scalar("mean", self.mean, -LARGEST)
        scalar("std", self.std, 0.0)

    def draw(self, size: int, layer: Layer, rng: np.random.Generator) -> Array:
        """Return ``size`` numbers."""
        return rng.normal(self.mean, self.std, size)


@dataclass(frozen=True)
class Uniform:
    """A uniform distribution.

    Parameters
    ----------
    low, high : float
        Its ends.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        scalar("high", self.high, scalar("low", self.low, -LARGEST))

    def draw(self, size: int, layer: Layer, rng: np.random.Generator) -> Array:
        """Return ``size`` numbers."""
        return rng.uniform(self.low, self.high, size)


@dataclass(frozen=True)
class Active:
    """Normal weights that make a layer active, whatever its size and time constants.

    If each source of a neuron spiked once, all at one time, the peak of its voltage would be
    ``drive`` times as far from rest as the threshold, on average: the mean weight is
    drive (v_th - v_rest)/(fan_in V_1), with V_1 the peak of the response to a spike of weight 1.

    Parameters
    ----------
    drive : float
        How far the mean input alone drives a neuron. From 1 to 2 neurons of a first layer spike
        once or twice, at different times; where sources are spread in time more is needed.
    spread : float
        Standard deviation over the mean.
    """

    drive: float = 1.6
    spread: float = 0.4

    def __post_init__(self) -> None:
        scalar("drive", self.drive, -LARGEST)
        scalar("spread", self.spread, 0.0)

    def draw(self, size: int, layer: Layer, rng: np.random.Generator) -> Array:
        """Return ``size`` numbers."""
        mean = self.drive / (layer.fan_in * layer.peak)
        return rng.normal(mean, self.spread * abs(mean), size)


@dataclass(frozen=True)
class Balanced:
    """Normal weights of mean 0, for connections within a layer.

    If each source of a neuron spiked once, all at one time, the peak of its voltage would have a
    standard deviation of ``spread`` times the distance of the threshold from rest.

    Parameters
    ----------
    spread : float
        Standard deviation of the mean input.
    """

    spread: float = 0.3

    def __post_init__(self) -> None:
        scalar("spread", self.spread, 0.0)

    def draw(self, size: int, layer: Layer, rng: np.random.Generator) -> Array:
        """Return ``size`` numbers."""
        return rng.normal(0.0, self.spread / (np.sqrt(layer.fan_in) * layer.peak), size)


def drawn(
    name: str, given: Initial | ArrayLike, size: int, layer: Layer, rng: np.random.Generator
) -> Array:
    """Return ``size`` numbers of a distribution, or those that are given."""
    if hasattr(given, "draw"):
        return np.asarray(given.draw(size, layer, rng))
    return np.array(vector(name, given, size))


def peak_of(tau_m: float, port: Port) -> float:
    """Return the peak of the voltage after a spike of weight 1, with rest at 0 before.

    It is read off a simulation, to a part in a thousand: as good as weights need it.
    """
    longest = max(tau_m, *port.time_constants)
    shortest = min(tau_m, *port.time_constants)
    alone = Network(1, connect(1, 0, 1.0, 0.0), n_inputs=1, ports=port, tau_m=tau_m, v_th=10.0)
    times = np.geomspace(1e-2 * shortest, 10.0 * longest, 2000)
    samples = np.zeros(len(times), dtype=np.int64), times
    run = simulate(alone, SpikeTrain([0.0], [0], 1), float(times[-1]), samples=samples)
    return float(run.voltages.max())
