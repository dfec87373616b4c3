"""The event-driven back end in JAX as a judge: spikes, voltages and all gradients.

It shares no code with the engines: other formulas, another search for crossings, and no adjoint
that anybody has written. It is judged as certification judges any back end in float64, only that
here a difference speaks against either side.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from adjoint.check import Evaluation, Judgement
from validation.certification.certify import certified_evaluation
from validation.certification.request import request_of
from validation.comparison.certificate import CaseVerdict, GroupVerdict

NAME = "JAX event by event"
# The back end goes through all synapses at every event.
LARGEST = 20_000  # spikes and arrivals


def reason_of_absence() -> str:
    """Return why this judge cannot be asked, "" if it can."""
    return "" if find_spec("jax") else 'needs jax: pip install "refsim[jax]"'


def judge(evaluation: Evaluation) -> Judgement:
    """Compare with the back end; the error is that of the group with the least to spare."""
    case, counts = evaluation.case, evaluation.simulation.counts

    def skip(note: str) -> Judgement:
        return Judgement(case.name, NAME, "skip", np.nan, np.nan, "", note)

    if reason_of_absence():
        return skip(reason_of_absence())
    size = counts.spikes + counts.arrivals
    if size > LARGEST:
        return skip(f"too large ({size} events, at most {LARGEST})")
    from validation.backends.jax import event as jax_event

    return _judgement(certified_evaluation(request_of(jax_event.backend), evaluation))


def _judgement(found: CaseVerdict) -> Judgement:
    name, note = found.case.name, found.note
    if not found.groups:
        return Judgement(name, NAME, found.verdict, np.nan, np.nan, "", note)
    worst = max(found.groups, key=_share)
    error, tolerance = worst.error, worst.tolerance
    return Judgement(name, NAME, found.verdict, error, tolerance, worst.group, note)


def _share(row: GroupVerdict) -> tuple[bool, float]:
    """Return what to sort by: failures first, then by the share of the tolerance."""
    share = row.error / row.tolerance
    return row.verdict == "fail", -1.0 if np.isnan(share) else share
