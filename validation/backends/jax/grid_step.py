"""One step of the time-stepped JAX back end, as a function that JAX differentiates."""

from __future__ import annotations

from typing import Any, NamedTuple

from validation.backends.jax.grid_fixed import Coefficients, Fixed, moved
from validation.backends.jax.grid_structure import CANDIDATES, GridStructure
from validation.backends.jax.setup import jax, jnp

Array = Any

_FREE = -1  # release step of a neuron that is not held


class Carry(NamedTuple):
    """State at the beginning of a step."""

    v: Array  # (n,)
    x: Array  # (n, P)
    y: Array  # (n, P)
    release: Array  # (n,) step, or _FREE
    is_over: Array  # (n,) whether the voltage is above threshold for a step
    late: Array  # (n,) moved time of the last spike
    slot_part: Array  # (L, n) where in its step a spike lay, -1 for none
    slot_late: Array  # (L, n) moved time of the spike


class Spiked(NamedTuple):
    """Spikes of one step."""

    part: Array  # (n,) where in the step, -1 for no spike
    late: Array  # (n,) moved time


def start(given: Fixed) -> Carry:
    """Return the state at time 0."""
    n, n_ports = given.rate.shape[0], given.r.shape[0]
    v0 = given.parameters.v0
    n_slots = given.structure.slots.shape[0]
    zeros = jnp.zeros((n, n_ports), v0.dtype)
    return Carry(
        v=v0,
        x=zeros,
        y=zeros,
        release=jnp.full(n, _FREE, jnp.int32),
        is_over=jnp.zeros(n, bool),
        late=jnp.zeros_like(v0),
        slot_part=jnp.full((n_slots, n), -1.0, v0.dtype),
        slot_late=jnp.zeros((n_slots, n), v0.dtype),
    )


def released(given: Fixed, carry: Carry, n: Array) -> Carry:
    """Return the state after neurons whose time has come are free again."""
    parameters, rules = given.parameters, given.structure.rules
    is_due = carry.release == n
    drive = parameters.v_rest + parameters.i_ext
    rise = given.rate * (drive - parameters.v_reset + carry.y.sum(axis=1))
    late = carry.late + moved(parameters.t_ref)
    v = parameters.v_reset - jax.lax.stop_gradient(rise) * late
    return carry._replace(
        v=jnp.where(is_due & rules.is_exact_reset, v, carry.v),
        release=jnp.where(is_due, _FREE, carry.release),
    )


def delivered(given: Fixed, carry: Carry, n: Array) -> Carry:
    """Return the state after the arrivals of step ``n``."""
    weights, late = _arrivals(given, carry, n)
    weights, late = weights + given.count[n], late + given.late[n]
    is_cascade = given.structure.synapses.is_cascade
    into_x = jnp.where(is_cascade, weights + given.r * late, 0.0)
    into_y = jnp.where(is_cascade, -given.gain * late, weights + given.s * late)
    driven = given.rate * jnp.where(is_cascade, 0.0, late).sum(axis=1)
    is_moved = (carry.release == _FREE) & ~carry.is_over & given.structure.rules.is_full
    return carry._replace(
        v=carry.v - jnp.where(is_moved, driven, 0.0), x=carry.x + into_x, y=carry.y + into_y
    )


def _arrivals(given: Fixed, carry: Carry, n: Array) -> tuple[Array, Array]:
    """Return (n, P) weights of the spikes that arrive in step ``n``, and these times late."""
    structure, groups = given.structure, given.structure.groups
    emitted = n - groups.first[:, None] - jnp.arange(CANDIDATES)
    slot = (emitted % structure.slots.shape[0], groups.pre[:, None])
    part = carry.slot_part[slot]
    arrives = (part >= 0.0) & (_arrival_step(structure, emitted, part) == n)
    count = jnp.sum(arrives, axis=1).astype(part.dtype)
    late = jnp.sum(jnp.where(arrives, carry.slot_late[slot], 0.0), axis=1)
    sums = _by_matrix if structure.matrices.shape[0] else _by_synapse
    weights, weights_late = sums(given, count, late, carry.y.size)
    return weights.reshape(carry.y.shape), weights_late.reshape(carry.y.shape)


def _by_matrix(given: Fixed, count: Array, late: Array, _: int) -> tuple[Array, Array]:
    def product(row: Array, matrix: Array) -> Array:
        return jnp.matmul(row, matrix, precision=jax.lax.Precision.HIGHEST)

    weights_late = product(late, given.weight) + product(count, given.weight_late)
    return product(count, given.weight), weights_late


