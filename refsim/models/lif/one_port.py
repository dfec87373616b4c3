"""The next crossing of a neuron with one exponential port, from what voltage and state lose.

With x for the state, a time s after it was v the voltage is

    V = v + (drive - v - c x) (1 - e^{-a s}) + c x (1 - e^{-r s}),    c = a/(r - a).

It has one extremum at most, so that the signs at the ends and of the slopes there say whether it
crosses. `refsim.models.lif.crossing` finds the same crossing from a chain of functions that serves
all ports, term by term; here it is what most spikes of a large network cost, and the two are told
apart by their last bits. tests/refsim/test_bounds.py holds one against the other, and both against
mpmath.
"""

import math
from typing import NamedTuple

from queues.compiled.jit import inner_kernel, keep_apart, phase_kernel


class Course(NamedTuple):
    """The distance of a voltage from its threshold: below + g (1 - e^{-a s}) + h (1 - e^{-r s})."""

    a: float  # 1/tau_m
    r: float  # 1/tau of the port
    below: float  # now; less than 0 below the threshold
    g: float
    h: float


@inner_kernel
def _distance(course, s):
    return course.below + (
        -course.g * math.expm1(-course.a * s) - course.h * math.expm1(-course.r * s)
    )


@phase_kernel
def _root(course, low, high, f_low, f_high):
    """Return where the distance passes 0 from below.

    Halley's method, kept within an interval that always holds the crossing. With n = f/f' and
    m = f''/2f', a step n/(1 - n m) leaves its cube times m^2 - f'''/6f', and terms of higher order:
    once twice that is below the last bit, there is no need to look again.
    """
    keep_apart()
    a, r, below, g, h = course
    tiny = 4e-17 * high
    s = low - f_low / (f_high - f_low) * (high - low)
    for _ in range(100):
        if not low < s < high:
            s = 0.5 * (low + high)
        lost_a, lost_r = -math.expm1(-a * s), -math.expm1(-r * s)
        f = below + g * lost_a + h * lost_r
        by_a, by_r = a * g * (1.0 - lost_a), r * h * (1.0 - lost_r)
        slope = by_a + by_r
        if f < 0.0:
            low = s
        else:
            high = s
        if f == 0.0 or high - low <= tiny:
            return s
        if slope <= 0.0:
            s = low
            continue
        step = f / slope
        m = -0.5 * (a * by_a + r * by_r) / slope
        if abs(step * m) < 0.5:
            step /= 1.0 - step * m
        third = (a * a * by_a + r * r * by_r) / slope
        left = 2.0 * abs(step * step * step) * (m * m + abs(third) / 6.0)
        if abs(step) <= tiny or (abs(step * m) < 0.01 and left <= tiny):
            return min(max(s - step, low), high)
        s -= step
    return s


@inner_kernel
def _turning(course, slope, until):
    """Return when the voltage turns within ``until``: a g e^{-a s} + r h e^{-r s} = 0."""
    a, r = course.a, course.r
    return min(max(math.log1p(-slope / (a * course.g)) / (r - a), 0.0), until)


@phase_kernel
def crossing_of(course, until, after, slope, slope_after):
    """Return the first time in [0, until] of a crossing, inf if there is none.

    The distance is ``after`` in the end; the slopes are those of the voltage. It turns once at
    most: so it crosses while it rises to the end, or before its summit.
    """
    keep_apart()
    below = course.below
    if below >= 0.0 and slope > 0.0:
        # Rounding put the voltage onto the threshold a last bit before or after its crossing.
        return 0.0
    if after >= 0.0:
        if below < 0.0:
            return _root(course, 0.0, until, below, after)
        if slope_after <= 0.0:
            return math.inf
        low = _turning(course, slope, until)
        lowest = _distance(course, low)
        if lowest >= 0.0:
            return low
        return _root(course, low, until, lowest, after)
    if slope <= 0.0 or slope_after >= 0.0:
        return math.inf
    top = _turning(course, slope, until)
    highest = _distance(course, top)
    if highest <= 0.0:
        return math.inf
    return _root(course, 0.0, top, below, highest)
