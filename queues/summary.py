"""What objects of many numbers print: a line with sizes and ranges, never the numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

_LONGEST = 40  # characters of a text or a number
_FEW = 4  # numbers that say more than their range


def summary(thing: Any, title: str = "") -> str:
    """Return the fields of a NamedTuple or dataclass in one line.

    Parameters
    ----------
    thing
        The object; fields that are None are left out.
    title
        What follows the name of the class, such as a name in quotes.
    """
    names = getattr(thing, "_fields", None) or [field.name for field in dataclasses.fields(thing)]
    found = ((name, getattr(thing, name)) for name in names)
    parts = ", ".join(f"{name} {shortly(value)}" for name, value in found if value is not None)
    head = f"{type(thing).__name__} {title}".rstrip()
    return f"<{head}: {parts}>" if parts else f"<{head}>"


def shortly(value: Any) -> str:
    """Return a value in a few words: of an array its shape and its range."""
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        if all(isinstance(one, int | float | np.number) for one in value):
            return _array(np.asarray(value))
        return f"of {len(value)}"
    if isinstance(value, dict):
        return f"of {', '.join(map(str, value))}" if value else "of nothing"
    text = repr(value.item() if isinstance(value, np.generic) else value)
    if isinstance(value, str | int | float | np.generic) and len(text) > _LONGEST:
        return text[: _LONGEST - 3] + "..."
    return text if len(text) <= 4 * _LONGEST else f"a {type(value).__name__}"


def span(values: np.ndarray) -> str:
    """Return the least and the largest of some numbers, or the one that they all are."""
    with np.errstate(invalid="ignore"):  # the range of what has a nan in it is nan
        low, high = values.min(), values.max()
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def _array(values: np.ndarray) -> str:
    shape = f"({', '.join(map(str, values.shape))}{',' if values.ndim == 1 else ''})"
    if values.size == 0 or values.dtype.kind not in "biuf":
        return shape
    if values.size <= _FEW and values.ndim == 1:
        return f"[{', '.join(f'{value:.6g}' for value in values)}]"
    return f"{shape} {span(values)}"
