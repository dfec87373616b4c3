"""The command ``refsim``."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

from refsim._version import __version__
from refsim.errors import MissingExtraError, RefsimError
from validation import cli_cases, cli_certify

EXIT_FAILED = 1  # a judge rejects a gradient
EXIT_USAGE = 2  # wrong arguments or files
EXIT_INTERRUPTED = 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="refsim",
        description="Exact event-driven simulation and exact gradients of spiking networks.",
        epilog="Exit codes: 0 all is well, 1 a gradient is rejected, 2 wrong arguments or files.",
    )
    parser.add_argument("--version", action="version", version=f"refsim {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    validate = commands.add_parser(
        "validate",
        help="certify spikes and gradients by independent judges",
        description="Certify spikes and gradients of case files, or of the built-in suite: stored "
        "cases, a zoo of networks and the Yin-Yang data set.",
    )
    validate.add_argument("files", nargs="*", metavar="FILE.json", help="case files to check")
    validate.add_argument("--json", metavar="FILE", help="also write the table as JSON")
    validate.add_argument("--report", metavar="DIR", help="also write a report to a folder")
    validate.add_argument("--all", action="store_true", help="every judge on every built-in case")
    validate.set_defaults(run=_validate)
    cli_certify.add_parser(commands)
    run = commands.add_parser(
        "run",
        help="simulate a case file",
        description="Simulate a case file and print its spikes, one 'time neuron' a line.",
    )
    run.add_argument("file", metavar="FILE.json", help="case file")
    run.add_argument("--out", metavar="OUT.json", help="write spikes and voltages as JSON instead")
    run.set_defaults(run=_run)
    grad = commands.add_parser(
        "grad",
        help="spikes, voltages and all gradients of a case file",
        description="Write the case with spikes, voltages and gradients of its loss, all with 17 "
        "significant digits: gradients are decimal strings.",
    )
    grad.add_argument("file", metavar="FILE.json", help="case file")
    grad.add_argument("--out", metavar="OUT.json", help="file to write; standard output if absent")
    grad.set_defaults(run=_grad)
    info = commands.add_parser("info", help="versions, threads and cache")
    info.set_defaults(run=_info)
    cli_cases.register(commands)
    return parser


_HEADER = ("case", "judge", "error", "tolerance", "verdict", "slope", "gap", "worst in", "note")
_LINE = "{:<22} {:<19} {:>9} {:>9} {:<7} {:>8} {:>8} {:<15} {}"


def _figure(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.1e}"


def _print_row(row: Any) -> None:
    j, conditioning = row
    cells = (
        j.case[:22],
        j.judge,
        _figure(j.error),
        _figure(j.tolerance),
        j.verdict.upper() if j.verdict == "fail" else j.verdict,
        _figure(conditioning.min_slope),
        _figure(conditioning.min_gap),
        j.group,
        j.note,
    )
    print(_LINE.format(*cells).rstrip(), flush=True)


def _validate(arguments: argparse.Namespace) -> int:
    from adjoint.check import SpikeCountError
    from refsim.files import write_whole
    from validation import suite
    from validation.report.command import write_report
    from validation.report.writing import made_folder

    started = time.perf_counter()
    if arguments.report:
        made_folder(arguments.report)  # or fail before the work
    print(
        f"refsim {__version__}. Errors are relative; slope is the smallest dV/dt at a spike, gap\n"
        "the shortest time in ms between a crossing and an arrival. The first run compiles.\n"
    )
    print(_LINE.format(*_HEADER).rstrip(), flush=True)
    _progress("preparing ...")
    judges, absent = suite.available_judges()
    cases, unreadable = _readable_cases(arguments.files)
    whole = bool(arguments.all or arguments.files)
    rows = []
    left_out = 0
    judged = 0
    for number, (origin, case) in enumerate(cases, start=1):
        _progress(f"[{number}/{len(cases)}] {case.name} ...")
        asked = judges if whole else suite.usual_judges(case, judges)
        left_out += len(asked) < len(judges)
        try:
            for row in suite.run([case], asked):
                _progress("")
                _print_row(row)
                rows.append(row)
            judged += 1
        except SpikeCountError as error:
            unreadable += 1
            print(f"refsim: error: {origin}: {error}", file=sys.stderr)
    verdicts = [row.judgement.verdict for row in rows]
    failed = verdicts.count("fail")
    passed, skipped = verdicts.count("pass"), verdicts.count("skip")
    print(
        f"\n{judged} {'case' if judged == 1 else 'cases'}: {passed} passed, {failed} "
        f"failed, {skipped} skipped in {time.perf_counter() - started:.1f} s"
    )
    for name, reason in absent.items():
        print(f"not asked: {name} ({reason})")
    if left_out:
        costly = ", ".join(name for name in suite.COSTLY if name in judges)
        print(f"left out for {left_out} generated cases: {costly} (refsim validate --all)")
    if arguments.json:
        write_whole(arguments.json, lambda stream: _dump_rows(rows, stream))
    if arguments.report:
        write_report(arguments.report, rows=rows, title="refsim validate")
    return EXIT_USAGE if unreadable else EXIT_FAILED if failed else 0


def _readable_cases(paths: Sequence[str]) -> tuple[list[tuple[str, Any]], int]:
    """Return cases with their files, or the standard ones, and how many files are none."""
    from refsim.cases import load
    from validation import suite

    if not paths:
        return [("", case) for case in suite.standard_cases()], 0
    cases = []
    for path in paths:
        try:
            cases.append((path, load(path)))
        except RefsimError as error:
            print(f"refsim: error: {error}", file=sys.stderr)
    return cases, len(paths) - len(cases)


def _progress(text: str) -> None:
    """Show what is being worked on, where somebody is looking."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _dump_rows(rows: Sequence[Any], stream: TextIO) -> None:
    records = [
        {
            key: _finite_or_none(value)
            for key, value in (row.judgement._asdict() | row.conditioning._asdict()).items()
        }
        for row in rows
    ]
    document = {"format": "refsim-validation/1", "version": __version__, "rows": records}
    json.dump(document, stream, indent=1, allow_nan=False)


