"""Fixture ``refsim_case``: a test of a simulator runs once for each certified case.

    def test_my_simulator(refsim_case):
        refsim_case.check(my_backend)

pytest finds this module through its entry point. It imports nothing of the project before a test
asks for the fixture, so that it costs nothing where it is not used.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from validation.comparison.certificate import CaseVerdict, Certificate

FIXTURE = "refsim_case"
_CASES = pytest.StashKey[list[Any]]()
_FOUND = pytest.StashKey["dict[str, Certificate]"]()  # by back end


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the setting that choose cases."""
    group = parser.getgroup("refsim", "certification of simulators by refsim")
    group.addoption(
        "--refsim-cases",
        action="append",
        default=[],
        metavar="PATH",
        help="a case file, or a folder of them, for the fixture refsim_case; can be repeated "
        "(the standard suite)",
    )
    parser.addini(
        "refsim_cases", "case files, or folders of them, for the fixture refsim_case", type="paths"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test that asks for the fixture run once for each case."""
    if FIXTURE not in metafunc.fixturenames:
        return
    from refsim.errors import RefsimError

    try:
        cases = _cases(metafunc.config)
    except RefsimError as error:
        raise pytest.UsageError(f"refsim_case: {error}") from None
    metafunc.parametrize(FIXTURE, cases, ids=[case.name for case in cases], indirect=True)


def _cases(config: pytest.Config) -> list[Any]:
    """Return the cases that are asked for, read once in a session."""
    if _CASES not in config.stash:
        from validation.certification.request import loaded

        paths = config.getoption("--refsim-cases") or config.getini("refsim_cases")
        config.stash[_CASES] = loaded(paths or None)
    return config.stash[_CASES]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say so where the tests of a back end, all passed or skipped, are too little to tell."""
    found = terminalreporter.config.stash.get(_FOUND, {})
    doubtful = [each for each in found.values() if each.verdict == "inconclusive"]
    if doubtful:
        terminalreporter.section("refsim")
    for certificate in doubtful:
        terminalreporter.line(f"{certificate.backend}: inconclusive: {certificate.note}")


@pytest.fixture
def refsim_case(request: pytest.FixtureRequest) -> CertifiedCase:
    """Return a case with a method ``check(backend, **options)``."""
    return CertifiedCase(request.param, request.config.stash.setdefault(_FOUND, {}))


class CertifiedCase:
    """A case by which a back end is judged.

    Attributes
    ----------
    case : refsim.cases.Case
        Network, inputs, duration, samples and cotangents.
    """

    def __init__(self, case: Any, found: dict[str, Certificate] | None = None):
        self.case = case
        self._found = {} if found is None else found

    def __repr__(self) -> str:
        from validation.printable import printable

        return f"<case {printable(self.case.name)}>"

    def check(self, backend: Any, **options: Any) -> CaseVerdict:
        """Judge a back end by this case.

        Parameters
        ----------
        backend : callable
            As for :func:`validation.certify`.
        **options
            Other arguments of :func:`validation.certify`: steps, groups, rtol, precision.

        Returns
        -------
        CaseVerdict
            What was found; a test fails, or is skipped, with its reasons.
        """
        __tracebackhide__ = True
        from validation.certification.certify import certify
        from validation.printable import printable

        certificate = certify(backend, [self.case], **options)
        verdict = certificate.cases[0]
        known = self._found.get(certificate.backend, replace(certificate, cases=(), lateness=()))
        cases = (*known.cases, verdict)
        self._found[certificate.backend] = replace(known, cases=cases)
        if verdict.verdict == "fail":
            pytest.fail(message(verdict), pytrace=False)
        if verdict.verdict == "skip":
            pytest.skip(printable(verdict.note))
        return verdict


def message(verdict: CaseVerdict) -> str:
    """Return what is wrong in a case, in some lines."""
    from validation.printable import printable
    from validation.report.contents import difference_text

    lines = [f"case {verdict.case.name}: {verdict.verdict}. {verdict.note}"]
    if verdict.cause is not None:
        lines.append(f"probable cause: {verdict.cause.name} ({verdict.cause.evidence})")
    first = difference_text(verdict)
    if first:
        lines.append(first)
    if verdict.groups:
        lines.append(f"{'group':<12} {'verdict':<7} {'error':>9} {'tolerance':>9}  worst entry")
        lines += [_row(row) for row in verdict.groups]
    return "\n".join(map(printable, lines))


def _row(row: Any) -> str:
    worst = ""
    if row.worst >= 0 and row.verdict != "pass":
        worst = (
            f"[{row.worst}] is {row.answer[row.worst]:.9g}, the reference "
            f"{row.reference[row.worst]:.9g}"
        )
    text = f"{row.group:<12} {row.verdict:<7} {row.error:>9.1e} {row.tolerance:>9.1e}  {worst}"
    return f"{text} {row.note}".rstrip()
