"""The folder of compiled code, which is private, and its files, of which damaged ones are noticed.

There is a folder for each combination of versions that compiled code depends on. What it depends
on besides, the sources of a kernel, is in the names of the files.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import sys
import tempfile
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np

_LAYOUT = 1  # of the files; to be raised with each change of what they hold
_FOLDERS_KEPT = 8
_SIZE = 32  # bytes of a digest


def _versions() -> str:
    libraries = (numba.__version__, llvmlite.__version__, np.__version__)
    found = repr((_LAYOUT, sys.version, sys.implementation.cache_tag, libraries))
    return hashlib.sha256(found.encode()).hexdigest()[:16]


def _candidate_roots() -> list[Path]:
    """Folders that may hold compiled code, the preferred one first."""
    roots = []
    if os.environ.get("NUMBA_CACHE_DIR"):
        roots.append(Path(os.environ["NUMBA_CACHE_DIR"]))
    elif sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        roots.append(Path(os.environ["LOCALAPPDATA"]) / "refsim")
    elif os.environ.get("XDG_CACHE_HOME"):
        roots.append(Path(os.environ["XDG_CACHE_HOME"]) / "refsim")
    elif not (home := os.path.expanduser("~")).startswith("~"):  # where nobody knows it
        roots.append(Path(home) / ".cache" / "refsim")
    user = getattr(os, "getuid", lambda: "user")()
    with suppress(OSError):  # none may be writable
        roots.append(Path(tempfile.gettempdir()) / f"refsim-{user}")
    return roots


def _is_private_and_writable(folder: Path) -> bool:
    """Create ``folder``; compiled code is only ever loaded from a folder that is our own."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
    except OSError:
        return False


def _forget_old_folders(root: Path, current: Path) -> None:
    """Keep the few folders last used, for versions come and go."""
    try:
        folders = [path for path in root.glob("kernels-*") if path.is_dir() and path != current]
        folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        os.utime(current)
    except OSError:
        return
    for path in folders[_FOLDERS_KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


@cache
def cache_folder() -> Path | None:
    """Return the folder of compiled code, or None where no folder can be written."""
    for root in _candidate_roots():
        folder = root / f"kernels-{_versions()}"
        if _is_private_and_writable(folder):
            _forget_old_folders(root, folder)
            return folder
    return None


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_SIZE).digest()


def read_checked(path: str | Path) -> Any:
    """Return what a file holds, or None if it cannot be read or is not what was written."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        if _digest(data[_SIZE:]) != data[:_SIZE]:
            return None
        return pickle.loads(data[_SIZE:])
    except Exception:  # as of a class that is not there any more: any reason will do
        return None


def write_checked(path: str | Path, pickled: bytes) -> None:
    """Write a file as a whole, behind a digest of what it holds."""
    unfinished = f"{path}.tmp.{uuid.uuid4().hex[:16]}"
    try:
        with open(unfinished, "wb") as file:
            file.write(_digest(pickled) + pickled)
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished)
        raise
