"""Columns in an HDF5 file that grow, and that are whole whenever the room ends.

HDF5 must not see an error of the disk: it keeps what it could not write, and cannot close the file;
when it tries again as the process ends, that ends in a segmentation fault. So the room for a piece
is taken before HDF5 is given the piece, and for a piece without room the file ends before it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refsim.errors import MissingExtraError
from refsim.files.output import OutputError, output_errors, replacement

_CHUNK = 4096  # rows that are stored together
_PER_CHUNK = 128  # bytes of the tree in which a chunk is found; 33 to 70 were seen
_HEAD = 16384  # bytes of all else; 8 kB were seen
_KINDS = {"time": "f8", "neuron": "i8"}


class RoomFile:
    """A file for HDF5 on which nothing fails: the first error is kept, and no more is written.

    Attributes
    ----------
    failure : OSError or None
        The error.
    """

    def __init__(self, path: Path):
        self._stream = path.open("r+b", buffering=0)
        self._taken = 0
        self._size = 0  # of the file as HDF5 knows it, which the room is not a part of
        self.failure: OSError | None = None

    def take(self, size: int) -> None:
        """Take room for the file up to a size; OSError if there is none."""
        if size > self._taken:
            _allocate(self._stream.fileno(), self._taken, size)
            self._taken = size

    def finish(self) -> None:
        """Give back the room that was not needed; raise what has failed."""
        if self.failure is not None:
            raise self.failure
        self._stream.truncate(self._size)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    # What HDF5 asks of a file.

    def write(self, data: Any) -> int:
        """Write where the file is at, and say so even if it fails."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest and self.failure is None:
                rest = rest[self._stream.write(rest) or 0 :]
        except OSError as error:
            self.failure = error
        self._size = max(self._size, self._stream.tell())
        return size

    def readinto(self, data: Any) -> int:
        """Read as much as is wanted; what is not there is zero."""
        room = memoryview(data).cast("B")
        size = len(room)
        while room:
            n = self._stream.readinto(room) or 0
            if not n:
                room[:] = bytes(len(room))
            room = room[n or len(room) :]
        return size

    def read(self, size: int = -1) -> bytes:
        """Return what is read."""
        return self._stream.read(size) or b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; the end is that of the file as HDF5 knows it."""
        if whence == os.SEEK_END:
            return self._stream.seek(self._size + offset)
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        """Return where the file is at."""
        return self._stream.tell()

    def truncate(self, size: int) -> int:
        """Let the file end there; the room that was taken stays."""
        self._size = size
        return size

    def flush(self) -> None:
        """Do nothing: there is no buffer."""


@contextmanager
def growing_columns(
    where: Path,
) -> Iterator[Callable[[NDArray[np.float64], NDArray[np.int64]], None]]:
    """Yield what appends times and neurons to a file, which takes its place in the end.

    It takes it also after an OutputError of that function: what was appended before is in it.
    """
    try:
        import h5py
    except ImportError:
        raise MissingExtraError(
            "a recording to HDF5 needs h5py, which is not installed: pip install 'refsim[hdf5]'; "
            "a path without .h5 gets a folder of .npz files"
        ) from None
    stopped = None
    with (
        output_errors(where),
        replacement(where) as temporary,
        closing(RoomFile(temporary)) as room,
    ):
        room.take(_HEAD)
        with h5py.File(room, "w") as file:
            columns: dict[str, Any] = {
                name: file.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(_CHUNK,))
                for name, kind in _KINDS.items()
            }
            columns["time"].attrs["unit"] = "ms"

            def append(time: NDArray[np.float64], neuron: NDArray[np.int64]) -> None:
                before = columns["time"].shape[0]
                size = before + len(time)
                with output_errors(where):
                    room.take(_room_of(size))
                for name, values in (("time", time), ("neuron", neuron)):
                    columns[name].resize((size,))
                    columns[name][before:] = values
                if room.failure is not None:
                    raise room.failure

            try:
                yield append
            except OutputError as error:
                stopped = error
        room.finish()
    if stopped is not None:
        raise stopped


def _room_of(size: int) -> int:
    """Return the most bytes of a file of so many rows."""
    chunks = -(-size // _CHUNK)
    return _HEAD + len(_KINDS) * chunks * (8 * _CHUNK + _PER_CHUNK)


def _allocate(handle: int, begin: int, end: int) -> None:
    """Make a file as long as ``end``, with room on the disk for all of it."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, begin, end - begin)
        return
    os.lseek(handle, begin, os.SEEK_SET)
    while begin < end:
        begin += os.write(handle, bytes(min(end - begin, 2**20)))
