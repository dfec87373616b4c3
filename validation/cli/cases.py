"""The command ``refsim cases``: list, check and generate case files."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from refsim.errors import MissingExtraError, RefsimError
from validation.cli.exit_codes import EXIT_USAGE
from validation.terminal import complain, say


def add_parser(commands: Any) -> None:
    """Add the command and its three parts to the parsers of ``refsim``."""
    parser = commands.add_parser(
        "cases",
        help="list, check and generate case files",
        description="The suite of case files, and checks of the files of others.",
    )
    parts = parser.add_subparsers(dest="part", required=True, metavar="PART")
    listing = parts.add_parser("list", help="what the suite holds")
    listing.set_defaults(run=_guarded(_list))
    check = parts.add_parser(
        "check",
        help="whether files are case files",
        description="Read case files, compare them with the JSON Schema where jsonschema is "
        "installed, and say what is inconsistent.",
    )
    check.add_argument("files", nargs="+", metavar="FILE.json", help="files to check")
    check.set_defaults(run=_guarded(_check))
    generate = parts.add_parser(
        "generate",
        help="make the files of the suite with the oracle",
        description="Simulate the networks of the suite with mpmath, differentiate, compare the "
        "derivatives with differences, and write case files, the same to the last byte each time.",
    )
    generate.add_argument("folder", metavar="DIR", help="where to write; made if it is not there")
    generate.add_argument("--only", metavar="NAME", action="append", help="this case; repeatable")
    generate.add_argument(
        "--digits", type=_digits, default=50, help="of the simulation, 45 to 200; 50 by default"
    )
    generate.set_defaults(run=_guarded(_generate))


def _digits(text: str) -> int:
    try:
        digits = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"is {text!r}; expected a number of digits") from None
    if not 45 <= digits <= 200:
        raise argparse.ArgumentTypeError(f"is {digits}; expected 45 to 200")
    return digits


def _guarded(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Return a command whose missing extras are errors of ours, named."""

    def guarded(arguments: argparse.Namespace) -> int:
        try:
            return run(arguments)
        except ImportError as error:
            if isinstance(error, RefsimError):
                raise
            raise MissingExtraError(str(error)) from None

    return guarded


def _list(arguments: argparse.Namespace) -> int:
    from validation.case_suite import generate as case_suite

    for path in case_suite.stored_files():
        data = json.loads(path.read_text(encoding="utf-8"))
        known = data["expected"]
        size = f"{data['neurons']['n']:>3} neurons {len(known['spike_times']):>3} spikes"
        called = data.get("name", path.stem)
        text = data.get("description", f"given; tables call it {called}")
        say(f"{path.stem:<33} {size}  {text}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from refsim.cases import CaseFileError, load
    from validation.case_suite import schema as case_schema

    reason = case_schema.reason_of_absence()
    bad = 0
    for name in arguments.files:
        try:
            load(name)
        except CaseFileError as error:
            bad += 1
            complain(f"refsim: error: {error}")
            continue
        problems = [] if reason else case_schema.problems(Path(name))
        bad += bool(problems)
        for problem in problems:
            complain(f"refsim: error: {name}: {problem}")
        if not problems:
            say(f"{name}: a case file")
    if reason:
        say(f"not compared with the schema: {reason}")
    return EXIT_USAGE if bad else 0


def _write(text: str, stream: TextIO) -> None:
    stream.write(text)


def _generate(arguments: argparse.Namespace) -> int:
    from refsim.files.output import made_folder, write_whole
    from validation.case_suite import generate as case_suite

    chosen = arguments.only
    wanted = map(case_suite.definition, chosen) if chosen else case_suite.definitions()
    wanted = list(wanted)
    folder = made_folder(arguments.folder)
    for number, each in enumerate(wanted, start=1):
        started = time.perf_counter()
        text = case_suite.generated(each, arguments.digits)
        write_whole(folder / f"{each.name}.json", partial(_write, text))
        seconds = time.perf_counter() - started
        line = f"[{number}/{len(wanted)}] {each.name}: {len(text)} bytes in {seconds:.1f} s"
        say(line, flush=True)
    return 0
