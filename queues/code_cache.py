"""Compiled code on disk, of which what is damaged is compiled anew.

Numba unpickles whatever it finds: after a process was killed, a disk was full or a bit has flipped,
a file that ends too early is an error in every later run, and one with other bytes may be run as
machine code. Here each file begins with a digest of the rest. And code is kept with what it was
compiled for: two processes that save at once may write to the same file.
"""

from __future__ import annotations

import pickle
from contextlib import suppress
from hashlib import blake2b
from typing import Any

from numba.core.caching import FunctionCache, IndexDataCacheFile

_SIZE = 32  # bytes of a digest


class _CheckedFiles(IndexDataCacheFile):
    """The index of a function, and a file for each of its signatures."""

    def save(self, key: Any, data: Any) -> None:
        super().save(key, (key, data))

    def load(self, key: Any) -> Any:
        found = super().load(key)
        return found[1] if found is not None and found[0] == key else None

    def _load_index(self) -> dict[Any, str]:
        stamp, names = self._read(self._index_path) or (None, {})
        return names if stamp == self._source_stamp else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._write(self._index_path, (self._source_stamp, overloads))

    def _load_data(self, name: str) -> Any:
        return self._read(self._data_path(name))

    def _save_data(self, name: str, data: Any) -> None:
        self._write(self._data_path(name), data)

    def _read(self, path: str) -> Any:
        """Return what a file holds, or None if it cannot be read or is not what was written."""
        try:
            with open(path, "rb") as file:
                data = file.read()
            if self._digest(data[_SIZE:]) != data[:_SIZE]:
                return None
            return pickle.loads(data[_SIZE:])
        except Exception:  # as of a class that is not there any more: any reason will do
            return None

    def _write(self, path: str, content: Any) -> None:
        data = self._dump(content)
        with self._open_for_write(path) as file:
            file.write(self._digest(data) + data)

    def _digest(self, data: bytes) -> bytes:
        """Return a digest of data of this version of Numba."""
        return blake2b(self._version.encode() + data, digest_size=_SIZE).digest()


class CheckedCache(FunctionCache):
    """The compiled code of a function."""

    def __init__(self, function: Any):
        super().__init__(function)
        self._cache_file = _CheckedFiles(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save code, if there is room for it: what was compiled can be used without."""
        with suppress(OSError):
            super().save_overload(sig, data)


def keep_on_disk(dispatcher: Any) -> None:
    """Let a compiled function keep its code on disk, in the folder of Numba's settings."""
    with suppress(OSError, RuntimeError):
        dispatcher._cache = CheckedCache(dispatcher.py_func)
