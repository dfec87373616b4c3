"""The stored cases, by name and by path, and those that judges see without being told."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from refsim.cases import Case, load
from refsim.errors import InvalidValueError
from refsim.files.output import checked_path

# Case files that were given; the others are made by `validation.case_suite.generate`.
GIVEN = ("chain", "double_exp", "driven", "equal_tau", "refractory", "two_ports", "voltage")


def _stored_paths() -> dict[str, Path]:
    """Return the case files that come with the package, by name."""
    folder = Path(str(files("validation.cases")))
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def stored_cases() -> list[Case]:
    """Return the case files that come with the package."""
    return [load(path) for path in _stored_paths().values()]


@cache
def _paths_by_name() -> dict[str, Path]:
    """Return the case files that come with the package, by either name of those that were given."""
    stored = _stored_paths()
    return stored | {load(stored[name]).name: stored[name] for name in GIVEN}


def paths_of_cases(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return case files; a folder stands for the JSON files in it, a name for a stored case.

    Cases that were given have a name in their file too, by which tables call them.
    """
    found: list[Path] = []
    for given in paths:
        path = checked_path(given)
        if not os.path.exists(path):
            found.append(_paths_by_name().get(str(given), path))
        elif path.is_dir():
            inside = sorted(file for file in path.glob("*.json") if file.is_file())
            if not inside:
                raise InvalidValueError(f"{path}: has no case file; expected *.json in the folder")
            found += inside
        else:
            found.append(path)
    return found


def given_cases() -> list[Case]:
    """Return the seven case files that were given."""
    paths = _stored_paths()
    return [load(paths[name]) for name in GIVEN]


def generated_names() -> set[str]:
    """Return the names of the stored cases that were made by the oracle."""
    return _stored_paths().keys() - set(GIVEN)


def standard_cases() -> list[Case]:
    """Return stored cases, the zoo of networks and samples of the Yin-Yang data set."""
    from validation.case_suite.yinyang import yin_yang_case
    from validation.case_suite.zoo import zoo

    return [*stored_cases(), *zoo(), *(yin_yang_case(sample=i) for i in range(3))]
