"""An answer beside the reference: spikes matched one by one, and errors by group.

A spike is known by its neuron and by its number among the spikes of that neuron. Errors of a group
are relative to its largest entry, or to a thousandth of what is typical of the group where that is
larger: what is zero up to rounding may be so in either of two correct answers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adjoint.check import Evaluation
from refsim.cases import Case
from refsim.network.parameters import IN_MS, NAMES
from validation.comparison.answers import CheckedAnswer
from validation.comparison.certificate import OUTPUTS as OUTPUTS, SpikeDifference

Vector = NDArray[np.float64]

NEGLIGIBLE = 1e-3  # of what is typical of a group


class Comparison(NamedTuple):
    """One group of the reference beside that of an answer; of spikes, those that both have."""

    reference: Vector
    answer: Vector
    scale: float  # what errors are relative to

    @property
    def worst(self) -> int:
        """Index of the largest difference, -1 for none."""
        return int(np.argmax(np.abs(self.answer - self.reference))) if len(self.reference) else -1

    @property
    def error(self) -> float:
        """Largest difference, relative to the scale."""
        return largest(self.answer - self.reference) / self.scale


def largest(values: Vector) -> float:
    """Return the largest magnitude, 0 of nothing."""
    return float(np.max(np.abs(values), initial=0.0))


def scales(evaluation: Evaluation) -> dict[str, float]:
    """Return what errors are relative to, by group."""
    case, spikes = evaluation.case, evaluation.simulation.spikes
    sizes = typical_sizes(case)
    gradient = dict(evaluation.gradient.items())
    # p dL/dp has the unit of the loss for every parameter p.
    loss = max(sizes[group] * largest(values) for group, values in gradient.items())
    found = {
        "spike_times": max(largest(spikes.time), min(sizes["tau_m"], case.duration)),
        "voltages": max(largest(evaluation.simulation.voltages), sizes["v_th"]),
    }
    for group, values in gradient.items():
        found[group] = max(largest(values), NEGLIGIBLE * loss / sizes[group])
        found[group] = found[group] or 1.0  # nothing matters, and any entry is an error
    return found


def typical_sizes(case: Case) -> dict[str, float]:
    """Return the size of a change of a parameter that changes much, by group."""
    network = case.network
    time = float(np.median(np.concatenate([network.tau_m, network.tau])))
    # Of the most excitable neuron: a threshold out of reach says nothing of the others.
    spans = np.abs([network.v_th - network.v_reset, network.v_th - network.v_rest])
    voltage = float(np.min(np.max(spans, axis=0)))
    sizes = dict.fromkeys(NAMES, voltage)
    sizes |= dict.fromkeys(IN_MS, time)
    return sizes | {"weight": largest(network.weight) or voltage}


def compared(evaluation: Evaluation, answer: CheckedAnswer) -> dict[str, Comparison]:
    """Return all groups that an answer has, beside those of the reference.

    Spike times are there only if both have as many spikes of each neuron.
    """
    scale = scales(evaluation)
    found = {}
    spikes = evaluation.simulation.spikes
    if same_spikes(evaluation, answer):
        times = np.empty(len(spikes.time))
        times[np.argsort(spikes.neuron, kind="stable")] = answer.time[
            np.argsort(answer.neuron, kind="stable")
        ]
        found["spike_times"] = Comparison(spikes.time, times, scale["spike_times"])
    if answer.voltages is not None:
        voltages = evaluation.simulation.voltages
        found["voltages"] = Comparison(voltages, answer.voltages, scale["voltages"])
    for group, reference in evaluation.gradient.items():
        if group in answer.gradient:
            found[group] = Comparison(reference, answer.gradient[group], scale[group])
    return found


def same_spikes(evaluation: Evaluation, answer: CheckedAnswer) -> bool:
    """Return whether an answer has as many spikes of each neuron as the reference."""
    ours = np.sort(evaluation.simulation.spikes.neuron)
    return np.array_equal(ours, np.sort(answer.neuron))


def first_difference(
    evaluation: Evaluation, answer: CheckedAnswer, tolerance: float
) -> SpikeDifference | None:
    """Return the first spike that is missing, extra, or moved by more than ``tolerance`` ms."""
    spikes = evaluation.simulation.spikes
    neurons = np.union1d(spikes.neuron, answer.neuron)
    ours, theirs = (_trains(side.time, side.neuron, neurons) for side in (spikes, answer))
    trains = zip(neurons, ours, theirs, strict=False)  # without neurons there is an empty train
    found = [_first_of_neuron(int(n), mine, other, tolerance) for n, mine, other in trains]
    known = [difference for difference in found if difference is not None]
    return min(known, key=lambda d: float(np.nanmin([d.reference, d.answer])), default=None)


def _trains(time: Vector, neuron: NDArray[np.int64], neurons: NDArray[np.int64]) -> list[Vector]:
    """Return the spikes of each neuron; neurons ascend, and are all that have any."""
    order = np.argsort(neuron, kind="stable")
    return np.split(time[order], np.searchsorted(neuron[order], neurons[:-1], side="right"))


def _first_of_neuron(
    neuron: int, ours: Vector, theirs: Vector, tolerance: float
) -> SpikeDifference | None:
    common = min(len(ours), len(theirs))
    moved = np.flatnonzero(np.abs(ours[:common] - theirs[:common]) > tolerance)
    nth = int(moved[0]) if moved.size else common
    mine = float(ours[nth]) if nth < len(ours) else np.nan
    other = float(theirs[nth]) if nth < len(theirs) else np.nan
    if nth == len(ours) == len(theirs):
        return None
    if nth == len(ours) or _is_next(mine, theirs, nth, len(theirs) > len(ours)):
        return SpikeDifference("extra", neuron, nth, np.nan, other)
    if nth == len(theirs) or _is_next(other, ours, nth, len(ours) > len(theirs)):
        return SpikeDifference("missing", neuron, nth, mine, np.nan)
    return SpikeDifference("moved", neuron, nth, mine, other)


def _is_next(time: float, train: Vector, nth: int, longer: bool) -> bool:
    """Return whether ``time`` lies nearer to the spike after the ``nth`` of a longer train."""
    if not longer or nth + 1 >= len(train):
        return False
    return abs(train[nth + 1] - time) < abs(train[nth] - time)
