r"""Convolutions of decaying exponentials for JAX, and their derivatives.

    convolve_m(x_1, ..., x_m; t) = (e^{-x_1 t} * ... * e^{-x_m t})(t)

Two rates have a closed form. More rates have the recursion of divided differences where the largest
and the smallest differ by 2/t or more; where they are closer, or equal, the convolution is an
integral of a positive, smooth function over [0, t], and a Gauss-Legendre rule of 8 nodes gives it
to rounding: the error of the rule, spread^17 (8!)^4 / (17 (16!)^3), is below 1e-17 for a spread of
2. Neither way subtracts numbers that nearly cancel.

Derivatives: d/dx_i repeats the rate x_i, with a minus sign. d/dt is the convolution without the
slowest rate, less that rate times the convolution itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from validation.backends.jax.setup import jax, jnp

Array = Any  # a jax.Array, or a number

_SPREAD = 2.0  # difference of rates times t from which on the recursion is taken
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS  # for [0, 1]


@jax.custom_jvp
def convolve2(a: Array, b: Array, t: Array) -> Array:
    """Return (e^{-a t} * e^{-b t})(t), elementwise."""
    x = jnp.abs(b - a) * t
    positive = jnp.where(x > 0.0, x, 1.0)
    mean_decay = jnp.where(x > 0.0, -jnp.expm1(-positive) / positive, 1.0)
    return t * jnp.exp(-jnp.minimum(a, b) * t) * mean_decay


@jax.custom_jvp
def convolve3(a: Array, b: Array, c: Array, t: Array) -> Array:
    """Return (e^{-a t} * e^{-b t} * e^{-c t})(t), elementwise."""
    slow, middle, fast = _sorted((a, b, c))
    near = (fast - slow) * t < _SPREAD
    apart = jnp.where(near, 1.0, fast - slow)
    pair = convolve2(_stacked(slow, middle), _stacked(middle, fast), t)
    by_recursion = (pair[0] - pair[1]) / apart
    u, weight = _rule(t)
    slow, middle, fast, end = (z[..., None] for z in jnp.broadcast_arrays(slow, middle, fast, t))
    integrand = jnp.exp(-slow * (end - u)) * convolve2(middle, fast, u)
    return jnp.where(near, jnp.sum(weight * integrand, axis=-1), by_recursion)


def convolve4(a: Array, b: Array, c: Array, d: Array, t: Array) -> Array:
    """Return the convolution of four exponentials, elementwise; not to be differentiated."""
    first, second, third, last = _sorted((a, b, c, d))
    near = (last - first) * t < _SPREAD
    apart = jnp.where(near, 1.0, last - first)
    pairs = (_stacked(first, second), _stacked(second, third), _stacked(third, last))
    pair = convolve3(*pairs, t)  # one call: half the code to compile
    by_recursion = (pair[0] - pair[1]) / apart
    u, weight = _rule(t)
    first, second, third, last, end = (
        z[..., None] for z in jnp.broadcast_arrays(first, second, third, last, t)
    )
    integrand = convolve2(first, second, end - u) * convolve2(third, last, u)
    return jnp.where(near, jnp.sum(weight * integrand, axis=-1), by_recursion)


@convolve2.defjvp
def _convolve2_jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    a, b, t = primals
    a_dot, b_dot, t_dot = tangents
    value = convolve2(a, b, t)
    twice = convolve3(_stacked(a, b), a, b, t)
    by_time = jnp.exp(-jnp.maximum(a, b) * t) - jnp.minimum(a, b) * value
    return value, by_time * t_dot - twice[0] * a_dot - twice[1] * b_dot


@convolve3.defjvp
def _convolve3_jvp(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    a, b, c, t = primals
    a_dot, b_dot, c_dot, t_dot = tangents
    value = convolve3(a, b, c, t)
    twice = convolve4(_stacked(a, b, c), a, b, c, t)
    slow, middle, fast = _sorted((a, b, c))
    by_time = convolve2(middle, fast, t) - slow * value
    return value, by_time * t_dot - twice[0] * a_dot - twice[1] * b_dot - twice[2] * c_dot


def cascade_gain(r: Array, s: Array) -> Array:
    """Return the gain of a cascade of rates r and s whose response to 1 has the peak 1.

    At the peak the response does not depend on time to first order, so the time of the peak needs
    no derivative.
    """
    r_now, s_now = jax.lax.stop_gradient((r, s))
    z = (r_now - s_now) / s_now
    apart = jnp.where(z == 0.0, 1.0, z)
    peak = jnp.where(z == 0.0, 1.0, jnp.log1p(apart) / apart) / s_now
    return 1.0 / convolve2(r, s, peak)


def _sorted(rates: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return arrays that hold the rates of each element in ascending order."""
    found = list(rates)
    for end in range(len(found) - 1, 0, -1):
        for i in range(end):
            low, high = found[i], found[i + 1]
            found[i], found[i + 1] = jnp.minimum(low, high), jnp.maximum(low, high)
    return tuple(found)


def _stacked(*arrays: Array) -> Array:
    """Return arrays of equal shape along a new first axis."""
    return jnp.stack(jnp.broadcast_arrays(*arrays))


def _rule(t: Array) -> tuple[Array, Array]:
    """Return nodes and weights of the Gauss-Legendre rule for [0, t] along a new last axis."""
    end = jnp.asarray(t)[..., None]
    return end * jnp.asarray(_NODES, end.dtype), end * jnp.asarray(_WEIGHTS, end.dtype)
