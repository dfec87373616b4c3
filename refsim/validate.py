"""Checks of arguments, before any work starts."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refsim.errors import InvalidTypeError, InvalidValueError

# Bounds that keep every product and quotient of the kernels within the range of float64.
LARGEST = 1e100
LONGEST = 1e12  # ms
SHORTEST_TAU = 1e-9  # ms
# Neurons, channels or members of a group: what 32 bits count, 16 GiB for a column of numbers.
MOST = 2**31 - 1
LARGEST_INT = 2**63 - 1
_MUCH = 300  # characters, of which more are not looked at for a message of 60


def shown(value: Any) -> str:
    """Return ``value`` as it stands in a message: one line of at most 60 characters."""
    text = ""
    try:
        for piece in _pieces(value.item() if isinstance(value, np.generic) else value):
            text += piece
            if len(text) > _MUCH:  # of a list of a stranger, with millions more
                break
    except Exception:  # of the value's own making, or an integer of more than 4300 digits
        text = f"a {type(value).__name__} that cannot be printed"
    text = " ".join(text[: 2 * _MUCH].split())
    return text if len(text) <= 60 else text[:57] + "..."


def _pieces(value: Any) -> Iterator[str]:
    """Yield what repr returns, piece by piece for lists and dictionaries."""
    if type(value) is list:
        for i, entry in enumerate(value):
            yield ", " if i else "["
            yield from _pieces(entry)
        yield "]" if value else "[]"
    elif type(value) is dict:
        for i, (key, entry) in enumerate(value.items()):
            yield ", " if i else "{"
            yield from _pieces(key)
            yield ": "
            yield from _pieces(entry)
        yield "}" if value else "{}"
    else:
        yield repr(value[:_MUCH] if type(value) in (str, bytes) else value)


def _index(name: str, value: Any, expected: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool | np.bool_):
        raise InvalidTypeError(f"{name} is {shown(value)}; expected {expected}")
    return number


def integer(name: str, value: Any, low: int, high: int = LARGEST_INT) -> int:
    """Return ``value`` as an int in [low, high]."""
    expected = f"an integer in [{low}, {high}]"
    number = _index(name, value, f"an integer >= {low}" if high == LARGEST_INT else expected)
    if not low <= number <= high:
        raise InvalidValueError(f"{name} is {shown(number)}; expected {expected}")
    return number


def checked_threads(threads: Any) -> int:
    """Return a number of threads; None stands for the processors that this process may use."""
    if threads is not None:
        return integer("threads", threads, 1, 1024)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def boolean(name: str, value: Any) -> bool:
    """Return ``value``, which must be true or false and nothing that merely counts as one."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidTypeError(f"{name} is {shown(value)}; expected True or False")
    return bool(value)


def members(name: str, value: Any, of: str) -> list[Any]:
    """Return the members of an iterable ``value`` that is no text."""
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return list(value)
    except TypeError:
        raise InvalidTypeError(f"{name} is {shown(value)}; expected a sequence of {of}") from None


def generator(rng: Any) -> np.random.Generator:
    """Return a source of randomness, as NumPy's ``default_rng`` does (SPEC 7 of Scientific Python).

    None starts from what the system knows, an integer from that.
    """
    if rng is None or isinstance(rng, np.random.Generator):
        return np.random.default_rng(rng)
    expected = "an integer >= 0, a numpy.random.Generator, or None"
    seed = _index("rng", rng, expected)
    if seed < 0:
        raise InvalidValueError(f"rng is {shown(rng)}; expected {expected}")
    return np.random.default_rng(seed)


def _holds_bool(value: Any) -> bool:
    """Return whether a list mixes booleans with numbers, which NumPy takes for 0 and 1."""
    if isinstance(value, list | tuple):
        return any(map(_holds_bool, value))
    return isinstance(value, bool | np.bool_)


def as_array(name: str, value: Any, of: str) -> NDArray[Any]:
    """Return ``value`` as an array that hides no entry behind a mask or a boolean."""
    try:
        array = np.asanyarray(value)
    except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        raise InvalidTypeError(
            f"{name} is {shown(value)}; expected a regular array of {of}: {error}"
        ) from None
    if isinstance(array, np.ma.MaskedArray):
        if np.ma.is_masked(array):
            hidden = int(np.count_nonzero(np.ma.getmaskarray(array)))
            raise InvalidValueError(
                f"{name} is a masked array that hides {hidden} of {array.size} entries; "
                f"expected {of} without a mask"
            )
        array = array.data
    if array.dtype.kind != "b" and _holds_bool(value):
        raise InvalidTypeError(f"{name} is {shown(value)}, with a boolean in it; expected {of}")
    return np.asarray(array)


