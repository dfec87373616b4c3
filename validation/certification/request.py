"""What is asked of a certification: its arguments, checked before any work starts."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from refsim._version import __version__
from refsim.cases import Case, load
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.grid.scheme import GridScheme, checked_scheme
from refsim.validate import choice, members, scalar, shown
from validation.comparison.judging import PRECISIONS, Precision, checked_groups, checked_rtol
from validation.comparison.lateness import Evidence

LIBRARIES = ("numpy", "numba")


@dataclass(frozen=True)
class Request:
    """A back end and how it is to be judged."""

    backend: Callable[..., Any]
    steps: tuple[float, ...]  # ms, from long to short; empty for a back end without a step
    required: tuple[str, ...]  # groups that must be offered
    rtol: float | dict[str, float] | None
    precision: Precision
    scheme: GridScheme | None = None  # rules of a grid by which it is judged to rounding
    latency: float = 0.0  # steps by which arrivals act later than their times say
    evidence: list[Evidence] = field(default_factory=list)  # of lateness, by case as it is judged


def request_of(
    backend: Any,
    steps: Any = None,
    groups: Any = None,
    rtol: Any = None,
    precision: Any = None,
    scheme: Any = None,
    latency: Any = None,
) -> Request:
    """Return the arguments of a certification, checked."""
    if scheme is not None and not steps:
        raise InvalidValueError("scheme is given and steps are not; expected time steps in ms")
    if not callable(backend):
        raise InvalidTypeError(f"backend is {shown(backend)}; expected a function")
    return Request(
        backend=backend,
        steps=checked_steps(steps),
        required=checked_groups(groups),
        rtol=checked_rtol(rtol),
        precision=_checked_precision(backend, precision),
        scheme=None if scheme is None else checked_scheme(scheme),
        latency=_checked_latency(backend, latency, bool(steps) and scheme is None),
    )


def checked_steps(steps: Any) -> tuple[float, ...]:
    """Return time steps from long to short, none for None."""
    if steps is None:
        return ()
    given = members("steps", steps, "time steps in ms")
    if not given:
        raise InvalidValueError("steps is empty; expected time steps in ms, or None")
    checked = [scalar(f"steps[{i}]", dt, 0.0, 1e6, strict=True) for i, dt in enumerate(given)]
    for i, dt in enumerate(checked):
        if dt in checked[:i]:
            raise InvalidValueError(
                f"steps[{i}] is {dt:g}, as steps[{checked.index(dt)}] is; expected each step once"
            )
    return tuple(sorted(checked, reverse=True))


def _checked_precision(backend: Any, precision: str | None) -> Precision:
    named = _declared(backend, "precision", "float64") if precision is None else precision
    return PRECISIONS[choice("precision", named, PRECISIONS)]


def _checked_latency(backend: Any, latency: Any, counts: bool) -> float:
    """Return the steps that arrivals are late by declaration, of those that are judged for it."""
    if latency is None:
        latency = _declared(backend, "latency", 0.0) if counts else 0.0
    elif not counts:
        raise InvalidValueError(
            "latency is given; expected it with steps, and without a scheme, which has its own"
        )
    return scalar("latency", latency, 0.0, 1e6)


def loaded(cases: Any) -> list[Case]:
    """Return cases, reading those that are files; all are read before any is judged."""
    from validation.case_suite.stored import paths_of_cases, standard_cases

    if cases is None:
        return standard_cases()
    single = isinstance(cases, Case | str | os.PathLike)
    given = [cases] if single else members("cases", cases, "Case objects and paths")
    found: list[Case] = []
    for i, case in enumerate(given):
        if isinstance(case, str | os.PathLike):
            found += [load(path) for path in paths_of_cases([case])]
        elif isinstance(case, Case):
            found.append(case)
        else:
            raise InvalidTypeError(f"cases[{i}] is {shown(case)}; expected Case or a path")
    return found


def name_of(backend: Any) -> str:
    """Return what a back end calls itself."""
    if isinstance(backend, partial):
        return name_of(backend.func)
    for attribute in ("name", "__qualname__"):
        found = _declared(backend, attribute)
        if isinstance(found, str) and found:
            return found
    return type(backend).__name__


def versions_of(backend: Any) -> dict[str, str]:
    """Return versions of what has judged, and those that the back end says of itself."""
    found = {"refsim": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    declared = _declared(backend, "versions")
    own = declared if isinstance(declared, Mapping) else {}
    return {str(key): str(value) for key, value in own.items()} | found


def _declared(backend: Any, attribute: str, otherwise: Any = None) -> Any:
    """Return what a back end says of itself; a property that fails says nothing."""
    try:
        return getattr(backend, attribute, otherwise)
    except Exception:
        return otherwise
