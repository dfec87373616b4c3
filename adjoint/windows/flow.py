"""Rows of adjoints, taken back over a time without events: over one window, several, or a part.

The row of a neuron is (lambda_v, lambda_x), and with gradients by rates goes on with mu; see
refsim.models.lif.adjoint, whose formulas these are, with responses in place of convolutions.
"""

import math
from collections.abc import Callable

import numpy as np

from adjoint.windows.responses import respond, respond_exactly
from adjoint.windows.types import (
    AT_OWN,
    AT_RATE_V,
    AT_RATE_X,
    FIRST,
    FIRST_R,
    LIFT,
    LIFT_A,
    LIFT_R,
    LIFT_S,
    SECOND,
    SECOND_R,
    SECOND_S,
    Adjoints,
)
from queues.compiled.jit import by_type, inner_kernel, phase_kernel

_TRACE = 1e-250  # far below what sums with a spike's cotangent can tell from 0


@inner_kernel
def _pass_state(row, j, i, out, is_cascade):
    x = out[FIRST] * row[j, 1 + i] + out[LIFT] * row[j, 0]
    if is_cascade:
        x += out[SECOND] * row[j, 2 + i]
    row[j, 1 + i] = x


@inner_kernel
def _pass_state_and_rates(row, j, i, n_states, out, is_cascade):
    first, lift = out[FIRST], out[LIFT]
    v, rate_v = row[j, 0], row[j, 1 + n_states]
    at_x, at_own, at_cross = 2 + n_states + i, 2 + 2 * n_states + i, 2 + 3 * n_states + i
    rate_x = first * row[j, at_x] + lift * rate_v + out[LIFT_A] * v
    own = first * row[j, at_own] + out[FIRST_R] * row[j, 1 + i] + out[LIFT_R] * v
    if is_cascade:
        y = row[j, 2 + i]
        rate_x += out[SECOND] * row[j, at_x + 1]
        own += out[SECOND_R] * y
        cross = first * row[j, at_cross] + out[SECOND] * row[j, at_own + 1]
        row[j, at_cross] = cross + out[SECOND_S] * y + out[LIFT_S] * v
    row[j, at_x] = rate_x
    row[j, at_own] = own
    _pass_state(row, j, i, out, is_cascade)


@by_type
def pass_state(adjoints: type) -> Callable[..., None]:
    """Take state ``i`` of a row back over the time of a response ``out``; first filters first.

    Arguments are (adjoints, row, j, i, n_states, out, is_cascade).
    """
    if adjoints is Adjoints:
        return lambda adjoints, row, j, i, n_states, out, is_cascade: _pass_state(
            row, j, i, out, is_cascade
        )
    return lambda adjoints, row, j, i, n_states, out, is_cascade: _pass_state_and_rates(
        row, j, i, n_states, out, is_cascade
    )


@inner_kernel
def _pass_voltage(row, j, decay):
    row[j, 0] = decay * row[j, 0]


@inner_kernel
def _pass_voltage_and_rate(row, j, n_states, decay, dt):
    row[j, 1 + n_states] = decay * (row[j, 1 + n_states] - row[j, 0] * dt)
    row[j, 0] = decay * row[j, 0]


@by_type
def pass_voltage(adjoints: type) -> Callable[..., None]:
    """Take the voltage of a row back over ``dt``, after all its states.

    Arguments are (adjoints, row, j, n_states, decay, dt).
    """
    if adjoints is Adjoints:
        return lambda adjoints, row, j, n_states, decay, dt: _pass_voltage(row, j, decay)
    return lambda adjoints, row, j, n_states, decay, dt: _pass_voltage_and_rate(
        row, j, n_states, decay, dt
    )


@inner_kernel
def _settled(value):
    """Return ``value``, or 0 for the last traces of a decay, which are slow to compute with."""
    return value if abs(value) > _TRACE else 0.0


@phase_kernel
def sweep_one_port(row, begin, end, first, lift, decay):
    """Take rows (begin to end) of networks with one exponential port back over a window."""
    j = np.uint64(begin)
    while j < np.uint64(end):
        v = row[j, np.uint64(0)]
        row[j, np.uint64(1)] = _settled(first * row[j, np.uint64(1)] + lift * v)
        row[j, np.uint64(0)] = _settled(decay * v)
        j += np.uint64(1)


