"""What helps neurons that do not spike, and so have no gradient. Nothing here acts by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from adjoint.losses.base import Loss, Reading, Result
from adjoint.losses.runs import Array, Runs, checked_neurons
from adjoint.losses.voltage_points import VoltageMaximum
from adjoint.types import Cotangents
from queues.summary import summary
from refsim.results.batch import BatchResult
from refsim.results.simulation import Simulation
from refsim.validate import LARGEST, scalar


@dataclass(frozen=True, eq=False, repr=False, init=False)
class KeepAlive(Loss):
    """A price of silence, L = sum over neurons without spikes of max(0, level - V_max)**2.

    V_max is the peak of the voltage, whose derivative is exact (see VoltageMaximum): unlike the
    time of a spike it is there where the neuron is silent. What spikes costs nothing. The loss
    jumps to 0 where a neuron begins to spike, and is continuous if ``level`` is the threshold.

    Parameters
    ----------
    neurons : (c,) int
        Neurons, each once.
    level : float, optional
        The voltage wanted; the threshold of each neuron by default.
    """

    looks_first: ClassVar[bool] = True

    neurons: Array
    level: float | None

    def __init__(self, neurons: ArrayLike, level: float | None = None):
        checked = None if level is None else scalar("level", level, -LARGEST)
        self._hold(neurons=checked_neurons(neurons), level=checked)

    def samples(self, duration: float, run: Simulation | None = None) -> tuple[Array, Array]:
        """Return the peak of each silent neuron."""
        return VoltageMaximum(self.neurons).samples(duration, run)

    def read(self, runs: Runs) -> Reading:
        """Return the loss of each run."""
        value, is_silent, back = VoltageMaximum(self.neurons).read(runs)
        level = runs.network.v_th[self.neurons] if self.level is None else self.level
        lack = np.where(is_silent, np.maximum(level - value, 0.0), 0.0)

        def through(bar: Array) -> Cotangents:
            return back(-2.0 * lack * bar[:, None])

        # Where no neuron is silent nothing is missing, and the gradient is zero as it should be.
        return Reading(np.sum(lack * lack, axis=1), np.ones(runs.size, bool), through)

    def acts_on(self, result: Result) -> Array:
        """Return for which neurons, (c,) or (B, c), the loss is above 0: who is kept alive."""
        value, is_silent, _ = VoltageMaximum(self.neurons).read(Runs.of(result))
        level = result.network.v_th[self.neurons] if self.level is None else self.level
        acts = is_silent & (value < level)
        return acts[0] if not isinstance(result, BatchResult) else acts


class Increase(NamedTuple):
    """What a WeightIncrease has done, or would do."""

    weight: Array  # (S,) what is to be added to the weights of the network
    neurons: Array  # those that were silent

    def __repr__(self) -> str:
        return summary(self)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class WeightIncrease:
    """Larger weights onto neurons that are silent in too many samples: a rule, and no gradient.

    All weights onto such a neuron grow by ``amount``: with ``share=1.0`` where it is silent in
    every sample, with less where it spikes too seldom. Rules of this kind accompany the exact
    gradients of J. Goeltz et al., Nature Machine Intelligence 3 (2021) 823, and of T. C. Wunderlich
    and C. Pehle, Scientific Reports 11 (2021) 12829.

    It is called with a Simulation or a BatchResult and returns an :class:`Increase`, which says
    which neurons it acts on; nothing is changed::

        found = increase(batch)
        network = network.replace(weight=network.weight + found.weight)

    Parameters
    ----------
    neurons : (c,) int
        Neurons, each once.
    amount : float
        What is added to each weight.
    share : float
        The share of samples, more than 0, in which a neuron has to be silent.
    """

    neurons: Array
    amount: float
    share: float

    def __init__(self, neurons: ArrayLike, amount: float, share: float = 1.0):
        vars(self).update(
            neurons=checked_neurons(neurons),
            amount=scalar("amount", amount, 0.0, strict=True),
            share=scalar("share", share, 0.0, 1.0, strict=True),
        )

    def __repr__(self) -> str:
        return summary(self)

    def __call__(self, result: Result) -> Increase:
        """Return what is to be added to the weights, (S,), and onto which neurons."""
        runs = Runs.of(result)
        _, cell = runs.spikes_of(self.neurons)
        shape = runs.size, len(self.neurons)
        count = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
        silent = self.neurons[np.mean(count == 0, axis=0) >= self.share]
        return Increase(self.amount * np.isin(runs.network.post, silent), silent)
