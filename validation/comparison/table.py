"""Verdicts as a table of text, a line a case."""

from __future__ import annotations

from validation.comparison.certificate import CaseVerdict, worst_group
from validation.printable import printable
from validation.text import figure

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
