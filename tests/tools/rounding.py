"""Whether two computations of a gradient differ by no more than rounding.

Their sums are taken in another order. The entries of a group can all be small because large terms
cancel in them, so that the largest entry is no measure of rounding. What is added up is seen along
a direction: :mod:`validation.tolerances` derives the weight of that.
"""

import warnings

import numpy as np

import adjoint
import refsim
from validation.tolerances import rounding_weight

DIRECTIONS = 2  # random ones, of each group


def rounding_errors(found, expected, evaluation, seed=0, **options):
    """Return by how much groups of two gradients differ, relative to the weight of rounding.

    ``evaluation`` is the :class:`adjoint.check.Evaluation` of one of them; options are those of
    the simulation.
    """
    rng = np.random.default_rng(seed)
    return {
        name: max(
            _error(name, rng.normal(size=np.shape(values)), found, expected, evaluation, options)
            for _ in range(DIRECTIONS)
        )
        for name, values in expected.items()
        if np.size(values)
    }


def _error(name, direction, found, expected, evaluation, options):
    case = evaluation.case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        simulation, dot = adjoint.jvp(
            case.network,
            case.inputs,
            case.duration,
            {name: direction},
            samples=case.samples,
            **options,
        )
    ours, theirs = (np.ravel(getattr(g, name) * direction) for g in (found, expected))
    forward = [evaluation.time_bar * dot.time, case.voltage_bar * dot.voltage]
    weight = rounding_weight(
        simulation, evaluation.spike_bar, dot.time, np.concatenate([*forward, ours, theirs])
    )
    difference = abs(float((ours - theirs).sum()))
    return difference / weight if weight > 0.0 else np.inf if difference else 0.0
