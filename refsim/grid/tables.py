"""One time step as a linear map, by scheme, with the derivatives of its coefficients by rates."""

from __future__ import annotations

import math

import numpy as np

from queues.compiled.jit import kernel
from refsim.grid.types import StepDerivatives, StepTables
from refsim.models import lif as neuron
from refsim.models.lif.exponentials import convolve2, convolve3
from refsim.models.lif.response import fill_lifts
from refsim.types import Float, Model, ModelTangent, NeuronArrays, PortArrays


def step_tables(model: Model, dt: float, membrane: str) -> StepTables:
    """Return what a step of ``dt`` ms does without spikes."""
    tables = _zeros(model)
    ports, rate = model.ports, model.neurons.rate
    last = ports.first + ports.order - 1
    if membrane == "exact":
        _fill_exact(model, dt, tables, np.zeros(len(ports.rate)))
        return tables
    tables.decay[:] = np.exp(-rate * dt)
    tables.leak[:] = -np.expm1(-rate * dt)
    if membrane == "exponential":
        tables.lift[:, last] = tables.leak[:, None]
    else:
        tables.lift[:, last] = (rate * dt)[:, None]
    if membrane == "euler":
        tables.decay[:] = 1.0 - rate * dt
        tables.leak[:] = rate * dt
        tables.fade[:] = 1.0 - ports.rate * dt
        tables.feed[:] = ports.gain * dt
    else:
        _fill_filters(model, dt, tables)
    return tables


def step_derivatives(model: Model, dt: float, membrane: str) -> StepDerivatives:
    """Return the derivatives of :func:`step_tables` by rates and gains."""
    n, n_states, n_ports = (
        len(a) for a in (model.neurons.rate, model.ports.rate, model.ports.gain)
    )
    shapes = [(n,), *[(n, n_states)] * 4, (n_states,), *[(n_ports,)] * 3]
    found = StepDerivatives(*map(np.zeros, shapes))
    ports, rate = model.ports, model.neurons.rate
    last = ports.first + ports.order - 1
    found.decay_rate[:] = -dt * np.exp(-rate * dt)
    if membrane == "exact":
        _differentiate_exact(model, _no_direction(model), dt, found, *np.zeros((2, n_states)))
    elif membrane == "exponential":
        found.lift_rate[:, last] = (dt * np.exp(-rate * dt))[:, None]
    else:
        found.lift_rate[:, last] = dt
    if membrane == "euler":
        found.decay_rate[:] = -dt
        found.fade_own[:] = -dt
        found.feed_gain[:] = np.where(ports.order == 2, dt, 0.0)
    else:
        _differentiate_filters(model, dt, found)
    return found


def tangent_of_tables(model: Model, found: StepDerivatives, dot: ModelTangent) -> StepTables:
    """Return the tangent of a step's coefficients for a direction of the parameters."""
    tables = _zeros(model)
    rate_dot = dot.neurons.rate[:, None]
    tables.decay[:] = found.decay_rate * dot.neurons.rate
    tables.lift[:] = found.lift_rate * rate_dot + found.lift_own * dot.ports.rate
    tables.fade[:] = found.fade_own * dot.ports.rate
    for p in np.flatnonzero(model.ports.order == 2):
        i = model.ports.first[p]
        r_dot, s_dot = dot.ports.rate[i : i + 2]
        tables.lift[:, i] += (
            found.lift_next[:, i] * s_dot + found.lift_gain[:, i] * dot.ports.gain[p]
        )
        tables.feed[p] = found.feed_first[p] * r_dot + found.feed_second[p] * s_dot
        tables.feed[p] += found.feed_gain[p] * dot.ports.gain[p]
    return tables


def no_tables() -> StepTables:
    """Return the tangent of a plain simulation."""
    empty: Float = np.zeros(0)
    return StepTables(empty, empty, np.zeros((0, 0)), empty, empty)


def _zeros(model: Model) -> StepTables:
    n, n_states = len(model.neurons.rate), len(model.ports.rate)
    shapes = ((n,), (n,), (n, n_states), (n_states,), (len(model.ports.gain),))
    return StepTables(*map(np.zeros, shapes))


def _no_direction(model: Model) -> ModelTangent:
    """Return a direction of zeros, with the numbers that address states in their place."""
    n, ports = len(model.neurons.rate), model.ports
    return ModelTangent(
        NeuronArrays(*np.zeros((len(NeuronArrays._fields), n))),
        PortArrays(ports.first, ports.order, np.zeros(len(ports.rate)), np.zeros(len(ports.gain))),
    )


@kernel
def _fill_filters(model, dt, tables):
    """Write the exact flow of the filters."""
    ports = model.ports
    for k in range(ports.rate.shape[0]):
        tables.fade[k] = math.exp(-ports.rate[k] * dt)
    for p in range(ports.first.shape[0]):
        i = ports.first[p]
        if ports.order[p] == 2:
            tables.feed[p] = ports.gain[p] * convolve2(ports.rate[i], ports.rate[i + 1], dt)


@kernel
def _fill_exact(model, dt, tables, x):
    """Write the exact flow; ``x`` is a state of zeros."""
    for n in range(tables.decay.shape[0]):
        tables.decay[n] = math.exp(-model.neurons.rate[n] * dt)
        tables.leak[n] = -math.expm1(-model.neurons.rate[n] * dt)
        fill_lifts(model, n, dt, x, tables.lift[n])
    _fill_filters(model, dt, tables)


@kernel
def _differentiate_filters(model, dt, found):
    ports = model.ports
    for k in range(ports.rate.shape[0]):
        found.fade_own[k] = -dt * math.exp(-ports.rate[k] * dt)
    for p in range(ports.first.shape[0]):
        if ports.order[p] == 2:
            r = ports.rate[ports.first[p]]
            s = ports.rate[ports.first[p] + 1]
            found.feed_first[p] = -ports.gain[p] * convolve3(r, r, s, dt)
            found.feed_second[p] = -ports.gain[p] * convolve3(r, s, s, dt)
            found.feed_gain[p] = convolve2(r, s, dt)


@kernel
def _lift_jvp(model, dot, n, x, x_dot, dt):
    """Return the tangent of what the states ``x`` add to the voltage of neuron ``n`` at rest."""
    drive = model.neurons.drive[n]
    return neuron.flow_voltage_jvp(model, dot, n, drive, 0.0, x, x_dot, dt)


@kernel
def _differentiate_exact(model, dot, dt, found, x, x_dot):
    """Write the derivatives of the voltage's exact flow, one direction after the other."""
    ports = model.ports
    for n in range(found.decay_rate.shape[0]):
        for p in range(ports.first.shape[0]):
            i = ports.first[p]
            for k in range(i, i + ports.order[p]):
                x[k] = 1.0
                dot.neurons.rate[n] = 1.0
                found.lift_rate[n, k] = _lift_jvp(model, dot, n, x, x_dot, dt)
                dot.neurons.rate[n] = 0.0
                dot.ports.rate[k] = 1.0
                found.lift_own[n, k] = _lift_jvp(model, dot, n, x, x_dot, dt)
                dot.ports.rate[k] = 0.0
                if ports.order[p] == 2 and k == i:
                    dot.ports.rate[k + 1] = 1.0
                    found.lift_next[n, k] = _lift_jvp(model, dot, n, x, x_dot, dt)
                    dot.ports.rate[k + 1] = 0.0
                    dot.ports.gain[p] = 1.0
                    found.lift_gain[n, k] = _lift_jvp(model, dot, n, x, x_dot, dt)
                    dot.ports.gain[p] = 0.0
                x[k] = 0.0
