"""What an arrival has done to a neuron after a while, as numbers, and as polynomials of the time.

An arrival of unit weight puts 1 into the first state of its port. After a time u without other
events it has raised the voltage by ``lift``, its first state is ``first`` and, in a cascade, the
second one is ``second``. Both directions of differentiation use the same three numbers: forwards
they are the columns of the propagator, backwards its rows. Their derivatives by u are

    first' = -r first,   second' = -s second + gain first,   lift' = a (current - lift),

where the current is the last state of the port.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from queues.compiled.jit import kernel
from refsim.models.lif.exponentials import convolve2, convolve3
from refsim.models.lif.flow import flow_excursion
from refsim.types import Float, Int, Model

MOST_CLASSES = 16  # membrane time constants; with more of them responses are not tabulated
_POINTS = 60  # at which a function is interpolated
_MOST_TERMS = 29
_NEGLIGIBLE = 4e-16  # share of the largest value: the rounding of values


class Responses(NamedTuple):
    """Responses as polynomials of z = 2 u/length - 1, u the time from an arrival.

    Class c is that of neurons with one membrane time constant. With more than MOST_CLASSES there
    are no polynomials of the lift, and ``lift`` has no columns.
    """

    kind: Int  # (n,) class of each neuron
    rate: Float  # (C,) 1/tau_m of each class
    length: float  # ms, the longest u
    lift: Float  # (P, C, D) or (P, 0, 1)
    first: Float  # (P, D)
    second: Float  # (P, D), zeros for one filter


@kernel
def fill_lifts(model, n, dt, x, lift):
    """Write the voltage that a unit in each state has brought about; ``x`` is a state of zeros."""
    for k in range(x.shape[0]):
        x[k] = 1.0
        lift[k] = flow_excursion(model, n, 0.0, x, dt)
        x[k] = 0.0


@kernel
def respond(model, rate, p, u, out):
    """Write lift, first and second state ``u`` after an arrival at port ``p``.

    The lift is that of a neuron with 1/tau_m = ``rate``.
    """
    i = model.ports.first[p]
    r = model.ports.rate[i]
    out[1] = math.exp(-r * u)
    out[2] = 0.0
    if model.ports.order[p] == 1:
        out[0] = rate * convolve2(rate, r, u)
    else:
        s = model.ports.rate[i + 1]
        out[0] = rate * model.ports.gain[p] * convolve3(rate, r, s, u)
        out[2] = model.ports.gain[p] * convolve2(r, s, u)


def responses(model: Model, length: float) -> Responses:
    """Return the responses of a model up to ``length`` ms after an arrival."""
    rate, kind = np.unique(model.neurons.rate, return_inverse=True)
    n_ports = len(model.ports.order)
    times = times_within(length)

    def part(a: float, p: int, i: int) -> Float:
        out = np.zeros((len(times), 3))
        for u, row in zip(times, out, strict=True):
            respond(model, a, p, float(u), row)
        return polynomial(out[:, i])

    fitted = rate if len(rate) <= MOST_CLASSES else rate[:0]
    return Responses(
        kind=kind.astype(np.int64),
        rate=rate,
        length=length,
        lift=stacked([[part(float(a), p, 0) for a in fitted] for p in range(n_ports)]),
        first=stacked([[part(float(rate[0]), p, 1)] for p in range(n_ports)])[:, 0],
        second=stacked([[part(float(rate[0]), p, 2)] for p in range(n_ports)])[:, 0],
    )


@cache
def _chebyshev() -> tuple[Float, NDArray[Any]]:
    """Return Chebyshev points, and the matrix from values there to the terms of the series."""
    pi = 4.0 * np.arctan(np.longdouble(1.0))
    angles = pi * (np.arange(_POINTS) + np.longdouble(0.5)) / _POINTS
    transform = 2.0 / _POINTS * np.cos(np.outer(np.arange(_POINTS), angles))
    transform[0] *= 0.5
    return np.cos(angles).astype(np.float64), transform


def times_within(length: float) -> Float:
    """Return the times at which `polynomial` wants the values of a function of 2 u/length - 1."""
    return 0.5 * length * (_chebyshev()[0] + 1.0)


def polynomial(values: Float) -> Float:
    """Return the coefficients of a polynomial on [-1, 1] that is a function to the last bits.

    It interpolates ``values`` at Chebyshev points, and ends where the terms of the Chebyshev series
    are below rounding: more of them would only add their own. Sums are of higher precision where
    the machine has one.
    """
    _, transform = _chebyshev()
    series = transform @ values
    large = np.flatnonzero(np.abs(series) > _NEGLIGIBLE * np.abs(values).max())
    terms = min(int(large[-1]) + 1, _MOST_TERMS) if large.size else 1
    return chebyshev.cheb2poly(series[:terms]).astype(np.float64)


def stacked(rows: list[list[Float]]) -> Float:
    """Return polynomials as an array, with zeros for the terms that some do not have."""
    terms = max((len(coefficients) for row in rows for coefficients in row), default=1)
    table = np.zeros((len(rows), len(rows[0]), terms))
    for i, row in enumerate(rows):
        for j, coefficients in enumerate(row):
            table[i, j, : len(coefficients)] = coefficients
    return table
