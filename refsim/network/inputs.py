"""Input spikes and voltage samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from queues.summary import span
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.network.parameters import PARAMETERS
from refsim.validate import (
    LARGEST_INT,
    LONGEST,
    MOST,
    ReadOnlyArrays,
    generator,
    indices,
    integer,
    members,
    scalar,
    vector,
)

_DOMAIN = PARAMETERS["input_times"].domain
_MOST_SPIKES = 1e9  # of Poisson trains, 8 GB of times


@dataclass(frozen=True, eq=False, init=False, repr=False)
class SpikeTrain(ReadOnlyArrays):
    """Spikes of input channels, in any order; gradients keep the order given.

    Parameters
    ----------
    times : (I,) float
        Spike times in ms, zero or more.
    sources : (I,) int
        Channel of each spike, 0 to n_inputs - 1.
    n_inputs : int
        Number of channels.
    """

    times: NDArray[np.float64]
    sources: NDArray[np.int64]
    n_inputs: int

    def __init__(self, times: ArrayLike, sources: ArrayLike, n_inputs: int):
        checked_times = vector("times", times, None, *_DOMAIN)
        channels = integer("n_inputs", n_inputs, 0, MOST)
        object.__setattr__(self, "times", checked_times)
        object.__setattr__(
            self, "sources", indices("sources", sources, len(checked_times), channels)
        )
        object.__setattr__(self, "n_inputs", channels)

    def __len__(self) -> int:
        return self.times.shape[0]

    def __repr__(self) -> str:
        when = f", {span(self.times)} ms" if len(self) else ""
        return f"<SpikeTrain: {len(self)} spikes of {self.n_inputs} channels{when}>"

    @classmethod
    def from_lists(cls, trains: Sequence[ArrayLike]) -> SpikeTrain:
        """Make a spike train from one list of times for each channel."""
        given = members("trains", trains, "lists of times, one for each channel")
        parts = [vector(f"trains[{i}]", train, None, *_DOMAIN) for i, train in enumerate(given)]
        times = np.concatenate(parts) if parts else np.zeros(0)
        sources = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        order = np.argsort(times, kind="stable")
        return cls(times[order], sources[order], len(parts))

    def shifted(self, by: float) -> SpikeTrain:
        """Return the same spikes, later by so many ms."""
        return SpikeTrain(
            self.times + scalar("by", by, -LONGEST, LONGEST), self.sources, self.n_inputs
        )

    def between(self, begin: float, end: float) -> SpikeTrain:
        """Return the spikes from ``begin`` on and before ``end``, in ms."""
        low = scalar("begin", begin, -LONGEST, LONGEST)
        kept = (self.times >= low) & (self.times < scalar("end", end, low))
        return SpikeTrain(self.times[kept], self.sources[kept], self.n_inputs)

    def __add__(self, other: SpikeTrain) -> SpikeTrain:
        """Return the spikes of both, those of this one first."""
        if not isinstance(other, SpikeTrain):
            return NotImplemented
        if other.n_inputs != self.n_inputs:
            raise InvalidValueError(
                f"a train of {other.n_inputs} channels is added to one of {self.n_inputs}; "
                "expected equal numbers"
            )
        return SpikeTrain(
            np.concatenate([self.times, other.times]),
            np.concatenate([self.sources, other.sources]),
            self.n_inputs,
        )

    @classmethod
    def empty(cls, n_inputs: int = 0) -> SpikeTrain:
        """Make a spike train without spikes."""
        return cls(np.zeros(0), np.zeros(0, dtype=np.int64), n_inputs)


def poisson_inputs(
    n_inputs: int,
    rate: ArrayLike,
    duration: float,
    rng: int | np.random.Generator | None = None,
) -> SpikeTrain:
    """Draw independent Poisson spike trains.

    Parameters
    ----------
    n_inputs : int
        Number of channels.
    rate : float or (n_inputs,) float
        Rate of each channel in Hz.
    duration : float
        End of the trains in ms.
    rng : int or numpy.random.Generator, optional
        Source of randomness: a seed, a generator, or by default another one at each call.
    """
    source = generator(rng)
    n_inputs = integer("n_inputs", n_inputs, 0, MOST)
    duration = scalar("duration", duration, 0.0, LONGEST)
    mean = vector("rate", rate, n_inputs, 0.0, 1e9) * (duration / 1000.0)
    scalar("expected number of spikes, from rate and duration,", mean.sum(), 0.0, _MOST_SPIKES)
    counts = source.poisson(mean)
    return SpikeTrain.from_lists([np.sort(source.uniform(0.0, duration, k)) for k in counts])


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Samples(ReadOnlyArrays):
    """Times at which voltages are read, in any order; results keep the order given.

    Parameters
    ----------
    neurons : (V,) int
        Neuron of each sample; a single one is repeated.
    times : (V,) float
        Times in ms. A sample at the time of a spike reads the voltage after the reset.
    """

    neurons: NDArray[np.int64]
    times: NDArray[np.float64]

    def __init__(self, neurons: ArrayLike, times: ArrayLike):
        checked_times = vector("samples.times", times, None, 0.0, LONGEST)
        size = len(checked_times)
        checked = indices("samples.neurons", neurons, size, LARGEST_INT)
        object.__setattr__(self, "neurons", checked)
        object.__setattr__(self, "times", checked_times)

    def __len__(self) -> int:
        return self.times.shape[0]

    def __repr__(self) -> str:
        if not len(self):
            return "<Samples: none>"
        return f"<Samples: {len(self)}, neurons {span(self.neurons)}, {span(self.times)} ms>"


def checked_inputs(inputs: Any, n_inputs: int) -> SpikeTrain:
    """Return ``inputs`` as a spike train for ``n_inputs`` channels; None is silence."""
    if inputs is None:
        return SpikeTrain.empty(n_inputs)
    if not isinstance(inputs, SpikeTrain):
        raise InvalidTypeError(
            f"inputs is a {type(inputs).__name__}; expected SpikeTrain or None (a duration is the "
            "third argument, or duration=...)"
        )
    if inputs.n_inputs != n_inputs:
        raise InvalidValueError(
            f"inputs has {inputs.n_inputs} channels; expected the {n_inputs} of the network"
        )
    return inputs


def checked_samples(samples: Any, n_neurons: int, duration: float) -> Samples:
    """Return ``samples`` (Samples, a pair of neurons and times, or None) within bounds."""
    if samples is None:
        return Samples([], [])
    if not isinstance(samples, Samples):
        if not isinstance(samples, tuple) or len(samples) != 2:
            raise InvalidTypeError(
                f"samples is a {type(samples).__name__}; expected Samples or (neurons, times)"
            )
        samples = Samples(*samples)
    indices("samples.neurons", samples.neurons, len(samples), n_neurons)
    vector("samples.times", samples.times, len(samples), 0.0, duration)
    return samples
