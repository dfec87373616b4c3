"""The command ``refsim certify``."""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from refsim.errors import InvalidValueError, RefsimError
from refsim.grid.scheme import GridScheme
from validation.cli.exit_codes import EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_INTERRUPTED, EXIT_USAGE
from validation.names import given_name
from validation.terminal import complain, say

if TYPE_CHECKING:
    from refsim.cases import Case
    from validation.comparison.certificate import CaseVerdict, Certificate


def add_parser(commands: Any) -> None:
    """Add the command to those of ``refsim``."""
    parser = commands.add_parser(
        "certify",
        help="judge the spikes and gradients of another simulator",
        description="Judge the spikes and gradients of a back end, case by case, by those of the "
        "reference, and name the probable cause of what is wrong. See docs/certify.md.",
        epilog="Exit codes: 0 cases pass and none fails, 1 a case fails, or all together show that "
        "the back end is late, 2 wrong arguments or files, 3 inconclusive: more cases are skipped "
        "than pass, or none tests some group of parameters, 130 interrupted.",
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
        type=given_name,
        default=[],
        metavar="FILE|DIR|NAME",
        help="case files, folders of them, names of stored cases; the standard suite if absent",
    )
    parser.add_argument(
        "--steps",
        type=_steps,
        metavar="DT,DT,...",
        help="time steps in ms of a back end with a grid; errors must vanish with them",
    )
    parser.add_argument(
        "--scheme",
        type=_scheme,
        metavar="RULE=VALUE,...",
        help="rules of the grid, as of refsim.GridScheme, or adseq; answers are then judged to "
        "rounding, by the engine with the same rules",
    )
    parser.add_argument(
        "--latency",
        type=float,
        metavar="N",
        help="steps by which arrivals act later than their times say, of a grid that is made so",
    )
    parser.add_argument("--groups", type=_names, metavar="G,G,...", help="groups to be offered")
    parser.add_argument("--rtol", type=float, metavar="TOL", help="tolerance of all groups")
    parser.add_argument(
        "--float32", action="store_true", help="judge as a back end that computes in float32"
    )
    parser.add_argument(
        "--timeout", type=float, default=600.0, metavar="S", help="seconds for a program and case"
    )
    parser.add_argument("--name", type=given_name, help="name of the back end in reports")
    parser.add_argument(
        "--json", type=given_name, metavar="FILE", help="also write the verdicts as JSON"
    )
    parser.add_argument(
        "--report", type=given_name, metavar="DIR", help="also write a report to this folder"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from refsim.files.output import check_writable, made_folder
    from validation.comparison.certificate import HEADER, NO_REFERENCE, CertificationInterrupted

    started = time.perf_counter()
    backend = _backend(arguments)
    cases = _checked_cases(arguments, backend)
    if arguments.report:
        made_folder(arguments.report)  # or fail before the work
    if arguments.json:
        check_writable(arguments.json)
    say(HEADER, flush=True)
    interruption = ""
    try:
        with _termination_as_interruption():
            certificate = _certified(arguments, backend, cases)
    except CertificationInterrupted as error:
        certificate, interruption = error.partial, str(error)
    _write(arguments, certificate, time.perf_counter() - started)
    if interruption:
        complain(f"refsim: {interruption}")
        return EXIT_INTERRUPTED
    if any(case.note.startswith(NO_REFERENCE) for case in certificate.cases):
        return EXIT_USAGE
    if certificate.verdict == "inconclusive":
        if not any(case.verdict == "pass" for case in certificate.cases):
            complain("nothing was judged")
        return EXIT_INCONCLUSIVE
    return 0 if certificate.verdict == "pass" else EXIT_FAILED


def _certified(
    arguments: argparse.Namespace, backend: Callable[..., Any], cases: list[Case]
) -> Certificate:
    """Judge all cases, and print each when it is done."""
    from validation.certification.certify import certify

    how = _how(arguments)
    return certify(backend, cases, name=arguments.name, on_case=_print_case, **how)


def _how(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return how the back end is to be judged."""
    names = ("steps", "groups", "rtol", "scheme", "latency")
    how = {name: getattr(arguments, name) for name in names}
    return how | {"precision": "float32" if arguments.float32 else None}


def _checked_cases(arguments: argparse.Namespace, backend: Callable[..., Any]) -> list[Case]:
    """Return all cases, read; whatever is wrong is said before anything is printed or made."""
    from validation.certification.request import loaded, request_of

    request_of(backend, **_how(arguments))
    return loaded(arguments.cases or None)


def _write(arguments: argparse.Namespace, certificate: Certificate, seconds: float) -> None:
    """Print how many cases there are of each verdict, and write the files that are asked for."""
    from refsim.files.output import write_whole
    from validation.certification.verdicts import dump
    from validation.report.command import write_report
    from validation.report.contents import sentences

    count = [case.verdict for case in certificate.cases].count
    say()
    say(
        f"{certificate.backend}: {count('pass')} cases passed, {count('fail')} failed, "
        f"{count('skip')} skipped in {seconds:.1f} s"
    )
    say(f"{certificate.verdict}: {sentences(certificate)}")
    if arguments.json:
        write_whole(arguments.json, lambda stream: dump(certificate, stream))
    if arguments.report:
        write_report(arguments.report, [certificate])


@contextmanager
def _termination_as_interruption() -> Iterator[None]:
    """Let SIGTERM, or a terminal that is closed, end the work as Ctrl-C does.

    So no program is left running. Not where it is ignored, or where somebody handles it already.
    """
    is_ours = threading.current_thread() is threading.main_thread()
    names = ("SIGTERM", "SIGHUP") if is_ours else ()
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    ours = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _steps(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers in ms") from None


def _scheme(text: str) -> GridScheme:
    if text == "adseq":
        return GridScheme.adseq()
    rules: dict[str, Any] = {}
    for part in text.split(",") if text else ():
        name, equals, value = part.partition("=")
        if not equals or name not in {rule.name for rule in fields(GridScheme)}:
            raise argparse.ArgumentTypeError(f"{part!r} is no rule of refsim.GridScheme")
        try:
            rules[name] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            rules[name] = value
    try:
        return GridScheme(**rules)
    except RefsimError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _names(text: str) -> list[str]:
    return text.split(",")


def _backend(arguments: argparse.Namespace) -> Callable[..., Any]:
    if arguments.program is not None:
        from validation.backends.command import from_command

        if bool(arguments.steps) != ("{dt}" in arguments.program):
            raise InvalidValueError(
                f"the program is {arguments.program!r} and the steps are {arguments.steps}; "
                "expected {dt} in the program if there are time steps, and only then"
            )
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
    except (Exception, SystemExit) as error:
        raise InvalidValueError(
            f"backend is {name!r}; expected a module that can be imported: "
            f"{type(error).__name__}: {error}"
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


def _print_case(case: CaseVerdict) -> None:
    from validation.comparison.certificate import line

    say(line(case), flush=True)
