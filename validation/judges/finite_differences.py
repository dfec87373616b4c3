"""Finite differences with Richardson extrapolation, in double precision.

For a step h, h/2, h/4, ... the differences are extrapolated to h = 0 by Neville's scheme, in
powers of h^2 for central differences, of h for one-sided ones: where a parameter at zero can only
grow, or where events coincide and one side changes their order, since a gradient at a tie is the
derivative by moves that leave the order as it is. The entry of the scheme that differs least from
its neighbours is taken, with that difference as its error
(C. J. F. Ridders, Advances in Engineering Software 4 (1982) 75). A step that changes the spike
pattern is not used; a kink inside the steps shows as a large error, and the verdict is then "skip".
Neighbours that agree only because both are zero, or the same few ulps of the loss, prove nothing:
every entry has at least the error of rounding at its smallest step.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from adjoint.check import Evaluation, Judgement
from adjoint.types import Parameters
from refsim.network.parameters import BOUNDED, TIME_CONSTANTS
from validation.perturbation import PatternChangedError, loss_change, value_of
from validation.tolerances import EPS

# A difference of step h has a rounding error of eps |t|/h, and extrapolation allows relative steps
# of some 1e-3, so 1e-10 is usual. Ten times the error that the scheme itself reports is allowed on
# top. Where that error is more than GOOD_ERROR, two neighbours in the scheme may agree by chance:
# smaller steps are tried as well, and the quotient has at least the error by which the two best of
# them differ. Where it is more than WORST_ERROR for all, a kink lies within the steps.
TOLERANCE = 1e-8
GOOD_ERROR = 1e-9
WORST_ERROR = 1e-7
ENOUGH = 1e-10
FIRST_STEPS = (4e-3, 2e-4, 1e-5)
LEVELS = 8
REDUCTION = 2.0
# The last step of a scheme: what changes the pattern here leaves no room for a difference.
SHORTEST = FIRST_STEPS[-1] / REDUCTION**LEVELS


def extrapolated(
    change: Callable[[float], float],
    step: float,
    one_sided: bool,
    enough: float = 0.0,
    rounding: float = 0.0,
) -> tuple:
    """Return a derivative and an estimate of its error.

    Parameters
    ----------
    change : callable
        ``change(h)`` is f(x + h) - f(x); it raises PatternChangedError where f is not smooth.
    step : float
        First step.
    one_sided : bool
        Whether h must be positive.
    enough : float
        Error with which to be content.
    rounding : float
        Rounding error of one change.

    Raises
    ------
    PatternChangedError
        If no step is small enough.
    """
    power = REDUCTION if one_sided else REDUCTION * REDUCTION
    row: list[float] = []
    best, best_error = math.nan, math.inf
    for level in range(3 * LEVELS):
        h = step / REDUCTION**level
        try:
            value = change(h) / h if one_sided else (change(h) - change(-h)) / (2.0 * h)
        except PatternChangedError:
            row = []
            continue
        previous, row, factor = row, [value], 1.0
        for j, old in enumerate(previous):
            factor *= power
            row.append(row[j] + (row[j] - old) / (factor - 1.0))
            error = max(abs(row[-1] - row[j]), abs(row[-1] - old), rounding / h)
            if error < best_error:
                best, best_error = row[-1], error
        diverges = len(row) > 2 and abs(row[-1] - previous[-1]) > 2 * best_error
        if best_error <= enough or diverges or len(row) > LEVELS:
            break
    if not math.isfinite(best):
        raise PatternChangedError("no step keeps the spike pattern")
    return best, best_error


def _unit(evaluation: Evaluation, name: str, direction: NDArray[np.float64]) -> Parameters:
    zeros = {key: np.zeros(len(values)) for key, values in evaluation.gradient.items()}
    return Parameters(**(zeros | {name: direction}))


def _directions(
    evaluation: Evaluation, name: str, entries: int, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Return single entries, the largest of the gradient first, and one random direction."""
    gradient = getattr(evaluation.gradient, name)
    size = len(gradient)
    if size == 0:
        return []
    scale = _scale(evaluation, name)
    largest = int(np.argmax(np.abs(gradient)))
    chosen = [largest, *rng.permutation(size)[: entries - 1]]
    singles = [np.where(np.arange(size) == i, scale, 0.0) for i in dict.fromkeys(chosen)]
    spread = rng.choice([-1.0, 1.0], size) * scale / math.sqrt(size)
    if name in BOUNDED:
        spread = np.where(value_of(evaluation.case, name) == 0.0, np.abs(spread), spread)
    return [*singles, spread] if size > 1 else singles


