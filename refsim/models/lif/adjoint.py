r"""The adjoint of the LIF neuron, without stored states.

With lambda = dL/dstate, between the events of a neuron and backwards in time

    lambda_v' = -rate lambda_v          lambda_x' = -r lambda_x + (what x drives) lambda,

and an arrival only reads: dL/dweight is lambda at the state that it enters. Derivatives by the
rates are integrals of lambda (dA/drate) state. The state is a sum over its sources (arrivals,
resets, the start), so the integral can be taken per source and backwards: mu, with

    mu' = A^T mu + (dA/drate)^T lambda,

gives the sensitivity of one unit entering now, and an arrival of weight w adds w mu. The forward
pass needs to keep nothing for it. mu is carried for the rate of the membrane (``rate_v``,
``rate_x``) and for those of the filters: ``own``, a filter's rate through its own state, and
``cross``, the second filter's rate through the state of the first.

Formulas for spikes: T. Wunderlich and C. Pehle, Scientific Reports 11 (2021) 12829, extended by
delays, refractoriness and all parameters; docs/mathematics.md derives them.
"""

import math
from typing import NamedTuple

import numpy as np

from queues.compiled.jit import inner_kernel, kernel
from refsim.models.lif.exponentials import convolve2, convolve3, convolve4
from refsim.models.lif.flow import later_by
from refsim.types import Float, Int


class AdjointState(NamedTuple):
    """Adjoint of the neurons' states, each at a time of its own; sizes as in refsim.types."""

    time: Float  # (n,) ms
    v: Float  # (n,) dL/dV; 0 while the neuron is refractory
    x: Float  # (n, K) dL/dx
    rate_v: Float  # (n,) dL/drate of a unit of V - drive from now on
    rate_x: Float  # (n, K) the same for a unit of x
    own: Float  # (n, K) dL/d(rate of filter k) for a unit entering filter k
    cross: Float  # (n, K) dL/d(rate of the second filter) for a unit entering the first
    after: Float  # (n,) dL/dV at the release from the spike being left
    held: Int  # (n,) 1 while refractory
    spike: Int  # (n,) row of the tape of the last spike before this time, -1 for none


class ModelBar(NamedTuple):
    """Gradient by the parameters of the model, in terms of rates."""

    rate: Float  # (n,)
    drive: Float  # (n,)
    v_th: Float  # (n,)
    v_reset: Float  # (n,)
    t_ref: Float  # (n,)
    v0: Float  # (n,)
    port_rate: Float  # (K,)
    port_gain: Float  # (P,)


def adjoint_state(n: int, n_states: int, n_ports: int, t_end: float) -> tuple:
    """Return the adjoint of silence after ``t_end`` and a gradient of zeros."""
    shape = (n, n_states)
    state = AdjointState(
        time=np.full(n, t_end),
        v=np.zeros(n),
        x=np.zeros(shape),
        rate_v=np.zeros(n),
        rate_x=np.zeros(shape),
        own=np.zeros(shape),
        cross=np.zeros(shape),
        after=np.zeros(n),
        held=np.zeros(n, dtype=np.int64),
        spike=np.full(n, -1, dtype=np.int64),
    )
    bar = ModelBar(
        rate=np.zeros(n),
        drive=np.zeros(n),
        v_th=np.zeros(n),
        v_reset=np.zeros(n),
        t_ref=np.zeros(n),
        v0=np.zeros(n),
        port_rate=np.zeros(n_states),
        port_gain=np.zeros(n_ports),
    )
    return state, bar


@kernel
def _filter(model, adj, n, i, dt):
    """Return (x, rate_x, own) of a single or second filter ``i`` a time ``dt`` earlier."""
    a = model.neurons.rate[n]
    r = model.ports.rate[i]
    v = adj.v[n]
    decay = math.exp(-r * dt)
    x = adj.x[n, i] * decay
    rate_x = adj.rate_x[n, i] * decay
    own = (adj.own[n, i] - adj.x[n, i] * dt) * decay
    if v != 0.0 or adj.rate_v[n] != 0.0:
        response = convolve2(a, r, dt)
        x += a * v * response
        rate_x += (a * adj.rate_v[n] + v) * response - a * v * convolve3(a, a, r, dt)
        own -= a * v * convolve3(a, r, r, dt)
    return x, rate_x, own


@kernel
def _first_of_two(model, adj, n, p, dt):
    """Return (x, rate_x, own, cross) of the first filter of cascade ``p`` ``dt`` earlier."""
    i = model.ports.first[p]
    a = model.neurons.rate[n]
    r = model.ports.rate[i]
    s = model.ports.rate[i + 1]
    gain = model.ports.gain[p]
    v = adj.v[n]
    y = adj.x[n, i + 1]
    decay = math.exp(-r * dt)
    passed = convolve2(r, s, dt)
    x = adj.x[n, i] * decay + gain * y * passed
    rate_x = adj.rate_x[n, i] * decay + gain * adj.rate_x[n, i + 1] * passed
    own = (adj.own[n, i] - adj.x[n, i] * dt) * decay - gain * y * convolve3(r, r, s, dt)
    cross = adj.cross[n, i] * decay
    cross += gain * (adj.own[n, i + 1] * passed - y * convolve3(r, s, s, dt))
    if v != 0.0 or adj.rate_v[n] != 0.0:
        response = convolve3(a, r, s, dt)
        x += gain * a * v * response
        rate_x += gain * (a * adj.rate_v[n] + v) * response
        rate_x -= gain * a * v * convolve4(a, a, r, s, dt)
        own -= gain * a * v * convolve4(a, r, r, s, dt)
        cross -= gain * a * v * convolve4(a, r, s, s, dt)
    return x, rate_x, own, cross


