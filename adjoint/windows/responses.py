"""Responses to a unit in a synaptic state, with their derivatives by rates.

A unit that enters a state has, after a time u, raised the voltage by the lift, left ``first`` of
itself and, in a cascade, put ``second`` into the next state. Backwards in time the same numbers
take the adjoint over u: what a unit will have done is what a cotangent says of it.
"""

from __future__ import annotations

import math

import numpy as np

from adjoint.windows.types import (
    FIRST,
    FIRST_R,
    LIFT,
    LIFT_A,
    LIFT_R,
    LIFT_S,
    SECOND,
    SECOND_R,
    SECOND_S,
    Tables,
)
from queues.compiled.jit import inner_kernel, kernel, phase_kernel
from refsim.models.lif.exponentials import convolve2, convolve3, convolve4
from refsim.models.lif.response import MOST_CLASSES, polynomial, times_within
from refsim.types import Float, Model

_MOST_DECAY = 8.0  # of a window in time constants; beyond it polynomials lose digits
_WINDOWS = 33  # over which rows are advanced by a table
SHORT = 1.0 / 256.0  # share of a window within which responses are computed one by one
_LIFT, _FIRST, _SECOND = np.uint64(LIFT), np.uint64(FIRST), np.uint64(SECOND)


@kernel
def respond_to(decay_rate, gain, with_rates, a, i, u, out):
    """Write the responses ``u`` after a unit in state ``i`` of a neuron with 1/tau_m = ``a``."""
    r = decay_rate[i]
    out[FIRST] = math.exp(-r * u)
    if with_rates:
        out[FIRST_R] = -u * out[FIRST]
    if gain[i] > 0.0:
        _respond_in_cascade(a, r, decay_rate[i + 1], gain[i], u, with_rates, out)
        return
    driven = convolve2(a, r, u)
    out[LIFT] = a * driven
    out[SECOND] = 0.0
    if with_rates:
        out[LIFT_A] = driven - a * convolve3(a, a, r, u)
        out[LIFT_R] = -a * convolve3(a, r, r, u)
        out[SECOND_R] = 0.0
        out[LIFT_S] = 0.0
        out[SECOND_S] = 0.0


@kernel
def _respond_in_cascade(a, r, s, gain, u, with_rates, out):
    driven = gain * convolve3(a, r, s, u)
    out[LIFT] = a * driven
    out[SECOND] = gain * convolve2(r, s, u)
    if with_rates:
        out[LIFT_A] = driven - gain * a * convolve4(a, a, r, s, u)
        out[LIFT_R] = -gain * a * convolve4(a, r, r, s, u)
        out[LIFT_S] = -gain * a * convolve4(a, r, s, s, u)
        out[SECOND_R] = -gain * convolve3(r, r, s, u)
        out[SECOND_S] = -gain * convolve3(r, s, s, u)


@kernel
def fill_responses(decay_rate, gain, with_rates, a, i, times, out):
    """Write the responses (m, Q) at many times."""
    for m in range(times.shape[0]):
        respond_to(decay_rate, gain, with_rates, a, i, times[m], out[m])


@kernel
def _fill_over(tables):
    for m in range(tables.over.shape[2]):
        dt = m * tables.length
        for c in range(tables.rate.shape[0]):
            tables.decay[c, m] = math.exp(-tables.rate[c] * dt)
            for i in range(tables.gain.shape[0]):
                respond_exactly(tables, c, i, dt, tables.over[i, c, m])


@inner_kernel
def respond_exactly(tables, c, i, u, out):
    """Write the responses of class ``c`` at any time."""
    a = tables.rate[c]
    respond_to(tables.decay_rate, tables.gain, tables.with_rates, a, i, u, out)


@inner_kernel
def respond(tables, c, i, u, out):
    """Write the responses of class ``c`` in a window, by polynomials where these are good.

    Their error is that of the largest values, and a lift begins as a square of the time.
    """
    if tables.poly.shape[1] == 0 or u < SHORT * tables.length:
        respond_exactly(tables, c, i, u, out)
        return
    z = u * (2.0 / tables.length) - 1.0
    terms = tables.poly[i, c]
    d = np.uint64(terms.shape[1] - 1)
    lift, first, second = terms[_LIFT, d], terms[_FIRST, d], terms[_SECOND, d]
    while d > np.uint64(0):
        d -= np.uint64(1)
        lift = lift * z + terms[_LIFT, d]
        first = first * z + terms[_FIRST, d]
        second = second * z + terms[_SECOND, d]
    out[LIFT], out[FIRST], out[SECOND] = lift, first, second
    if tables.with_rates:
        _respond_by_rates(terms, z, out)


@phase_kernel
def _respond_by_rates(terms, z, out):
    for q in range(np.uint64(LIFT_A), np.uint64(out.shape[0])):
        d = np.uint64(terms.shape[1] - 1)
        total = terms[q, d]
        while d > np.uint64(0):
            d -= np.uint64(1)
            total = total * z + terms[q, d]
        out[q] = total


def window_tables(model: Model, length: float, with_rates: bool) -> Tables:
    """Return the responses of a model in windows of a length in ms."""
    rate, kind = np.unique(model.neurons.rate, return_inverse=True)
    ports = model.ports
    n_states, n_responses = len(ports.rate), 9 if with_rates else 3
    gain = np.zeros(n_states)
    gain[ports.first] = ports.gain
    few = len(rate) <= MOST_CLASSES
    fastest = max(float(rate[-1]), float(ports.rate.max()))
    fitted = rate if few and fastest * length <= _MOST_DECAY else rate[:0]
    tables = Tables(
        kind=kind.astype(np.int64),
        rate=rate,
        first=ports.first,
        decay_rate=ports.rate,
        gain=gain,
        poly=_polynomials(ports.rate, gain, fitted, length, n_responses),
        over=np.zeros((n_states, len(rate), _WINDOWS if few else 2, n_responses)),
        decay=np.zeros((len(rate), _WINDOWS if few else 2)),
        length=length,
        with_rates=with_rates,
        is_plain=n_states == 1 and len(fitted) == 1,
    )
    _fill_over(tables)
    return tables


def _polynomials(
    decay_rate: Float, gain: Float, rates: Float, length: float, n_responses: int
) -> Float:
    """Return polynomials (K, C, Q, D), zeros where there are no terms."""
    found = [
        [_fitted(decay_rate, gain, float(a), i, length, n_responses) for a in rates]
        for i in range(len(gain))
    ]
    terms = max((len(p) for row in found for group in row for p in group), default=1)
    table = np.zeros((len(gain), len(rates), n_responses, terms))
    for i, row in enumerate(found):
        for c, group in enumerate(row):
            for q, coefficients in enumerate(group):
                table[i, c, q, : len(coefficients)] = coefficients
    return table


def _fitted(
    decay_rate: Float, gain: Float, a: float, i: int, length: float, n_responses: int
) -> list[Float]:
    times = times_within(length)
    out = np.zeros((len(times), n_responses))
    fill_responses(decay_rate, gain, n_responses > SECOND + 1, a, i, times, out)
    return [polynomial(column) for column in out.T]
