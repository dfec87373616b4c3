"""What the command line prints: on one line each, and without anything that acts on a terminal.

Names of cases, files and causes, and what other programs say, come from strangers: a sign that
moves the cursor or changes colours is shown by its number.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from refsim.files.output import OutputError, reason_of
from validation.printable import printable


def say(text: object = "", end: str = "\n", flush: bool = False) -> None:
    """Print a line.

    Raises
    ------
    OutputError
        If standard output cannot be written; BrokenPipeError if nobody reads it any more.
    """
    put(printable(text) + end)
    if flush:
        flush_output()


def put(text: str) -> None:
    """Write text that is known to be plain to standard output; errors as of :func:`say`."""
    if sys.stdout is None:  # which was closed before we began
        return
    try:
        sys.stdout.write(text)
    except OSError as error:
        raise _abandoned(error) from None


def complain(text: object) -> None:
    """Print a line to standard error, for whoever can read it."""
    with _where_somebody_reads():
        print(printable(text), file=sys.stderr, flush=True)


def show_progress(text: str) -> None:
    """Show what is being worked on in place of what was before, where somebody is looking."""
    with _where_somebody_reads():
        if sys.stderr.isatty():
            print(f"\r\033[K{printable(text)}", end="", file=sys.stderr, flush=True)


def flush_output() -> None:
    """Write what is still to be written to standard output; errors as of :func:`say`."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _abandoned(error) from None


def show_all_signs() -> None:
    """Let signs that a terminal cannot show be written by their numbers."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _abandoned(error: OSError) -> OSError:
    """Return what to raise; what is still to be written is lost, and Python does not try again."""
    _to_nowhere(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return error
    return OutputError(f"standard output cannot be written: {reason_of(error)}")


@contextmanager
def _where_somebody_reads() -> Iterator[None]:
    """Do without standard error where it cannot be written, also when Python ends."""
    try:
        yield
    except OSError:
        _to_nowhere(sys.stderr)
    except (ValueError, AttributeError):  # it is closed, or was from the beginning
        pass


def _to_nowhere(stream: TextIO) -> None:
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
