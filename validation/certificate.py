"""What a certification has found: verdicts by case and by group of parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queues.summary import summary
from refsim.cases import Case
from refsim.errors import KeepsPartial
from refsim.simulation import Conditioning

Vector = NDArray[np.float64]

# How the note of a case begins that is wrong in itself, or that we cannot simulate.
NO_REFERENCE = "there is no reference"


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
    """

    backend: str
    versions: dict[str, str]
    machine: str
    date: str
    cases: tuple[CaseVerdict, ...]

    @property
    def verdict(self) -> str:
        """Return "fail" if any case fails, "pass" if any passes, else "skip"."""
        verdicts = {case.verdict for case in self.cases}
        return next((word for word in ("fail", "pass") if word in verdicts), "skip")

    def __repr__(self) -> str:
        count = [case.verdict for case in self.cases].count
        return (
            f"<Certificate of {self.backend}: {self.verdict}, {count('pass')} cases passed, "
            f"{count('fail')} failed, {count('skip')} skipped>"
        )

    def __str__(self) -> str:
        from validation.certification.table import HEADER, line

        return "\n".join([HEADER, *(line(case) for case in self.cases), repr(self)])
