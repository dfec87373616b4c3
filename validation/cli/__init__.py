"""The command ``refsim``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from refsim._version import __version__
from refsim.errors import RefsimError
from refsim.files.output import reason_of
from validation.cli import (
    cases as cli_cases,
    certify as cli_certify,
    validate as cli_validate,
    warmup as cli_warmup,
)
from validation.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from validation.names import given_name
from validation.printable import printable
from validation.terminal import complain, flush_output, put, say, show_all_signs


class _Parser(argparse.ArgumentParser):
    """A parser in whose errors arguments, perhaps names of files, have no signs that act."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help and versions, of which argparse would not say that they cannot be written."""
        if file is sys.stdout:
            put(message)
        else:
            super()._print_message(message, file)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="refsim",
        description="Exact event-driven simulation and exact gradients of spiking networks.",
        epilog="Exit codes: 0 all is well, 1 a gradient is rejected, 2 wrong arguments or files, 3 "
        "a certification is inconclusive.",
    )
    parser.add_argument("--version", action="version", version=f"refsim {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    cli_validate.add_parser(commands)
    cli_certify.add_parser(commands)
    run = commands.add_parser(
        "run",
        help="simulate a case file",
        description="Simulate a case file and print its spikes, one 'time neuron' a line.",
    )
    run.add_argument("file", metavar="FILE.json", help="case file")
    run.add_argument(
        "--out",
        type=given_name,
        metavar="OUT.json",
        help="write spikes and voltages as JSON instead",
    )
    run.set_defaults(run=_run)
    grad = commands.add_parser(
        "grad",
        help="spikes, voltages and all gradients of a case file",
        description="Write the case with spikes, voltages and gradients of its loss, all with 17 "
        "significant digits: gradients are decimal strings.",
    )
    grad.add_argument("file", metavar="FILE.json", help="case file")
    grad.add_argument(
        "--out",
        type=given_name,
        metavar="OUT.json",
        help="file to write; standard output if absent",
    )
    grad.set_defaults(run=_grad)
    info = commands.add_parser("info", help="versions, threads and cache")
    info.set_defaults(run=_info)
    cli_cases.add_parser(commands)
    cli_warmup.add_parser(commands)
    return parser


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
    from refsim.files.output import json_text

    if out:
        save(case, out, {"expected": known})
    else:
        put(json_text(to_dict(case) | {"expected": known}) + "\n")


def _run(arguments: argparse.Namespace) -> int:
    from refsim.cases import load
    from refsim.engine import simulate

    case = load(arguments.file)
    simulation = simulate(case.network, case.inputs, case.duration, samples=case.samples)
    if arguments.out:
        _write_case(case, _outcome(simulation), arguments.out)
        return 0
    for spike_time, neuron in zip(simulation.spikes.time, simulation.spikes.neuron, strict=True):
        put(f"{spike_time:.17g} {neuron}\n")
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

    from queues.compiled.code_folder import cache_folder

    settings: Any = numba.config
    say(f"refsim {__version__}")
    say(f"python {platform.python_version()} on {platform.platform()}")
    for name in ("numpy", "numba", "llvmlite", "scipy", "mpmath", "matplotlib", "hypothesis"):
        try:
            say(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            say(f"{name} not installed")
    mode = "off: plain Python" if settings.DISABLE_JIT else "on"
    say(f"compilation {mode}")
    say(f"threads {settings.NUMBA_NUM_THREADS}")
    say(f"compiled code in {cache_folder() or 'no writable folder: compiled in every process'}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; what goes wrong is told in one line."""
    show_all_signs()
    try:
        try:
            parser = _parser()
            arguments = parser.parse_args(argv)
            if arguments.command is None:
                put(parser.format_help())
                return 0
            return arguments.run(arguments)
        finally:
            flush_output()
    except KeyboardInterrupt:
        complain("refsim: interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader has gone; there is nobody to tell, but a script must not take it for success.
        return EXIT_FAILED
    except RefsimError as error:
        complain(f"refsim: error: {error}")
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        complain(f"refsim: error: {named}{reason_of(error)}")
    except MemoryError:
        complain("refsim: error: this takes more memory than there is")
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
