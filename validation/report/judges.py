"""What each judge of ``refsim validate`` has said, in one line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from adjoint.check import Judgement
from validation.judges.suite import Row
from validation.report.contents import Counts


class JudgeSummary(NamedTuple):
    """What one judge has said of all cases."""

    judge: str
    counts: Counts
    error: float  # largest error as a multiple of its tolerance, nan where there is none
    case: str  # where that is


def excess(said: Judgement) -> float:
    """Return the error as a multiple of the tolerance, nan where there is none."""
    if said.verdict == "skip" or not said.tolerance > 0.0:
        return math.nan
    return said.error / said.tolerance


def by_judge(rows: Sequence[Row]) -> list[JudgeSummary]:
    """Return a summary for each judge, in the order in which they speak."""
    return [_summary(judge, said) for judge, said in said_by_judge(rows).items()]


def said_by_judge(rows: Sequence[Row]) -> dict[str, list[Judgement]]:
    """Return what each judge says, in the order in which they speak."""
    said: dict[str, list[Judgement]] = {}
    for row in rows:
        said.setdefault(row.judgement.judge, []).append(row.judgement)
    return said


def _summary(judge: str, said: list[Judgement]) -> JudgeSummary:
    counts = Counts.of(j.verdict for j in said)
    known = [j for j in said if not math.isnan(excess(j))]
    worst = max(known, key=excess, default=None)
    if worst is None:
        return JudgeSummary(judge, counts, math.nan, "")
    return JudgeSummary(judge, counts, excess(worst), worst.case)
