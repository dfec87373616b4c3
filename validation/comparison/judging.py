"""Verdicts on the groups of an answer without a time step, by tolerances with a reason.

A tolerance is a floor, for the roundings of a few operations, and ROUNDINGS roundings in a row
times the condition number that `validation.comparison.sensitivity` measures. An answer beyond it
is wrong, unless the case lies so near to a change of its pattern that a correct answer may be on
the other side: then it says nothing as long as it is no further away than such a change takes it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from adjoint.check import Evaluation
from refsim.errors import InvalidValueError
from refsim.network.parameters import NAMES
from refsim.validate import members, scalar, shown
from validation.comparison.answers import CheckedAnswer
from validation.comparison.certificate import NOT_OFFERED, GroupVerdict
from validation.comparison.comparison import OUTPUTS, Comparison, compared, same_spikes, scales
from validation.comparison.sensitivity import Sensitivity, neurons_that_differ, sensitivity

# A second implementation in float64 was off by 0.3 eps condition at most, of 2000 random networks,
# where that exceeds the floor. This leaves room for formulas that lose two digits, as differences
# of exponentials do for time constants that are a few per cent apart.
ROUNDINGS = 64.0
# A jump measured at a few random moves is not the largest that there is.
JUMPS = 10.0
# How far off, relative to the largest entry, an answer of another spike pattern may be.
OTHER_PATTERN = 1000.0

# An error of the size of the answer is none that passes, however ill-conditioned the case is.
DECIDED = 0.3


class Precision(NamedTuple):
    """What rounding does in one floating-point format."""

    name: str
    eps: float
    floor: float  # of tolerances of spike times and voltages, relative
    gradient_floor: float  # of tolerances of gradients, which add up many terms
    step: float  # of moves that measure sensitivity: well above rounding, well below the numbers

    def tolerance(self, group: str, condition: float) -> float:
        """Return how far a group may be off whose relative condition number is given."""
        return self.floor_of(group) + ROUNDINGS * self.eps * condition

    def floor_of(self, group: str) -> float:
        """Return how far any group may be off."""
        return self.floor if group in OUTPUTS else self.gradient_floor


PRECISIONS = {
    "float64": Precision("float64", 2.0**-52, 1e-11, 1e-10, 2.0**-36),
    "float32": Precision("float32", 2.0**-23, 1e-5, 1e-4, 2.0**-19),
}


class Yardstick(NamedTuple):
    """How far a correct answer may be off, by group and relative to its scale."""

    tolerance: dict[str, float]
    excusable: dict[str, float]  # beyond the tolerance, as far as this: neither right nor wrong
    reason: str  # why something is excusable, if it is
    unstable: frozenset[int]  # neurons whose number of spikes may be another

    moved: float  # relative difference from which on a spike counts as moved


def checked_rtol(rtol: object) -> float | dict[str, float] | None:
    """Return a tolerance, or several by group, that a user asks for."""
    if rtol is None:
        return None
    if not isinstance(rtol, Mapping):
        return scalar("rtol", rtol, 0.0, strict=True)
    for key in checked_groups(list(rtol)):
        scalar(f"rtol[{key!r}]", rtol[key], 0.0, strict=True)
    return {key: float(value) for key, value in rtol.items()}


def yardstick(
    evaluation: Evaluation, precision: Precision, rtol: float | dict[str, float] | None = None
) -> Yardstick:
    """Measure how far a correct answer to a case may be off.

    Parameters
    ----------
    evaluation : Evaluation
        The reference.
    precision : Precision
        Format in which the back end computes.
    rtol : float or dict, optional
        Tolerances that are given: they stand for those measured.
    """
    measured = sensitivity(evaluation, precision.step)
    scale = scales(evaluation)
    tolerance = {
        group: precision.tolerance(group, change / scale[group])
        for group, change in measured.smooth.items()
    }
    tolerance |= given_tolerances(tolerance, rtol)
    excusable = {group: JUMPS * change / scale[group] for group, change in measured.jump.items()}
    if measured.unstable:
        excusable = dict.fromkeys(excusable, OTHER_PATTERN)
    moved = tolerance["spike_times"]
    return Yardstick(tolerance, excusable, _reason(measured), measured.unstable, moved)


def is_given(group: str, rtol: float | dict[str, float] | None) -> bool:
    """Return whether a user has set the tolerance of a group."""
    return rtol is not None and (not isinstance(rtol, dict) or group in rtol)


def given_tolerances(
    groups: Collection[str], rtol: float | dict[str, float] | None
) -> dict[str, float]:
    """Return the tolerances that a user has set."""
    if rtol is None:
        return {}
    return rtol if isinstance(rtol, dict) else dict.fromkeys(groups, rtol)


def _reason(measured: Sensitivity) -> str:
    if measured.unstable:
        return f"moving all numbers by {measured.step:.1e} of their size changes the spikes"
    if measured.order_changes:
        return (
            "an arrival coincides with a crossing, a release or a sample, where gradients are "
            "one-sided"
        )
    return ""


def judged(
    evaluation: Evaluation,
    answer: CheckedAnswer,
    measure: Yardstick,
    required: Collection[str] = (),
) -> tuple[GroupVerdict, ...]:
    """Judge every group of an answer; those of ``required`` must be offered."""
    pairs = compared(evaluation, answer)
    same = same_spikes(evaluation, answer)
    references = {
        "spike_times": evaluation.simulation.spikes.time,
        "voltages": evaluation.simulation.voltages,
        **dict(evaluation.gradient.items()),
    }
    if not len(evaluation.case.samples):
        del references["voltages"]
    verdicts = []
    for group, reference in references.items():
        pair = pairs.get(group)
        tolerance = measure.tolerance[group]
        given = pair.answer if pair else np.zeros(0)
        if group in answer.problems:
            note = answer.problems[group]
            row = GroupVerdict(group, "fail", np.nan, tolerance, -1, reference, given, note)
        elif group == "spike_times" and not same:
            row = _other_spikes(evaluation, answer, measure)
        elif pair is None:
            verdict = "fail" if group in required else "skip"
            row = GroupVerdict(group, verdict, np.nan, tolerance, -1, reference, given, NOT_OFFERED)
        else:
            row = _of_pair(group, pair, measure, same, group in answer.absent)
        verdicts.append(row)
    return tuple(verdicts)


def _other_spikes(
    evaluation: Evaluation, answer: CheckedAnswer, measure: Yardstick
) -> GroupVerdict:
    """Return the verdict on spikes of which some are missing or extra."""
    reference = evaluation.simulation.spikes.time
    note = f"{len(answer.time)} spikes, the reference has {len(reference)}"
    if len(answer.time) == len(reference):
        note = f"{len(reference)} spikes as in the reference, but of other neurons"
    verdict = "fail"
    ours = evaluation.simulation.spikes.neuron
    n = evaluation.case.network.n_neurons
    if neurons_that_differ(ours, answer.neuron, n) <= measure.unstable:
        verdict, note = "skip", f"{note}; {measure.reason}"
    return GroupVerdict(
        "spike_times",
        verdict,
        np.inf,
        measure.tolerance["spike_times"],
        -1,
        reference,
        answer.time,
        note,
    )


def _of_pair(
    group: str, pair: Comparison, measure: Yardstick, same: bool, absent: bool
) -> GroupVerdict:
    error, tolerance = pair.error, measure.tolerance[group]
    verdict, note = "pass", ""
    if group not in OUTPUTS and not same:
        verdict, note = "skip", "the spikes differ"
    elif error > tolerance:
        verdict = "fail"
        if absent:
            note = "None was given: no gradient flows back"
        if error <= measure.excusable[group]:
            verdict, note = "skip", measure.reason
    return GroupVerdict(
        group, verdict, error, tolerance, pair.worst, pair.reference, pair.answer, note
    )


def decided(row: GroupVerdict) -> GroupVerdict:
    """Let nothing pass that is as far off as no gradient at all would be."""
    if row.verdict != "pass" or not row.error > DECIDED:
        return row
    note = f"off by {row.error:.1e}, which rounding may do to a case of such a condition"
    return row._replace(verdict="skip", note=note)


def checked_groups(groups: object) -> tuple[str, ...]:
    """Return the groups that a back end must offer."""
    if groups is None:
        return ()
    names = [groups] if isinstance(groups, str) else members("groups", groups, "names of groups")
    known = (*OUTPUTS, *NAMES)
    for i, name in enumerate(names):
        if name not in known:
            raise InvalidValueError(
                f"groups[{i}] is {shown(name)}; expected names among {', '.join(known)}"
            )
    return tuple(names)
