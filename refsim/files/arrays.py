"""Archives of arrays (.npz) as `numpy.savez` writes them, read strictly.

NumPy and zipfile believe what a file says of itself: a few megabytes unpack to gigabytes, a type of
data ends the process. Here the list of members, their sizes and the header of each array have to be
what we ourselves would have written, and to agree, before anything is read. What is held never
takes more memory than the file has bytes.
"""

from __future__ import annotations

import os
import re
import sys
import zipfile
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.errors import InvalidValueError
from refsim.files.output import write_whole
from refsim.files.reading import ReadingError, opened_file

_MOST_MEMBERS = 1000
_MOST_OF_LIST = 2**20  # bytes of the list of members
_MOST_OF_HEADER = 1000
_MOST_DIMENSIONS = 4
_BEGIN = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '([<>|])([a-zA-Z])(\d{1,3})', 'fortran_order': (False|True), "
    rb"'shape': \(([\d, ]*)\), \} *\n"
)
_KINDS = {"b": {1}, "i": {1, 2, 4, 8}, "u": {1, 2, 4, 8}, "f": {4, 8}, "U": set(range(1, 1000))}
_ORDERS = {"|", "<" if sys.byteorder == "little" else ">"}
_PLAIN_FLAGS = 0x808  # sizes behind the data; names in UTF-8


class ArrayFileError(InvalidValueError):
    """A file is no archive of arrays; the message says why, without its name."""


class _Header(NamedTuple):
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    in_columns: bool
    size: int  # bytes of the data


class _ArrayFile:
    """An archive of arrays whose members are read one by one."""

    def __init__(self, archive: zipfile.ZipFile, size: int):
        self._archive = archive
        members = archive.infolist()
        if len(members) > _MOST_MEMBERS:
            raise ArrayFileError(f"has {len(members)} members; expected {_MOST_MEMBERS} or fewer")
        if sum(member.file_size for member in members) > size:
            raise ArrayFileError("has members that are larger than the file")
        self.members = {_name_of(member): member for member in members}
        if len(self.members) < len(members):
            raise ArrayFileError("has two members of one name")

    def read(self, name: str) -> NDArray[Any]:
        """Return an array.

        Raises
        ------
        ArrayFileError
            If it is not there, or not what its header says.
        """
        if name not in self.members:
            raise ArrayFileError(f"lacks {name}")
        member = self.members[name]
        stream: Any
        with self._archive.open(member) as stream:
            header = _header(stream, name, member.file_size)
            data = bytearray(header.size)
            view = memoryview(data)
            while view:
                n = stream.readinto(view[:_MOST_OF_LIST])
                if not n:
                    raise ArrayFileError(f"{name} is cut short")
                view = view[n:]
            if stream.read(1):  # which also compares the checksum
                raise ArrayFileError(f"{name} has more data than its header says")
        return _array(header, data, name)


def read_arrays(path: Path, kind: str = "") -> dict[str, NDArray[Any]]:
    """Return all arrays of an archive of a kind, which is looked at first, or of any.

    Raises
    ------
    ArrayFileError
        If the file cannot be read, is of another kind, or holds anything but arrays of plain
        numbers and texts.
    """
    try:
        with opened_file(path) as stream:
            size = stream.seek(0, 2)
            with zipfile.ZipFile(_InPortions(stream)) as archive:
                file = _ArrayFile(archive, size)
                found = str(file.read("format")) if kind else kind
                if found != kind:
                    raise ArrayFileError(f"its format is {found[:40]!r}, and not {kind!r}")
                return {name: file.read(name) for name in file.members}
    except ArrayFileError:
        raise
    except ReadingError as error:
        raise ArrayFileError(str(error)) from None
    except Exception as error:
        # There are a dozen kinds of them, of struct, zlib, codecs and the system: whatever cannot
        # be read is the fault of the file.
        raise ArrayFileError(f"is no archive of arrays: {error or type(error).__name__}") from None


def write_arrays(path: str | os.PathLike[str], kind: str, **arrays: Any) -> None:
    """Write an archive of a kind, such as "refsim-state/3", whole or not at all."""
    write_whole(path, lambda stream: np.savez(stream, format=kind, **arrays), binary=True)


class _InPortions:
    """A file that hands out no more than a portion: zipfile reads the list of members in one go."""

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, n: int = -1) -> bytes:
        """Return so many bytes, or a portion of what is left."""
        if n > _MOST_OF_LIST:
            raise ArrayFileError("has too long a list of members")
        return self._stream.read(n if n >= 0 else _MOST_OF_LIST)


def _name_of(member: zipfile.ZipInfo) -> str:
    """Return the name of an array; members are neither packed nor encrypted."""
    name = member.filename.removesuffix(".npy")
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        raise ArrayFileError(f"{name} is packed; expected plain data")
    if member.flag_bits & ~_PLAIN_FLAGS:
        raise ArrayFileError(f"{name} is encrypted; expected plain data")
    return name


def _header(stream: Any, name: str, size: int) -> _Header:
    """Read what an array says of itself, which has to be what NumPy writes."""
    begin = stream.read(len(_BEGIN) + 2)
    length = int.from_bytes(begin[len(_BEGIN) :], "little")
    text = stream.read(min(length, _MOST_OF_HEADER))
    found = _HEADER.fullmatch(text)
    if not begin.startswith(_BEGIN) or length > _MOST_OF_HEADER or found is None:
        raise ArrayFileError(f"{name} has no header of an array")
    order, kind, width, columns, extent = (part.decode("ascii") for part in found.groups())
    if order not in _ORDERS or int(width) not in _KINDS.get(kind, ()):
        raise ArrayFileError(f"{name} has the type {order + kind + width}; expected plain numbers")
    parts = [part.strip() for part in extent.split(",")]
    shape = tuple(int(part) for part in (parts if parts[-1] else parts[:-1]))
    dtype = np.dtype(order + kind + width)
    n_bytes = prod(shape) * dtype.itemsize
    if len(shape) > _MOST_DIMENSIONS or n_bytes != size - len(begin) - len(text):
        raise ArrayFileError(f"{name} has other data than its header says")
    return _Header(dtype, shape, columns == "True", n_bytes)


def _array(header: _Header, data: bytearray, name: str) -> NDArray[Any]:
    """Return an array of given bytes."""
    if header.dtype.kind == "U":
        data.decode("utf-32", errors="strict")
    if header.dtype.kind == "b" and data.translate(None, b"\0\1"):
        raise ArrayFileError(f"{name} has truths that are neither true nor false")
    array = np.frombuffer(data, header.dtype)
    return array.reshape(header.shape, order="F" if header.in_columns else "C")
