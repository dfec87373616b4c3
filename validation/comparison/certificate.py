"""What a certification has found: verdicts by case and by group of parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queues.summary import summary
from refsim.cases import Case
from refsim.errors import KeepsPartial
from refsim.results.result import Conditioning
from validation.printable import printable
from validation.text import figure

Vector = NDArray[np.float64]

# How the note of a case begins that is wrong in itself, or that we cannot simulate.
NO_REFERENCE = "there is no reference"
# How the note of a case ends that steps leave open.
WOULD_DECIDE = "a step of {:.3g} ms would decide"
NOT_OFFERED = "not offered"
OUTPUTS = ("spike_times", "voltages")
VERDICTS = ("fail", "inconclusive", "pass", "skip")  # the first of several is that of all


class SpikeDifference(NamedTuple):
    """The first spike in which an answer differs from the reference."""

    kind: str  # "missing", "extra" or "moved"
    neuron: int
    nth: int  # which spike of its neuron, from 0
    reference: float  # ms, nan if it is extra
    answer: float  # ms, nan if it is missing


class GroupVerdict(NamedTuple):
    """A group of outputs or of parameters: "spike_times", "voltages", "weight", "delay", ..."""

    group: str
    verdict: str  # "pass", "fail" or "skip": not offered (no error), or see CaseVerdict
    # Largest difference, relative to the largest entry of the reference, or to a thousandth of what
    # is typical where that is larger; inf for other spikes, nan where nothing can be compared.
    error: float
    tolerance: float
    worst: int  # index of the largest difference, -1 for none
    reference: Vector
    answer: Vector  # empty if it is not offered
    note: str = ""

    def __repr__(self) -> str:
        return summary(self, repr(self.group))


class StepErrors(NamedTuple):
    """Errors of an answer that was computed with one time step."""

    dt: float  # ms
    same_spikes: bool  # as many spikes of each neuron as the reference has
    error: dict[str, float]  # by group


class Lateness(NamedTuple):
    """By how much a back end is late on average, apart from what its step makes of everything."""

    what: str  # "arrivals of inputs", "arrivals from neurons", "reports of spikes", or "spikes"
    unit: str  # "steps", or "ms" for a back end without a step
    late: float  # negative if it is early
    error: float  # standard deviation
    least: float  # the smallest constant lateness that would have failed
    # "pass", "fail", or "inconclusive": later than rounding explains, though it may be by chance.
    verdict: str


class Cause(NamedTuple):
    """A probable cause of a failure."""

    name: str  # one of validation.diagnosis.causes.CAUSES
    evidence: str  # a sentence with numbers


@dataclass(frozen=True, eq=False, repr=False)
class CaseVerdict:
    """What was found in one case.

    Attributes
    ----------
    case : Case
        The case, with cotangents of all spikes.
    name : str
        Its name.
    verdict : str
        "pass", "fail", or "skip" where the back end cannot express the case, or where the case is
        so near to a change of its spike pattern that what differs says nothing.
    note : str
        Why it was skipped, or how it failed, in a sentence.
    conditioning : Conditioning
        How far the reference is from a change of its spike pattern.
    reference_time, answer_time : (k,) float
        Spike times in ms, sorted.
    reference_neuron, answer_neuron : (k,) int
        Their neurons.
    groups : tuple of GroupVerdict
        By group; of an answer with a time step, for the shortest step.
    first_difference : SpikeDifference or None
        The first spike that is missing, extra, or moved by more than the tolerance.
    steps : tuple of StepErrors
        Errors by time step, from long to short; empty for an answer without one.
    order : dict of str to float
        Observed order of convergence in the time step, by group.
    cause : Cause or None
        What probably went wrong.
    seconds : float
        Time that the back end took.
    lateness : tuple of Lateness
        By how much the back end is late in this case.
    deciding_step : float
        A time step in ms that would decide a case that is skipped, nan if none is known.
    """

    case: Case
    verdict: str
    note: str
    conditioning: Conditioning
    reference_time: Vector
    reference_neuron: NDArray[np.int64]
    answer_time: Vector
    answer_neuron: NDArray[np.int64]
    groups: tuple[GroupVerdict, ...] = ()
    first_difference: SpikeDifference | None = None
    steps: tuple[StepErrors, ...] = ()
    order: dict[str, float] = field(default_factory=dict)
    cause: Cause | None = None
    seconds: float = 0.0
    lateness: tuple[Lateness, ...] = ()
    deciding_step: float = math.nan

    @property
    def name(self) -> str:
        """Name of the case."""
        return self.case.name

    def __repr__(self) -> str:
        spikes = f"{len(self.answer_time)} spikes for {len(self.reference_time)}"
        said = [self.cause.name if self.cause else "", self.note]
        return (
            f"<CaseVerdict {self.name!r}: {', '.join([self.verdict, spikes, *filter(None, said)])}>"
        )


class CertificationInterrupted(KeepsPartial, KeyboardInterrupt):
    """A certification was stopped from the keyboard.

    Attributes
    ----------
    partial : Certificate
        Verdicts on the cases that were done.
    """


@dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """What was found in all cases; printed as a table.

    Attributes
    ----------
    backend : str
        Name of the back end.
    versions : dict of str to str
        Of the back end, of its libraries, of refsim, Python, NumPy and Numba.
    machine : str
        What it ran on.
    date : str
        ISO 8601, UTC.
    cases : tuple of CaseVerdict
        In the order of the cases.
    required : tuple of str
        Groups that were asked for by name.
    lateness : tuple of Lateness
        By how much the back end is late in all cases together.
    """

    backend: str
    versions: dict[str, str]
    machine: str
    date: str
    cases: tuple[CaseVerdict, ...]
    required: tuple[str, ...] = ()
    lateness: tuple[Lateness, ...] = ()

    @property
    def verdict(self) -> str:
        """Return "fail", "pass", or "inconclusive" where what passes is too little to tell.

        "fail" if a case fails, or if all cases together show that the back end is late.
        "inconclusive" if more cases are skipped than pass, if no case that was judged depends on
        some group of parameters that the back end offers, or that was asked for, or if the back end
        seems late and too few spikes tell. "skip" if there are no cases.
        """
        verdicts = [case.verdict for case in self.cases] + [row.verdict for row in self.lateness]
        if "fail" in verdicts:
            return "fail"
        if not self.cases:
            return "skip"
        return "inconclusive" if self._doubts() else "pass"

    @property
    def note(self) -> str:
        """Return why the verdict is what it is, where the cases alone do not say so."""
        if any(case.verdict == "fail" for case in self.cases):
            return ""
        return "; ".join(self._doubts()) if self.cause is None else self.cause.evidence

    @property
    def cause(self) -> Cause | None:
        """Return what probably went wrong, if all cases together show it, and none alone."""
        late = [row for row in self.lateness if row.verdict == "fail"]
        if not late or any(case.verdict == "fail" for case in self.cases):
            return None
        return Cause("off by one step", f"{in_words(late)}, in all cases together")

    @property
    def lateness_note(self) -> str:
        """Return a sentence on lateness: what was measured, and what would have failed."""
        if not self.lateness:
            return "lateness was not measured: no spikes tell"
        rows = [f"{in_words([row])} ({row.least:.2g} would have failed)" for row in self.lateness]
        return "on average " + "; ".join(rows)

    def _doubts(self) -> list[str]:
        """Return why cases that pass are too little to tell."""
        skipped = [case for case in self.cases if case.verdict == "skip"]
        passed = [case for case in self.cases if case.verdict == "pass"]
        doubts = []
        if len(skipped) > len(passed):
            doubts.append(f"{len(skipped)} of {len(self.cases)} cases were skipped")
            steps = [case.deciding_step for case in skipped if case.deciding_step > 0.0]
            if steps:
                doubts.append(f"{WOULD_DECIDE.format(min(steps))} {len(steps)} of them")
        if passed:
            doubts += self._unexercised()
        seems_late = [row for row in self.lateness if row.verdict == "inconclusive"]
        if seems_late:
            doubts.append(f"{in_words(seems_late)}, perhaps by chance: more cases would tell")
        return doubts

    def _unexercised(self) -> list[str]:
        """Return which groups of parameters no case has tested."""
        rows = [row for case in self.cases for row in case.groups]
        offered = {
            row.group
            for row in rows
            if row.note != NOT_OFFERED and row.group not in OUTPUTS and len(row.reference)
        }
        wanted = self.required or tuple(offered)
        tested = {row.group for row in rows if row.verdict == "pass" and row.reference.any()}
        missing = sorted(set(wanted) - tested)
        if missing:
            return [f"no case that was judged depends on {', '.join(missing)}"]
        return [] if wanted else ["no gradient was offered; groups=['spike_times'] asks for spikes"]

    def __repr__(self) -> str:
        count = [case.verdict for case in self.cases].count
        return (
            f"<Certificate of {printable(self.backend)}: {self.verdict}, {count('pass')} cases "
            f"passed, {count('fail')} failed, {count('skip')} skipped>"
        )

    def __str__(self) -> str:

        says = [f"{self.verdict}: {self.note}"] if self.note else []
        lines = [HEADER, *(line(case) for case in self.cases), self.lateness_note, *says]
        return "\n".join([*lines, repr(self)])


def in_words(rows: Sequence[Lateness]) -> str:
    """Return a sentence on measurements of lateness."""
    return ", ".join(f"{row.what} {_size(row)} {_early_or_late(row)}" for row in rows)


def _early_or_late(row: Lateness) -> str:
    return "late" if row.late >= 0.0 else "early"


def _size(row: Lateness) -> str:
    digits = ".2f" if row.unit == "steps" else ".1e"
    return f"{abs(row.late):{digits}} ± {row.error:{digits}} {row.unit}"


def ratio(group: GroupVerdict) -> float:
    """Return the error as a multiple of the tolerance; a failure without a number is inf."""
    if math.isnan(group.error):
        return math.inf if group.verdict == "fail" else 0.0
    if group.tolerance > 0.0:
        return group.error / group.tolerance
    return math.inf if group.error > 0.0 else 0.0


def worst_group(case: CaseVerdict) -> GroupVerdict | None:
    """Return the group with the largest error for its tolerance.

    Groups that fail come first, those without a number before all others; then those that leave a
    case open, as it is they that it is skipped for. Groups that were not compared are none of them.
    """
    judged = [row for row in case.groups if row.verdict == "fail" or not math.isnan(row.error)]
    return max(
        judged,
        key=lambda row: (row.verdict == "fail", row.verdict == case.verdict, ratio(row)),
        default=None,
    )


_HEADER = ("case", "verdict", "spikes", "error", "tolerance", "worst in", "cause or note")
_LINE = "{:<26} {:<7} {:>11} {:>9} {:>9} {:<12} {}"
HEADER = _LINE.format(*_HEADER)


def line(case: CaseVerdict) -> str:
    """Return the line of a case, without signs that act on a terminal."""
    worst = worst_group(case)
    says = case.note
    if case.cause is not None:
        says = f"{case.cause.name}: {case.cause.evidence}"
    cells = (
        case.case.name[:26],
        case.verdict.upper() if case.verdict == "fail" else case.verdict,
        f"{len(case.answer_time)}/{len(case.reference_time)}",
        figure(worst.error) if worst else "-",
        figure(worst.tolerance) if worst else "-",
        worst.group if worst else "",
        says,
    )
    return printable(_LINE.format(*cells).rstrip())
