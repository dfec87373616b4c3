"""Rows of tangents, taken over a time without events.

The formulas are those of refsim.models.lif.flow. A response is what one unit in a state has done
after the time; see adjoint.windows.responses.
"""

import math

import numpy as np

from adjoint.windows.responses import respond, respond_exactly
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
)
from queues.compiled.jit import inner_kernel, phase_kernel


@inner_kernel
def lift_dot(direction, out, i, n, is_cascade):
    """Return the tangent of the lift of neuron ``n`` by a unit in state ``i``."""
    total = out[LIFT_A] * direction.neurons.rate[n] + out[LIFT_R] * direction.port_rate[i]
    if is_cascade:
        total += out[LIFT_S] * direction.port_rate[i + 1] + out[LIFT] * direction.gain[i]
    return total


@inner_kernel
def second_dot(direction, out, i):
    """Return the tangent of what a unit in state ``i``, the first of two, has put into the next."""
    total = out[SECOND_R] * direction.port_rate[i] + out[SECOND_S] * direction.port_rate[i + 1]
    return total + out[SECOND] * direction.gain[i]


@inner_kernel
def _pass_state(row, j, i, out, is_cascade):
    """Take state ``i`` over a time; second filters come before the first ones."""
    x = row[j, 1 + i]
    row[j, 0] += out[LIFT] * x
    if is_cascade:
        row[j, 2 + i] += out[SECOND] * x
    row[j, 1 + i] = out[FIRST] * x


@inner_kernel
def _pass_state_and_primal(direction, row, j, n, i, n_states, out, is_cascade):
    primal = 1 + n_states
    x = row[j, primal + 1 + i]
    _pass_state(row, j, i, out, is_cascade)
    row[j, 0] += lift_dot(direction, out, i, n, is_cascade) * x
    row[j, 1 + i] += out[FIRST_R] * direction.port_rate[i] * x
    row[j, primal] += out[LIFT] * x
    if is_cascade:
        row[j, 2 + i] += second_dot(direction, out, i) * x
        row[j, primal + 2 + i] += out[SECOND] * x
    row[j, primal + 1 + i] = out[FIRST] * x


@inner_kernel
def pass_voltage(tables, direction, row, j, n, decay, dt):
    """Take the excursion over a time, before the states add to it."""
    if tables.with_rates:
        primal = 1 + tables.gain.shape[0]
        row[j, 0] -= direction.neurons.rate[n] * dt * row[j, primal]
        row[j, primal] *= decay
    row[j, 0] *= decay


@inner_kernel
def pass_state(tables, direction, row, j, n, i, out):
    """Take state ``i`` over the time of a response; the last state comes first."""
    n_states, is_cascade = tables.gain.shape[0], tables.gain[i] > 0.0
    if tables.with_rates:
        _pass_state_and_primal(direction, row, j, n, i, n_states, out, is_cascade)
    else:
        _pass_state(row, j, i, out, is_cascade)


@inner_kernel
def flow_row(tables, direction, row, j, n, dt, out):
    """Take row ``j``, of neuron ``n``, over ``dt``, which is no longer than a window."""
    c = tables.kind[n]
    pass_voltage(tables, direction, row, j, n, math.exp(-tables.rate[c] * dt), dt)
    for i in range(tables.gain.shape[0] - 1, -1, -1):
        respond(tables, c, i, dt, out)
        pass_state(tables, direction, row, j, n, i, out)


@inner_kernel
def _is_zero(row, j):
    for q in range(row.shape[1]):  # noqa: SIM110
        if row[j, q] != 0.0:
            return False
    return True


@phase_kernel
def _visit(tables, direction, row, at, n, window, out):
    windows = window - np.int64(at[n])
    at[n] = window
    if _is_zero(row, n):
        return
    c = tables.kind[n]
    dt = windows * tables.length
    is_tabled = windows < tables.decay.shape[1]
    decay = tables.decay[c, windows] if is_tabled else math.exp(-tables.rate[c] * dt)
    pass_voltage(tables, direction, row, n, n, decay, dt)
    for i in range(tables.gain.shape[0] - 1, -1, -1):
        if is_tabled:
            pass_state(tables, direction, row, n, n, i, tables.over[i, c, windows])
        else:
            respond_exactly(tables, c, i, dt, out)
            pass_state(tables, direction, row, n, n, i, out)


@inner_kernel
def visit(tables, direction, row, at, n, window, out):
    """Bring the row of neuron ``n`` to the begin of ``window``."""
    if at[n] != window:
        _visit(tables, direction, row, at, n, window, out)
