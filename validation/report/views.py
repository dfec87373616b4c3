"""Tables of the page as cells of text, with what they are sorted by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from validation.comparison.certificate import CaseVerdict, Certificate, GroupVerdict, worst_group
from validation.judges.suite import Row
from validation.report.contents import entry_name, spike_counts
from validation.report.judges import by_judge
from validation.text import (
    SIGNS,
    entry_figure,
    error_figure,
    figure,
    printable,
    seconds_figure,
)

_RANK = {"fail": 0, "inconclusive": 1, "skip": 2, "pass": 3}


class Cell(NamedTuple):
    """A cell of a table."""

    text: str
    sort: str  # a number, or the text; "" is last in either direction
    kind: str = "text"  # "text", "number" or "verdict"
    verdict: str = ""
    link: str = ""  # anchor on the page


class Column(NamedTuple):
    """Head of a column."""

    label: str
    kind: str
    hint: str = ""


class Line(NamedTuple):
    """A row of a table, with what a filter looks at."""

    cells: list[Cell]
    verdict: str
    about: str = ""  # anchor of the details that are shown and hidden with it


class Table(NamedTuple):
    """A table that can be sorted."""

    caption: str
    columns: list[Column]
    lines: list[Line]


def text_cell(text: object, link: str = "") -> Cell:
    """Return a cell of text."""
    shown = printable(text)
    return Cell(shown, shown.lower(), link=link)


def number_cell(value: float, shown: str) -> Cell:
    """Return a cell of a number, which sorts by value."""
    known = not math.isnan(value)
    return Cell(shown if known else "-", repr(float(value)) if known else "", "number")


def verdict_cell(verdict: str) -> Cell:
    """Return a cell of a verdict; failures come first."""
    return Cell(SIGNS[verdict], str(_RANK[verdict]), "verdict", verdict)


_CASES = [
    Column("case", "text"),
    Column("verdict", "verdict"),
    Column("worst group", "text", "the group of outputs or parameters nearest to its tolerance"),
    Column("error", "number", "of the worst group, relative to the largest entry"),
    Column("tolerance", "number"),
    Column("spikes", "number", "of the reference; that of the answer if it differs"),
    Column("slope", "number", "smallest dV/dt at a spike"),
    Column("gap (ms)", "number", "shortest time between a crossing and an arrival"),
    Column("probable cause", "text"),
    Column("seconds", "number", "taken by the back end"),
]


def case_table(certificate: Certificate, name: str) -> Table:
    """Return the table of all cases of a back end; ``name`` begins the anchors of details."""
    lines = [
        Line(_case_cells(case, f"{name}-{j}"), case.verdict, f"{name}-{j}")
        for j, case in enumerate(certificate.cases)
    ]
    return Table(f"Cases of {printable(certificate.backend)}", _CASES, lines)


def _case_cells(case: CaseVerdict, anchor: str) -> list[Cell]:
    worst = worst_group(case)
    error, tolerance = (math.nan, math.nan) if worst is None else (worst.error, worst.tolerance)
    slope, gap = case.conditioning.min_slope, case.conditioning.min_gap
    return [
        text_cell(case.case.name, anchor),
        verdict_cell(case.verdict),
        text_cell("-" if worst is None else worst.group),
        number_cell(error, error_figure(error)),
        number_cell(tolerance, figure(tolerance)),
        number_cell(len(case.reference_time), spike_counts(case)),
        number_cell(slope, figure(slope)),
        number_cell(gap, figure(gap)),
        text_cell("" if case.cause is None else case.cause.name),
        number_cell(case.seconds, seconds_figure(case.seconds)),
    ]


_GROUPS = [
    Column("group", "text"),
    Column("verdict", "verdict"),
    Column("error", "number"),
    Column("tolerance", "number"),
    Column("entries", "number"),
    Column("largest difference in", "text"),
    Column("reference", "number"),
    Column("back end", "number"),
    Column("note", "text"),
]


def group_table(case: CaseVerdict) -> Table:
    """Return the table of the groups of a case."""
    columns = _GROUPS + ([Column("order", "number")] if case.order else [])
    lines = [Line(_group_cells(case, group), group.verdict) for group in case.groups]
    return Table(f"Groups of {printable(case.case.name)}", columns, lines)


def _group_cells(case: CaseVerdict, group: GroupVerdict) -> list[Cell]:
    k = group.worst
    cells = [
        text_cell(group.group),
        verdict_cell(group.verdict),
        number_cell(group.error, error_figure(group.error)),
        number_cell(group.tolerance, figure(group.tolerance)),
        number_cell(len(group.reference), str(len(group.reference))),
        text_cell(entry_name(case.case, group.group, k)),
        _entry_cell(group.reference, k),
        _entry_cell(group.answer, k),
        text_cell(group.note),
    ]
    if case.order:
        order = case.order.get(group.group, math.nan)
        cells.append(number_cell(order, f"{order:.2f}"))
    return cells


def _entry_cell(values: NDArray[np.float64], k: int) -> Cell:
    if not 0 <= k < len(values):
        return Cell("", "", "number")
    return Cell(entry_figure(values[k]), repr(float(values[k])), "number")


_JUDGEMENTS = [
    Column("case", "text"),
    Column("judge", "text"),
    Column("verdict", "verdict"),
    Column("error", "number"),
    Column("tolerance", "number"),
    Column("worst in", "text"),
    Column("slope", "number", "smallest dV/dt at a spike"),
    Column("gap (ms)", "number", "shortest time between a crossing and an arrival"),
    Column("note", "text"),
]


def judgement_table(rows: Iterable[Row]) -> Table:
    """Return the table of what every judge says of every case."""
    lines = []
    for said, conditioning in rows:
        cells = [
            text_cell(said.case),
            text_cell(said.judge),
            verdict_cell(said.verdict),
            number_cell(said.error, error_figure(said.error)),
            number_cell(said.tolerance, figure(said.tolerance)),
            text_cell(said.group),
            number_cell(conditioning.min_slope, figure(conditioning.min_slope)),
            number_cell(conditioning.min_gap, figure(conditioning.min_gap)),
            text_cell(said.note),
        ]
        lines.append(Line(cells, said.verdict))
    return Table("Judgements of refsim itself", _JUDGEMENTS, lines)


_JUDGES = [
    Column("judge", "text"),
    Column("passed", "number"),
    Column("failed", "number"),
    Column("skipped", "number"),
    Column("largest error / tolerance", "number"),
    Column("in case", "text"),
]


def judge_table(rows: Sequence[Row]) -> Table:
    """Return the table of judges."""
    lines = []
    for summary in by_judge(rows):
        cells = [
            text_cell(summary.judge),
            *(number_cell(count, str(count)) for count in summary.counts),
            number_cell(summary.error, error_figure(summary.error)),
            text_cell(summary.case),
        ]
        lines.append(Line(cells, "fail" if summary.counts.failed else "pass"))
    return Table("Judges", _JUDGES, lines)


def plain_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table of values of any kind."""
    given = [list(row) for row in rows]
    kinds = [
        "number" if all(_is_number(row[i]) for row in given) else "text"
        for i in range(len(columns))
    ]
    heads = [Column(printable(c), kind) for c, kind in zip(columns, kinds, strict=True)]
    lines = [
        Line([_plain_cell(v, kind) for v, kind in zip(row, kinds, strict=True)], "")
        for row in given
    ]
    return Table(printable(caption), heads, lines)


def _is_number(value: Any) -> bool:
    return value == "" or (isinstance(value, int | float) and not isinstance(value, bool))


def _plain_cell(value: Any, kind: str) -> Cell:
    if kind == "number" and value != "":
        return number_cell(value, f"{value:.6g}")
    return text_cell(value)
