"""Systematic lateness: all spikes, or all arrivals, are off by the same time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from adjoint.api import jvp
from adjoint.check import Evaluation
from refsim.errors import RefsimError
from validation.backend import nth_of_neuron
from validation.certification.answers import CheckedAnswer

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

STEPS = (0.001, 0.01, 0.02, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)  # ms, that back ends often have
# Rounding of an arrival and of a spike to either end of a step: half a step on average, scattered
# by the square root of 2/12 of one.
ROUNDED, SCATTER = 0.5, 0.41
DEVIATIONS = 3.5
# A scheme may be late by any multiple of its step, by its own error, but not by the same at several
# neurons.
NEAR_A_STEP = 0.3  # of a step
FEWEST = 3  # neurons
FOLLOWS = (0.7, 1.4)  # spikes that move about as much as the arrivals that cause them
ROUNDS = 4
# What a shift by whole steps leaves of the differences is the rounding of each, which is not known.
LEFT_ON_GRID = 0.1


class Spiking(Protocol):
    """Anything with spikes."""

    @property
    def time(self) -> Vector:
        """Times in ms."""

    @property
    def neuron(self) -> Rows:
        """Neurons."""


class Lateness(NamedTuple):
    """A shift that explains differences of spike times."""

    what: str  # "spike", "arrival" or, on a grid, "first spike"
    shift: float  # ms, on a grid in steps
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


def lateness(reference: Evaluation, answer: CheckedAnswer) -> list[Lateness]:
    """Return what shifts of all spikes, and of all arrivals, best explain an answer."""
    late = differences(reference, answer)
    size = _rms(late)
    if len(late) < 2 or size == 0.0:
        return []
    shift = float(np.median(late))
    found = [Lateness("spike", shift, _rms(late - shift) / size)]
    arrival = _of_arrivals(reference, answer, size)
    return found if arrival is None else [*found, arrival]


def _of_arrivals(reference: Evaluation, answer: CheckedAnswer, size: float) -> Lateness | None:
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
) -> tuple[Lateness, float]:
    """Return what a shift of all arrivals leaves, and the next one by Newton's method."""
    case = reference.case
    nothing = Lateness("arrival", shift, np.inf), np.nan
    try:
        network = case.network.replace(delay=np.maximum(case.network.delay + shift, 0.0))
        run, dot = jvp(network, case.inputs, case.duration, {"delay": 1.0})
    except RefsimError:
        return nothing
    if not np.array_equal(np.sort(run.spikes.neuron), np.sort(answer.neuron)):
        return nothing
    mine, other = matched(run.spikes, answer)
    late, slope = answer.time[other] - run.spikes.time[mine], dot.time[mine]
    fit = Lateness("arrival", shift, _rms(late) / size)
    return fit, shift + float(slope @ late / (slope @ slope)) if slope.any() else np.nan


def late_by_steps(
    reference: Evaluation, answers: Sequence[tuple[float, CheckedAnswer]]
) -> Lateness | None:
    """Return by how many steps spikes are late on a grid, if by a whole number of them.

    Looked at are first spikes that input spikes alone have caused: no reset, which schemes do early
    or late in their step, has come before. Rounding of arrivals and of spikes scatters them by a
    fraction of a step, about 0 or about half of a step; by a mistake in the counting of steps
    they are late by one.
    """
    case, spikes = reference.case, reference.simulation.spikes
    rows = _caused_by_inputs(reference)
    if not len(rows):
        return None
    _, dot = jvp(case.network, case.inputs, case.duration, {"delay": 1.0})
    rows = rows[(dot.time[rows] > FOLLOWS[0]) & (dot.time[rows] < FOLLOWS[1])]
    steps: list[float] = []
    for dt, answer in answers:
        mine, other = matched(spikes, answer)
        late = np.full(len(spikes.time), np.nan)
        late[mine] = answer.time[other] - spikes.time[mine]
        steps += list(late[rows] / dt)
    found = np.array([step for step in steps if np.isfinite(step)])
    if len(rows) < FEWEST or not len(found):
        return None
    mean = float(np.mean(found))
    error = max(SCATTER, float(np.std(found))) / np.sqrt(len(found))
    whole = round(mean)
    if abs(mean - whole) > NEAR_A_STEP or abs(mean) - DEVIATIONS * error < ROUNDED:
        return None
    return Lateness("first spike", float(whole), LEFT_ON_GRID)


def in_steps(fit: Lateness) -> str:
    """Return a sentence on a lateness by steps."""
    number = "a step" if abs(fit.shift) == 1 else f"{abs(fit.shift):g} steps"
    when = "late" if fit.shift > 0 else "early"
    return f"spikes that only inputs have caused are {number} {when}, whatever the step"


def _caused_by_inputs(reference: Evaluation) -> Rows:
    """Return rows of first spikes of neurons that no neuron has reached, but inputs have."""
    case, spikes = reference.case, reference.simulation.spikes
    network = case.network
    first = np.full(network.n_neurons, np.inf)
    np.minimum.at(first, spikes.neuron, spikes.time)
    of_neurons = network.pre < network.n_neurons
    arrival = first[network.pre[of_neurons]] + network.delay[of_neurons]
    reached = np.full(network.n_neurons, np.inf)
    np.minimum.at(reached, network.post[of_neurons], arrival)
    driven = np.zeros(network.n_neurons, dtype=bool)
    driven[network.post[~of_neurons]] = True
    neuron = spikes.neuron
    chosen = (spikes.time == first[neuron]) & (spikes.time < reached[neuron]) & driven[neuron]
    return np.flatnonzero(chosen)


def _rms(values: Vector) -> float:
    return float(np.sqrt(np.mean(values * values))) if len(values) else 0.0
