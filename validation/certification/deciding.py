"""Which time step would decide a case that longer steps leave open.

Found from the reference alone: the longest of ever halved steps whose errors, as moves of events by
so much show them, would neither change the spikes nor excuse or explain an error of the size of an
answer.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from adjoint.check import Evaluation
from validation.certification.convergence import (
    EXPLAINED,
    MARGIN,
    RESOLVED,
    grid_yardstick,
    unstable,
)
from validation.comparison.judging import Precision

MOST_HALVINGS = 12
# Of an error that is not resolved: a few moves of events miss the worst.
SAFE = 0.5


def deciding_step(
    reference: Evaluation, dt: float, precision: Precision, groups: Collection[str]
) -> float:
    """Return the longest of dt/2, dt/4, ... that decides these groups, nan if none of them does."""
    low, high = 0, MOST_HALVINGS + 1  # halvings that do not decide, and that do
    while high - low > 1:
        middle = (low + high) // 2
        if _decides(reference, dt * 0.5**middle, precision, groups):
            high = middle
        else:
            low = middle
    return dt * 0.5**high if high <= MOST_HALVINGS else float(np.nan)


def _decides(
    reference: Evaluation, dt: float, precision: Precision, groups: Collection[str]
) -> bool:
    measure = grid_yardstick(reference, dt, precision)
    if measure.unstable or unstable(reference, dt):
        return False
    return all(
        measure.tolerance[group] * EXPLAINED / MARGIN <= SAFE * RESOLVED
        and measure.excusable[group] <= SAFE * RESOLVED
        for group in groups
    )
