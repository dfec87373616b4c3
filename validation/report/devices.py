"""Records of measurements on accelerators, which a report shows if there are any.

A record is a JSON object with strings "date" and "device", and "versions", an object of strings.
Its other members are figures: plain values, or lists of objects, which become tables.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.files import json_reader
from refsim.files.output import checked_path
from refsim.validate import shown

OWN_RECORDS = Path(__file__).parents[1] / "device_records"  # of refsim, made by its benchmarks
_MOST_CELLS = 1_000_000  # of a table, each row of which may have names of its own
Source = str | os.PathLike[str] | Mapping[str, Any]


def device_records(given: Source | Iterable[Source] | None) -> tuple[dict[str, Any], ...]:
    """Return records: given as such, as files, or as a folder of JSON files.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        If a file cannot be read, or a record lacks its date, device or versions.
    """
    if given is None:
        return ()
    if isinstance(given, str | os.PathLike | Mapping):
        given = [given]
    try:
        sources = list(given)
    except TypeError:
        raise InvalidTypeError(
            f"device_records is {shown(given)}; expected a folder, files, or records"
        ) from None
    return tuple(record for source in sources for record in _records(source))


def _records(source: Source) -> list[dict[str, Any]]:
    if isinstance(source, Mapping):
        return [_checked(dict(source), "device_records")]
    path = checked_path(source)
    inside = path.glob("*.json") if os.path.isdir(path) else None
    paths = [path] if inside is None else sorted(file for file in inside if file.is_file())
    return [_checked(json_reader.read(file), str(file)) for file in paths]


def _checked(record: Any, where: str) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise InvalidValueError(f"{where}: is {shown(record)}; expected an object")
    for name in ("date", "device"):
        if not isinstance(record.get(name), str):
            raise InvalidValueError(
                f"{where}: {name} is {shown(record.get(name))}; expected a string"
            )
    versions = record.get("versions")
    if not isinstance(versions, dict) or not all(isinstance(v, str) for v in versions.values()):
        raise InvalidValueError(
            f"{where}: versions is {shown(versions)}; expected an object of strings"
        )
    try:
        json.dumps(record, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidValueError(f"{where}: expected what JSON can hold: {error}") from None
    return record


def plain_figures(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a record that are single values, beside those that all have."""
    common = ("date", "device", "versions")
    return {
        key: value
        for key, value in record.items()
        if key not in common and not isinstance(value, dict | list)
    }


def tables(record: Mapping[str, Any]) -> dict[str, tuple[list[str], list[list[Any]]]]:
    """Return the lists of objects in a record as columns and rows."""
    found = {}
    for key, value in record.items():
        rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
        if rows:
            columns = list(dict.fromkeys(name for row in rows for name in row))
            if len(columns) * len(rows) > _MOST_CELLS:
                raise InvalidValueError(
                    f"{shown(key)} of a device record is a table of {len(rows)} rows and "
                    f"{len(columns)} columns; expected at most {_MOST_CELLS:,} cells"
                )
            found[key] = columns, [[row.get(name, "") for name in columns] for row in rows]
    return found