@phase_kernel
def sweep_one_port_and_rates(row, begin, end, over, decay, dt):
    """Do what `sweep_one_port` does, for rows that go on with rates."""
    first, lift, lift_a = over[FIRST], over[LIFT], over[LIFT_A]
    lift_r, first_r = over[LIFT_R], over[FIRST_R]
    j = np.uint64(begin)
    while j < np.uint64(end):
        v, x, rate_v = row[j, np.uint64(0)], row[j, np.uint64(1)], row[j, AT_RATE_V]
        row[j, AT_RATE_X] = first * row[j, AT_RATE_X] + lift * rate_v + lift_a * v
        row[j, AT_OWN] = first * row[j, AT_OWN] + first_r * x + lift_r * v
        row[j, np.uint64(1)] = _settled(first * x + lift * v)
        row[j, AT_RATE_V] = decay * (rate_v - v * dt)
        row[j, np.uint64(0)] = _settled(decay * v)
        j += np.uint64(1)


@phase_kernel
def sweep(adjoints, tables, begin, end):
    """Take rows of any network back over a window."""
    n_states = tables.gain.shape[0]
    for j in range(begin, end):
        c = tables.kind[j]
        for i in range(n_states):
            over = tables.over[i, c, 1]
            pass_state(adjoints, adjoints.row, j, i, n_states, over, tables.gain[i] > 0.0)
        pass_voltage(adjoints, adjoints.row, j, n_states, tables.decay[c, 1], tables.length)
        for q in range(1 + n_states):
            adjoints.row[j, q] = _settled(adjoints.row[j, q])


@by_type
def sweep_block(adjoints: type) -> Callable[..., None]:
    """Take rows back over a window; arguments are (adjoints, tables, begin, end)."""
    if adjoints is Adjoints:
        return lambda adjoints, tables, begin, end: _sweep_plain(adjoints, tables, begin, end)
    return lambda adjoints, tables, begin, end: _sweep_plain_and_rates(adjoints, tables, begin, end)


@inner_kernel
def _sweep_plain(adjoints, tables, begin, end):
    if tables.is_plain:
        over = tables.over[0, 0, 1]
        decay = tables.decay[0, 1]
        sweep_one_port(adjoints.row, begin, end, over[FIRST], over[LIFT], decay)
    else:
        sweep(adjoints, tables, begin, end)


@inner_kernel
def _sweep_plain_and_rates(adjoints, tables, begin, end):
    if tables.is_plain:
        over, decay = tables.over[0, 0, 1], tables.decay[0, 1]
        sweep_one_port_and_rates(adjoints.row, begin, end, over, decay, tables.length)
    else:
        sweep(adjoints, tables, begin, end)


@inner_kernel
def flow_row(tables, adjoints, row, j, n, dt, out):
    """Take row ``j``, of neuron ``n``, back over ``dt``, which is no longer than a window."""
    n_states = tables.gain.shape[0]
    c = tables.kind[n]
    for i in range(n_states):
        respond(tables, c, i, dt, out)
        pass_state(adjoints, row, j, i, n_states, out, tables.gain[i] > 0.0)
    pass_voltage(adjoints, row, j, n_states, math.exp(-tables.rate[c] * dt), dt)


@inner_kernel
def columns_of(tables):
    """Return the number of columns of a row that belong to the adjoint at one time."""
    n_states = tables.gain.shape[0]
    return 2 + 4 * n_states if tables.with_rates else 1 + n_states


@inner_kernel
def _is_zero(row, j, columns):
    for q in range(columns):  # noqa: SIM110
        if row[j, q] != 0.0:
            return False
    return True


@inner_kernel
def visit(tables, adjoints, at, n, window, out):
    """Bring the row of neuron ``n`` of a sparse block to the begin of ``window``."""
    if at[n] != window:
        _visit(tables, adjoints, at, n, window, out)


@phase_kernel
def _visit(tables, adjoints, at, n, window, out):
    windows = np.int64(at[n]) - window
    at[n] = window
    n_states = tables.gain.shape[0]
    if _is_zero(adjoints.row, n, columns_of(tables)):
        return
    c = tables.kind[n]
    dt = windows * tables.length
    if windows < tables.decay.shape[1]:
        for i in range(n_states):
            over = tables.over[i, c, windows]
            pass_state(adjoints, adjoints.row, n, i, n_states, over, tables.gain[i] > 0.0)
        pass_voltage(adjoints, adjoints.row, n, n_states, tables.decay[c, windows], dt)
        return
    for i in range(n_states):
        respond_exactly(tables, c, i, dt, out)
        pass_state(adjoints, adjoints.row, n, i, n_states, out, tables.gain[i] > 0.0)
    pass_voltage(adjoints, adjoints.row, n, n_states, math.exp(-tables.rate[c] * dt), dt)
