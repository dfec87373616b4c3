"""A report as one page of HTML that needs no other file and no network.

Pictures are costly, about 50 kB and a third of a second a case, and say little of a case that
passes: its points lie on a diagonal. So they are drawn for the cases that fail, for the one of each
back end that passes with the least to spare, and for those that are asked for.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection
from importlib.resources import files
from typing import Any, NamedTuple

from refsim._version import __version__
from validation.comparison.certificate import CaseVerdict, Certificate, ratio, worst_group
from validation.report.case_plots import case_pictures
from validation.report.contents import (
    Counts,
    Report,
    difference_text,
    overall,
    sentences,
)
from validation.report.devices import plain_figures, tables
from validation.report.markdown import NO_DEVICE
from validation.report.overview_plots import Picture, certificate_pictures, judge_pictures
from validation.report.views import (
    Table,
    case_table,
    group_table,
    judge_table,
    judgement_table,
    plain_table,
)
from validation.text import SIGNS, figure, printable

MOST_DRAWN = 24  # cases that fail and are drawn, in all: about 8 s and 1.2 MB
_MOST_LISTED = 12  # failures of a back end that are told before the table of all cases


class CaseView(NamedTuple):
    """What the page says of a case."""

    anchor: str
    name: str
    verdict: str
    sentences: list[str]
    facts: dict[str, str]
    groups: Table
    pictures: list[Picture]


class CertificateView(NamedTuple):
    """What the page says of a back end."""

    anchor: str
    backend: str
    verdict: str
    counts: str
    sentences: str
    facts: dict[str, str]
    failures: list[CaseView]
    unlisted: int
    table: Table
    pictures: list[Picture]
    cases: list[CaseView]
    undrawn: int


class DeviceView(NamedTuple):
    """What the page says of a measurement on an accelerator."""

    device: str
    facts: dict[str, str]
    tables: list[Table]


def page_text(report: Report, draw: Collection[str] = ()) -> str:
    """Return the page of a report, with pictures of the cases named in ``draw`` as well."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("validation.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    script = _part("report.js")
    return environment.get_template("report.html.jinja").render(
        title=printable(report.heading),
        verdict=report.verdict,
        signs=SIGNS,
        version=__version__,
        certificates=_certificates(report, draw),
        judges=_judges(report),
        devices=[_device(record) for record in report.device_records],
        no_device=NO_DEVICE,
        style=_part("report.css"),
        script=script,
        # A name that escaping had missed could still not run as a script.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _part(name: str) -> str:
    return files("validation.report").joinpath("templates", name).read_text("utf-8")


def _certificates(report: Report, draw: Collection[str]) -> list[CertificateView]:
    drawn = chosen(report, draw)
    return [
        _certificate(certificate, f"backend-{i}", {j for k, j in drawn if k == i})
        for i, certificate in enumerate(report.certificates)
    ]


def chosen(report: Report, draw: Collection[str]) -> set[tuple[int, int]]:
    """Return which cases to draw, by certificate and place in it."""
    placed = [
        (i, j, case)
        for i, certificate in enumerate(report.certificates)
        for j, case in enumerate(certificate.cases)
    ]
    failed = [place for place in placed if place[2].verdict == "fail"]
    failed.sort(key=lambda place: -_excess(place[2]))
    picked = {(i, j) for i, j, _ in failed[:MOST_DRAWN]}
    picked |= {(i, j) for i, j, case in placed if case.case.name in draw}
    for i in range(len(report.certificates)):
        passed = [place for place in placed if place[0] == i and place[2].verdict == "pass"]
        nearest = max(passed, key=lambda place: _excess(place[2]), default=None)
        if nearest is not None:
            picked.add(nearest[:2])
    return picked


def _excess(case: CaseVerdict) -> float:
    worst = worst_group(case)
    return 0.0 if worst is None else ratio(worst)


def _certificate(certificate: Certificate, name: str, drawn: set[int]) -> CertificateView:
    cases = [_case(case, f"{name}-{j}", j in drawn) for j, case in enumerate(certificate.cases)]
    facts = {"date": certificate.date, "machine": certificate.machine}
    failed = [j for j, case in enumerate(certificate.cases) if case.verdict == "fail"]
    return CertificateView(
        anchor=name,
        backend=printable(certificate.backend),
        verdict=certificate.verdict,
        counts=Counts.of(case.verdict for case in certificate.cases).sentence("case"),
        sentences=printable(sentences(certificate)),
        facts=_printable(facts | certificate.versions),
        failures=[cases[j] for j in failed[:_MOST_LISTED]],
        unlisted=max(0, len(failed) - _MOST_LISTED),
        table=case_table(certificate, name),
        pictures=certificate_pictures(certificate, name),
        cases=cases,
        undrawn=len([j for j in failed if j not in drawn]),
    )


def _case(case: CaseVerdict, anchor: str, draw: bool) -> CaseView:
    says = [case.note, difference_text(case)]
    if case.cause is not None:
        says.append(f"Probable cause: {case.cause.name}; {case.cause.evidence}")
    given, c = case.case, case.conditioning
    facts = {
        "neurons": str(given.network.n_neurons),
        "synapses": str(len(given.network.pre)),
        "input spikes": str(len(given.inputs)),
        "duration (ms)": f"{given.duration:g}",
        "spikes of the reference": str(len(case.reference_time)),
        "spikes of the back end": str(len(case.answer_time)),
        "smallest slope": figure(c.min_slope, 3),
        "gap to a crossing (ms)": figure(c.min_gap, 3),
        "gap to a release (ms)": figure(c.min_release_gap, 3),
        "gap to a sample (ms)": figure(c.min_sample_gap, 3),
    }
    return CaseView(
        anchor=anchor,
        name=printable(given.name),
        verdict=case.verdict,
        sentences=[printable(sentence) for sentence in says if sentence],
        facts=facts,
        groups=group_table(case),
        pictures=case_pictures(case, anchor) if draw and case.verdict != "skip" else [],
    )


def _judges(report: Report) -> dict[str, Any] | None:
    if not report.rows:
        return None
    said = [row.judgement.verdict for row in report.rows]
    return {
        "verdict": overall(said),
        "counts": Counts.of(said).sentence("judgement"),
        "summary": judge_table(report.rows),
        "judgements": judgement_table(report.rows),
        "pictures": judge_pictures(report.rows),
    }


def _device(record: dict[str, Any]) -> DeviceView:
    facts = {"date": record["date"], **record["versions"], **plain_figures(record)}
    return DeviceView(
        device=printable(record["device"]),
        facts=_printable(facts),
        tables=[plain_table(name, *found) for name, found in tables(record).items()],
    )


def _printable(facts: dict[str, Any]) -> dict[str, str]:
    return {printable(key): printable(value) for key, value in facts.items()}
