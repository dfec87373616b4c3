"""Any program that reads and writes case files as a back end."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from refsim import json_reader
from refsim.cases import Case, CaseFileError, from_dict, make_case, save, to_dict
from refsim.errors import InvalidValueError
from refsim.inputs import SpikeTrain
from refsim.network import Network
from refsim.validate import scalar, shown
from validation.backend import Answer, LossCotangents, NotExpressibleError
from validation.certification.answers import AnswerError

SKIPPED = 77  # the exit code by which test programs say that they do not apply
LONGEST_WAIT = 1e7  # s
MOST_OUTPUT = 2**28  # bytes
MOST_OF_STDERR = 600  # characters, the last ones


class CommandBackend:
    """A program as a back end; made by :func:`from_command`."""

    def __init__(self, command: str, timeout: float):
        try:
            self.words = shlex.split(command)
        except ValueError as error:
            raise InvalidValueError(
                f"command is {shown(command)}; expected words as a shell has them: {error}"
            ) from None
        if not any("{case}" in word for word in self.words[1:]):
            raise InvalidValueError(
                f"command is {shown(command)}; expected a program and {{case}}, the file that it "
                "is to read, as in 'prog {case} {out}'"
            )
        for name in re.findall(r"\{[a-z_]+\}", command):
            if name not in ("{case}", "{out}", "{dt}"):
                raise InvalidValueError(f"command has {name}; expected {{case}}, {{out}} or {{dt}}")
        if shutil.which(self.words[0]) is None:
            raise InvalidValueError(
                f"command begins with {shown(self.words[0])}; expected a program that can be run"
            )
        self.timeout = scalar("timeout", timeout, 0.0, LONGEST_WAIT, strict=True)
        self.name = " ".join(Path(word).name for word in self.words if "{" not in word)
        self.versions: dict[str, str] = {}

    def __call__(
        self,
        network: Network,
        inputs: SpikeTrain,
        duration: float,
        cotangents: LossCotangents,
        dt: float | None = None,
    ) -> Answer:
        """Write the case, run the program, and read what it has written."""
        case = make_case(
            "case",
            network,
            inputs,
            duration,
            cotangents.samples,
            cotangents.time,
            cotangents.voltage,
        )
        with tempfile.TemporaryDirectory(prefix="refsim-") as folder:
            asked, out = Path(folder) / "case.json", Path(folder) / "out.json"
            save(case, asked, {"cotangent_neurons": cotangents.neuron.tolist()})
            printed = self._run(self._filled(asked, out, dt))
            return _answer(case, self._text(out, printed))

    def _filled(self, asked: Path, out: Path, dt: float | None) -> list[str]:
        """Return the words of the command with the names of files and the step in them."""
        names = {"{case}": str(asked), "{out}": str(out)}
        if dt is not None:
            names["{dt}"] = repr(float(dt))
            if not any("{dt}" in word for word in self.words):
                raise AnswerError("the command has no {dt}, to which the time step would go")
        filled = []
        for word in self.words:
            for name, value in names.items():
                word = word.replace(name, value)
            if "{dt}" in word:
                raise AnswerError("the command has {dt}, but no time steps are given")
            filled.append(word)
        return filled

    def _run(self, words: list[str]) -> str:
        """Run a program to its end and return what it prints.

        Output goes to files and not to pipes, which a process that it has left behind would hold.
        """
        with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as complaints:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=complaints,
                start_new_session=True,
            )
            try:
                _wait(process, self.timeout, (printed, complaints))
            finally:
                _stop(process)
            return _outcome(process.returncode, _read(printed), _end_of(_read(complaints)))

    def _text(self, out: Path, printed: str) -> str:
        """Return what the program has written."""
        if not any("{out}" in word for word in self.words):
            return printed
        try:
            return out.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise AnswerError("the program has written no file {out}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise AnswerError(f"what the program has written cannot be read: {error}") from None


def from_command(command: str, timeout: float = 600.0) -> CommandBackend:
    """Return a back end that is a program.

    Parameters
    ----------
    command : str
        The program and its arguments, in quotation marks where they have spaces; no shell reads
        it. ``{case}`` stands for a case file to read, ``{out}`` for the file to write (without it,
        standard output is read), ``{dt}`` for a time step in ms.
    timeout : float
        Seconds after which the program is stopped.

    Notes
    -----
    The case file has cotangents of all spikes, sorted by (time, neuron), of the reference, their
    neurons as ``cotangent_neurons``, and those of the voltage samples; it has no ``expected``. The
    program answers with a JSON document whose member ``expected`` has ``spike_times``,
    ``spike_neurons``, and where it has them ``voltages`` and ``gradient`` with the groups that it
    offers; other members may be there. The exit code 77 says that the case cannot be expressed,
    and why on standard error; any other but 0 is a failure.

    Raises
    ------
    InvalidValueError
        If the command cannot be run, or does not say where the case goes.
    """
    return CommandBackend(command, timeout)


def _wait(process: subprocess.Popen[bytes], timeout: float, outputs: Iterable[IO[bytes]]) -> None:
    """Wait for a program; raise AnswerError if it takes too long or prints too much."""
    end, pause = time.monotonic() + timeout, 0.001
    while process.poll() is None:
        if time.monotonic() > end:
            raise AnswerError(f"the program was stopped after {timeout:g} s")
        if any(os.fstat(output.fileno()).st_size > MOST_OUTPUT for output in outputs):
            raise AnswerError(f"the program was stopped after {MOST_OUTPUT:,} bytes of output")
        time.sleep(pause)
        pause = min(2.0 * pause, 0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a program, if it still runs, and all of its group that it has started."""
    if process.poll() is not None:
        return
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _read(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read(MOST_OUTPUT).decode("utf-8", errors="replace")


def _outcome(code: int, printed: str, said: str) -> str:
    """Return what a program has printed, or raise what its exit code says."""
    if code == SKIPPED:
        raise NotExpressibleError(said or "the program says that it cannot express the case")
    if code < 0:
        names = {number.value: number.name for number in signal.Signals}
        by = names.get(-code, f"signal {-code}")
        raise AnswerError(f"the program was ended by {by}{said and ': ' + said}")
    if code:
        raise AnswerError(f"the program ended with exit code {code}{said and ': ' + said}")
    return printed


def _end_of(text: str) -> str:
    """Return the end of what a program complains of, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_OF_STDERR else "..." + line[-MOST_OF_STDERR:]


def _answer(case: Case, text: str) -> Answer:
    """Read the answer of a program; sizes are those of the case that it was asked."""
    if not text.strip():
        raise AnswerError("the program has written nothing")
    try:
        data = json_reader.parse(text)
    except json_reader.JsonError as error:
        raise AnswerError(f"the answer {error}") from None
    expected = data.get("expected") if isinstance(data, dict) else None
    if not isinstance(expected, dict):
        raise AnswerError("the answer has no member 'expected' with spikes and gradient")
    document: dict[str, Any] = to_dict(case) | {"expected": expected}
    del document["cotangent"]  # a number of spikes that is not that of the answer
    try:
        known = from_dict(document).expected
    except CaseFileError as error:
        raise AnswerError(f"in the answer, {error}") from None
    if known.spike_times is None or known.spike_neurons is None:
        raise AnswerError("the answer lacks expected.spike_times or expected.spike_neurons")
    order = np.lexsort((known.spike_neurons, known.spike_times))
    return Answer(
        time=known.spike_times[order],
        neuron=known.spike_neurons[order],
        gradient=known.gradient,
        voltages=known.voltages,
    )
