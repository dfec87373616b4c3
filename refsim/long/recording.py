"""Long simulations whose spikes go to a file in pieces, and do not stay in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.engine import check_windows
from refsim.errors import InvalidValueError, SpikeLimitError
from refsim.files.arrays import write_arrays
from refsim.files.hdf5 import growing_columns
from refsim.files.output import OutputError, checked_path, made_folder
from refsim.files.reading import memory
from refsim.network.inputs import SpikeTrain
from refsim.network.network import Network
from refsim.question import Question, checked_duration
from refsim.status import SPIKE_LIMIT
from refsim.threads import uninterrupted
from refsim.validate import LONGEST, scalar
from refsim.windows.options import Windows
from refsim.windows.run import WindowRun

Write = Callable[[NDArray[np.float64], NDArray[np.int64]], None]
_FORMAT = "refsim-spikes/1"  # of a file of a folder, in its array ``format``
_MOST_SPIKES = 2**62
_MOST_PIECES = 100_000_000
_MOST_FILES = 1_000_000  # whose names have six digits, and are in order
_BYTES_PER_SPIKE = 400  # at most, of a piece whose tape grows


class Recording(NamedTuple):
    """What :func:`record` has written."""

    path: Path
    n_spikes: int
    duration: float  # ms, up to which spikes are recorded
    pieces: int


def record(
    network: Network,
    inputs: SpikeTrain | None,
    duration: float,
    path: str | os.PathLike[str],
    *,
    piece: float = 1000.0,
    max_spikes: int | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> Recording:
    """Simulate, and write the spikes to a file or folder, piece by piece.

    Parameters
    ----------
    network, inputs, duration
        As for :func:`refsim.simulate`. The window engine is used.
    path : path
        A file that ends in ``.h5`` or ``.hdf5``, which gets the datasets ``time`` (ms) and
        ``neuron`` (needs h5py); or a folder, which gets ``000000.npz``, ``000001.npz``, ...
        with the same two arrays, and "refsim-spikes/1" in ``format``. It must not exist.
    piece : float
        Length of a piece in ms; there may be a million pieces in a folder, and a hundred million
        in a file.
    max_spikes : int, optional
        Most spikes that are recorded; by default there is no limit but the room for the file.
    threads, progress
        As for :class:`refsim.Windows` and :func:`refsim.simulate`.

    Returns
    -------
    Recording

    Raises
    ------
    InvalidValueError, InvalidTypeError, MissingExtraError
        If an argument is outside its domain, or h5py is missing.
    OutputError
        If a piece cannot be written, as on a full disk. The pieces before it are kept, and the
        ``partial`` of the error is the Recording of these.
    SpikeLimitError
        If there are more than ``max_spikes`` spikes, or those of a piece do not fit into memory.
    SimulationInterrupted
        On Ctrl-C; its ``partial``, like that of the former, is the Recording of what was written.
    """
    end = checked_duration(duration)
    step = scalar("piece", piece, 0.0, LONGEST, strict=True)
    where = checked_path(path)
    is_hdf5 = where.suffix in (".h5", ".hdf5")
    most = _MOST_PIECES if is_hdf5 else _MOST_FILES
    if end / step > most:
        raise InvalidValueError(
            f"piece is {step:g} for {end:g} ms; expected at least {end / most:g} ms, which gives "
            f"{most:,} pieces"
        )
    if where.suffix == ".npz":
        raise InvalidValueError(
            f"path is {os.fspath(where)!r}; expected a name that ends in .h5 or .hdf5, or that of "
            "a folder, for a file .npz of each piece"
        )
    if os.path.lexists(where):
        raise InvalidValueError(f"path is {os.fspath(where)!r}, which exists; expected a new one")
    most_spikes = _MOST_SPIKES if max_spikes is None else max_spikes
    question = Question(network, inputs, end, max_spikes=most_spikes, progress=progress)
    check_windows(question, "record goes by windows")
    run = WindowRun(question, Windows(threads))
    writer = growing_columns if is_hdf5 else _folder
    try:
        with writer(where) as write, question.progress(end) as question.report:
            done = _write_pieces(run, write, where, end, step)
    except OutputError as error:
        if error.partial is None:
            error.partial = Recording(where, 0, 0.0, 0)
        raise
    if run.status == SPIKE_LIMIT and done.n_spikes < question.max_spikes:
        raise SpikeLimitError(
            f"a piece of {step:g} ms has more spikes than memory has room for; expected a shorter "
            "one. The attribute partial tells what was recorded",
            done,
        )
    if run.status == SPIKE_LIMIT:
        raise question.has_too_many_spikes(done, "counts")
    if done.duration < end:
        raise question.interrupted(done, "counts")
    return done


def _write_pieces(
    simulation: WindowRun, write: Write, where: Path, end: float, step: float
) -> Recording:
    """Run window by window to the end, or to an interruption between pieces."""
    length, work = simulation.problem.length, simulation.work
    done, most = Recording(where, 0, 0.0, 0), memory() // _BYTES_PER_SPIKE
    try:
        while done.duration < end and simulation.status != SPIKE_LIMIT:
            target = min((done.pieces + 1) * step, end)
            limit = min(simulation.question.max_spikes, done.n_spikes + most)
            simulation.problem = simulation.problem._replace(max_spikes=limit)
            simulation.status = simulation.advance(int(np.ceil(target / length)))
            with uninterrupted():
                done = _flush(simulation, write, done, target)
    except KeyboardInterrupt:
        if done.duration < end:
            with uninterrupted():
                now = min(float(work.counts[0].now) * length, end * (1.0 - 2.0**-52))
                done = _flush(simulation, write, done, max(done.duration, now))
    return done


def _flush(simulation: WindowRun, write: Write, done: Recording, until: float) -> Recording:
    """Write the spikes on the tape, and take them off it; return what is recorded then."""
    spikes = simulation.take()
    try:
        write(spikes.time, spikes.neuron)
    except OutputError as error:
        error.partial = done
        raise
    if simulation.status == SPIKE_LIMIT:
        until = float(spikes.time[-1]) if len(spikes.time) else done.duration
    return Recording(done.path, int(simulation.work.counts[0].first), until, done.pieces + 1)


@contextmanager
def _folder(where: Path) -> Iterator[Write]:
    """Write each piece to a file of its own, whole or not at all."""
    made_folder(where, new=True)
    pieces = 0

    def write(time: NDArray[np.float64], neuron: NDArray[np.int64]) -> None:
        nonlocal pieces
        write_arrays(where / f"{pieces:06d}.npz", _FORMAT, time=time, neuron=neuron)
        pieces += 1

    yield write
