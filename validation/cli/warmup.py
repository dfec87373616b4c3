"""The command ``refsim warmup``: compile the kernels before they are needed."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

from validation.terminal import say

_printing = Lock()  # a line of one process at a time


def add_parser(commands: Any) -> None:
    """Add the command to those of ``refsim``."""
    parser = commands.add_parser(
        "warmup",
        help="compile all kernels now, a minute or two once",
        description="Compile the kernels of engines, gradients and tangents, of batches, traces "
        "and large networks, which otherwise happens when they are first used, and keep them on "
        "disk ('refsim info' says where). What is compiled already is only loaded. Kernels for "
        "queues of choice and for weights in single precision are left for --all.",
    )
    parser.add_argument(
        "--all", action="store_true", help="also queues of choice, lossy ones, single precision"
    )
    parser.add_argument(
        "--jobs",
        type=_positive,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes at once, as many as there are processors by default",
    )
    parser.set_defaults(run=_run)


def _positive(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"it is {count}; expected at least 1")
    return count


def _use_all(given: Iterable[tuple[str, Callable[[], object]]]) -> None:
    """Take steps, and print how long each took."""
    for name, use in given:
        begin = time.perf_counter()
        use()
        say(f"{name:<48}{time.perf_counter() - begin:6.1f} s", flush=True)


def _run(arguments: argparse.Namespace) -> int:
    from validation.cli import kernels

    if arguments.jobs == 1:
        _use_all(kernels.steps(arguments.all))
        return 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        return max(pool.map(_in_a_process, kernels.chains(arguments.all)))


def _in_a_process(name: str) -> int:
    """Take the steps of a chain in a process of its own, and print what it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-m", "validation.cli.warmup", name]
    settings: Any = {"env": {**environment, "REFSIM_QUIET": "1"}, "text": True}
    with subprocess.Popen(command, stdout=subprocess.PIPE, **settings) as process:
        assert process.stdout is not None
        for line in process.stdout:
            with _printing:
                say(line.rstrip("\n"), flush=True)
    return int(process.returncode != 0)


if __name__ == "__main__":
    from validation.cli.kernels import chains

    _use_all(chains(everything=True)[sys.argv[1]]())
