"""Shifts: all spikes, or all arrivals, of a back end without a step are off by the same time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from adjoint.api import jvp
from adjoint.check import Evaluation
from refsim.errors import RefsimError
from validation.comparison.answers import CheckedAnswer
from validation.comparison.backend import nth_of_neuron

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

STEPS = (0.001, 0.01, 0.02, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)  # ms, that back ends often have
ROUNDS = 4


class Spiking(Protocol):
    """Anything with spikes."""

    @property
    def time(self) -> Vector:
        """Times in ms."""

    @property
    def neuron(self) -> Rows:
        """Neurons."""


class Shift(NamedTuple):
    """A shift that explains differences of spike times."""

    what: str  # "spike" or "arrival"
    shift: float  # ms
    left: float  # of the differences, by root mean square


def matched(first: Spiking, second: Spiking) -> tuple[Rows, Rows]:
    """Return rows of the spikes that both have, by neuron and number."""
    known = {pair: k for k, pair in enumerate(_names(second))}
    pairs = [(k, known[pair]) for k, pair in enumerate(_names(first)) if pair in known]
    rows = np.array(pairs, dtype=np.int64).reshape(len(pairs), 2)
    return rows[:, 0], rows[:, 1]


def _names(spikes: Spiking) -> Iterable[tuple[int, int]]:
    return zip(spikes.neuron.tolist(), nth_of_neuron(spikes.neuron).tolist(), strict=True)


def differences(reference: Evaluation, answer: CheckedAnswer) -> Vector:
    """Return by how much the spikes that both have are late, in ms."""
    spikes = reference.simulation.spikes
    mine, other = matched(spikes, answer)
    return answer.time[other] - spikes.time[mine]


def shifts(reference: Evaluation, answer: CheckedAnswer) -> list[Shift]:
    """Return what shifts of all spikes, and of all arrivals, best explain an answer."""
    late = differences(reference, answer)
    size = _rms(late)
    if len(late) < 2 or size == 0.0:
        return []
    shift = float(np.median(late))
    found = [Shift("spike", shift, _rms(late - shift) / size)]
    arrival = _of_arrivals(reference, answer, size)
    return found if arrival is None else [*found, arrival]


def _of_arrivals(reference: Evaluation, answer: CheckedAnswer, size: float) -> Shift | None:
    """Fit a shift of all arrivals: the best of usual ones, and of Newton's method from there.

    Newton's method alone gets lost where the shift changes the order of events.
    """
    tried = [_tried(reference, answer, sign * dt, size) for dt in STEPS for sign in (1.0, -1.0)]
    tried.append(_tried(reference, answer, 0.0, size))
    best, following = min(tried, key=lambda pair: pair[0].left)
    for _ in range(ROUNDS):
        if not np.isfinite(following):
            break
        fit, following = _tried(reference, answer, following, size)
        best = min(best, fit, key=lambda each: each.left)
    return best if best.shift != 0.0 and best.left < 1.0 else None


def _tried(
    reference: Evaluation, answer: CheckedAnswer, shift: float, size: float
) -> tuple[Shift, float]:
    """Return what a shift of all arrivals leaves, and the next one by Newton's method."""
    case = reference.case
    nothing = Shift("arrival", shift, np.inf), np.nan
    try:
        network = case.network.replace(delay=np.maximum(case.network.delay + shift, 0.0))
        run, dot = jvp(network, case.inputs, case.duration, {"delay": 1.0})
    except RefsimError:
        return nothing
    if not np.array_equal(np.sort(run.spikes.neuron), np.sort(answer.neuron)):
        return nothing
    mine, other = matched(run.spikes, answer)
    late, slope = answer.time[other] - run.spikes.time[mine], dot.time[mine]
    fit = Shift("arrival", shift, _rms(late) / size)
    return fit, shift + float(slope @ late / (slope @ slope)) if slope.any() else np.nan


def _rms(values: Vector) -> float:
    return float(np.sqrt(np.mean(values * values))) if len(values) else 0.0
