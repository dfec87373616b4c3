"""Programs of others, run within bounds, and ended with all that they have started.

A program is in a session of its own, and carries a mark in its environment that all of its
descendants inherit: where the system shows the environments of processes (Linux), those are found
that have gone into sessions of their own, or whose parents have ended. If this process is killed, a
guard, which waits for nothing else, ends them and removes the folder in which they worked.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from refsim.files.output import OutputError, reason_of
from validation.comparison.answers import AnswerError

MARK = "REFSIM_PROGRAM"
_ROUNDS = 50  # of looking for processes; each may have started others meanwhile
_MOST_SAID = 4096  # bytes of standard error, the last ones
_PROCESSES = Path("/proc")
_GUARD = """
read -r nothing
for round in 1 2 3; do
    for process in /proc/[0-9]*; do
        if grep -q "$1" "$process/environ" 2>/dev/null; then kill -9 "${process#/proc/}"; fi
    done
done
rm -rf -- "$2"
"""


class Workplace(NamedTuple):
    """Where programs work, and by what they are known."""

    folder: Path
    mark: str


class Ended(NamedTuple):
    """How a program has ended."""

    code: int
    printed: str
    said: str  # the end of what was written to standard error


def check_temporary_folder() -> None:
    """Raise OutputError if there is no folder for files of a while."""
    try:
        tempfile.gettempdir()
    except OSError as error:
        raise OutputError(f"there is no temporary folder: {reason_of(error)}") from None


@contextmanager
def workplace() -> Iterator[Workplace]:
    """Make a folder for a program, which is gone in the end, whatever ends this process."""
    check_temporary_folder()
    try:
        holder = tempfile.TemporaryDirectory(prefix="refsim-", ignore_cleanup_errors=True)
    except OSError as error:
        raise OutputError(f"no temporary folder can be made: {reason_of(error)}") from None
    place = Workplace(Path(holder.name), os.urandom(16).hex())
    guard = None
    try:
        guard = _guard(place)
        yield place
    finally:
        holder.cleanup()
        if guard is not None:
            _dismiss(guard)


def run_program(
    words: Sequence[str], place: Workplace, out: Path, timeout: float, most: int
) -> Ended:
    """Run a program to its end.

    Output goes to files and not to pipes, which a process that it has left behind would hold.

    Parameters
    ----------
    words : sequence of str
        The program and its arguments.
    place : Workplace
        Where it works.
    out : Path
        The file that it may write.
    timeout : float
        Seconds after which it is stopped.
    most : int
        Bytes that it may print or write.

    Raises
    ------
    AnswerError
        If it cannot be run, takes too long or writes too much.
    """
    folder = place.folder
    with (
        tempfile.TemporaryFile(dir=folder) as printed,
        tempfile.TemporaryFile(dir=folder) as complaints,
    ):
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=complaints,
                start_new_session=True,
                env=os.environ | {MARK: place.mark},
            )
        except OSError as error:
            raise AnswerError(f"the program cannot be run: {reason_of(error)}") from None
        try:
            _wait(process, timeout, (printed, complaints), out, most)
        finally:
            _end(process, place.mark)
        complaints.seek(max(0, complaints.seek(0, os.SEEK_END) - _MOST_SAID))
        said = complaints.read(_MOST_SAID).decode("utf-8", errors="replace")
        printed.seek(0)
        text = printed.read(most).decode("utf-8", errors="replace")
    return Ended(process.returncode, text, said)


def _wait(
    process: subprocess.Popen[bytes],
    timeout: float,
    outputs: Sequence[IO[bytes]],
    out: Path,
    most: int,
) -> None:
    """Wait for a program; raise AnswerError if it takes too long or writes too much."""
    end, pause = time.monotonic() + timeout, 0.001
    is_over = False
    while not is_over:
        is_over = _has_ended(process)
        if not is_over and time.monotonic() > end:
            raise AnswerError(f"the program was stopped after {timeout:g} s")
        sizes = [os.fstat(output.fileno()).st_size for output in outputs]
        with suppress(OSError):
            sizes.append(os.stat(out).st_size)
        if max(sizes) > most:
            raise AnswerError(f"the program was stopped after {most:,} bytes of output")
        if not is_over:
            time.sleep(pause)
        pause = min(2.0 * pause, 0.05)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a program has ended; its number stays its own until it is waited for."""
    if not hasattr(os, "waitid"):
        return process.poll() is not None
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    try:
        return os.waitid(os.P_PID, process.pid, options) is not None
    except ChildProcessError:  # where ends of children are ignored, nobody can wait for them
        return process.poll() is not None


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """End a program, if it still runs, and all that it has started."""
    if not hasattr(os, "killpg"):
        process.kill()
    elif process.returncode is None:  # else its number may be that of another by now
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    for _ in range(_ROUNDS):
        marked = _marked(mark)
        for number in marked:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGKILL)
        if not marked:
            break
    process.wait()


def _marked(mark: str) -> list[int]:
    """Return the processes with a mark, where the system shows it."""
    found, wanted = [], f"{MARK}={mark}".encode()
    for entry in _PROCESSES.glob("[0-9]*/environ"):
        with suppress(OSError, ValueError):
            if wanted in entry.read_bytes():
                found.append(int(entry.parent.name))
    return found


def _guard(place: Workplace) -> subprocess.Popen[bytes] | None:
    """Start what waits for the end of this process, where there is a shell."""
    shell = shutil.which("sh") if os.name == "posix" else None
    if shell is None:
        return None
    with suppress(OSError):
        return subprocess.Popen(
            [shell, "-c", _GUARD, "refsim-guard", place.mark, str(place.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    return None


def _dismiss(guard: subprocess.Popen[bytes]) -> None:
    guard.kill()
    guard.wait()
    if guard.stdin is not None:
        guard.stdin.close()
