"""JSON read strictly: what it cannot mean is refused, with the place, and nothing is dropped.

Texts come from strangers: what they take is bounded in memory, and linear in their length in time.
"""

from __future__ import annotations

import json
import os
from typing import Any

from refsim.errors import InvalidValueError
from refsim.files.output import checked_path
from refsim.files.reading import MOST_BYTES, ReadingError, read_bytes
from refsim.validate import shown

# A list takes three bytes of text and sixty of memory, a number four bytes and forty, and a member
# with a name of its own ten bytes and two hundred. A case of a million synapses with all gradients
# has seven million numbers, and one of a million samples three million members.
MOST_CONTAINERS = 4_000_000
MOST_VALUES = 10_000_000
MOST_MEMBERS = 4_000_000
# Reading the worst file within all bounds takes 2.1 GiB at its peak, where it took 4.5 GiB without
# those of values and members; and 3.3 GiB if one character makes all others four bytes wide.


class JsonError(InvalidValueError):
    """A text is not JSON, or not of the kind that has one meaning."""


def parse(text: str) -> Any:
    """Return what a JSON text means.

    Raises
    ------
    JsonError
        If the text is not JSON, is too long, holds too many values or is nested too deeply, gives a
        member twice, or holds NaN, Infinity or an integer that is too long. A decimal beyond
        float64 is infinite, as in Python.
    """
    if len(text) > MOST_BYTES:
        raise JsonError(f"is too long; expected at most {MOST_BYTES:,} characters")
    if text.count("[") + text.count("{") > MOST_CONTAINERS:
        raise JsonError(f"has too many lists and objects; expected at most {MOST_CONTAINERS:,}")
    # Signs within strings count as well: nobody writes millions of them there.
    if text.count(",") >= MOST_VALUES:
        raise JsonError(f"has too many values; expected at most {MOST_VALUES:,}")
    if text.count(":") > MOST_MEMBERS:
        raise JsonError(f"has too many members; expected at most {MOST_MEMBERS:,}")
    try:
        return json.loads(text, parse_constant=_not_a_number, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        raise JsonError(
            f"is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from None
    except JsonError:
        raise
    except RecursionError:
        raise JsonError("is nested too deeply") from None
    except MemoryError:
        raise JsonError("takes more memory than there is") from None
    except ValueError as error:  # an integer of more than 4300 digits
        raise JsonError(f"holds a number that cannot be read: {error}") from None


def read(path: str | os.PathLike[str]) -> Any:
    """Return what a file of JSON means, of bounded size; errors begin with its path.

    Raises
    ------
    JsonError
        If the file cannot be read, or as :func:`parse`.
    """
    path = checked_path(path)
    try:
        return parse(read_bytes(path).decode("utf-8"))
    except ReadingError as error:
        raise JsonError(f"{path}: {error}") from None
    except UnicodeDecodeError:
        raise JsonError(f"{path}: is not UTF-8 text") from None
    except JsonError as error:
        raise JsonError(f"{path}: {error}") from None


def _not_a_number(text: str) -> None:
    raise JsonError(f"{text} is not a JSON number; expected finite decimals")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of members, of which JSON lets the last of a name hide the others."""
    data = dict(pairs)
    if len(data) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise JsonError(f"{shown(name)} is given twice; expected each member once")
            seen.add(name)
    return data
