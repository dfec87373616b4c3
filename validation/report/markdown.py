"""A report as Markdown: the tables of the page without its pictures."""

from __future__ import annotations

from validation.comparison.certificate import CaseVerdict, Certificate
from validation.report.contents import (
    Counts,
    Report,
    difference_text,
    overall,
    sentences,
)
from validation.report.devices import plain_figures, tables
from validation.report.views import Table, case_table, judge_table, judgement_table, plain_table
from validation.text import SIGNS, error_figure, figure, markdown

NO_DEVICE = "No measurements on an accelerator were given: none of these figures is from a device."


def markdown_text(report: Report) -> str:
    """Return the Markdown of a report."""
    parts = [f"# {markdown(report.heading)}", _headlines(report)]
    for certificate in report.certificates:
        parts += _certificate(certificate)
    if report.rows:
        parts += _judges(report)
    parts += ["## Accelerators", *_devices(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(table: Table) -> str:
    """Return a table of the page, of which every cell is escaped."""
    rows = [[cell.text for cell in line.cells] for line in table.lines]
    lines = [[markdown(text) for text in row] for row in [[c.label for c in table.columns], *rows]]
    lines.insert(1, ["---"] * len(table.columns))
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
        _table(case_table(certificate, "")),
        "\n".join(failures),
        "Skipped:\n\n" + "\n".join(notes) if notes else "",
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
    return [
        "## Judges of refsim",
        _table(judge_table(report.rows)),
        _table(judgement_table(report.rows)),
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
            parts += [markdown(name), _table(plain_table(name, columns, rows))]
    return parts
