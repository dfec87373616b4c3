"""The command ``refsim certify``."""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from refsim.errors import InvalidValueError
from validation.exit_codes import EXIT_FAILED


def add_parser(commands: Any) -> None:
    """Add the command to those of ``refsim``."""
    parser = commands.add_parser(
        "certify",
        help="judge the spikes and gradients of another simulator",
        description="Judge the spikes and gradients of a back end, case by case, by those of the "
        "reference, and name the probable cause of what is wrong. See docs/certify.md.",
        epilog="Exit codes: 0 no case fails, 1 a case fails, 2 wrong arguments or files.",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--exec",
        dest="program",
        metavar='"PROG {case} {out}"',
        help="a program that reads the file {case} and writes the file {out}; {dt} is the step",
    )
    which.add_argument(
        "--backend", metavar="MODULE:FUNCTION", help="a back end in Python, as in docs/certify.md"
    )
    parser.add_argument(
        "--cases",
        nargs="+",
        default=[],
        metavar="FILE|DIR",
        help="case files, or folders of them; the standard suite if absent",
    )
    parser.add_argument(
        "--steps",
        type=_steps,
        metavar="DT,DT,...",
        help="time steps in ms of a back end with a grid; errors must vanish with them",
    )
    parser.add_argument("--groups", type=_names, metavar="G,G,...", help="groups to be offered")
    parser.add_argument("--rtol", type=float, metavar="TOL", help="tolerance of all groups")
    parser.add_argument(
        "--float32", action="store_true", help="judge as a back end that computes in float32"
    )
    parser.add_argument(
        "--timeout", type=float, default=600.0, metavar="S", help="seconds for a program and case"
    )
    parser.add_argument("--name", help="name of the back end in reports")
    parser.add_argument("--json", metavar="FILE", help="also write the verdicts as JSON")
    parser.add_argument("--report", metavar="DIR", help="also write a report to this folder")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from refsim.files import check_writable, write_whole
    from validation.certification.certify import certify
    from validation.report.command import write_report
    from validation.report.writing import made_folder

    started = time.perf_counter()
    backend = _backend(arguments)
    if arguments.report:
        made_folder(arguments.report)  # or fail before the work
    if arguments.json:
        check_writable(arguments.json)
    print(_LINE.format(*_HEADER).rstrip(), flush=True)
    certificate = certify(
        backend,
        case_files(arguments.cases) if arguments.cases else None,
        steps=arguments.steps,
        name=arguments.name,
        groups=arguments.groups,
        rtol=arguments.rtol,
        precision="float32" if arguments.float32 else None,
        on_case=_print_case,
    )
    count = [case.verdict for case in certificate.cases].count
    print(
        f"\n{certificate.backend}: {count('pass')} cases passed, {count('fail')} failed, "
        f"{count('skip')} skipped in {time.perf_counter() - started:.1f} s"
    )
    if arguments.json:
        from validation.certification.verdicts import dump

        write_whole(arguments.json, lambda stream: dump(certificate, stream))
    if arguments.report:
        write_report(arguments.report, [certificate])
    return EXIT_FAILED if certificate.verdict == "fail" else 0


def case_files(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return case files; a folder stands for the JSON files in it."""
    found: list[Path] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            inside = sorted(path.glob("*.json"))
            if not inside:
                raise InvalidValueError(f"{path}: has no case file; expected *.json in the folder")
            found += inside
        else:
            found.append(path)
    return found


def _steps(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers in ms") from None


def _names(text: str) -> list[str]:
    return text.split(",")


def _backend(arguments: argparse.Namespace) -> Callable[..., Any]:
    if arguments.program is not None:
        from validation.backends.command import from_command

        return from_command(arguments.program, arguments.timeout)
    return loaded_backend(arguments.backend)


def loaded_backend(name: str) -> Callable[..., Any]:
    """Import ``module:function``; modules in the working directory are found as well."""
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise InvalidValueError(f"backend is {name!r}; expected 'module:function'")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise InvalidValueError(
            f"backend is {name!r}; expected a module that can be imported: {error}"
        ) from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InvalidValueError(f"backend is {name!r}; expected {module} to have {attribute!r}")
        found = getattr(found, part)
    if not callable(found):
        raise InvalidValueError(
            f"backend is {name!r}, a {type(found).__name__}; expected a function"
        )
    return found


_HEADER = ("case", "verdict", "spikes", "error", "tolerance", "worst in", "cause or note")
_LINE = "{:<22} {:<7} {:>11} {:>9} {:>9} {:<12} {}"


def _print_case(case: Any) -> None:
    from validation.report.text import figure

    worst = _worst(case)
    says = case.note
    if case.cause is not None:
        says = f"{case.cause.name}: {case.cause.evidence}"
    spikes = f"{len(case.answer_time)}/{len(case.reference_time)}"
    cells = (
        case.case.name[:22],
        case.verdict.upper() if case.verdict == "fail" else case.verdict,
        spikes,
        figure(worst.error) if worst else "-",
        figure(worst.tolerance) if worst else "-",
        worst.group if worst else "",
        says,
    )
    print(_LINE.format(*cells).rstrip(), flush=True)


def _worst(case: Any) -> Any:
    """Return the row with the largest error for its tolerance; those that fail come first."""
    rows = [row for row in case.groups if not math.isnan(row.error)]
    return max(
        rows, key=lambda row: (row.verdict == "fail", row.error / row.tolerance), default=None
    )
