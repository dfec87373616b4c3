"""Duality of forward and adjoint: <a, J v> = <J^T a, v> for random directions v."""

from __future__ import annotations

import numpy as np

from adjoint.api import jvp
from adjoint.check import Evaluation, Judgement
from adjoint.types import Parameters
from validation.tolerances import rounding_weight

TOLERANCE = 1e-12
DIRECTIONS = 3


def random_direction(evaluation: Evaluation, rng: np.random.Generator) -> Parameters:
    """Return a direction that gives every entry of the gradient a share of comparable size.

    Its largest entry is 1, whatever the unit of the loss: a step along it neither vanishes in the
    digits of a parameter nor leaves the neighbourhood.
    """
    gradient = dict(evaluation.gradient.items())
    unit = max(np.abs(values).max(initial=0.0) for values in gradient.values()) or 1.0
    shares = {}
    for name, values in gradient.items():
        size = np.abs(values) / unit
        typical = np.median(size[size > 0]) if np.any(size > 0) else 1.0
        shares[name] = rng.normal(size=len(values)) / np.maximum(size, typical)
    largest = max(np.abs(values).max(initial=0.0) for values in shares.values()) or 1.0
    return Parameters(**{name: values / largest for name, values in shares.items()})


def judge(evaluation: Evaluation) -> Judgement:
    """Compare <a, J v> with <J^T a, v>, relative to the size of what is added up."""
    case = evaluation.case
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(DIRECTIONS):
        direction = random_direction(evaluation, rng)
        simulation, dot = jvp(
            case.network, case.inputs, case.duration, direction, samples=case.samples
        )
        forward = np.concatenate([evaluation.time_bar * dot.time, case.voltage_bar * dot.voltage])
        backward = np.concatenate(
            [values * getattr(direction, name) for name, values in evaluation.gradient.items()]
        )
        weight = rounding_weight(
            simulation, evaluation.spike_bar, dot.time, np.concatenate([forward, backward])
        )
        if weight > 0.0:
            worst = max(worst, abs(float(forward.sum() - backward.sum())) / weight)
    verdict = "pass" if worst <= TOLERANCE else "fail"
    return Judgement(case.name, "duality", verdict, worst, TOLERANCE, "all")