def _scale(evaluation: Evaluation, name: str) -> NDArray[np.float64]:
    """Return a natural size of a change of each parameter."""
    case = evaluation.case
    network = case.network
    if name in TIME_CONSTANTS:
        return value_of(case, name)
    if name in BOUNDED:
        return np.full(len(value_of(case, name)), float(np.median(network.tau)))
    if name == "weight":
        typical = np.median(np.abs(network.weight)) if len(network.weight) else 1.0
        return np.maximum(np.abs(network.weight), typical)
    return np.maximum(network.v_th - network.v_reset, np.abs(network.v_th - network.v_rest))


def compare(
    evaluation: Evaluation,
    name: str,
    direction: NDArray[np.float64],
    floor: float,
    rounding: float,
) -> tuple:
    """Return (difference, size, own error of the difference quotient) along a direction."""
    case = evaluation.case
    towards = _unit(evaluation, name, direction)
    at_zero = value_of(case, name) == 0.0
    at_bound = name in BOUNDED and bool(np.any(at_zero & (direction != 0.0)))

    def change(step: float) -> float:
        return loss_change(case, evaluation.simulation, towards, step)

    ours = getattr(evaluation.gradient, name)
    size = float(np.abs(ours * direction).sum() + np.abs(ours).max() * np.abs(direction).max())
    size = max(size, floor)
    found, error = _quotient(*_side(change, at_bound), size, rounding)
    return abs(found - float(np.dot(ours, direction))), max(size, abs(found)), error


def _side(
    change: Callable[[float], float], at_bound: bool
) -> tuple[Callable[[float], float], bool]:
    """Return the change by upward steps and whether these alone are taken.

    Where upward steps change the pattern and downward ones do not, these are turned round.
    """
    if at_bound or not _keeps_pattern(change, -SHORTEST):
        return change, True
    if _keeps_pattern(change, SHORTEST):
        return change, False
    return lambda step: -change(-step), True


def _keeps_pattern(change: Callable[[float], float], step: float) -> bool:
    try:
        change(step)
    except PatternChangedError:
        return False
    return True


def _rounding(evaluation: Evaluation) -> float:
    """Return by how much roundings of times and voltages, independent ones, move the loss."""
    case, run = evaluation.case, evaluation.simulation
    level = np.maximum(np.abs(run.voltages), np.abs(case.network.v_rest[case.samples.neurons]))
    parts = [evaluation.time_bar * run.spikes.time, case.voltage_bar * level]
    return EPS * math.hypot(*np.concatenate(parts))  # which does not square large numbers


def _quotient(
    change: Callable[[float], float], one_sided: bool, size: float, rounding: float
) -> tuple:
    """Return the best derivative of some first steps, and its error.

    Errors are relative to ``size``, or to the derivative where it is larger: a gradient of zero
    where none should be is no reason to leave the group out.
    """
    found: list[tuple[float, float]] = []
    for step in FIRST_STEPS:
        value, error = extrapolated(change, step, one_sided, ENOUGH * size, rounding)
        if error <= GOOD_ERROR * size:
            return value, error
        found.append((error, value))
    (error, value), (_, second), *_ = sorted(found)
    error = max(error, abs(value - second))
    if error > WORST_ERROR * max(size, abs(value)):
        raise PatternChangedError("a kink or the rounding of the loss lies too near")
    return value, error


def judge(evaluation: Evaluation, entries: int = 2, seed: int = 0) -> Judgement:
    """Compare single entries and a random direction of every group with difference quotients."""
    rng = np.random.default_rng(seed)
    worst = (0.0, 0.0, TOLERANCE, "")  # ratio to tolerance, error, tolerance, group
    skipped, compared = [], 0
    # In units of the loss: 1 ms of every spike and 1 mV of every sample. Smaller derivatives than
    # the first step can tell from rounding are none.
    bars = np.concatenate([evaluation.time_bar, evaluation.case.voltage_bar])
    rounding = _rounding(evaluation)
    least = 2.0 * rounding / (FIRST_STEPS[0] * WORST_ERROR)
    floor = max(1e-5 * float(np.abs(bars).sum()), least) or 1.0
    for name, _ in evaluation.gradient.items():
        for direction in _directions(evaluation, name, entries, rng):
            try:
                difference, size, own = compare(evaluation, name, direction, floor, rounding)
            except PatternChangedError:
                skipped.append(name)
                continue
            compared += 1
            tolerance = TOLERANCE + 10.0 * own / size
            error = difference / size
            if error / tolerance > worst[0]:
                worst = (error / tolerance, error, tolerance, name)
    note = f"{compared} quotients"
    if skipped:
        names = ", ".join(dict.fromkeys(skipped))
        note += f"; {len(skipped)} left out near a change of the pattern or rounding ({names})"
    verdict = "skip" if compared == 0 else "pass" if worst[0] <= 1.0 else "fail"
    return Judgement(
        evaluation.case.name, "finite differences", verdict, worst[1], worst[2], worst[3], note
    )
