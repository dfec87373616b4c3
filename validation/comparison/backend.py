"""What a back end is asked, and what it answers.

A back end is a simulator whose gradients are to be judged: a function

    backend(network, inputs, duration, cotangents) -> Answer

of which `cotangents` defines the loss, sum of cotangent times spike time and of cotangent times
sampled voltage. One with a time step takes it as the keyword ``dt``. It may have attributes: a
``name``, a mapping ``versions``, and ``precision``, "float64" (if it has none) or "float32".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from queues.summary import summary
from refsim.cases import Case
from refsim.errors import RefsimError
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network


class NotExpressibleError(RefsimError, NotImplementedError):
    """A back end has no words for a case; the message says what it lacks."""


def nth_of_neuron(neuron: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each spike, sorted by time, how many spikes of its neuron come before it."""
    rows = np.argsort(neuron, kind="stable")
    first = np.searchsorted(neuron[rows], neuron[rows])
    nth = np.empty(len(neuron), dtype=np.int64)
    nth[rows] = np.arange(len(neuron)) - first
    return nth


@dataclass(frozen=True, eq=False, repr=False)
class LossCotangents:
    """Cotangents of a linear loss of spike times and sampled voltages.

    A spike is known by its neuron and by its number among the spikes of that neuron, which, unlike
    its place in the order of all spikes, is the same for a simulator that is a little off.

    Attributes
    ----------
    time : (k,) float
        dL/d(spike time) of the spikes of the reference, sorted by (time, neuron).
    neuron : (k,) int
        Their neurons.
    nth : (k,) int
        Which spike of its neuron each one is, from 0.
    samples : Samples
        Where voltages are read.
    voltage : (V,) float
        dL/d(sampled voltage).
    """

    time: NDArray[np.float64]
    neuron: NDArray[np.int64]
    nth: NDArray[np.int64]
    samples: Samples
    voltage: NDArray[np.float64]

    def __repr__(self) -> str:
        return summary(self)

    @classmethod
    def of(cls, case: Case, neuron: NDArray[np.int64]) -> LossCotangents:
        """Return the cotangents of a case of which the spikes of the reference are known."""
        assert case.time_bar is not None
        return cls(case.time_bar, neuron, nth_of_neuron(neuron), case.samples, case.voltage_bar)

    def of_spikes(self, neuron: ArrayLike) -> NDArray[np.float64]:
        """Return cotangents (k,) for spikes of these neurons (k,), sorted by time.

        A spike that the reference does not have has the cotangent 0.
        """
        asked = np.asarray(neuron, dtype=np.int64)
        known = {(n, i): bar for n, i, bar in zip(self.neuron, self.nth, self.time, strict=True)}
        pairs = zip(asked, nth_of_neuron(asked), strict=True)
        return np.array([known.get(pair, 0.0) for pair in pairs], dtype=np.float64)


class Answer(NamedTuple):
    """Spikes, voltages and gradient of a back end."""

    time: ArrayLike  # (k,) ms, spike times
    neuron: ArrayLike  # (k,)
    # Groups as in adjoint.Parameters ("weight", "delay", "tau_m", ...); those missing are not
    # offered.
    gradient: Mapping[str, ArrayLike]
    voltages: ArrayLike | None = None  # (V,) at the samples, None if not offered

    def __repr__(self) -> str:
        return summary(self)


class Backend(Protocol):
    """A function to be judged; it raises NotExpressibleError for what it cannot simulate."""

    def __call__(
        self,
        network: Network,
        inputs: SpikeTrain,
        duration: float,
        cotangents: LossCotangents,
    ) -> Answer:
        """Simulate a network, and return its spikes and the gradient of the loss."""
        ...