@kernel
def flow_vjp(model, adj, bar, n, t):
    """Take the adjoint of neuron ``n`` back to time ``t`` of the same piece of its flow."""
    dt = adj.time[n] - t
    ports = model.ports
    for p in range(ports.first.shape[0]):
        i = ports.first[p]
        if ports.order[p] == 2:
            x, rate_x, own, cross = _first_of_two(model, adj, n, p, dt)
            adj.x[n, i] = x
            adj.rate_x[n, i] = rate_x
            adj.own[n, i] = own
            adj.cross[n, i] = cross
            i += 1
        x, rate_x, own = _filter(model, adj, n, i, dt)
        adj.x[n, i] = x
        adj.rate_x[n, i] = rate_x
        adj.own[n, i] = own
    membrane_vjp(model, adj, bar, n, t)


@kernel
def membrane_vjp(model, adj, bar, n, t):
    """Take the voltage alone back to time ``t`` of the same piece."""
    dt = adj.time[n] - t
    a = model.neurons.rate[n]
    v = adj.v[n]
    decay = math.exp(-a * dt)
    bar.drive[n] -= v * math.expm1(-a * dt)
    adj.rate_v[n] = (adj.rate_v[n] - v * dt) * decay
    adj.v[n] = v * decay
    adj.time[n] = t


@kernel
def arrive_vjp(model, adj, bar, n, p, weight, t):
    """Return dL/dweight and dL/dt of an arrival at ``t``; the state of the adjoint is only read."""
    dt = adj.time[n] - t
    i = model.ports.first[p]
    if model.ports.order[p] == 1:
        x, rate_x, own = _filter(model, adj, n, i, dt)
        a = model.neurons.rate[n]
        driven = a * adj.v[n] * math.exp(-a * dt)
    else:
        x, rate_x, own, cross = _first_of_two(model, adj, n, p, dt)
        s = model.ports.rate[i + 1]
        y = adj.x[n, i + 1] * math.exp(-s * dt)
        if adj.v[n] != 0.0:
            a = model.neurons.rate[n]
            y += a * adj.v[n] * convolve2(a, s, dt)
        driven = model.ports.gain[p] * y
        bar.port_rate[i + 1] += weight * cross
        bar.port_gain[p] += weight * x / model.ports.gain[p]
    bar.rate[n] += weight * rate_x
    bar.port_rate[i] += weight * own
    return x, late_vjp(model, p, weight, x, driven)


@inner_kernel
def late_vjp(model, p, weight, x, driven):
    """Return dL/dt of an arrival that meets the adjoint ``x`` of its state.

    ``driven`` is the adjoint of what the state drives, times the rate or gain by which it does.
    """
    return weight * (model.ports.rate[model.ports.first[p]] * x - driven)


@kernel
def release_vjp(model, adj, bar, n):
    """Enter refractoriness from its end: the voltage before does not matter any more."""
    bar.rate[n] += (model.neurons.v_reset[n] - model.neurons.drive[n]) * adj.rate_v[n]
    adj.after[n] = adj.v[n]
    adj.v[n] = 0.0
    adj.rate_v[n] = 0.0
    adj.held[n] = 1


@inner_kernel
def reset_vjp(bar, n, after, slope_after):
    """Go back from ``after`` = dL/dV at a release to the spike before; return -dL/dt of that."""
    moved = after * slope_after
    bar.v_reset[n] += after
    bar.t_ref[n] -= moved
    return moved


@kernel
def fire_vjp(adj, bar, n, slope_before, slope_after, time_bar):
    """Cross a spike backwards, with dL/dt = ``time_bar`` from all that it caused elsewhere."""
    q = later_by(time_bar - reset_vjp(bar, n, adj.after[n], slope_after), slope_before)
    bar.v_th[n] += q
    adj.v[n] = -q
    adj.after[n] = 0.0
    adj.held[n] = 0


@kernel
def sample_vjp(adj, bar, n, voltage_bar):
    """Add the cotangent of a voltage sample."""
    if adj.held[n] == 1:
        bar.v_reset[n] += voltage_bar
    else:
        adj.v[n] += voltage_bar


@kernel
def start_vjp(model, adj, bar, n, v0):
    """Finish at time 0, where the voltage is ``v0``."""
    bar.v0[n] += adj.v[n]
    bar.rate[n] += (v0 - model.neurons.drive[n]) * adj.rate_v[n]
