"""The voltage that kernels take for zero, of each neuron: its drive, or its threshold.

Kernels do not hold V, but V - datum, since what decides whether and when a neuron fires are small
distances: that of the voltage from its drive v_rest + i_ext, which decays to nothing, and that from
the threshold. Next to the datum such a distance has all its digits, while V would have lost them:
a voltage that approaches the drive for long rounds to it.

* Where the drive is at or below the threshold the datum is the drive. V - drive decays by factors
  alone, and keeps its digits however small it becomes.
* Where the drive is above the threshold the datum is the threshold, which V reaches. A drive of
  10^9 thresholds would leave no digits to the distances that count; the same holds for one that
  far below.

Differences of parameters are computed as if in twice the precision: T. Ogita, S. M. Rump and
S. Oishi, SIAM J. Sci. Comput. 26 (2005) 1955, algorithm 4.4 (Sum2).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from refsim.types import Float

# A drive below the threshold is far from it if that is so many times the other voltages: distances
# from the drive would have three digits less than those from the threshold, where V spikes.
_FAR = 2.0**10
# Where the threshold is the datum it lies higher by this share of the way from the reset: what has
# underflowed is not a crossing.
_TRACE = 1e-290


class Datum(NamedTuple):
    """Voltages of neurons, each the sum of two numbers."""

    high: Float  # (n,)
    low: Float  # (n,) what rounding has left of the sum


def _two_sum(a: Float, b: Float) -> tuple[Float, Float]:
    """Return a + b as a rounded sum and its error (D. E. Knuth, TAOCP 2, section 4.2.2)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _sum(*terms: Float) -> Float:
    """Return a sum of vectors, rounded about once."""
    total, errors = terms[0], np.zeros_like(terms[0])
    for term in terms[1:]:
        total, error = _two_sum(total, term)
        errors = errors + error
    return total + errors


def datum_of(v_rest: Float, i_ext: Float, v_th: Float, v_reset: Float) -> Datum:
    """Return the datum of neurons with these parameters, each (n,) in the unit of the voltage."""
    high, low = _two_sum(v_rest, i_ext)
    excess = _sum(v_rest, i_ext, -v_th)
    size = np.maximum(v_th - v_reset, np.maximum(np.abs(v_th), np.abs(v_rest)))
    at_threshold = (excess > 0.0) | (-excess > _FAR * size)
    return Datum(np.where(at_threshold, v_th, high), np.where(at_threshold, 0.0, low))


def above(datum: Datum, *terms: Float) -> Float:
    """Return how far the sum of ``terms``, each (n,), is above the datum."""
    return _sum(*terms, -datum.high, -datum.low)


def level_of(datum: Datum, v_th: Float, v_reset: Float) -> Float:
    """Return the thresholds as kernels take them that look for crossings."""
    level = above(datum, v_th)
    return np.where(level == 0.0, _TRACE * (v_th - v_reset), level)


def moved(distance: Float, before: Datum, now: Datum) -> Float:
    """Return distances from ``now`` of voltages at a ``distance`` above the datum ``before``."""
    return above(now, distance, before.high, before.low)
