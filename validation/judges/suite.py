"""The cases of ``refsim validate`` and the judges that see them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from adjoint.check import Evaluation, Judge, Judgement, SpikeCountError, evaluate
from refsim.cases import Case, load
from refsim.errors import IllConditionedWarning, InvalidValueError
from refsim.files.output import checked_path
from refsim.results.simulation import Conditioning
from validation.judges import (
    duality,
    finite_differences,
    high_precision,
    identities,
    jax_event as jax_judge,
    known_values as case_files,
)

Result = TypeVar("Result")

JUDGES: dict[str, Judge] = {
    "known values": case_files.judge,
    "duality": duality.judge,
    "identities": identities.judge,
    "finite differences": finite_differences.judge,
    "mpmath oracle": high_precision.judge,
    jax_judge.NAME: jax_judge.judge,
}

# Judges that need an optional library.
OPTIONAL = {
    "mpmath oracle": high_precision.reason_of_absence,
    jax_judge.NAME: jax_judge.reason_of_absence,
}

# Case files that were given; the others are made by `validation.case_suite.generate`.
GIVEN = ("chain", "double_exp", "driven", "equal_tau", "refractory", "two_ports", "voltage")
# Judges that simulate a case dozens of times, in many digits, or by code that is compiled for it.
# What the first two would say of a generated file has been said when it was made.
COSTLY = ("finite differences", "mpmath oracle", jax_judge.NAME)


class Row(NamedTuple):
    """One judgement, with the conditioning of its case."""

    judgement: Judgement
    conditioning: Conditioning


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


def usual_judges(case: Case, judges: dict[str, Judge]) -> dict[str, Judge]:
    """Return the judges that see a case of the suite unless all are asked to."""
    if case.name not in generated_names():
        return judges
    return {name: judge for name, judge in judges.items() if name not in COSTLY}


def standard_cases() -> list[Case]:
    """Return stored cases, the zoo of networks and samples of the Yin-Yang data set."""
    from validation.case_suite.yinyang import yin_yang_case
    from validation.case_suite.zoo import zoo

    return [*stored_cases(), *zoo(), *(yin_yang_case(sample=i) for i in range(3))]


def _evaluate(case: Case) -> Evaluation:
    """Evaluate a case; where a file knows other spikes than ours, its cotangents fit nothing."""
    try:
        return evaluate(case)
    except SpikeCountError:
        if case.expected.spike_times is None:
            raise
        return evaluate(replace(case, time_bar=None))


def _quietly(function: Callable[[Any], Result], argument: Any) -> Result:
    """Call a function without warnings of ill conditioning, which the table shows in columns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IllConditionedWarning)
        return function(argument)


def available_judges() -> tuple[dict[str, Judge], dict[str, str]]:
    """Return the judges that can be asked, and why the others cannot."""
    reasons = {name: reason() for name, reason in OPTIONAL.items()}
    absent = {name: reason for name, reason in reasons.items() if reason}
    return {name: judge for name, judge in JUDGES.items() if name not in absent}, absent


def run(cases: Iterable[Case], judges: dict[str, Judge] = JUDGES) -> Iterator[Row]:
    """Let every judge see every case; rows come as they are made."""
    for case in cases:
        evaluation = _quietly(_evaluate, case)
        for name, judge in judges.items():
            judgement = _quietly(judge, evaluation)._replace(judge=name)
            if name == "known values" and judgement.verdict == "skip":
                continue
            yield Row(judgement, evaluation.simulation.conditioning)
