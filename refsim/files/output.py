"""Files that are written whole or not at all, and JSON that a person can read."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from refsim.errors import InvalidTypeError, InvalidValueError, RefsimError
from refsim.validate import shown


class OutputError(RefsimError, OSError):
    """A file cannot be written.

    Attributes
    ----------
    partial : Recording or None
        What :func:`refsim.record` had written by then; None for other files.
    """

    partial: Any = None


def checked_path(path: Any) -> Path:
    """Return ``path`` as a Path, or say what it should have been."""
    try:
        checked = Path(path)
    except TypeError:
        raise InvalidTypeError(f"path is {shown(path)}; expected the path of a file") from None
    if "\0" in str(checked):
        raise InvalidValueError(f"path is {shown(path)}; expected a path without a null character")
    try:
        os.fsencode(checked)
    except UnicodeEncodeError:
        raise InvalidValueError(
            f"path is {shown(path)}; expected characters that names of files can have"
        ) from None
    return checked


def reason_of(error: OSError) -> str:
    """Return what went wrong: in the words of the system, or of whoever raised the error."""
    return error.strerror or str(error) or type(error).__name__


@contextmanager
def output_errors(path: str | os.PathLike[str], done: str = "written") -> Iterator[None]:
    """Raise what the system says of a file that is written as OutputError.

    An error that the system has no number for comes from elsewhere, as that of an alarm which
    goes off meanwhile, and stays what it is.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        if error.errno is None and type(error) is not OSError:
            raise
        raise OutputError(f"{os.fspath(path)}: cannot be {done}: {reason_of(error)}") from None
    except UnicodeEncodeError as error:
        raise OutputError(f"{os.fspath(path)}: cannot be {done}: {error}") from None


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OutputError if a file cannot be written, before the work that is to fill it."""
    path = checked_path(path)
    with output_errors(path):
        if not _keeps_its_place(path):
            _, temporary = _new_file(path)
            os.unlink(temporary)


def made_folder(path: str | os.PathLike[str], new: bool = False) -> Path:
    """Return a folder, made if it is not there; where ``new``, it must not be."""
    folder = checked_path(path)
    with output_errors(folder, "made"):
        folder.mkdir(parents=not new, exist_ok=not new)
    return folder


def write_whole(
    path: str | os.PathLike[str], write: Callable[[Any], object], binary: bool = False
) -> None:
    """Write a file whole or not at all: ``write`` fills a file that then takes its place.

    A link stays one, and leads to the new file. A device or a pipe keeps its place, and is written
    as it comes.
    """
    path = checked_path(path)
    mode, encoding = ("wb", None) if binary else ("w", "utf-8")
    with output_errors(path):
        if _keeps_its_place(path):
            with path.open(mode, encoding=encoding) as stream:
                write(stream)
            return
        with replacement(path) as temporary, temporary.open(mode, encoding=encoding) as stream:
            write(stream)


@contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """Yield a new, empty file, which takes the place of another unless an error is raised."""
    target, temporary = _new_file(path)
    try:
        yield temporary
        with suppress(FileNotFoundError):
            os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _keeps_its_place(path: Path) -> bool:
    """Return whether there is a device or a pipe, which no file can take the place of."""
    try:
        kind = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    return not stat.S_ISREG(kind)


def _new_file(path: Path) -> tuple[Path, Path]:
    """Return where links lead to, and an empty file beside it.

    Its name does not hold the other, to which nothing might fit any more.
    """
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    temporary = target.with_name(f".refsim-{os.urandom(8).hex()}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return target, temporary


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
