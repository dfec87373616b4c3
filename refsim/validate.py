"""Checks of arguments, before any work starts."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refsim.errors import InvalidTypeError, InvalidValueError

# Bounds that keep every product and quotient of the kernels within the range of float64.
LARGEST = 1e100
LONGEST = 1e12  # ms
SHORTEST_TAU = 1e-9  # ms


def _shown(value: Any) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else text[:57] + "..."


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return ``value`` as an int in [low, high]."""
    expected = f"an integer >= {low}" if high is None else f"an integer in [{low}, {high}]"
    try:
        number = operator.index(value)
    except TypeError:
        raise InvalidTypeError(f"{name} is {_shown(value)}; expected {expected}") from None
    if isinstance(value, bool | np.bool_):
        raise InvalidTypeError(f"{name} is {_shown(value)}; expected {expected}")
    if number < low or (high is not None and number > high):
        raise InvalidValueError(f"{name} is {number}; expected {expected}")
    return number


def _real_array(name: str, value: Any) -> NDArray[np.float64]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidTypeError(f"{name} is not a regular array of numbers: {error}") from None
    if array.size == 0:
        return np.zeros(array.shape)
    if array.dtype.kind not in "iuf":
        raise InvalidTypeError(
            f"{name} is {_shown(value)} of dtype {array.dtype}; expected real numbers"
        )
    return array.astype(np.float64)


def _check_range(
    name: str,
    array: NDArray[np.float64],
    low: float,
    high: float,
    strict: bool,
) -> None:
    with np.errstate(invalid="ignore"):
        bad = ~((array > low if strict else array >= low) & (array <= high))
    if not bad.any():
        return
    i = int(np.flatnonzero(bad)[0])
    value = array.flat[i]
    where = f"{name}[{i}]" if array.ndim else name
    if not np.isfinite(value):
        raise InvalidValueError(f"{where} is {value}; expected a finite number")
    sign = ">" if strict else ">="
    raise InvalidValueError(f"{where} is {_shown(value)}; expected {sign} {low:g} and <= {high:g}")


def scalar(
    name: str,
    value: Any,
    low: float = -LARGEST,
    high: float = LARGEST,
    strict: bool = False,
) -> float:
    """Return ``value`` as a float in [low, high], or in (low, high] where ``strict``."""
    array = _real_array(name, value)
    if array.shape != ():
        raise InvalidValueError(f"{name} has shape {array.shape}; expected a single number")
    _check_range(name, array, low, high, strict)
    return float(array)


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return ``array``, made read-only."""
    array.setflags(write=False)
    return array


def vector(
    name: str,
    value: Any,
    size: int | None,
    low: float = -LARGEST,
    high: float = LARGEST,
    strict: bool = False,
) -> NDArray[np.float64]:
    """Return ``value`` as a read-only float64 vector of ``size``; a single number is repeated."""
    array = _real_array(name, value)
    if array.ndim == 0 and size is not None:
        _check_range(name, array, low, high, strict)
        return frozen(np.full(size, float(array)))
    if array.ndim != 1 or (size is not None and array.shape[0] != size):
        wanted = "(k,)" if size is None else f"({size},) or a single number"
        raise InvalidValueError(f"{name} has shape {array.shape}; expected {wanted}")
    _check_range(name, array, low, high, strict)
    return frozen(array.copy() if array is value else array)


def indices(name: str, value: Any, size: int | None, high: int) -> NDArray[np.int64]:
    """Return ``value`` as a read-only vector of ``size`` integers in [0, high)."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidTypeError(f"{name} is not a regular array of integers: {error}") from None
    if array.size and array.dtype.kind not in "iu":
        raise InvalidTypeError(
            f"{name} is {_shown(value)} of dtype {array.dtype}; expected integers"
        )
    if array.ndim == 0 and size is not None:
        array = np.full(size, array)
    if array.ndim != 1 or (size is not None and array.shape[0] != size):
        wanted = "(k,)" if size is None else f"({size},) or a single number"
        raise InvalidValueError(f"{name} has shape {array.shape}; expected {wanted}")
    bad = np.flatnonzero((array < 0) | (array >= high)) if array.size else ()
    if len(bad):
        i = int(bad[0])
        expected = f"an index from 0 to {high - 1}" if high > 0 else "no entry: there is nothing"
        raise InvalidValueError(f"{name}[{i}] is {array[i]}; expected {expected}")
    return frozen(array.astype(np.int64))


def choice(name: str, value: Any, options: Iterable[str]) -> str:
    """Return ``value``, which must be one of ``options``."""
    names = list(options)
    if not isinstance(value, str) or value not in names:
        listed = ", ".join(repr(option) for option in names)
        raise InvalidValueError(f"{name} is {_shown(value)}; expected one of {listed}")
    return value
