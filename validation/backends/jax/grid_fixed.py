"""What is the same in all steps of the time-stepped JAX back end.

`moved(z)` is z - stop_gradient(z): zero, with the tangent of z. So times go through the rounding
with their tangents, and each tangent of a scheme is a term with the value zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from validation.backends.jax.convolutions import cascade_gain, convolve2, convolve3
from validation.backends.jax.grid_structure import GridStructure
from validation.backends.jax.layout import Parameters
from validation.backends.jax.setup import jax, jnp

Array = Any


class Coefficients(NamedTuple):
    """One step without spikes: v to base + (v - base) decay + x by_x + y by_y, and so on."""

    base: Array  # (n, 1)
    decay: Array  # (n, 1)
    by_x: Array  # (n, P)
    by_y: Array  # (n, P)
    decay_x: Array  # (P,)
    decay_y: Array  # (P,)
    x_to_y: Array  # (P,)


class Fixed(NamedTuple):
    """What is the same in all steps."""

    parameters: Parameters
    structure: GridStructure
    coefficients: Coefficients
    rate: Array  # (n,) 1/ms, without tangents like the next three
    r: Array  # (P,) 1/ms
    s: Array  # (P,)
    gain: Array  # (P,)
    weight: Array  # (S,), or (G, n P) of all synapses of a group
    weight_late: Array  # the same times how late the delay is: zero, with tangents
    count: Array  # (steps + 1, n, P) weights of input spikes that arrive
    late: Array  # (steps + 1, n, P) the same times how late they are: zero, with tangents


def moved(z: Array) -> Array:
    """Return zero, with the tangent of ``z``."""
    return z - jax.lax.stop_gradient(z)


def fixed(parameters: Parameters, structure: GridStructure) -> Fixed:
    """Return what is the same in all steps."""
    r, s = 1.0 / parameters.tau[:, 0], 1.0 / parameters.tau[:, 1]
    gain = jnp.where(structure.synapses.is_cascade, cascade_gain(r, s), 0.0)
    rate = 1.0 / parameters.tau_m
    coefficients = _coefficients(parameters, structure, rate, r, s, gain)
    shape = (rate.shape[0], r.shape[0])
    plain = jax.lax.stop_gradient((rate, r, s, gain))
    weights = _group_weights(parameters, structure, shape)
    arrivals = _inputs(parameters, structure, shape)
    return Fixed(parameters, structure, coefficients, *plain, *weights, *arrivals)


def _group_weights(
    parameters: Parameters, structure: GridStructure, shape: tuple[int, int]
) -> tuple[Array, Array]:
    """Return weights, and these times how late the delays are, as vectors or matrices."""
    synapses, weight = structure.synapses, parameters.weight
    late = weight * moved(parameters.delay)
    if not structure.matrices.shape[0]:
        return weight, late
    place = synapses.post * shape[1] + synapses.port
    at = (structure.groups.of_synapse, place)  # group G is nowhere
    empty = jnp.zeros((structure.groups.pre.shape[0], shape[0] * shape[1]), weight.dtype)
    return empty.at[at].add(weight), empty.at[at].add(late)


def _coefficients(
    parameters: Parameters,
    structure: GridStructure,
    rate: Array,
    r: Array,
    s: Array,
    gain: Array,
) -> Coefficients:
    """Return the coefficients of the membrane that the scheme asks for."""
    a, dt, one = rate[:, None], structure.dt, jnp.ones_like(s)
    is_exact, is_exponential, _, is_euler = (structure.rules.membrane == k for k in range(4))
    decay = jnp.exp(-a * dt)
    by_y = jnp.where(is_exponential, (1.0 - decay) * one, dt * a * one)
    return Coefficients(
        base=(parameters.v_rest + parameters.i_ext)[:, None],
        decay=jnp.where(is_euler, 1.0 - a * dt, decay),
        by_x=jnp.where(is_exact, a * gain * convolve3(a, r, s, dt), 0.0),
        by_y=jnp.where(is_exact, a * convolve2(a, s, dt), by_y),
        decay_x=jnp.where(is_euler, 1.0 - r * dt, jnp.exp(-r * dt)),
        decay_y=jnp.where(is_euler, 1.0 - s * dt, jnp.exp(-s * dt)),
        x_to_y=gain * jnp.where(is_euler, dt, convolve2(r, s, dt)),
    )


def _inputs(
    parameters: Parameters, structure: GridStructure, shape: tuple[int, int]
) -> tuple[Array, Array]:
    """Return what arrives from input spikes in each step."""
    n_rows = structure.time.shape[0] - 1
    synapse, spike = structure.arrival_synapse, structure.arrival_input
    step = structure.arrival_step
    row = jnp.where((step >= 0) & (step <= structure.n_steps), step, n_rows)  # beyond is nowhere
    at = (row, structure.synapses.post[synapse], structure.synapses.port[synapse])
    weight = parameters.weight[synapse]
    # Times of padding are infinite, and have no tangent.
    given = jnp.where(jnp.isfinite(parameters.input_times), parameters.input_times, 0.0)
    late = moved(given)[spike] + moved(parameters.delay)[synapse]
    empty = jnp.zeros((n_rows, *shape), weight.dtype)
    return empty.at[at].add(weight), empty.at[at].add(weight * late)
