"""Files of others are read within bounds: so many bytes, in so much time, and no more.

Every reader of the project comes here: whatever a name turns out to be, a link to a device that
never ends, a pipe into which nobody writes or a file larger than memory, it is an error with a
reason.
"""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from refsim.errors import InvalidValueError
from refsim.files.output import reason_of

MOST_BYTES = 2**28  # of a text; a case of a million synapses with all gradients takes half of it
SILENCE = 60.0  # s for which a pipe may give nothing
LONGEST = 600.0  # s for all that a pipe gives
_PORTION = 2**20
# A pipe without a writer is opened at once, and a terminal does not become ours.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


class ReadingError(InvalidValueError):
    """A file cannot be read; the message says why, and whoever knows its name puts it before."""


def read_bytes(path: Path, most: int = MOST_BYTES, only_file: bool = False) -> bytes:
    """Return what a file holds, or a pipe gives.

    Parameters
    ----------
    path : Path
        Its name.
    most : int
        Most bytes.
    only_file : bool
        Whether it has to be a file, as for names that are not the user's own.

    Raises
    ------
    ReadingError
        If it cannot be read, or there is more.
    """
    with _opened(path) as handle:
        kind = os.fstat(handle)
        is_file = stat.S_ISREG(kind.st_mode)
        if only_file and not is_file:
            raise ReadingError("is no file that holds something")
        if is_file and kind.st_size > most:
            raise _too_long(most)
        return b"".join(_portions(handle, most, waits=not is_file))


@contextmanager
def opened_file(path: Path, most: int | None = None) -> Iterator[BinaryIO]:
    """Open a file, which is no device and no pipe, and has at most so many bytes."""
    with _opened(path) as handle:
        kind = os.fstat(handle)
        if not stat.S_ISREG(kind.st_mode):
            raise ReadingError("is no file that holds something")
        bound = memory() if most is None else most
        if kind.st_size > bound:
            raise _too_long(bound)
        with open(handle, "rb", closefd=False) as stream:
            yield stream


def memory() -> int:
    """Return the bytes of memory of the machine, or of the largest array where it does not say."""
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 2**40


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open a file by its number; what goes wrong is a ReadingError."""
    try:
        handle = os.open(path, _FLAGS)
        try:
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                raise IsADirectoryError("Is a directory")
            yield handle
        finally:
            os.close(handle)
    except OSError as error:
        raise ReadingError(f"cannot be read: {reason_of(error)}") from None
    except MemoryError:
        raise ReadingError("cannot be read: it takes more memory than there is") from None


def _portions(handle: int, most: int, waits: bool) -> Iterator[bytes]:
    """Yield what can be read, up to its end."""
    end, size = time.monotonic() + LONGEST, 0
    while True:
        if waits:
            _wait(handle, end)
        with suppress(BlockingIOError):
            portion = os.read(handle, _PORTION)
            if not portion:
                return
            size += len(portion)
            if size > most:
                raise _too_long(most)
            yield portion


def _wait(handle: int, end: float) -> None:
    """Wait until there is something to read, or raise ReadingError."""
    if not hasattr(select, "poll"):
        return
    patience = min(SILENCE, end - time.monotonic())
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    if patience <= 0.0 or not poll.poll(1e3 * patience):
        raise ReadingError(f"cannot be read: it has given nothing more for {SILENCE:g} s")


def _too_long(most: int) -> ReadingError:
    return ReadingError(f"is too long; expected at most {most:,} bytes")
