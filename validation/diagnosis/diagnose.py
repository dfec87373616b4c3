"""What has probably gone wrong in an answer that fails.

Each hypothesis says what the answer would be if it were true; of those that explain all groups that
fail, and leave all others as they are, the one that leaves least wins. Hypotheses are shifts of the
spikes, other values of a parameter, factors, signs and permutations of the reference gradient,
and the gradients of `validation.diagnosis.variants`, in which one term of the adjoint is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from validation.comparison.certificate import Cause
from validation.comparison.grid_reference import GridEvaluation
from validation.diagnosis.causes import CAUSES, PERFECT, Explanation, Suspect
from validation.diagnosis.groups import of_groups
from validation.diagnosis.spikes import of_rounding, of_spikes
from validation.diagnosis.terms import of_loss, of_terms, of_the_future

__all__ = ["CAUSES", "Suspect", "diagnose"]


Search = Callable[[Suspect], Iterable[Explanation]]

# In the order of CAUSES, so that a perfect explanation need not wait for those that come after it.
OF_SPIKES: tuple[Search, ...] = (of_spikes, of_rounding)
# What does not simulate in continuous time.
ON_A_SCHEME: tuple[Search, ...] = (of_groups, of_rounding)
OF_GRADIENTS: tuple[Search, ...] = (of_groups, of_loss, of_terms, of_the_future, of_rounding)


def diagnose(suspect: Suspect) -> Cause | None:
    """Return the most probable cause of a failure, None if none of CAUSES explains it."""
    wrong = any(row.group == "spike_times" and row.verdict == "fail" for row in suspect.groups)
    searches = OF_SPIKES if wrong else OF_GRADIENTS
    if isinstance(suspect.reference, GridEvaluation):
        searches = (of_rounding,) if wrong else ON_A_SCHEME
    best: Explanation | None = None
    for search in searches:
        found = [*search(suspect), *([] if best is None else [best])]
        best = min(found, key=lambda each: each.rank, default=None)
        if best is not None and best.left <= PERFECT:
            break
    return None if best is None else best.cause
