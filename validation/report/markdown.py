"""A report as Markdown: the tables of the page without its pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from validation.comparison.certificate import CaseVerdict, Certificate, worst_group
from validation.report.contents import (
    Counts,
    Report,
    difference_text,
    overall,
    sentences,
    spike_counts,
)
from validation.report.devices import plain_figures, tables
from validation.report.judges import by_judge
from validation.text import SIGNS, error_figure, figure, markdown, seconds_figure

NO_DEVICE = "No measurements on an accelerator were given: none of these figures is from a device."
_CASE_COLUMNS = (
    "case",
    "verdict",
    "worst group",
    "error",
    "tolerance",
    "spikes",
    "slope",
    "gap (ms)",
    "probable cause",
    "seconds",
)


def markdown_text(report: Report) -> str:
    """Return the Markdown of a report."""
    parts = [f"# {markdown(report.heading)}", _headlines(report)]
    for certificate in report.certificates:
        parts += _certificate(certificate)
    if report.rows:
        parts += _judges(report)
    parts += ["## Accelerators", *_devices(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table of which every cell is escaped."""
    lines = [[markdown(cell) for cell in row] for row in [columns, *rows]]
    lines.insert(1, ["---"] * len(columns))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _headlines(report: Report) -> str:
    lines = [
        f"- **{SIGNS[c.verdict]}** {markdown(c.backend)}: "
        + Counts.of(case.verdict for case in c.cases).sentence("case")
        for c in report.certificates
    ]
    if report.rows:
        said = [row.judgement.verdict for row in report.rows]
        counts = Counts.of(said).sentence("judgement")
        lines.append(f"- **{SIGNS[overall(said)]}** refsim by its judges: {counts}")
    return "\n".join(lines) or "Nothing was judged."


def _certificate(certificate: Certificate) -> list[str]:
    versions = ", ".join(f"{markdown(k)} {markdown(v)}" for k, v in certificate.versions.items())
    facts = f"{markdown(certificate.date)}, {markdown(certificate.machine)}; {versions}"
    failures = [_failure(case) for case in certificate.cases if case.verdict == "fail"]
    notes = [
        f"- {markdown(case.case.name)}: {markdown(case.note)}"
        for case in certificate.cases
        if case.verdict == "skip" and case.note
    ]
    return [
        f"## {markdown(certificate.backend)}",
        facts,
        markdown(_ended(sentences(certificate))),
        table(_CASE_COLUMNS, map(_case_row, certificate.cases)),
        "\n".join(failures),
        "Skipped:\n\n" + "\n".join(notes) if notes else "",
    ]


def _case_row(case: CaseVerdict) -> list[object]:
    worst = worst_group(case)
    return [
        case.case.name,
        SIGNS[case.verdict],
        "-" if worst is None else worst.group,
        "-" if worst is None else error_figure(worst.error),
        "-" if worst is None else figure(worst.tolerance),
        spike_counts(case),
        figure(case.conditioning.min_slope),
        figure(case.conditioning.min_gap),
        "" if case.cause is None else case.cause.name,
        seconds_figure(case.seconds),
    ]


def _failure(case: CaseVerdict) -> str:
    failed = ", ".join(
        f"{markdown(group.group)} {error_figure(group.error)} (tolerance {figure(group.tolerance)})"
        for group in case.groups
        if group.verdict == "fail"
    )
    cause = "" if case.cause is None else f"{case.cause.name}: {case.cause.evidence}"
    sentences = [markdown(case.note), failed, markdown(difference_text(case)), markdown(cause)]
    return f"- **{markdown(case.case.name)}**: " + " ".join(_ended(s) for s in sentences if s)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else sentence + "."


def _judges(report: Report) -> list[str]:
    columns = ("case", "judge", "verdict", "error", "tolerance", "worst in", "note")
    cells = [
        (
            j.case,
            j.judge,
            SIGNS[j.verdict],
            figure(j.error),
            figure(j.tolerance),
            j.group,
            j.note,
        )
        for j, _ in report.rows
    ]
    summary = [(s.judge, *s.counts, figure(s.error), s.case) for s in by_judge(report.rows)]
    return [
        "## Judges of refsim",
        table(
            ("judge", "passed", "failed", "skipped", "largest error by tolerance", "in"), summary
        ),
        table(columns, cells),
    ]


def _devices(report: Report) -> list[str]:
    if not report.device_records:
        return [NO_DEVICE]
    parts = []
    for record in report.device_records:
        facts = {"date": record["date"], **record["versions"], **plain_figures(record)}
        parts.append(f"### {markdown(record['device'])}")
        parts.append("\n".join(f"- {markdown(k)}: {markdown(v)}" for k, v in facts.items()))
        for name, (columns, rows) in tables(record).items():
            parts += [markdown(name), table(columns, rows)]
    return parts
