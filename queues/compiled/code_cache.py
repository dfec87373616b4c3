"""Compiled code on disk: never stale, and what is damaged is compiled anew.

Numba notices a change in the file of a function, but not in the files of the functions it calls,
and then serves stale machine code; and whatever else it finds it unpickles: after a process was
killed, a disk was full or a bit has flipped, a file that ends too early is an error in every later
run, and one with other bytes may be run as machine code.

Here the name of a file carries a digest of all sources that its code depends on, so an edit leads
to files of its own and leaves those of other kernels as they are. Each file begins with a digest of
the rest. And code is kept with what it was compiled for: two processes that save at once may write
to the same file.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from types import CodeType
from typing import Any

from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    _CacheLocator,
)
from numba.core.types import Type

from queues.compiled.code_folder import cache_folder, read_checked, write_checked
from queues.compiled.source_digest import Sources, Unknown, sources_of

_MOST_BYTES = 10**9  # of all code; that of all kernels takes a tenth


class _CheckedFiles(IndexDataCacheFile):
    """The index of a function, and a file for each of its signatures."""

    def save(self, key: Any, data: Any) -> None:
        super().save(key, (key, data))

    def load(self, key: Any) -> Any:
        found = super().load(key)
        if found is None or found[0] != key:
            return None
        with suppress(OSError):
            os.utime(self._index_path)  # what is used is not forgotten
        return found[1]

    def _load_index(self) -> dict[Any, str]:
        stamp, names = read_checked(self._index_path) or (None, {})
        return names if stamp == self._source_stamp else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        write_checked(self._index_path, self._dump((self._source_stamp, overloads)))

    def _load_data(self, name: str) -> Any:
        return read_checked(self._data_path(name))

    def _save_data(self, name: str, data: Any) -> None:
        write_checked(self._data_path(name), self._dump(data))


class _Place(_CacheLocator):
    """Where the code of a function lies, and what it depends on."""

    def __init__(self, folder: Path, function: Any, options: dict[str, Any], sources: Sources):
        self._py_file = function.__code__.co_filename  # for Numba's warnings
        self._folder = folder
        self._stamp = sources.digest, _described(function), repr(sorted(options.items()))

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> tuple[str, ...]:
        return self._stamp

    def get_disambiguator(self) -> str:
        """Return the part of names of files which tells one version from others."""
        return hashlib.sha256(repr(self._stamp).encode()).hexdigest()[:24]


class _Code(CompileResultCacheImpl):
    """How compiled code is written, as Numba does it, and the beginning of the names of files."""

    def __init__(self, function: Any, place: _Place):
        self._locator = place
        self._lineno = function.__code__.co_firstlineno
        module = Path(function.__code__.co_filename).stem
        self._filename_base = self.get_filename_base(
            f"{module}.{function.__qualname__}", getattr(sys, "abiflags", "")
        )


class CheckedCache(FunctionCache):
    """The compiled code of a function."""

    _impl_class: Any

    def __init__(self, function: Any, place: _Place, sources: Sources):
        self._impl_class = partial(_Code, place=place)
        super().__init__(function)
        self._sources = sources
        self._cache_file = _CheckedFiles(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=place.get_source_stamp(),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return code, or None if there is none or nobody can tell whether it is stale."""
        with suppress(Unknown):
            return super().load_overload(sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save code, if there is room for it: what was compiled can be used without.

        If a file was edited after it was loaded, nobody can tell of which version the code is.
        """
        with suppress(OSError, Unknown):
            used = [self._sources, *_sources_of_classes(sig)]
            if all(sources.are_unchanged() for sources in used):
                super().save_overload(sig, data)
                _forget_old_code(Path(self._cache_path))

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        """Add the sources of the classes of arguments, which a kernel need not import."""
        digests = tuple(sources.digest for sources in _sources_of_classes(sig))
        return (*super()._index_key(sig, codegen), digests)


def keep_on_disk(dispatcher: Any) -> None:
    """Let a compiled function keep its code on disk, where that can be done safely."""
    function = dispatcher.py_func
    folder = cache_folder()
    if folder is None:
        return
    with suppress(Unknown):
        sources = sources_of(function.__globals__, function.__code__.co_filename)
        place = _Place(folder, function, dispatcher.targetoptions, sources)
        dispatcher._cache = CheckedCache(function, place, sources)


def _described(function: Any) -> str:
    """Return a digest of the code of a function without its documentation and lines.

    Functions of one name in one file are told apart by it.
    """
    described = repr(_parts(function.__code__, function.__doc__))
    return hashlib.sha256(described.encode()).hexdigest()


def _parts(code: CodeType, documentation: str | None) -> Any:
    constants = list(code.co_consts)
    if documentation is not None and constants[:1] == [documentation]:
        constants[0] = None  # as without one
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_code, names, [_constant(one) for one in constants]


def _constant(one: Any) -> Any:
    if isinstance(one, CodeType):
        return _parts(one, None)
    if isinstance(one, frozenset):  # whose order is another in each process
        return sorted(map(repr, one))
    return one


def _sources_of_classes(signature: Any) -> list[Sources]:
    modules = {one.__module__ for one in _classes(getattr(signature, "args", signature))}
    found = []
    for name in sorted(modules.difference(sys.builtin_module_names)):
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if module is None or file is None:
            raise Unknown(name)
        found.append(sources_of(vars(module), file))
    return found


def _classes(types: Any) -> Iterator[type]:
    """Yield the Python classes of types of arguments, also of what these hold."""
    waiting, seen = list(types), set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, type):
            yield one
        elif isinstance(one, tuple):
            waiting.extend(one)
        elif isinstance(one, Type) and one not in seen:
            seen.add(one)
            waiting.extend(vars(one).values())


@cache
def _forget_old_code(folder: Path) -> None:
    """Keep the code last used: an edit a minute would fill a disk in the end."""
    sizes: dict[str, int] = {}
    used: dict[str, float] = {}
    versions: dict[str, list[Path]] = {}
    for path in [*folder.glob("*.nbi*"), *folder.glob("*.nbc*")]:
        name, _, rest = path.name.rpartition("-")
        version = f"{name}-{rest.partition('.')[0]}"
        with suppress(OSError):  # another process may have been faster
            found = path.stat()
            versions.setdefault(version, []).append(path)
            sizes[version] = sizes.get(version, 0) + found.st_size
            used[version] = max(used.get(version, 0.0), found.st_mtime)
    total = 0
    for version in sorted(versions, key=lambda version: used[version], reverse=True):
        total += sizes[version]
        if total > _MOST_BYTES:
            for path in versions[version]:
                with suppress(OSError):
                    path.unlink()
