"""What we have found, as JSON can hold it: reports, verdicts for scripts, tables of judges.

Numbers that JSON does not have are the strings "nan", "inf" and "-inf".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

_NOT_IN_JSON = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@cache
def _types_of(kind: Any) -> dict[str, Any]:
    """Return the types of the fields of a class, {} if it is none that has any."""
    return get_type_hints(kind) if is_dataclass(kind) or hasattr(kind, "_fields") else {}


def plain(value: Any, written: Mapping[type, Callable[[Any], Any]] | None = None) -> Any:
    """Return a value as JSON can hold it, records by the names of their fields.

    Objects of the types in ``written`` become what the function of that name returns.
    """
    kind: Any = type(value)
    if written and kind in written:
        return written[kind](value)
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if names := _types_of(kind):
        return {name: plain(getattr(value, name), written) for name in names}
    if isinstance(value, Mapping):
        return {name: plain(entry, written) for name, entry in value.items()}
    if isinstance(value, tuple | list):
        return [plain(entry, written) for entry in value]
    return value


def members(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return some attributes of a value as JSON can hold them."""
    return {name: plain(getattr(value, name)) for name in names}


def from_plain(kind: Any, given: Any, read: Mapping[Any, Callable[[Any], Any]]) -> Any:
    """Return the value of a type that `plain` was given; of those in ``read`` by a function."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind in read:
        return read[kind](given)
    if kind is float:
        return _NOT_IN_JSON[given] if isinstance(given, str) else float(given)
    if origin is np.ndarray:
        return np.array([_NOT_IN_JSON.get(entry, entry) for entry in given], *get_args(inner[1]))
    if origin is UnionType:
        return None if given is None else from_plain(inner[0], given, read)
    if origin is tuple:
        return tuple(from_plain(inner[0], entry, read) for entry in given)
    if origin is dict:
        return {name: from_plain(inner[1], entry, read) for name, entry in given.items()}
    if types := _types_of(kind):
        return kind(**{name: from_plain(types[name], given[name], read) for name in types})
    return given
