"""What has probably gone wrong in an answer that fails.

Each hypothesis says what the answer would be if it were true; of those that explain all groups that
fail, and leave all others as they are, the one that leaves least wins. Hypotheses are shifts of the
spikes, other values of a parameter, factors, signs and permutations of the reference gradient,
and the gradients of `validation.variants`, in which one term of the adjoint is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from validation.causes import CAUSES, Explanation, Suspect
from validation.certificate import Cause
from validation.diagnosis_groups import of_groups
from validation.diagnosis_spikes import of_rounding, of_spikes
from validation.diagnosis_terms import of_loss, of_terms, of_the_future

__all__ = ["CAUSES", "Suspect", "diagnose"]


def diagnose(suspect: Suspect) -> Cause | None:
    """Return the most probable cause of a failure, None if none of CAUSES explains it."""
    found = min(_explanations(suspect), key=lambda each: each.rank, default=None)
    return None if found is None else found.cause


def _explanations(suspect: Suspect) -> Iterator[Explanation]:
    """Return explanations of the spikes where these are wrong, or else of the gradient."""
    spikes = [row for row in suspect.groups if row.group == "spike_times"]
    if any(row.verdict == "fail" for row in spikes):
        return chain(of_spikes(suspect), of_rounding(suspect))
    return chain(
        of_groups(suspect),
        of_loss(suspect),
        of_terms(suspect),
        of_the_future(suspect),
        of_rounding(suspect),
    )
