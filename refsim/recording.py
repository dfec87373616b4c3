"""Long simulations whose spikes go to a file in pieces, and do not stay in memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.engine import Run, checked_duration
from refsim.errors import InvalidValueError, MissingExtraError, SimulationInterrupted
from refsim.files import OutputError, checked_path, write_whole
from refsim.inputs import SpikeTrain
from refsim.network import Network
from refsim.status import SPIKE_LIMIT
from refsim.threads import uninterrupted
from refsim.validate import LONGEST, scalar
from refsim.window_engine import WindowRun
from refsim.window_types import BASE, NOW

Write = Callable[[NDArray[np.float64], NDArray[np.int64]], None]
_MOST_SPIKES = 2**62


class Recording(NamedTuple):
    """What :func:`record` has written."""

    path: Path
    n_spikes: int
    duration: float  # ms, up to which spikes are recorded
    pieces: int


def record(
    network: Network,
    inputs: SpikeTrain | None = None,
    duration: float | None = None,
    path: str | os.PathLike[str] = "spikes.h5",
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
        with the same two arrays. It must not exist.
    piece : float
        Length of a piece in ms.
    max_spikes : int, optional
        Most spikes that are recorded; by default there is no limit but the room for the file.
    threads, progress
        As for :func:`refsim.simulate`.

    Returns
    -------
    Recording

    Raises
    ------
    InvalidValueError, InvalidTypeError, OutputError, MissingExtraError
        If an argument is outside its domain, the file cannot be written, or h5py is missing.
    SpikeLimitError
        If there are more than ``max_spikes`` spikes.
    SimulationInterrupted
        On Ctrl-C; its ``partial``, like that of the former, is the Recording of what was written.
    """
    end = checked_duration(duration)
    step = scalar("piece", piece, 0.0, LONGEST, strict=True)
    where = checked_path(path)
    if where.suffix == ".npz":
        raise InvalidValueError(
            f"path is {os.fspath(where)!r}; expected a name that ends in .h5 or .hdf5, or that of "
            "a folder, for a file .npz of each piece"
        )
    if where.exists():
        raise InvalidValueError(f"path is {os.fspath(where)!r}, which exists; expected a new one")
    run = Run(
        network,
        inputs,
        end,
        None,
        "auto",
        None,
        _MOST_SPIKES if max_spikes is None else max_spikes,
        engine="window",
        threads=threads,
        progress=progress,
    )
    is_hdf5 = where.suffix in (".h5", ".hdf5")
    with (_hdf5 if is_hdf5 else _folder)(where) as write, run.progress(end) as run.report:
        done = _write_pieces(WindowRun(run), write, where, end, step)
    if run.status == SPIKE_LIMIT:
        raise run.has_too_many_spikes(done, "counts")
    if done.duration < end:
        raise SimulationInterrupted(
            f"interrupted at {done.duration:g} of {end:g} ms; the attribute partial tells what was "
            "recorded",
            done,
        )
    return done


def _write_pieces(
    simulation: WindowRun, write: Write, where: Path, end: float, step: float
) -> Recording:
    """Run window by window to the end, or to an interruption between pieces."""
    length, work = simulation.problem.length, simulation.work
    pieces, reached = 0, 0.0
    try:
        while reached < end:
            target = min((pieces + 1) * step, end)
            simulation.run.status = simulation.advance(int(np.ceil(target / length)))
            with uninterrupted():
                last = _flush(simulation, write)
                is_cut = simulation.run.status == SPIKE_LIMIT
                pieces, reached = pieces + 1, last if is_cut else target
            if is_cut:
                break
    except KeyboardInterrupt:
        if reached < end:
            with uninterrupted():
                _flush(simulation, write)
            pieces += 1
            reached = max(reached, min(float(work.counts[NOW]) * length, end * (1.0 - 2.0**-52)))
    return Recording(where, int(simulation.work.counts[BASE]), reached, pieces)


def _flush(simulation: WindowRun, write: Write) -> float:
    """Write the spikes on the tape, and take them off it; return the time of the last."""
    spikes = simulation.take()
    write(spikes.time, spikes.neuron)
    return float(spikes.time[-1]) if len(spikes.time) else 0.0


@contextmanager
def _folder(where: Path) -> Iterator[Write]:
    """Write each piece to a file of its own, whole or not at all."""
    try:
        where.mkdir()
    except OSError as error:
        raise OutputError(f"{where}: cannot be made: {error.strerror}") from None
    pieces = 0

    def write(time: NDArray[np.float64], neuron: NDArray[np.int64]) -> None:
        nonlocal pieces
        write_whole(
            where / f"{pieces:06d}.npz",
            lambda stream: np.savez(stream, time=time, neuron=neuron),
            binary=True,
        )
        pieces += 1

    yield write


@contextmanager
def _hdf5(where: Path) -> Iterator[Write]:
    """Append each piece to a file that takes its place when it is complete."""
    try:
        import h5py
    except ImportError:
        raise MissingExtraError(
            "a recording to HDF5 needs h5py, which is not installed: pip install 'refsim[hdf5]'; "
            "a path without .h5 gets a folder of .npz files"
        ) from None
    try:
        handle, temporary = tempfile.mkstemp(dir=where.parent, prefix=f".{where.name}.")
        os.close(handle)
    except OSError as error:
        raise OutputError(f"{where}: cannot be written: {error.strerror}") from None
    try:
        with h5py.File(temporary, "w") as file:
            columns: dict[str, Any] = {
                name: file.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(65536,))
                for name, dtype in (("time", "f8"), ("neuron", "i8"))
            }
            columns["time"].attrs["unit"] = "ms"

            def write(time: NDArray[np.float64], neuron: NDArray[np.int64]) -> None:
                size = columns["time"].shape[0]
                for name, values in (("time", time), ("neuron", neuron)):
                    columns[name].resize((size + len(values),))
                    columns[name][size:] = values

            yield write
        os.chmod(temporary, 0o644)
        os.replace(temporary, where)
    except BaseException:
        os.unlink(temporary)
        raise
