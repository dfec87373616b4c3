"""The judges of ``refsim validate``, and which cases they see."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from adjoint.check import Evaluation, Judge, Judgement, SpikeCountError, evaluate
from refsim.cases import Case
from refsim.errors import IllConditionedWarning
from refsim.results.result import Conditioning
from validation.case_suite.stored import generated_names
from validation.judges import (
    duality,
    finite_differences,
    high_precision,
    identities,
    jax_event as jax_judge,
    known_values as case_files,
)

Result = TypeVar("Result")

JUDGES: dict[str, Judge] = {
    "known values": case_files.judge,
    "duality": duality.judge,
    "identities": identities.judge,
    "finite differences": finite_differences.judge,
    "mpmath oracle": high_precision.judge,
    jax_judge.NAME: jax_judge.judge,
}

# Judges that need an optional library.
OPTIONAL = {
    "mpmath oracle": high_precision.reason_of_absence,
    jax_judge.NAME: jax_judge.reason_of_absence,
}

# Judges that simulate a case dozens of times, in many digits, or by code that is compiled for it.
# What the first two would say of a generated file has been said when it was made.
COSTLY = ("finite differences", "mpmath oracle", jax_judge.NAME)


class Row(NamedTuple):
    """One judgement, with the conditioning of its case."""

    judgement: Judgement
    conditioning: Conditioning


def usual_judges(case: Case, judges: dict[str, Judge]) -> dict[str, Judge]:
    """Return the judges that see a case of the suite unless all are asked to."""
    if case.name not in generated_names():
        return judges
    return {name: judge for name, judge in judges.items() if name not in COSTLY}


def _evaluate(case: Case) -> Evaluation:
    """Evaluate a case; where a file knows other spikes than ours, its cotangents fit nothing."""
    try:
        return evaluate(case)
    except SpikeCountError:
        if case.expected.spike_times is None:
            raise
        return evaluate(replace(case, time_bar=None))


def _quietly(function: Callable[[Any], Result], argument: Any) -> Result:
    """Call a function without warnings of ill conditioning, which the table shows in columns."""
    with warnings.catch_warnings(action="ignore", category=IllConditionedWarning):
        return function(argument)


def available_judges() -> tuple[dict[str, Judge], dict[str, str]]:
    """Return the judges that can be asked, and why the others cannot."""
    reasons = {name: reason() for name, reason in OPTIONAL.items()}
    absent = {name: reason for name, reason in reasons.items() if reason}
    return {name: judge for name, judge in JUDGES.items() if name not in absent}, absent


def run(cases: Iterable[Case], judges: dict[str, Judge] = JUDGES) -> Iterator[Row]:
    """Let every judge see every case; rows come as they are made."""
    for case in cases:
        evaluation = _quietly(_evaluate, case)
        for name, judge in judges.items():
            judgement = _quietly(judge, evaluation)._replace(judge=name)
            if name == "known values" and judgement.verdict == "skip":
                continue
            yield Row(judgement, evaluation.simulation.conditioning)
