r"""Convolutions of decaying exponentials, stable for equal and nearly equal rates.

The flow of a cascade of first-order filters, and every derivative of that flow by a rate, is a
sum of terms

    convolve_m(x_1, ..., x_m, D) = (e^{-x_1 t} * ... * e^{-x_m t})(D),

which up to sign is the divided difference of exp(-x D) at the points x_1 ... x_m. Differentiating
by x_i repeats that point: d/dx_i convolve(.., x_i, ..) = -convolve(.., x_i, x_i, ..).

Two points have a closed form. For more points, those that lie close together take a Taylor series
in their distances, the others the recursion of divided differences, which loses at most a few
units in the last place when the distance is one or more; the same mixture as in A. McCurdy,
K. C. Ng and B. N. Parlett, Math. Comp. 43 (1984) 501.
"""

import math

import numpy as np

from queues.compiled.jit import kernel

# Terms of the series of three or four points at distances below one: 1 / 22! < 1e-21.
_TERMS = 19


@kernel
def convolve2(a, b, dt):
    """Return (e^{-a t} * e^{-b t})(dt): the response of one filter to the decay of another."""
    slow = a
    x = (b - a) * dt
    if x < 0.0:
        slow = b
        x = -x
    if x == 0.0:
        return dt * math.exp(-slow * dt)
    return dt * math.exp(-slow * dt) * (-math.expm1(-x) / x)


@kernel
def _sorted3(a, b, c):
    if a > b:
        a, b = b, a
    if b > c:
        b, c = c, b
    if a > b:
        a, b = b, a
    return a, b, c


@kernel
def _series3(p, q):
    """Sum over j of (-1)^j h_j(0, p, q) / (j + 2)!, h_j complete homogeneous polynomials."""
    power = 1.0
    h = 1.0
    factor = 0.5
    total = 0.5
    for j in range(np.int64(1), np.int64(_TERMS)):
        power = power * p
        h = power + q * h
        factor = -factor / (j + 2)
        total += factor * h
    return total


@kernel
def _series4(p, q, r):
    """Sum over j of (-1)^j h_j(0, p, q, r) / (j + 3)!."""
    power = 1.0
    h_pq = 1.0
    h = 1.0
    factor = 1.0 / 6.0
    total = 1.0 / 6.0
    for j in range(np.int64(1), np.int64(_TERMS)):
        power = power * p
        h_pq = power + q * h_pq
        h = h_pq + r * h
        factor = -factor / (j + 3)
        total += factor * h
    return total


@kernel
def convolve3(a, b, c, dt):
    """Return (e^{-a t} * e^{-b t} * e^{-c t})(dt)."""
    a, b, c = _sorted3(a, b, c)
    if (c - a) * dt < 1.0:
        return dt * dt * math.exp(-a * dt) * _series3((b - a) * dt, (c - a) * dt)
    return (convolve2(a, b, dt) - convolve2(b, c, dt)) / (c - a)


@kernel
def convolve4(a, b, c, d, dt):
    """Return (e^{-a t} * e^{-b t} * e^{-c t} * e^{-d t})(dt)."""
    a, b, c = _sorted3(a, b, c)
    if d < c:
        c, d = d, c
        a, b, c = _sorted3(a, b, c)
    if (d - a) * dt < 1.0:
        series = _series4((b - a) * dt, (c - a) * dt, (d - a) * dt)
        return dt * dt * dt * math.exp(-a * dt) * series
    return (convolve3(a, b, c, dt) - convolve3(b, c, d, dt)) / (d - a)
