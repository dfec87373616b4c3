"""A time-stepped simulator in JAX, in float64 or float32, by the rules of refsim.GridScheme.

An independent second opinion on refsim.Grid: a scan over steps, with
a ring of the latest spikes of each neuron that carries their times with the tangents,
differentiated by JAX. Nothing numerical is shared with refsim. It runs on whatever device JAX has,
and a batch of spike trains in one call.

    answer = backend(network, inputs, duration, cotangents, dt=0.1)
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from refsim.grid.scheme import GridScheme, checked_scheme
from refsim.network.inputs import SpikeTrain, checked_inputs, checked_samples
from refsim.network.network import Network
from refsim.validate import LONGEST, choice, scalar
from validation.backends.jax.grid_fixed import fixed
from validation.backends.jax.grid_step import Carry, delivered, flowed, released, start
from validation.backends.jax.grid_structure import GridStructure, grid_problem
from validation.backends.jax.layout import (
    Layout,
    Parameters,
    gradient_of,
    in_given_order,
    padded,
)
from validation.backends.jax.setup import float64, jax, jnp
from validation.comparison.backend import Answer, LossCotangents

Array = Any
# What differs between the samples of a batch.
OF_SAMPLE = ("input_times", "arrival_input", "arrival_synapse", "arrival_step")


class GridOutputs(NamedTuple):
    """What a simulation gives, padded."""

    part: Array  # (steps, n) where in its step a spike lies, from 0 to 1; -1 for no spike
    late: Array  # (steps, n) zero, with the tangent of the time of the spike
    voltage: Array  # (V,) of the samples in order of their times


def simulate(parameters: Parameters, structure: GridStructure) -> GridOutputs:
    """Simulate in time steps; a function that JAX differentiates, vmaps and jits."""
    given = fixed(parameters, structure)

    def step(carry: tuple[Carry, Array], n: Array) -> tuple[tuple[Carry, Array], Any]:
        before, voltage = carry
        here = delivered(given, released(given, before, n), n)
        is_read = structure.sample_step == n
        voltage = jnp.where(is_read, here.v[structure.sample_neuron], voltage)
        after, spiked = flowed(given, here, n)
        last = structure.n_steps - 1
        is_in_time = (n < last) | ((n == last) & (spiked.part <= structure.last_part))
        is_spike = (spiked.part >= 0.0) & is_in_time
        return (after, voltage), (jnp.where(is_spike, spiked.part, -1.0), spiked.late)

    voltage = jnp.zeros(structure.sample_step.shape, parameters.v0.dtype)
    numbers = jnp.arange(structure.time.shape[0] - 1, dtype=jnp.int32)
    (_, voltage), (part, late) = jax.lax.scan(step, (start(given), voltage), numbers)
    return GridOutputs(part, late, voltage)


def value_and_pullback(
    parameters: Parameters, structure: GridStructure, time_bar: Array, voltage_bar: Array
) -> tuple[GridOutputs, Parameters]:
    """Return the outputs and the gradient.

    Parameters
    ----------
    parameters, structure
        From `grid_problem`.
    time_bar : (n, K) array
        dL/d(spike time) of the first, second, ... spike of each neuron; 0 for later ones.
    voltage_bar : (V,) array
        dL/d(voltage) of the samples in order of their times.
    """
    outputs, pullback = jax.vjp(lambda given: simulate(given, structure), parameters)
    late_bar = _late_bar(outputs.part, time_bar)
    return outputs, pullback(GridOutputs(jnp.zeros_like(outputs.part), late_bar, voltage_bar))[0]


def _late_bar(part: Array, time_bar: Array) -> Array:
    """Return cotangents (..., steps, n) of spikes from those of the first, second, ... spike."""
    is_spike = part >= 0.0
    nth = jnp.cumsum(is_spike, axis=-2) - 1
    known = is_spike & (nth < time_bar.shape[1])
    bars = time_bar[jnp.arange(time_bar.shape[0]), jnp.where(known, nth, 0)]
    return jnp.where(known, bars, 0.0)


_value_and_pullback = jax.jit(value_and_pullback)


@partial(jax.jit, static_argnames="wrt_inputs")
def batch_gradient(
    parameters: Parameters,
    structure: GridStructure,
    time_bar: Array,
    wrt_inputs: bool = False,
) -> tuple[Array, Parameters]:
    """Return spikes of many samples of one network, and the gradient of the sum of their losses.

    Parameters
    ----------
    parameters, structure
        Of one sample, but those members that OF_SAMPLE names with a first axis (B,).
    time_bar : (n, K) array
        As for `value_and_pullback`, the same for all samples.
    wrt_inputs : bool
        Whether the gradient by input times, (B, I), is wanted; zeros if not.

    Returns
    -------
    part : (B, steps, n) array
        Spikes, as in GridOutputs.
    gradient : Parameters
        Sums over the batch, apart from that by input times.
    """
    many = jax.vmap(simulate, in_axes=(_axes(Parameters), _axes(GridStructure)))

    def outputs_of(differentiated: Parameters) -> GridOutputs:
        times = differentiated.input_times if wrt_inputs else parameters.input_times
        return many(differentiated._replace(input_times=times), structure)

    outputs, pullback = jax.vjp(outputs_of, parameters)
    zeros = GridOutputs(*map(jnp.zeros_like, outputs))
    bars = zeros._replace(late=_late_bar(outputs.part, time_bar))
    return outputs.part, pullback(bars)[0]


def _axes(kind: Any) -> Any:
    """Return which members of a NamedTuple have an axis of samples."""
    return kind(*(0 if name in OF_SAMPLE else None for name in kind._fields))


def backend(
    network: Network,
    inputs: SpikeTrain,
    duration: float,
    cotangents: LossCotangents,
    *,
    dt: float,
    scheme: GridScheme = GridScheme(),  # noqa: B008  (frozen)
    dtype: str = "float64",
) -> Answer:
    """Simulate a network in time steps and differentiate the loss.

    Called as :mod:`validation.comparison.backend` says.

    Parameters
    ----------
    network, inputs, duration, cotangents
        The question.
    dt : float
        Time step in ms.
    scheme : GridScheme
        Rules of the simulation.
    dtype : {"float64", "float32"}
        Precision.
    """
    end = scalar("duration", duration, 0.0, LONGEST, strict=True)
    step = scalar("dt", dt, 0.0, LONGEST, strict=True)
    rules = checked_scheme(scheme)
    number = np.dtype(choice("dtype", dtype, ("float64", "float32")))
    given = checked_inputs(inputs, network.n_inputs)
    samples = checked_samples(cotangents.samples, network.n_neurons, end)
    parameters, structure, layout = grid_problem(network, given, end, samples, step, rules, number)
    voltage_bar = np.zeros(len(structure.sample_step), number)
    voltage_bar[: len(samples)] = cotangents.voltage[layout.sample_order]
    with float64() if dtype == "float64" else nullcontext():
        outputs, gradient = jax.device_get(
            _value_and_pullback(
                parameters, structure, _table(layout, cotangents, number), voltage_bar
            )
        )
    time, neuron = spikes_of(outputs.part, step)
    return Answer(
        time=time,
        neuron=neuron,
        gradient=gradient_of(gradient, layout),
        voltages=in_given_order(outputs.voltage, layout.sample_order),
    )


def _table(layout: Layout, cotangents: LossCotangents, dtype: Any) -> Array:
    """Return cotangents (n, K) of the first, second, ... spike of each neuron."""
    n_spikes = int(cotangents.nth.max(initial=-1)) + 1
    table = np.zeros((layout.n_neurons, layout.size("spikes", n_spikes)), dtype)
    table[cotangents.neuron, cotangents.nth] = cotangents.time
    return table


def spikes_of(part: Array, dt: float) -> tuple[Array, Array]:
    """Return times in ms and neurons of spikes (steps, n), sorted by (time, neuron)."""
    step, neuron = np.nonzero(part >= 0.0)
    inside = part[step, neuron].astype(np.float64)
    time = np.where(inside == 1.0, (step + 1) * dt, step * dt + dt * inside)
    order = np.lexsort((neuron, time))
    return time[order], neuron[order]


def batched(
    problems: Sequence[tuple[Parameters, GridStructure]],
) -> tuple[Parameters, GridStructure]:
    """Return the arrays of many spike trains over one network, for `batch_gradient`.

    Parameters
    ----------
    problems : sequence of (Parameters, GridStructure)
        From `grid_problem`, for the same network, duration, step and scheme.
    """
    parameters, structure = problems[0]
    for name in OF_SAMPLE[1:]:
        columns = _of_one_length([getattr(one, name) for _, one in problems], -1)
        structure = structure._replace(**{name: columns})
    times = _of_one_length([one.input_times for one, _ in problems], np.inf)
    return parameters._replace(input_times=times), structure


def _of_one_length(columns: Sequence[Array], fill: float) -> Array:
    """Return columns as rows of one array, filled up to the longest."""
    longest = max(len(column) for column in columns)
    return np.stack([padded(column, longest, fill) for column in columns])
