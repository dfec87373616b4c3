"""Times of arrival: those of the delays, or on request the nearest multiples of a time step.

Rounded arrivals are those of simulators on a time grid. Their gradient is passed straight through,
as if the distance from a time to its multiple were a constant: Landsmeer et al., arXiv 2512.05906.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from queues.compiled.jit import inner_kernel
from refsim.types import Float


@inner_kernel
def rounded(x):
    """Return the whole number nearest to ``x`` >= 0, half to even."""
    below = float(math.floor(x))
    rest = x - below
    half = 0.5 * below
    if rest > 0.5 or (rest == 0.5 and half != float(math.floor(half))):
        below += 1.0
    return below


@inner_kernel
def arrival_time(dt, emitted, delay):
    """Return when a spike arrives; for ``dt`` above 0 at a multiple of it, not before emission."""
    time = emitted + delay
    if dt == 0.0:
        return time
    steps = rounded(time / dt)
    while steps * dt < emitted:
        steps += 1.0
    return steps * dt


@inner_kernel
def step_of(dt, time):
    """Return the number of the step whose time is a multiple of ``dt``, as a float."""
    return float(math.floor(time / dt + 0.5))


def arrival_times(dt: float, emitted: Float, delay: Float | float) -> NDArray[np.float64]:
    """Return `arrival_time` of many emissions, the same to the last bit."""
    time = emitted + delay
    if dt == 0.0:
        return time
    steps = np.rint(time / dt)
    while (early := steps * dt < emitted).any():
        steps[early] += 1.0
    return np.asarray(steps * dt)
