"""A module of a stranger that hides one of our packages, explained before something fails of it.

The packages have common names, and Python looks into the folder of a script first: a file
``validation.py`` there would be imported in place of ours. This file depends on none of them, and
they run it by its path, since what is hidden may be the package that it belongs to.
"""

from __future__ import annotations

import sys
import warnings
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGES = ("adjoint", "queues", "refsim", "validation")
_OURS = Path(__file__).resolve().parents[1]


def hidden(name: str) -> str:
    """Return what hides a package of ours, as a sentence, or nothing where that is found."""
    places = _places(name)
    if any(Path(place).resolve() == _OURS / name for place in places):
        return ""
    found = f"comes from {_plain(places[0])}" if places else "is missing"
    return (
        f"the package {name!r} {found}; refsim expects its own in {_OURS}. Remove or rename "
        "what hides it"
    )


def _plain(text: object) -> str:
    """Return text that does nothing to a terminal."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in str(text))


def _places(name: str) -> list[str]:
    """Return where Python finds a module: the folders of a package, or a file."""
    try:
        spec = find_spec(name)
    except ValueError:  # of a module that somebody has made by hand
        return [getattr(sys.modules[name], "__file__", None) or "a module that is no file"]
    if spec is None:
        return []
    return [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.origin else ())]


def check_neighbour(name: str) -> None:
    """Raise an ImportError that says what hides a package of ours, if something does."""
    why = hidden(name)
    if why:
        raise ImportError(why)


def warn_of(name: str) -> None:
    """Warn of what hides a package that may not be wanted at all."""
    why = hidden(name)
    if why:
        warnings.warn(why, stacklevel=3)


def loaded(point: EntryPoint) -> Any:
    """Return what an entry point names, which may lie in a package of ours."""
    package = point.module.partition(".")[0]
    if package in PACKAGES:
        check_neighbour(package)
    return point.load()
