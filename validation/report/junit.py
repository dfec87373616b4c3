"""A report as JUnit XML, the form of test results that build servers show."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from typing import NamedTuple

from adjoint.check import Judgement
from validation.comparison.certificate import CaseVerdict, Certificate
from validation.report.contents import Counts, Report, difference_text, sentences
from validation.report.judges import said_by_judge
from validation.text import error_figure, figure, printable

_Element = ElementTree.Element
ALL_CASES = "all cases together"


class _Test(NamedTuple):
    name: str
    verdict: str
    message: str  # why it failed or was skipped, in a line
    details: str  # the same at length
    kind: str  # of a failure
    seconds: float = 0.0


def junit_text(report: Report) -> str:
    """Return the XML of a report: a suite for each back end and for each judge."""
    root = ElementTree.Element("testsuites", name=printable(report.heading))
    for certificate in report.certificates:
        tests = [_case_test(case) for case in certificate.cases] + _together(certificate)
        suite = _suite(root, certificate.backend, tests)
        _describe(suite, certificate)
    for judge, said in said_by_judge(report.rows).items():
        _suite(root, f"refsim: {judge}", [_judge_test(judgement) for judgement in said])
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in root):.3f}")
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(root: _Element, name: str, tests: Sequence[_Test]) -> _Element:
    counts = Counts.of(test.verdict for test in tests)
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=printable(name),
        tests=str(counts.total),
        failures=str(counts.failed),
        errors="0",
        skipped=str(counts.skipped),
        time=f"{sum(float(f'{test.seconds:.3f}') for test in tests):.3f}",
    )
    for test in tests:
        _add_test(suite, name, test)
    return suite


def _describe(suite: _Element, certificate: Certificate) -> None:
    """Add verdict, date, machine and versions to the suite of a back end."""
    suite.set("timestamp", printable(certificate.date.removesuffix("Z").removesuffix("+00:00")))
    suite.set("hostname", printable(certificate.machine))
    properties = ElementTree.Element("properties")
    for key, value in certificate.versions.items():
        ElementTree.SubElement(
            properties, "property", name=f"version of {printable(key)}", value=printable(value)
        )
    for key, value in (("verdict", certificate.verdict), ("of all cases", sentences(certificate))):
        ElementTree.SubElement(properties, "property", name=key, value=printable(value))
    suite.insert(0, properties)


def _add_test(suite: _Element, classname: str, test: _Test) -> None:
    entry = ElementTree.SubElement(
        suite,
        "testcase",
        classname=printable(classname),
        name=printable(test.name),
        time=f"{test.seconds:.3f}",
    )
    message = printable(test.message)
    if test.verdict == "skip":
        ElementTree.SubElement(entry, "skipped", message=message)
    elif test.verdict == "fail":
        failure = ElementTree.SubElement(
            entry, "failure", message=message, type=printable(test.kind)
        )
        failure.text = "\n".join(map(printable, test.details.splitlines()))


def _case_test(case: CaseVerdict) -> _Test:
    lines = [
        f"{group.group}: error {error_figure(group.error)}, tolerance {figure(group.tolerance)}"
        + (f", {group.note}" if group.note else "")
        for group in case.groups
        if group.verdict == "fail"
    ]
    cause = "" if case.cause is None else f"{case.cause.name}: {case.cause.evidence}"
    details = [case.note, *lines, difference_text(case), cause]
    message = case.note or (lines[0] if lines else difference_text(case))
    kind = case.cause.name if case.cause else "wrong gradient"
    text = "\n".join(line for line in details if line)
    return _Test(case.case.name, case.verdict, message, text, kind, case.seconds)


def _together(certificate: Certificate) -> list[_Test]:
    """Return a test for what only all cases together show, none if they do not."""
    cause = certificate.cause
    if cause is None:
        return []
    says = f"{cause.name}: {cause.evidence}"
    return [_Test(ALL_CASES, "fail", says, certificate.lateness_note, cause.name)]


def _judge_test(said: Judgement) -> _Test:
    return _Test(
        said.case,
        said.verdict,
        said.note or f"error {error_figure(said.error)} in {said.group}",
        f"error {error_figure(said.error)}, tolerance {figure(said.tolerance)}, worst in "
        f"{said.group}",
        "judgement",
    )
