"""Snapshots of a simulation, in memory or in files."""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path
from typing import Any, NamedTuple

from adjoint.windows.section import Before
from refsim.files.arrays import ArrayFileError, read_arrays, write_arrays
from refsim.files.output import OutputError
from refsim.windows.state import WindowState

_FORMAT = "refsim-snapshot/1"


class Snapshot(NamedTuple):
    """The state at the beginning of a piece, and the spikes that are or were just under way."""

    state: WindowState
    before: Before

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        before = self.before
        columns = (before.time, before.neuron, before.released, before.release)
        return self.state.nbytes + sum(column.nbytes for column in columns)


class Snapshots:
    """Snapshots by number of their piece.

    Attributes
    ----------
    nbytes : int
        Memory that they take now, or room on the disk.
    largest : int
        Bytes of the largest so far.
    """

    def __init__(self, folder: Path | None):
        self._kept: dict[int, Snapshot] = {}
        self._sizes: dict[int, int] = {}
        self._folder: Path | None = None
        self.largest = 0
        if folder is not None:
            try:
                temporary = tempfile.TemporaryDirectory(prefix="refsim-snapshots-", dir=folder)
            except OSError as error:
                raise OutputError(f"{folder}: no snapshots can be kept: {error.strerror}") from None
            weakref.finalize(self, temporary.cleanup)
            self._folder = Path(temporary.name)

    @property
    def pieces(self) -> list[int]:
        """The pieces that have a snapshot, in order."""
        return sorted(self._sizes)

    @property
    def nbytes(self) -> int:
        """Bytes that all of them take."""
        return sum(self._sizes.values())

    def keep(self, piece: int, snapshot: Snapshot) -> None:
        """Keep a snapshot."""
        if self._folder is None:
            self._kept[piece] = snapshot
        else:
            arrays = {f"state_{k}": v for k, v in snapshot.state._asdict().items()}
            arrays |= {f"before_{k}": v for k, v in snapshot.before._asdict().items()}
            write_arrays(self._path(self._folder, piece), _FORMAT, **arrays)
        self._sizes[piece] = snapshot.nbytes
        self.largest = max(self.largest, snapshot.nbytes)

    def get(self, piece: int) -> Snapshot:
        """Return the snapshot of a piece that has one."""
        if self._folder is None:
            return self._kept[piece]
        path = self._path(self._folder, piece)
        try:
            file = read_arrays(path, _FORMAT)
            state = {k: file[f"state_{k}"] for k in WindowState._fields}
            before: dict[str, Any] = {k: file[f"before_{k}"] for k in Before._fields}
            before |= {"number": int(before["number"]), "since": float(before["since"])}
        except (ArrayFileError, KeyError, TypeError) as error:
            raise OutputError(f"{path}: a snapshot cannot be read back: {error}") from None
        return Snapshot(WindowState(**state), Before(**before))

    def drop(self, piece: int) -> None:
        """Forget the snapshot of a piece."""
        del self._sizes[piece]
        self._kept.pop(piece, None)
        if self._folder is not None:
            self._path(self._folder, piece).unlink(missing_ok=True)

    @staticmethod
    def _path(folder: Path, piece: int) -> Path:
        return folder / f"{piece}.npz"
