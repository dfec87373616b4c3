"""The cases of ``refsim validate`` and the judges that see them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from adjoint.check import Evaluation, Judge, Judgement, SpikeCountError, evaluate
from refsim.cases import Case, load
from refsim.simulation import Conditioning
from validation import case_files, duality, finite_differences, high_precision, identities

JUDGES: dict[str, Judge] = {
    "known values": case_files.judge,
    "duality": duality.judge,
    "identities": identities.judge,
    "finite differences": finite_differences.judge,
    "mpmath oracle": high_precision.judge,
}


class Row(NamedTuple):
    """One judgement, with the conditioning of its case."""

    judgement: Judgement
    conditioning: Conditioning


def stored_cases() -> list[Case]:
    """Return the case files that come with the package."""
    folder = Path(str(files("validation.cases")))
    return [load(path) for path in sorted(folder.glob("*.json"))]


def standard_cases() -> list[Case]:
    """Return stored cases, the zoo of networks and samples of the Yin-Yang data set."""
    from validation.yinyang import yin_yang_case
    from validation.zoo import zoo

    return [*stored_cases(), *zoo(), *(yin_yang_case(sample=i) for i in range(3))]


def _evaluate(case: Case) -> Evaluation:
    """Evaluate a case; where a file knows other spikes than ours, its cotangents fit nothing."""
    try:
        return evaluate(case)
    except SpikeCountError:
        if case.expected.spike_times is None:
            raise
        return evaluate(replace(case, time_bar=None))


def available_judges() -> tuple[dict[str, Judge], dict[str, str]]:
    """Return the judges that can be asked, and why the others cannot."""
    reason = high_precision.reason_of_absence()
    if not reason:
        return JUDGES, {}
    absent = "mpmath oracle"
    return {name: judge for name, judge in JUDGES.items() if name != absent}, {absent: reason}


def run(cases: Iterable[Case], judges: dict[str, Judge] = JUDGES) -> Iterator[Row]:
    """Let every judge see every case; rows come as they are made."""
    for case in cases:
        evaluation = _evaluate(case)
        for name, judge in judges.items():
            judgement = judge(evaluation)._replace(judge=name)
            if name == "known values" and judgement.verdict == "skip":
                continue
            yield Row(judgement, evaluation.simulation.conditioning)
