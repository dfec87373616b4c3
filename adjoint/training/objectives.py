"""What a network is trained for: a loss for the targets of a batch, and what its outputs say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.losses import (
    CrossEntropy,
    EarlyLabel,
    Loss,
    MeanSquare,
    Readout,
    SpikeTime,
    VoltageMaximum,
)
from refsim.validate import LONGEST, scalar

Array = NDArray[Any]


class Objective(Protocol):
    """What training minimises, and how outputs are read."""

    def readout(self, outputs: Array) -> Readout:
        """Return what is read of the output neurons."""

    def loss(self, outputs: Array, targets: Array) -> Loss:
        """Return the loss of a batch with these targets."""

    def answers(self, values: Array) -> Array:
        """Return what the outputs of each sample say, given what was read of them."""

    def score(self, answers: Array, targets: Array) -> float:
        """Return how good answers are; the larger the better."""


class Classes:
    """Answers and score where the targets are classes."""

    sense = 1.0

    def answers(self, values: Array) -> Array:
        """Return the class of each sample: the output with the largest value, or first spike."""
        return np.argmax(self.sense * values, axis=1)

    def score(self, answers: Array, targets: Array) -> float:
        """Return the accuracy."""
        return float(np.mean(answers == targets))


@dataclass(frozen=True)
class FirstSpike(Classes):
    """Classes by the output that spikes first: cross entropy of the times of first spikes.

    Parameters
    ----------
    scale : float
        The difference of times in ms that counts; a tenth of the synaptic time constant is good.
    early : float
        Price of a late spike of the label, times exp(t/early_scale) - 1: without it, late spikes
        may be pushed out of the trial, where there is no gradient.
    early_scale : float
        In ms.
    late : float, optional
        What stands for the time of an output that is silent, in ms; the end of the trial.
    """

    scale: float = 0.5
    early: float = 0.05
    early_scale: float = 10.0
    late: float | None = None

    sense = -1.0

    def __post_init__(self) -> None:
        scalar("scale", self.scale, 0.0, LONGEST, strict=True)
        scalar("early", self.early, 0.0)
        scalar("early_scale", self.early_scale, 0.0, LONGEST, strict=True)

    def readout(self, outputs: Array) -> Readout:
        """Return the times of the first spikes."""
        return SpikeTime(outputs, late=self.late)

    def loss(self, outputs: Array, targets: ArrayLike) -> Loss:
        """Return the loss of a batch with these labels."""
        of = self.readout(outputs)
        loss: Loss = CrossEntropy(of, targets, self.scale)
        if self.early:
            loss = loss + self.early * EarlyLabel(of, targets, self.early_scale)
        return loss


@dataclass(frozen=True)
class HighestVoltage(Classes):
    """Classes by the output whose voltage comes highest: cross entropy of the peaks.

    The outputs are to have no threshold, see :func:`adjoint.losses.without_threshold`.

    Parameters
    ----------
    scale : float
        The difference of voltages that counts.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        scalar("scale", self.scale, 0.0, strict=True)

    def readout(self, outputs: Array) -> Readout:
        """Return the peaks of the voltages."""
        return VoltageMaximum(outputs)

    def loss(self, outputs: Array, targets: ArrayLike) -> Loss:
        """Return the loss of a batch with these labels."""
        return CrossEntropy(self.readout(outputs), targets, self.scale)


@dataclass(frozen=True)
class SpikeAt:
    """Times of first spikes that are given: their mean square error.

    Parameters
    ----------
    late : float, optional
        What stands for the time of an output that is silent, in ms; the end of the trial.
    """

    late: float | None = None

    def readout(self, outputs: Array) -> Readout:
        """Return the times of the first spikes."""
        return SpikeTime(outputs, late=self.late)

    def loss(self, outputs: Array, targets: ArrayLike) -> Loss:
        """Return the loss of a batch; targets are (B, outputs), in ms."""
        return MeanSquare(self.readout(outputs), targets)

    def answers(self, values: Array) -> Array:
        """Return the times."""
        return values

    def score(self, answers: Array, targets: Array) -> float:
        """Return minus the root of the mean square error in ms."""
        return -float(np.sqrt(np.mean((answers - np.asarray(targets)) ** 2)))