def _outcome(simulation: Any) -> dict[str, Any]:
    from refsim.cases import digits

    known: dict[str, Any] = {
        "spike_times": digits(simulation.spikes.time),
        "spike_neurons": simulation.spikes.neuron.tolist(),
    }
    if len(simulation.samples):
        known["voltages"] = digits(simulation.voltages)
    return known


def _write_case(case: Any, known: dict[str, Any], out: str | None) -> None:
    from refsim.cases import save, to_dict
    from refsim.files import json_text

    if out:
        save(case, out, {"expected": known})
    else:
        print(json_text(to_dict(case) | {"expected": known}))


def _run(arguments: argparse.Namespace) -> int:
    from refsim.cases import load
    from refsim.engine import simulate

    case = load(arguments.file)
    simulation = simulate(case.network, case.inputs, case.duration, samples=case.samples)
    if arguments.out:
        _write_case(case, _outcome(simulation), arguments.out)
        return 0
    for spike_time, neuron in zip(simulation.spikes.time, simulation.spikes.neuron, strict=True):
        print(f"{spike_time:.17g} {neuron}")
    return 0


def _grad(arguments: argparse.Namespace) -> int:
    from adjoint.check import SpikeCountError, evaluate
    from refsim.cases import CaseFileError, digits, load

    case = load(arguments.file)
    if case.time_bar is None and not case.voltage_bar.any():
        raise CaseFileError(
            f"{arguments.file}: cotangent is missing; expected one number for each spike, or "
            "voltage_samples with cotangents, to define the loss"
        )
    try:
        evaluation = evaluate(case, default_bar=0.0)
    except SpikeCountError as error:
        raise CaseFileError(f"{arguments.file}: {error}") from None
    known = _outcome(evaluation.simulation)
    known["gradient"] = {name: digits(values) for name, values in evaluation.gradient.items()}
    _write_case(evaluation.case, known, arguments.out)
    return 0


def _info(arguments: argparse.Namespace) -> int:
    import importlib.metadata
    import platform

    import numba

    from queues.jit import cache_folder

    settings: Any = numba.config
    print(f"refsim {__version__}")
    print(f"python {platform.python_version()} on {platform.platform()}")
    for name in ("numpy", "numba", "llvmlite", "scipy", "mpmath", "matplotlib", "hypothesis"):
        try:
            print(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{name} not installed")
    mode = "off: plain Python" if settings.DISABLE_JIT else "on"
    print(f"compilation {mode}")
    print(f"threads {settings.NUMBA_NUM_THREADS}")
    print(f"compiled code in {cache_folder() or 'no writable folder: compiled in every process'}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except (RefsimError, MissingExtraError) as error:
        print(f"refsim: error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("refsim: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader has gone; there is nobody to tell.
        sys.stderr.close()
        return 0


if __name__ == "__main__":
    sys.exit(main())
