"""Roots of sums of exponentials, all of them, to any digits.

A sum ``sum a_i e^{-r_i t}`` of n terms has at most n - 1 roots: multiplied by ``e^{r_0 t}`` and
differentiated it loses a term, and between two roots of that derivative it is monotone (Rolle). The
recursion finds every root, with nothing to tune.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from validation.oracle.model import GUARD, Real, require_mpmath

Terms = list[tuple[Real, Real]]  # (rate r, coefficient a) of a e^{-r t}, by increasing rate


def value(terms: Terms, t: Real) -> Real:
    """Evaluate a sum of exponentials."""
    exp = require_mpmath().exp
    return sum(a * exp(-r * t) if r else a for r, a in terms)


def derivative(terms: Terms) -> Terms:
    """Differentiate a sum of exponentials."""
    return [(r, -r * a) for r, a in terms if r]


def _roots(terms: Terms, end: Real, epsilon: Real) -> list[Real]:
    """Find all sign changes of a sum of exponentials in (0, end), in order."""
    terms = [(r, a) for r, a in terms if a]
    if not any((a < 0) != (b < 0) for (_, a), (_, b) in pairwise(terms)):
        return []  # no more roots than sign changes: Descartes' rule for exponentials
    slowest = terms[0][0]
    terms = [(r - slowest, a) for r, a in terms]
    if len(terms) == 2:
        (_, a), (r, b) = terms
        t = require_mpmath().log(-b / a) / r
        return [t] if 0 < t < end else []
    breaks = [end * 0, *_roots(derivative(terms), end, epsilon), end]
    values = [value(terms, t) for t in breaks]
    return [
        _solve(terms, breaks[i : i + 2], f, epsilon)
        for i, (f, g) in enumerate(pairwise(values))
        if (f < 0) != (g < 0)
    ]


def _solve(terms: Terms, bracket: Sequence[Real], f_low: Real, epsilon: Real) -> Real:
    """Solve for the root on a monotone piece by Newton, kept inside the bracket by bisection."""
    exp = require_mpmath().exp
    low, high = bracket
    t, step = (low + high) / 2, high - low
    # Well above rounding, which is GUARD digits away; the last step was quadratic and goes beyond.
    accuracy = step * epsilon / 10 ** (GUARD // 2)
    while abs(step) > accuracy:
        parts = [(r, a * exp(-r * t)) for r, a in terms]
        f, slope = sum(a for _, a in parts), -sum(r * a for r, a in parts)
        low, high = (t, high) if (f < 0) == (f_low < 0) else (low, t)
        newton = t - f / slope if slope else low
        following = newton if low < newton < high else (low + high) / 2
        step, t = following - t, following
    return t


def first_crossing(terms: Terms, end: Real, epsilon: Real) -> Real | None:
    """Find where a sum of exponentials first goes above zero in (0, end].

    It must not be above zero at 0. A maximum within `epsilon` of zero is a touch from below, no
    crossing; on the way up at `end` it is one, because crossings precede the event that ends here.
    """
    if end <= 0:
        return None
    slope = derivative(terms)
    low, f_low = end * 0, value(terms, end * 0)
    for high in [*_roots(slope, end, epsilon), end]:
        f_high = value(terms, high)
        if f_high > epsilon:
            return _solve(terms, (low, high), f_low, epsilon) if f_low < 0 else low
        low, f_low = high, f_high
    rising = abs(f_low) <= epsilon and value(slope, end) * end > epsilon
    return end if rising else None