def _by_synapse(given: Fixed, count: Array, late: Array, size: int) -> tuple[Array, Array]:
    structure = given.structure
    place = structure.synapses.post * given.r.shape[0] + structure.synapses.port
    group = structure.groups.of_synapse
    here, here_late = (z.at[group].get(mode="fill", fill_value=0.0) for z in (count, late))
    weights = jnp.zeros(size, count.dtype).at[place].add(given.weight * here)
    moved_weights = given.weight * here_late + given.weight_late * here
    return weights, jnp.zeros(size, count.dtype).at[place].add(moved_weights)


def _arrival_step(structure: GridStructure, emitted: Array, part: Array) -> Array:
    """Return the step in which spikes arrive that were emitted in steps ``emitted``."""
    groups = structure.groups
    if part.dtype == jnp.float64:
        time = _spike_time(structure, emitted, part) + groups.delay[:, None]
        steps = jnp.round(time / structure.dt).astype(jnp.int32) + structure.rules.latency
    else:  # absolute times have too few digits
        rest = jnp.round(part + groups.rest_steps[:, None]).astype(jnp.int32)
        steps = emitted + groups.even_steps[:, None] + rest
    return jnp.maximum(steps, emitted + 1)


def _spike_time(structure: GridStructure, n: Array, part: Array) -> Array:
    """Return times in step ``n``; those at the border of two steps are products."""
    n = jnp.maximum(n, 0)
    inside = structure.time[n] + structure.dt * part
    return jnp.where(part == 1.0, structure.time[n + 1], inside)


def flowed(given: Fixed, carry: Carry, n: Array) -> tuple[Carry, Spiked]:
    """Return the state after step ``n``, and its spikes."""
    parameters, structure = given.parameters, given.structure
    rules, v_reset = structure.rules, given.parameters.v_reset
    x, y, v_flow = _flow(given.coefficients, carry)
    is_free = carry.release == _FREE
    may_spike = is_free & ~carry.is_over
    is_spike = may_spike & (carry.v < parameters.v_th) & (parameters.v_th <= v_flow)
    spiked = _spiked(given, carry, v_flow, is_spike)

    holds = rules.hold > 0
    is_reset = carry.is_over | (is_spike & ~holds)
    v = jnp.where(is_reset, v_reset, v_flow) - _softness(given, carry, v_flow)
    release = jnp.where(is_spike, n + 1 + rules.hold + structure.held_steps, carry.release)
    changes = is_free | carry.is_over
    slot = n % structure.slots.shape[0]
    return Carry(
        v=jnp.where(changes, v, carry.v),
        x=x,
        y=y,
        release=release,
        is_over=is_spike & holds,
        late=jnp.where(is_spike, spiked.late, carry.late),
        slot_part=carry.slot_part.at[slot].set(spiked.part),
        slot_late=carry.slot_late.at[slot].set(spiked.late),
    ), spiked


def _flow(by: Coefficients, carry: Carry) -> tuple[Array, Array, Array]:
    base, decay = by.base[:, 0], by.decay[:, 0]
    currents = (carry.x * by.by_x + carry.y * by.by_y).sum(axis=1)
    v = base + (carry.v - base) * decay + currents
    return carry.x * by.decay_x, carry.y * by.decay_y + carry.x * by.x_to_y, v


def _spiked(given: Fixed, carry: Carry, v_flow: Array, is_spike: Array) -> Spiked:
    """Return where in the step spikes lie, and their moved times."""
    structure, rules, v_th = given.structure, given.structure.rules, given.parameters.v_th
    rise = jnp.where(is_spike, jax.lax.stop_gradient(v_flow - carry.v), 1.0)
    crossing = jax.lax.stop_gradient(v_th - carry.v) / rise
    part = jnp.where(rules.is_linear, crossing, rules.end)
    slant = jnp.where(rules.is_linear, crossing, 0.0)
    lag = moved(v_th) - moved(carry.v) - slant * (moved(v_flow) - moved(carry.v))
    late = jnp.where(is_spike, structure.dt / rise * lag, 0.0)
    return Spiked(jnp.where(is_spike, part, -1.0), late)


def _softness(given: Fixed, carry: Carry, v_flow: Array) -> Array:
    """Return zero, with the tangent of a reset by a soft step: superspike."""
    rules, v_th = given.structure.rules, given.parameters.v_th
    seen = jnp.where(rules.hold > 0, carry.v, v_flow)
    slope = 1.0 / (rules.steepness * jnp.abs(seen - v_th) + 1.0) ** 2
    height = jax.lax.stop_gradient((v_flow - given.parameters.v_reset) * slope)
    return jnp.where(rules.is_surrogate, height * (moved(seen) - moved(v_th)), 0.0)
