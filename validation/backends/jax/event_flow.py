"""The closed form of the LIF neuron for the event-driven JAX back end.

    V' = rate (drive - V + sum of y over the ports),    x' = -r x,    y' = -s y + gain x

An exp port has the current y alone, with s = 1/tau; its x and gain are 0. A double_exp port is a
cascade of rates r and s. Functions take one neuron: v, rate and drive are numbers, x, y, r, s and
gain rows of one number for each port.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from validation.backends.jax.convolutions import cascade_gain, convolve2, convolve3
from validation.backends.jax.event_structure import Structure
from validation.backends.jax.layout import Parameters
from validation.backends.jax.setup import jnp

Array = Any


class Ports(NamedTuple):
    """Rates of the ports in 1/ms."""

    r: Array  # (P,)
    s: Array  # (P,)
    gain: Array  # (P,)


class Membrane(NamedTuple):
    """Parameters of one neuron, or of all (n,)."""

    rate: Array  # 1/ms
    drive: Array
    v_th: Array
    v_reset: Array

    def of(self, n: Array) -> Membrane:
        """Return the parameters of neuron ``n``."""
        return Membrane(*(column[n] for column in self))


class State(NamedTuple):
    """State of one neuron, or of all with a first axis (n,)."""

    v: Array
    x: Array  # (P,)
    y: Array  # (P,)


def ports_of(parameters: Parameters, structure: Structure) -> Ports:
    """Return the rates of the ports."""
    r, s = 1.0 / parameters.tau[:, 0], 1.0 / parameters.tau[:, 1]
    return Ports(r, s, jnp.where(structure.synapses.is_cascade, cascade_gain(r, s), 0.0))


def membrane_of(parameters: Parameters) -> Membrane:
    """Return the parameters of all neurons."""
    drive = parameters.v_rest + parameters.i_ext
    return Membrane(1.0 / parameters.tau_m, drive, parameters.v_th, parameters.v_reset)


def flow(membrane: Membrane, ports: Ports, state: State, dt: Array) -> State:
    """Return the state of a free neuron after ``dt`` without arrivals."""
    a, drive = membrane.rate, membrane.drive
    r, s, gain = ports
    into_v, into_y = convolve2(jnp.stack([jnp.broadcast_to(a, r.shape), r]), s, dt)
    by_current = a * state.y * into_v
    by_cascade = a * gain * state.x * convolve3(a, r, s, dt)
    v = drive + (state.v - drive) * jnp.exp(-a * dt) + jnp.sum(by_current + by_cascade)
    x = state.x * jnp.exp(-r * dt)
    y = state.y * jnp.exp(-s * dt) + gain * state.x * into_y
    return State(v, x, y)


def slope(membrane: Membrane, state: State) -> Array:
    """Return dV/dt of a free neuron."""
    return membrane.rate * (membrane.drive - state.v + jnp.sum(state.y))


def received(state: State, port: Array, is_cascade: Array, weight: Array) -> State:
    """Return the state after a spike has arrived at a port."""
    into_x = jnp.where(is_cascade, weight, 0.0)
    return state._replace(x=state.x.at[port].add(into_x), y=state.y.at[port].add(weight - into_x))
