"""A second judge of exact gradients: differences of whole simulations along directions.

For each group of parameters all entries move together, each by a share that makes its contribution
comparable to that of the others, with a sign and a size of its own. With a step h of 1e-36 and
simulations to 100 digits a central difference is right to about h^2 times a third derivative: far
beyond 30 digits, also where slopes of 1e-6 make derivatives grow by their inverse squares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from refsim.network.parameters import BOUNDED
from validation.oracle.events import OracleRun, run_model
from validation.oracle.model import (
    GUARD,
    Model,
    Real,
    check_model,
    exact,
    read_model,
    real,
    require_mpmath,
)

DIGITS = 100
STEP = Fraction(1, 10**36)


class PatternChangedError(ValueError):
    """A difference step made a spike appear or vanish, or pass a sample: there is no gradient."""


def disagreement(
    case: Mapping[str, Any], groups: Mapping[str, Sequence[Real]], digits: int = DIGITS
) -> dict[str, float]:
    """Return by how much each group differs from differences, relative to what is added up.

    Parameters
    ----------
    case : mapping
        As for `validation.oracle.derivatives`.
    groups : mapping of str to sequence of mpf
        The gradient by group.
    digits : int
        Digits of each simulation.

    Raises
    ------
    PatternChangedError
        If a neuron spikes more or less often after a step, or an event passes a sample of its
        neuron by steps of either sign.
    """
    mp = require_mpmath()
    model = read_model(case)
    base = run_model(model, digits)
    found = {}
    for group, gradient in groups.items():
        with mp.workdps(digits):
            direction = _direction(gradient, model.values[group], group in BOUNDED)
            difference = _difference(case, model, base, group, direction, digits)
            terms = [x * real(d) for x, d in zip(gradient, direction, strict=True)]
            size = sum(map(abs, terms))
            error = abs(difference - sum(terms))
            found[group] = float(error / size) if size else float(error)
    return found


def _direction(
    gradient: Sequence[Real], values: Sequence[Fraction], bounded: bool
) -> list[Fraction]:
    """Return a step for each entry of about the inverse of its derivative, upwards from a bound."""
    mp = require_mpmath()
    largest = max(map(abs, gradient), default=0)
    direction = []
    for i, (derivative, value) in enumerate(zip(gradient, values, strict=True)):
        size = max(abs(derivative), largest / 10**6, mp.mpf(10) ** -9)
        share = Fraction(3 + i * 5 % 7) * Fraction(10) ** -int(mp.floor(mp.log10(size)))
        at_bound = bounded and value == 0
        direction.append(share if at_bound or i * 7 % 5 < 3 else -share)
    return direction


def _difference(
    case: Mapping[str, Any],
    model: Model,
    base: OracleRun,
    group: str,
    direction: Sequence[Fraction],
    digits: int,
) -> Real:
    """Return the derivative of the loss along a direction of one group.

    It is a central difference, or (-3 L(0) + 4 L(h) - L(2h)) / 2h where an entry is at its bound or
    a sample coincides with an event of its neuron.
    """

    def moved_loss(steps: int) -> Real:
        column = [x + steps * STEP * d for x, d in zip(model.values[group], direction, strict=True)]
        moved = model._replace(values={**model.values, group: column})
        check_model(moved)
        run = run_model(moved, digits)
        times = matched(base, run, group)
        return weighed_loss(case, times, run.voltages, digits)

    def to_one_side(sign: int) -> Real:
        change = 4 * moved_loss(sign) - moved_loss(2 * sign) - 3 * moved_loss(0)
        return change / (2 * sign * real(STEP))

    if group in BOUNDED and 0 in model.values[group]:
        return to_one_side(1)
    try:
        return (moved_loss(1) - moved_loss(-1)) / (2 * real(STEP))
    except PatternChangedError:
        if not base.before:
            raise
    try:
        return to_one_side(1)
    except PatternChangedError:
        return to_one_side(-1)


def weighed_loss(
    case: Mapping[str, Any], times: Sequence[Real], voltages: Sequence[Real], digits: int
) -> Real:
    """Weigh spike times and voltages with the cotangents of the case."""
    cotangents = exact(case["cotangent"])
    sampled = exact(sample["cotangent"] for sample in case.get("voltage_samples") or [])
    if len(cotangents) != len(times):
        raise ValueError(f"{len(cotangents)} cotangents for {len(times)} spikes")
    mp = require_mpmath()
    with mp.workdps(digits + GUARD):
        return mp.fdot(map(real, cotangents), times) + mp.fdot(map(real, sampled), voltages)


def matched(base: OracleRun, run: OracleRun, what: str) -> list[Real]:
    """Put the spike times of a run in the order of the base run, by neuron and ordinal."""
    if sorted(base.spike_neurons) != sorted(run.spike_neurons):
        raise PatternChangedError(f"the spike pattern changes with {what}")
    if base.before != run.before:
        raise PatternChangedError(f"an event passes a sample of its neuron with {what}")
    trains: dict[int, list[Real]] = {}
    for time, neuron in zip(run.spike_times, run.spike_neurons, strict=True):
        trains.setdefault(neuron, []).append(time)
    ordered = {neuron: iter(train) for neuron, train in trains.items()}
    return [next(ordered[neuron]) for neuron in base.spike_neurons]
