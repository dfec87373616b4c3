"""What signals do to programs of tests, whatever they do to the tests themselves.

A shell that runs tests in the background has Ctrl-C ignored, and so have the programs that they
start, unless they are told otherwise.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def handled(number, handler):
    """Handle a signal in some way in a block."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def obeying(number):
    """Let a signal do to the programs that start in a block what it usually does.

    They inherit that it is ignored, but no handler.
    """
    return handled(number, signal.default_int_handler)


def interrupted(script, interpreted):
    """Run a script, send SIGINT a while after it is ready; return its output and the delay."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    if interpreted:
        environment["NUMBA_DISABLE_JIT"] = "1"
    with obeying(signal.SIGINT):
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
    watchdog = threading.Timer(300.0, process.kill)
    watchdog.start()
    try:
        first = process.stdout.readline()
        time.sleep(0.5)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
        return first + output, errors, process.returncode, time.monotonic() - begin
    finally:
        watchdog.cancel()
        process.kill()
