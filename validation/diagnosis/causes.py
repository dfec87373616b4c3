"""Probable causes of failures, and what a diagnosis works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adjoint.check import Evaluation
from validation.comparison.answers import CheckedAnswer
from validation.comparison.backend import LossCotangents
from validation.comparison.certificate import Cause, GroupVerdict, Lateness
from validation.comparison.comparison import Comparison, compared, largest
from validation.comparison.judging import Yardstick

Vector = NDArray[np.float64]

PERFECT = 1e-4  # of what is wrong; explanations that leave less are equally good

# In order of preference between explanations that are equally good.
CAUSES = {
    "unsorted spikes": "spikes are not given in order of time",
    "other units": "spike times are not in ms",
    "time grid without steps": "the back end works in time steps, and was not asked for any",
    "permuted neurons": "spikes are right, but carry the numbers of other neurons",
    "spike dropped": "a spike is missing: a crossing is not found, or an arrival is lost",
    "spurious spike": "there is a spike that the reference does not have",
    "off by one step": "spikes or arrivals are late, or early, by a time step or a part of one",
    "parameter ignored": "a parameter acts as if it had another value, such as 0",
    "delay gradient lost": "the gradient by delays is zero or None",
    "gradient lost": "the gradient of a group is zero or None",
    "wrong sign": "a gradient has the opposite sign",
    "factor 1/dt": "a gradient is multiplied, or divided, by the time step",
    "constant factor": "a gradient is multiplied by a constant",
    "scaled by a parameter": "each entry of a gradient is multiplied by a parameter",
    "clamped at zero": "a parameter at the end of its domain has half of its derivative, or none",
    "permuted entries": "a gradient has the right entries in another order",
    "cotangents ignored": "only a part of the loss is differentiated",
    "missing reset term": "the adjoint of a spike lacks the part that comes from its reset",
    "refractory release term missing": "the adjoint treats the end of refractoriness wrongly",
    "missing division by the slope": "the adjoint of a spike is not divided by dV/dt",
    "missing boundary term of arrivals": (
        "the derivative by an arrival time lacks the part of what the new current drives"
    ),
    "arrival times have no gradient": "gradients do not flow through times of arrival",
    "normalisation taken as constant": (
        "the factor that gives a double_exp unit peak is not differentiated"
    ),
    "acausal gradient": "a spike has a gradient by events that come after it",
    "float32": "errors are those of rounding to float32",
}


class Explanation(NamedTuple):
    """A cause with what it leaves unexplained."""

    cause: Cause
    left: float  # of what is wrong, the fraction that is left: 0 for a perfect explanation

    @property
    def rank(self) -> tuple[float, int]:
        """What to sort by: how good it is, to a factor of ten, and the preference."""
        left = float(np.ceil(np.log10(max(self.left, PERFECT))))
        return left, list(CAUSES).index(self.cause.name)


@dataclass(frozen=True, eq=False)
class Suspect:
    """An answer that has failed."""

    reference: Evaluation
    answers: tuple[tuple[float, CheckedAnswer], ...]  # (dt, answer), dt 0.0 without a step
    groups: tuple[GroupVerdict, ...]
    measure: Yardstick
    ask: Callable[[LossCotangents], CheckedAnswer]  # what it answers to another loss
    on_grid: bool
    late: tuple[Lateness, ...] = ()  # by how many steps it is late

    @property
    def answer(self) -> CheckedAnswer:
        """The answer that is judged, with the shortest step."""
        return self.answers[-1][1]

    @cached_property
    def pairs(self) -> dict[str, Comparison]:
        """Groups of the gradient of the answer beside the reference."""
        pairs = compared(self.reference, self.answer)
        return {group: pair for group, pair in pairs.items() if group in self.answer.gradient}

    @cached_property
    def failing(self) -> tuple[str, ...]:
        """Groups of the gradient that fail, and can be compared."""
        return tuple(
            row.group for row in self.groups if row.verdict == "fail" and row.group in self.pairs
        )

    def left(self, supposed: dict[str, Vector]) -> float | None:
        """Return the fraction of what is wrong that a supposed gradient leaves, None if it is out.

        It is out if it leaves much of a group that fails, or spoils one that is right.
        """
        fractions = []
        for group, pair in self.pairs.items():
            values = supposed.get(group, pair.reference)
            off = largest(pair.answer - values) / pair.scale
            allowed = self.measure.tolerance[group]
            if group not in self.failing:
                if off > max(3.0 * pair.error, 100.0 * allowed):
                    return None
                continue
            fraction = off / pair.error
            fractions.append(fraction)
            if off > max(self.most_left * pair.error, 0.0 if self.on_grid else 100.0 * allowed):
                return None
        most = max(fractions, default=1.0)
        return most if most <= max(self.most_left, 0.1) else None

    @property
    def most_left(self) -> float:
        """Fraction of an error that an explanation may leave."""
        return 0.4 if self.on_grid else 0.01


def explanation(name: str, evidence: str, left: float = 0.0) -> Explanation:
    """Return a cause among CAUSES with its evidence."""
    assert name in CAUSES, name
    return Explanation(Cause(name, evidence), left)


def listed(groups: tuple[str, ...] | list[str]) -> str:
    """Return names as a sentence has them."""
    return ", ".join(groups)
