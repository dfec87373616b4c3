"""Any program that reads and writes case files as a back end."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np

from refsim.cases import Case, CaseFileError, from_dict, make_case, save, to_dict
from refsim.errors import InvalidValueError
from refsim.files import json_reader
from refsim.files.reading import MOST_BYTES, ReadingError, read_bytes
from refsim.network.inputs import SpikeTrain
from refsim.network.network import Network
from refsim.validate import scalar, shown
from validation.backends.programs import check_temporary_folder, run_program, workplace
from validation.comparison.answers import AnswerError
from validation.comparison.backend import Answer, LossCotangents, NotExpressibleError

SKIPPED = 77  # the exit code by which test programs say that they do not apply
LONGEST_WAIT = 1e7  # s
MOST_OUTPUT = MOST_BYTES
MOST_SPIKES = 1_000_000  # of an answer; a simulation has no more unless it is asked to
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
        check_temporary_folder()
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
        with workplace() as place:
            asked, out = place.folder / "case.json", place.folder / "out.json"
            save(case, asked, {"cotangent_neurons": cotangents.neuron.tolist()})
            words = self._filled(asked, out, dt)
            ended = run_program(words, place, out, self.timeout, MOST_OUTPUT)
            printed = _outcome(ended.code, ended.printed, _on_a_line(ended.said))
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

    def _text(self, out: Path, printed: str) -> str:
        """Return what the program has written."""
        if not any("{out}" in word for word in self.words):
            return printed
        if not out.is_symlink() and not out.exists():
            raise AnswerError("the program has written no file {out}")
        try:
            return read_bytes(out, MOST_OUTPUT, only_file=True).decode("utf-8")
        except ReadingError as error:
            raise AnswerError(f"what the program has written {error}") from None
        except UnicodeDecodeError:
            raise AnswerError("what the program has written is not UTF-8 text") from None


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


def _on_a_line(text: str) -> str:
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
    if len(known.spike_times) > MOST_SPIKES:
        raise AnswerError(
            f"the answer has {len(known.spike_times):,} spikes; expected at most {MOST_SPIKES:,}"
        )
    order = np.lexsort((known.spike_neurons, known.spike_times))
    return Answer(
        time=known.spike_times[order],
        neuron=known.spike_neurons[order],
        gradient=known.gradient,
        voltages=known.voltages,
    )
