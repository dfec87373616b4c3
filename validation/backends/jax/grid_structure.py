"""What the time-stepped JAX back end is given: whole numbers of steps, and the rules as numbers.

What a spike train or a delay does to the *numbers of steps* cannot be differentiated, and is here;
what it does to times is passed straight through the rounding. The rules of a scheme are numbers, so
that all schemes share compiled code.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from refsim.errors import InvalidValueError
from refsim.grid.scheme import MEMBRANES, GridScheme
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from validation.backends.jax.layout import (
    Layout,
    Parameters,
    Sizes,
    Synapses,
    layout_of,
    padded,
    parameters_of,
    synapses_of,
)

Array = Any  # a jax.Array or numpy array

# Steps that have passed since a spike when it may arrive: candidates from the first possible on.
CANDIDATES = 3
_MOST_STEPS = 10_000_000
_END = 1e-9  # steps by which a duration may miss a multiple of the step, or a spike the duration
_SHARED = {
    "neurons": (8, 4),
    "synapses": (32, 8),
    "groups": (32, 8),
    "ports": (4, 2),
    "inputs": (16, 4),
    "samples": (4, 8),
    "steps": (512, 2),
    "slots": (128, 4),
    "arrivals": (256, 8),
    "spikes": (128, 4),  # of one neuron
}


class Rules(NamedTuple):
    """A GridScheme in numbers, 0 or 1 for no or yes."""

    membrane: Array  # () row of MEMBRANES
    is_linear: Array  # () whether spikes lie between the steps
    end: Array  # () 1 if spikes lie at the end of their step
    is_full: Array  # () whether a moved arrival moves the voltage
    is_exact_reset: Array  # ()
    is_surrogate: Array  # ()
    steepness: Array  # ()
    hold: Array  # () steps above threshold
    latency: Array  # () steps


class Groups(NamedTuple):
    """Synapses of one source and one delay: what arrives at one of them arrives at all."""

    pre: Array  # (G,) source, n - 1 for padding
    delay: Array  # (G,) ms
    first: Array  # (G,) steps after its own in which a spike may arrive at the earliest
    even_steps: Array  # (G,) an even number of steps, not more than the delay, and the latency
    rest_steps: Array  # (G,) the rest of the delay, in steps
    of_synapse: Array  # (S,) group of a synapse; G for those of input channels, and for padding


class GridStructure(NamedTuple):
    """What cannot be differentiated, padded."""

    synapses: Synapses
    groups: Groups
    held_steps: Array  # (n,) t_ref as a whole number of steps
    arrival_input: Array  # (Q,) input spike of an arrival
    arrival_synapse: Array  # (Q,)
    arrival_step: Array  # (Q,) -1 for none
    sample_neuron: Array  # (V,)
    sample_step: Array  # (V,) -1 for padding
    n_steps: Array  # ()
    last_part: Array  # () part of the last step that is not after the duration
    dt: Array  # () ms
    time: Array  # (steps + 2,) ms
    slots: Array  # (L,) without content: steps that spikes are kept
    matrices: Array  # (1,) or (0,) without content: whether weights are matrices
    rules: Rules


def n_steps_of(duration: float, dt: float) -> int:
    """Return the number of steps of a simulation."""
    if duration / dt > _MOST_STEPS:
        raise InvalidValueError(
            f"duration is {duration:g} and dt is {dt:g}; expected at most {_MOST_STEPS} steps"
        )
    return math.ceil(duration / dt - _END)


def grid_problem(
    network: Network,
    inputs: SpikeTrain,
    duration: float,
    samples: Samples,
    dt: float,
    scheme: GridScheme,
    dtype: Any = np.float64,
    is_batch: bool = False,
) -> tuple[Parameters, GridStructure, Layout]:
    """Return padded arrays.

    Sizes are those that similar networks share; or with ``is_batch`` hardly padded, and weights
    are matrices of groups and neurons, since products of matrices are what batches are fast with.
    """
    sizes: Sizes = {} if is_batch else _SHARED
    if scheme.membrane == "euler":
        _check_euler(network, dt)
    layout = layout_of(network, inputs, samples, sizes)
    parameters = parameters_of(layout, inputs)
    structure = _structure(layout, inputs, samples, duration, dt, scheme)
    structure = structure._replace(matrices=np.zeros(int(is_batch), dtype=np.int32))
    return _converted(parameters, dtype), _converted(structure, dtype), layout


def _check_euler(network: Network, dt: float) -> None:
    shortest = min(network.tau_m.min(), network.tau.min())
    if dt >= shortest:
        raise InvalidValueError(
            f"dt is {dt:g}; expected less than the shortest time constant {shortest:g} where "
            "the membrane is 'euler'"
        )


def _converted(arrays: Any, dtype: Any) -> Any:
    """Return a NamedTuple with its numbers as ``dtype`` or int32."""
    converted = []
    for column in arrays:
        if isinstance(column, tuple):
            converted.append(_converted(column, dtype))
            continue
        kind = np.asarray(column).dtype.kind
        to = dtype if kind == "f" else np.int32 if kind == "i" else np.bool_
        converted.append(np.asarray(column, dtype=to))
    return type(arrays)(*converted)


def _structure(
    layout: Layout,
    inputs: SpikeTrain,
    samples: Samples,
    duration: float,
    dt: float,
    scheme: GridScheme,
) -> GridStructure:
    network, n = layout.network, layout.n_neurons
    groups = _groups(layout, dt, scheme.latency)
    n_steps = n_steps_of(duration, dt)
    v = layout.size("samples", len(samples))
    arrivals = input_arrivals(layout, inputs, dt, scheme.latency)
    return GridStructure(
        synapses=synapses_of(layout),
        groups=groups,
        held_steps=padded(np.rint(network.t_ref / dt).astype(np.int64), n),
        arrival_input=arrivals[0],
        arrival_synapse=arrivals[1],
        arrival_step=arrivals[2],
        sample_neuron=padded(samples.neurons[layout.sample_order], v, n - 1),
        sample_step=padded(_steps(samples.times[layout.sample_order], dt), v, -1),
        n_steps=np.int64(n_steps),
        last_part=np.float64((duration - (n_steps - 1) * dt) / dt + _END),
        dt=np.float64(dt),
        time=np.arange(layout.size("steps", n_steps + 1) + 1) * dt,
        slots=np.zeros(layout.size("slots", int(groups.first.max()) + CANDIDATES), dtype=np.int32),
        matrices=np.zeros(0, dtype=np.int32),
        rules=_rules(scheme),
    )


def _groups(layout: Layout, dt: float, latency: int) -> Groups:
    network = layout.network
    is_inner = network.pre < network.n_neurons
    pairs = np.stack([network.pre[is_inner], network.delay[is_inner]], axis=1)
    unique, number = np.unique(pairs, axis=0, return_inverse=True)
    size = layout.size("groups", len(unique))
    of_synapse = np.full(layout.size("synapses", len(network.synapses)), size)
    of_synapse[np.flatnonzero(is_inner)] = number.reshape(-1)
    delay = padded(unique[:, 1], size)
    steps = delay / dt
    even = 2 * np.floor(steps / 2).astype(np.int64)
    # The first candidate lies a little early, in case that the quotient is rounded up.
    first = np.floor(steps + 0.5 - 1e-6).astype(np.int64) + latency
    return Groups(
        pre=padded(unique[:, 0].astype(np.int64), size, layout.n_neurons - 1),
        delay=delay,
        first=np.maximum(first, 1),
        even_steps=even + latency,
        rest_steps=steps - even,
        of_synapse=of_synapse,
    )


def _steps(time: Array, dt: float) -> Array:
    return np.rint(time / dt).astype(np.int64)


def input_arrivals(
    layout: Layout, inputs: SpikeTrain, dt: float, latency: int
) -> tuple[Array, Array, Array]:
    """Return input spike, synapse and step (Q,) of all arrivals of input spikes."""
    network = layout.network
    sources = network.n_neurons + inputs.sources[layout.input_order]
    order = np.argsort(network.pre, kind="stable")
    start = np.searchsorted(network.pre[order], sources)
    count = np.searchsorted(network.pre[order], sources, side="right") - start
    which = np.repeat(np.arange(len(sources)), count)
    nth = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    synapse = order[start[which] + nth]
    time = inputs.times[layout.input_order][which] + network.delay[synapse]
    step = np.maximum(_steps(time, dt), 0) + latency
    q = layout.size("arrivals", len(which))
    return padded(which, q), padded(synapse, q), padded(step, q, -1)


def _rules(scheme: GridScheme) -> Rules:
    return Rules(
        membrane=np.int64(MEMBRANES.index(scheme.membrane)),
        is_linear=np.bool_(scheme.spike_time == "linear"),
        end=np.float64(scheme.spike_time == "end"),
        is_full=np.bool_(scheme.receive == "full"),
        is_exact_reset=np.bool_(scheme.reset == "exact"),
        is_surrogate=np.bool_(scheme.reset == "surrogate"),
        steepness=np.float64(scheme.steepness),
        hold=np.int64(scheme.hold),
        latency=np.int64(scheme.latency),
    )
