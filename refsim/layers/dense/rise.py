r"""When the difference of two exponentials crosses a level, many of them at once.

    v(s) = A e^{-p s} - C e^{-q s} - level,    0 < p < q, level > 0,

begins below 0. If it rises at all from there on, A > 0, C > 0 and q C > p A: else it falls, or its
first term is not positive and v < 0. It rises up to its only summit, where e^{-(q - p) s} is
u = p A / (q C), and falls from there on. So within an interval it crosses once at most, which is so

* if v >= 0 at the end, or
* if the summit lies inside, v falling at the end, and is above the level:

    A (1 - p/q) u^m > level,    m = p/(q - p).

**The safe test.** u^m is concave in u for m <= 1, and so below each of its tangents; for m >= 1
it is convex, and below its chord u between 0 and 1. With lines b + d u above it, and times q C > 0,
the summit is certainly below the level if

    A (1 - p/q) (b q C + d p A) < level q C

for one of them: products and sums alone. Each of a handful of operations rounds by 2^-53 of its
result, all of whose terms are positive where the line is, so that a part in 10^9 covers them.

**The crossing** is found by Halley's method (E. Halley, Phil. Trans. R. Soc. 18 (1694) 136) within
an interval that holds it. With n = v/v', m = v''/2v', a step n/(1 - n m) leaves its cube times
m^2 - v'''/6v', and terms of higher order; where twice that is not below the last bit of the time,
after a few steps in vectors, steps go on one by one.
"""

import math

import numpy as np

from queues.compiled.jit import arrays_lie_apart, inner_kernel, keep_apart, phase_kernel
from queues.compiled.vector.decay import decay
from refsim.types import Float

COVERS = 1.0 + 1e-9  # the rounding of the safe test
_SECOND = 0.35  # where the second tangent touches
_MOST = 200  # steps one by one


def tangents(p: Float, q: Float) -> Float:
    """Return (b, d, b, d) of two lines b + d u above u^m on [0, 1], a row a pair of rates."""
    m = p / (q - p)
    height = _SECOND**m
    rows = np.stack([1.0 - m, m, height * (1.0 - m), height * m / _SECOND], axis=1)
    rows[m > 1.0] = 0.0, 1.0, 0.0, 1.0
    return rows


@inner_kernel
def may_pass(share, lines, x, y, slow, level):
    """Return whether the summit may be above the level, where there is one.

    ``share`` is 1 - p/q, ``slow`` is A, and ``x`` and ``y`` are p A and q C.
    """
    b_1, d_1, b_2, d_2 = lines
    line_1, line_2 = b_1 * y + d_1 * x, b_2 * y + d_2 * x
    line = line_1 if line_1 < line_2 else line_2
    return slow * (share * COVERS) * line >= level * y


@inner_kernel
def summit(p, q, slow, fast):
    """Return (time, height without the level) of the summit of a voltage that rises."""
    ratio = math.log(q * fast / (p * slow))
    return ratio / (q - p), slow * (1.0 - p / q) * math.exp(-p / (q - p) * ratio)


@inner_kernel
def _step(p, q, a, c, h, low, high, s):
    """Return the ends of the interval, the time after a Halley step, and what it may be off."""
    x, y = a * decay(p * s), c * decay(q * s)
    f = x - y - h
    g = q * y - p * x
    k = p * p * x - q * q * y
    third = q * q * q * y - p * p * p * x
    high = s if f >= 0.0 else high
    low = low if f >= 0.0 else s
    step = -2.0 * f * g / (2.0 * g * g - f * k)
    following = s + step
    # NaN is not inside, and goes on one by one.
    inside = (following >= low) & (following <= high)
    per_slope = 1.0 / g
    m = 0.5 * k * per_slope
    curved = m * m + abs(third * per_slope) * (1.0 / 6.0)
    bound = 2.0 * abs(step * step * step) * curved
    bound = bound if inside & (abs(step * m) < 0.01) else math.inf
    s = following if inside else 0.5 * (low + high)
    return low, high, s, bound


@phase_kernel
def solve(p, q, start, count, slow, fast, level, until, wait, left):
    """Write the crossings of ``count`` voltages up to ``until``, and what they may be off.

    The time at which they begin is ``start``. All of them cross. The steps are written out: a loop
    in the loop would not be done in vectors.
    """
    arrays_lie_apart()
    keep_apart()
    for i in range(count):
        a, c, h, high = slow[i], fast[i], level[i], until[i]
        f = a - c - h
        g = q * c - p * a
        s = -2.0 * f * g / (2.0 * g * g - f * (p * p * a - q * q * c))
        s = s if (s >= 0.0) & (s <= high) else high
        low, high, s, _ = _step(p, q, a, c, h, 0.0, high, s)
        low, high, s, _ = _step(p, q, a, c, h, low, high, s)
        low, high, s, _ = _step(p, q, a, c, h, low, high, s)
        low, high, s, bound = _step(p, q, a, c, h, low, high, s)
        wait[i] = s
        left[i] = bound / (start + s)


@phase_kernel
def fade(p, q, count, wait, loss_slow, loss_fast):
    """Write what the exponentials are after ``count`` waits."""
    arrays_lie_apart()
    keep_apart()
    for i in range(count):
        loss_slow[i] = decay(p * wait[i])
        loss_fast[i] = decay(q * wait[i])


@phase_kernel
def crossing(p, q, slow, fast, level, until):
    """Return the crossing of one voltage up to ``until``, to the last bit that its values allow."""
    keep_apart()
    low, high = 0.0, until
    s = 0.5 * until
    for _ in range(_MOST):
        x, y = slow * math.exp(-p * s), fast * math.exp(-q * s)
        f = x - y - level
        g = q * y - p * x
        if f == 0.0:
            return s
        if f > 0.0:
            high = s
        else:
            low = s
        middle = 0.5 * (low + high)
        if not low < middle < high:
            return high
        following = s - f / g if g > 0.0 else middle
        if following == s:
            return s
        s = following if low < following < high else middle
    return high


@inner_kernel
def is_off(left):
    """Return whether a crossing is not known to the last bit of its time."""
    return not left <= 2.0e-17


@inner_kernel
def whole_vectors(count, width):
    """Return the multiple of ``width`` from ``count`` on."""
    return (count + width - np.int64(1)) // width * width