def _real_array(name: str, value: Any) -> NDArray[np.float64]:
    if value is None:
        raise InvalidTypeError(f"{name} is None; expected real numbers")
    array = as_array(name, value, "real numbers")
    if array.size == 0:
        return np.zeros(array.shape)
    if array.dtype.kind not in "iuf":
        raise InvalidTypeError(
            f"{name} is {shown(value)} of dtype {array.dtype}; expected real numbers"
        )
    with np.errstate(over="ignore"):  # what float64 cannot hold is inf, and refused as such
        return array.astype(np.float64)


def _check_range(
    name: str,
    array: NDArray[np.float64],
    low: float,
    high: float,
    strict: bool,
) -> None:
    if array.size:  # nan fails, and is found below; here no array of truths is made
        least = array.min()
        if (least > low if strict else least >= low) and array.max() <= high:
            return
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
    raise InvalidValueError(f"{where} is {shown(value)}; expected {sign} {low:g} and <= {high:g}")


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


def freeze_all(values: Iterable[Any]) -> None:
    """Make the arrays among ``values``, and in tuples among them, read-only."""
    for value in values:
        if isinstance(value, np.ndarray):
            frozen(value)
        elif isinstance(value, tuple):
            freeze_all(value)


class ReadOnlyArrays:
    """A base of classes with read-only arrays: copies and pickles of them are read-only too."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        freeze_all(state.values())
        self.__dict__.update(state)


def _check_shape(name: str, array: NDArray[Any], size: int | None) -> None:
    if array.ndim != 1 or (size is not None and array.shape[0] != size):
        wanted = "(k,)" if size is None else f"({size},) or a single number"
        raise InvalidValueError(f"{name} has shape {array.shape}; expected {wanted}")


def _repeated(number: Any, size: int, dtype: Any, spread: bool) -> NDArray[Any]:
    """Return ``number``, ``size`` times: in memory of its own, or spread without any."""
    if spread:
        return np.broadcast_to(np.array(number, dtype), size)
    return frozen(np.full(size, number, dtype))


def vector(
    name: str,
    value: Any,
    size: int | None,
    low: float = -LARGEST,
    high: float = LARGEST,
    strict: bool = False,
    spread: bool = False,
) -> NDArray[np.float64]:
    """Return ``value`` as a read-only float64 vector of ``size``; a single number is repeated.

    Where ``spread``, repetitions take no memory; kernels cannot read such a vector.
    """
    array = _real_array(name, value)
    if array.ndim == 0 and size is not None:
        _check_range(name, array, low, high, strict)
        return _repeated(array, size, np.float64, spread)
    _check_shape(name, array, size)
    _check_range(name, array, low, high, strict)
    return frozen(array)


def indices(
    name: str, value: Any, size: int | None, high: int, spread: bool = False
) -> NDArray[np.int64]:
    """Return ``value`` as a read-only vector of ``size`` integers in [0, high).

    Where ``spread``, int32 stays and repetitions of a single number take no memory.
    """
    array = as_array(name, value, "integers")
    if array.size and array.dtype.kind not in "iu":
        raise InvalidTypeError(
            f"{name} is {shown(value)} of dtype {array.dtype}; expected integers"
        )
    single = array.ndim == 0 and size is not None
    if not single:
        _check_shape(name, array, size)
    check_indices(name, array, high)
    if single:
        return _repeated(array, size or 0, np.int64, spread)
    return frozen(array.astype(np.int32 if spread and array.dtype == np.int32 else np.int64))


def check_indices(name: str, array: NDArray[Any], high: int) -> None:
    """Check that integers are in [0, high)."""
    if array.size == 0 or (array.min() >= 0 and array.max() < high):
        return
    i = int(np.flatnonzero((array < 0) | (array >= high))[0])
    where = f"{name}[{i}]" if array.ndim else name
    expected = f"an index from 0 to {high - 1}" if high > 0 else "no entry: there is nothing"
    raise InvalidValueError(f"{where} is {array.flat[i]}; expected {expected}")


def choice(name: str, value: Any, options: Iterable[str]) -> str:
    """Return ``value``, which must be one of ``options``."""
    names = list(options)
    if not isinstance(value, str) or value not in names:
        listed = ", ".join(repr(option) for option in names)
        raise InvalidValueError(f"{name} is {shown(value)}; expected one of {listed}")
    return value
