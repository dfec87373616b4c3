"""Files that are written whole or not at all, and JSON that a person can read."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from refsim.errors import InvalidTypeError, InvalidValueError, RefsimError
from refsim.validate import shown


class OutputError(RefsimError, OSError):
    """A file cannot be written."""


def checked_path(path: Any) -> Path:
    """Return ``path`` as a Path, or say what it should have been."""
    try:
        checked = Path(path)
    except TypeError:
        raise InvalidTypeError(f"path is {shown(path)}; expected the path of a file") from None
    if "\0" in str(checked):
        raise InvalidValueError(f"path is {shown(path)}; expected a path without a null character")
    return checked


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OutputError if a file cannot be written, before the work that is to fill it."""
    path = checked_path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def write_whole(
    path: str | os.PathLike[str], write: Callable[[Any], object], binary: bool = False
) -> None:
    """Write a file whole or not at all: ``write`` fills a file that then takes its place.

    A device or a pipe keeps its place, and is written as it comes.
    """
    path = checked_path(path)
    if path.is_char_device() or path.is_fifo():
        with path.open("wb" if binary else "w", encoding=None if binary else "utf-8") as stream:
            write(stream)
        return
    folder = path.parent
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        mode, encoding = ("wb", None) if binary else ("w", "utf-8")
        with os.fdopen(handle, mode, encoding=encoding) as stream:
            write(stream)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as error:
        os.unlink(temporary)
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    except BaseException:
        os.unlink(temporary)
        raise


def json_text(data: Any, indent: str = "") -> str:
    """Return JSON with one member a line and every list of plain values on one line.

    Raises
    ------
    TypeError, ValueError
        If JSON cannot hold the data; NaN and infinities are not JSON.
    """
    inner = indent + " "
    if isinstance(data, dict) and data:
        members = (
            f"{inner}{json.dumps(str(key))}: {json_text(value, inner)}"
            for key, value in data.items()
        )
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    if isinstance(data, list) and any(isinstance(entry, dict) for entry in data):
        entries = (inner + json.dumps(entry, allow_nan=False) for entry in data)
        return "[\n" + ",\n".join(entries) + f"\n{indent}]"
    return json.dumps(data, allow_nan=False)
