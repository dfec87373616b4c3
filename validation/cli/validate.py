"""The command ``refsim validate``."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any, TextIO

from refsim._version import __version__
from refsim.errors import RefsimError
from validation.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from validation.names import given_name
from validation.terminal import complain, say, show_progress


def add_parser(commands: Any) -> None:
    """Add the command to those of ``refsim``."""
    parser = commands.add_parser(
        "validate",
        help="certify spikes and gradients by independent judges",
        description="Certify spikes and gradients of case files, or of the built-in suite: stored "
        "cases, a zoo of networks and the Yin-Yang data set.",
    )
    parser.add_argument("files", nargs="*", metavar="FILE.json", help="case files to check")
    parser.add_argument(
        "--json", type=given_name, metavar="FILE", help="also write the table as JSON"
    )
    parser.add_argument(
        "--report", type=given_name, metavar="DIR", help="also write a report to a folder"
    )
    parser.add_argument("--all", action="store_true", help="every judge on every built-in case")
    parser.set_defaults(run=run)


_HEADER = ("case", "judge", "error", "tolerance", "verdict", "slope", "gap", "worst in", "note")
_LINE = "{:<22} {:<19} {:>9} {:>9} {:<7} {:>8} {:>8} {:<15} {}"


def _print_row(row: Any) -> None:
    from validation.text import figure

    j, conditioning = row
    cells = (
        j.case[:22],
        j.judge,
        figure(j.error),
        figure(j.tolerance),
        j.verdict.upper() if j.verdict == "fail" else j.verdict,
        figure(conditioning.min_slope),
        figure(conditioning.min_gap),
        j.group,
        j.note,
    )
    say(_LINE.format(*cells).rstrip(), flush=True)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from refsim.files.output import check_writable, made_folder, write_whole
    from validation.judges import suite
    from validation.report.command import write_report
    from validation.report.devices import OWN_RECORDS

    started = time.perf_counter()
    if arguments.report:
        made_folder(arguments.report)  # or fail before the work
    if arguments.json:
        check_writable(arguments.json)
    say(f"refsim {__version__}. Errors are relative; slope is the smallest dV/dt at a spike, gap")
    say("the shortest time in ms between a crossing and an arrival. The first run compiles.")
    say()
    say(_LINE.format(*_HEADER).rstrip(), flush=True)
    show_progress("preparing ...")
    judges, absent = suite.available_judges()
    cases, unreadable = _readable_cases(arguments.files)
    asked = [
        judges if arguments.all or arguments.files else suite.usual_judges(case, judges)
        for _, case in cases
    ]
    rows, judged, interrupted = _rows(cases, asked)
    failed = _print_counts(rows, judged, time.perf_counter() - started)
    for name, reason in absent.items():
        say(f"not asked: {name} ({reason})")
    left_out = sum(len(some) < len(judges) for some in asked)
    if left_out:
        costly = ", ".join(name for name in suite.COSTLY if name in judges)
        say(f"left out for {left_out} generated cases: {costly} (refsim validate --all)")
    if arguments.json:
        write_whole(arguments.json, lambda stream: _dump_rows(rows, stream))
    if arguments.report:
        write_report(
            arguments.report, rows=rows, title="refsim validate", device_records=OWN_RECORDS
        )
    if interrupted:
        complain(f"refsim: interrupted: {judged} of {len(cases)} cases were judged")
        return EXIT_INTERRUPTED
    if unreadable or judged < len(cases):
        return EXIT_USAGE
    return EXIT_FAILED if failed else 0


def _rows(
    cases: Sequence[tuple[str, Any]], asked: Sequence[dict[str, Any]]
) -> tuple[list[Any], int, bool]:
    """Print and return what the judges say, how many cases could be judged, and if Ctrl-C came."""
    from validation.judges import suite

    rows = []
    judged = 0
    for number, ((origin, case), judges) in enumerate(zip(cases, asked, strict=True), start=1):
        show_progress(f"[{number}/{len(cases)}] {case.name} ...")
        try:
            for row in suite.run([case], judges):
                show_progress("")
                _print_row(row)
                rows.append(row)
            judged += 1
        except RefsimError as error:  # other spikes than cotangents, or no gradient
            complain(f"refsim: error: {origin or case.name}: {error}")
        except KeyboardInterrupt:
            return rows, judged, True
    return rows, judged, False


def _print_counts(rows: Sequence[Any], judged: int, seconds: float) -> int:
    """Print how many judgements there are of each kind, and return how many failed."""
    count = [row.judgement.verdict for row in rows].count
    say()
    say(
        f"{judged} {'case' if judged == 1 else 'cases'}: {count('pass')} passed, "
        f"{count('fail')} failed, {count('skip')} skipped in {seconds:.1f} s"
    )
    return count("fail")


def _readable_cases(paths: Sequence[str]) -> tuple[list[tuple[str, Any]], int]:
    """Return cases with their files, or the standard ones, and how many files are none."""
    from refsim.cases import load
    from validation.case_suite import stored

    if not paths:
        return [("", case) for case in stored.standard_cases()], 0
    cases = []
    for path in paths:
        try:
            cases.append((path, load(path)))
        except RefsimError as error:
            complain(f"refsim: error: {error}")
    return cases, len(paths) - len(cases)


def _dump_rows(rows: Sequence[Any], stream: TextIO) -> None:
    from validation.json_values import plain

    records = [plain(row.judgement) | plain(row.conditioning) for row in rows]
    document = {"format": "refsim-validation/2", "version": __version__, "rows": records}
    json.dump(document, stream, indent=1, allow_nan=False)
