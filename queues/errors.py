"""What the queues raise, and the checks of arguments that raise it.

Every check runs before a queue is touched, so after an error the queue is as it was.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from numbers import Real
from typing import SupportsIndex, cast

LARGEST_COUNT = 2**40  # rows or queues: far more than memory has, and no product overflows
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_STEPS = 2.0**53  # float64 holds every whole number below it


class RefsimError(Exception):
    """Base of all errors that the packages raise on purpose; exported by refsim."""


class QueueError(RefsimError, ValueError):
    """A queue was asked for something it cannot do."""


class QueueTypeError(QueueError, TypeError):
    """An argument has a type that a queue cannot hold."""


class EmptyQueueError(QueueError, IndexError):
    """``peek`` or ``pop`` of an empty queue."""


class ItemError(QueueError, LookupError):
    """An item is out of range, absent where it must be present, or present already."""


class TimeOrderError(QueueError):
    """A FIFO, or a lane, was given a time earlier than that of the push before."""


class HorizonError(QueueError):
    """A queue of grid steps was given a step outside its window."""


def checked_real(name: str, value: object) -> float:
    """Return ``value`` as a float, or raise if it is no real number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise QueueTypeError(f"{name} = {value!r} is a {type(value).__name__}; expected a number")
    try:
        return float(value)
    except OverflowError:
        raise QueueError(f"{name} = {value!r}; expected a number in the range of float64") from None


def checked_finite(name: str, value: object) -> float:
    """Return ``value`` as a float, or raise if it is no finite real number."""
    number = checked_real(name, value)
    if not math.isfinite(number):
        raise QueueError(f"{name} = {value!r}; expected a finite number")
    return number


def checked_step(name: str, value: object) -> int:
    """Return ``value`` as a number of steps, or raise if it is no whole number below 2**53."""
    number = checked_finite(name, value)
    if not number.is_integer() or abs(number) >= _STEPS:
        raise QueueError(f"{name} = {value!r}; expected a whole number of steps below 2**53")
    return int(number)


def checked_int(name: str, value: object) -> int:
    """Return ``value`` as an int, or raise if it is no integer of 64 bits."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise QueueTypeError(f"{name} = {value!r} is a {type(value).__name__}; expected an integer")
    try:
        number = operator.index(cast(SupportsIndex, value))
    except TypeError:  # an array has __index__ too, and it works only for one integer
        raise QueueTypeError(f"{name} = {value!r}; expected one integer") from None
    if not _INT64_MIN <= number <= _INT64_MAX:
        raise QueueError(f"{name} = {value!r}; expected an integer of 64 bits")
    return number


def checked_count(name: str, value: object, smallest: int, largest: int = LARGEST_COUNT) -> int:
    """Return ``value`` as an int from ``smallest`` to ``largest``, or raise."""
    number = checked_int(name, value)
    if number < smallest:
        raise QueueError(f"{name} = {value!r}; expected at least {smallest}")
    if number > largest:
        raise QueueError(f"{name} = {value!r}; expected at most {largest}")
    return number


def checked_item(value: object, n: int, name: str = "item") -> int:
    """Return ``value`` as an item of 0..n-1, or raise."""
    item = checked_int(name, value)
    if not 0 <= item < n:
        raise ItemError(f"{name} = {value!r}; expected 0 <= {name} < {n}")
    return item


def checked_row(
    time: object, payload: object, tangent: object, keeps_tangent: bool
) -> tuple[float, int, float]:
    """Return (time, payload, tangent) as a row of a queue, or raise."""
    row = (
        checked_finite("time", time),
        checked_int("payload", payload),
        checked_finite("tangent", tangent),
    )
    if row[2] != 0.0 and not keeps_tangent:
        raise QueueError(
            f"tangent = {tangent!r}; expected 0.0 in a queue built without tangent=True"
        )
    return row


def check_methods(queue: object, wanted: tuple[str, ...]) -> None:
    """Raise if a queue lacks some of the methods that are called, and name all of them."""
    missing = [name for name in wanted if not callable(getattr(queue, name, None))]
    if missing:
        raise QueueTypeError(
            f"queue is a {type(queue).__name__}, which has no {_listed(missing)}; expected a queue "
            f"with the methods {_listed(wanted)}"
        )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def check_not_empty(method: str, size: int) -> None:
    """Raise if a queue of ``size`` entries has none for ``method`` to return."""
    if size == 0:
        raise EmptyQueueError(f"{method}() of a queue of 0 entries; expected at least 1")
