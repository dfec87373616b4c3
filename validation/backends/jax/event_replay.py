"""Spike times and voltages as differentiable functions of the parameters, once the order is known.

The second pass of the event-driven JAX back end. Each state is kept with its time, and both move
with the parameters; so an arrival that comes earlier needs no rule of its own. The time of a
crossing is the implicit function of V(t) = v_th, to first order

    t = t_found - (V - v_th)/V',    with V' a constant,

which has the right value and the right derivatives. After it the voltage is held, and the currents
need no move: they are kept at t_found.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from validation.backends.jax.event_flow import (
    Membrane,
    Ports,
    State,
    flow,
    membrane_of,
    ports_of,
    received,
    slope,
)
from validation.backends.jax.event_order import ARRIVAL, NOTHING, RELEASE, SAMPLE, SPIKE, Log
from validation.backends.jax.event_structure import Structure
from validation.backends.jax.layout import Parameters
from validation.backends.jax.setup import jax, jnp

Array = Any


class Outputs(NamedTuple):
    """Spike times and voltages, padded."""

    time: Array  # (spike capacity,) ms, in order of time; nan beyond n_spikes
    voltage: Array  # (V,) of the samples in order of their times


class _Row(NamedTuple):
    """One event and what it needs, gathered before."""

    kind: Array
    neuron: Array
    emission: Array
    time: Array  # ms, as found
    offset: Array  # ms, from the emission to the event: delay or t_ref
    weight: Array
    port: Array
    is_cascade: Array
    membrane: Membrane


class _Carry(NamedTuple):
    state: State  # (n,)
    since: Array  # (n,) ms, time of the state
    is_held: Array  # (n,)
    emitted: Array  # (M,) ms, times of emissions


def replay(parameters: Parameters, structure: Structure, log: Log) -> Outputs:
    """Return spike times and voltages that depend on the parameters, for a known order of events.

    All of it is nan if the log is not complete.
    """
    ports = ports_of(parameters, structure)
    rows = _rows(parameters, structure, log)
    n_inputs, n_spikes = parameters.input_times.shape[0], structure.spikes.shape[0]
    last, voltage = jax.lax.scan(
        lambda carry, row: _event(ports, carry, row), _start(parameters, n_spikes), rows
    )
    known = jnp.where(log.is_complete, 1.0, jnp.nan)
    nth = jnp.arange(n_spikes)
    time = jnp.where(nth < log.n_spikes, last.emitted[n_inputs:], jnp.nan)
    place = jnp.where(log.kind == SAMPLE, log.item, structure.sample_time.shape[0])
    samples = jnp.zeros(structure.sample_time.shape).at[place].set(voltage)
    return Outputs(known * time, known * samples)


def _rows(parameters: Parameters, structure: Structure, log: Log) -> _Row:
    synapse, neuron = log.item, log.neuron
    is_arrival = log.kind == ARRIVAL
    offset = jnp.where(is_arrival, parameters.delay[synapse], parameters.t_ref[neuron])
    port = structure.synapses.port[synapse]
    return _Row(
        kind=log.kind,
        neuron=neuron,
        emission=log.emission,
        time=jnp.where(log.kind == NOTHING, 0.0, log.time),
        offset=offset,
        weight=jnp.where(is_arrival, parameters.weight[synapse], 0.0),
        port=port,
        is_cascade=structure.synapses.is_cascade[port],
        membrane=membrane_of(parameters).of(neuron),
    )


def _start(parameters: Parameters, n_spikes: int) -> _Carry:
    n, n_ports = parameters.v0.shape[0], parameters.tau.shape[0]
    zeros = jnp.zeros((n, n_ports))
    return _Carry(
        state=State(parameters.v0, zeros, zeros),
        since=jnp.zeros(n),
        is_held=jnp.zeros(n, dtype=bool),
        emitted=jnp.concatenate([parameters.input_times, jnp.zeros(n_spikes)]),
    )


def _event(ports: Ports, carry: _Carry, row: _Row) -> tuple[_Carry, Array]:
    """Take the neuron of an event through it; return also its voltage then."""
    n = row.neuron
    before = State(*(column[n] for column in carry.state))
    is_caused = (row.kind == ARRIVAL) | (row.kind == RELEASE)
    time = jnp.where(is_caused, carry.emitted[row.emission] + row.offset, row.time)
    own = flow(row.membrane, ports, before, time - carry.since[n])
    v = jnp.where(carry.is_held[n], row.membrane.v_reset, own.v)
    own = received(own._replace(v=v), row.port, row.is_cascade, row.weight)

    is_spike = row.kind == SPIKE
    excess = own.v - row.membrane.v_th
    rise = jnp.where(is_spike, slope(row.membrane, own), 1.0)
    excess, rise = excess - jax.lax.stop_gradient(excess), jax.lax.stop_gradient(rise)
    emission = jnp.where(is_spike, row.emission, carry.emitted.shape[0])  # beyond is nowhere
    after = own._replace(v=jnp.where(is_spike, row.membrane.v_reset, own.v))
    is_held = is_spike | (carry.is_held[n] & (row.kind != RELEASE))
    carry = _Carry(
        state=State(*(z.at[n].set(new) for z, new in zip(carry.state, after, strict=True))),
        since=carry.since.at[n].set(time),
        is_held=carry.is_held.at[n].set(is_held),
        emitted=carry.emitted.at[emission].set(row.time - excess / rise),
    )
    return carry, own.v
