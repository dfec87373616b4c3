"""What the event-driven JAX back end is given: arrays of padded sizes, shared by many networks.

Sizes are rounded up, so that networks of similar size share compiled code. Neurons, synapses and
the like that are only padding are inert: neuron -1 (the last row) takes what concerns nobody.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from refsim.inputs import Samples, SpikeTrain
from refsim.network import Network
from refsim.ports import DoubleExpPort

Array = Any  # a jax.Array or numpy array

NEURON_GROUPS = ("tau_m", "v_th", "v_reset", "v_rest", "i_ext", "t_ref", "v0")
# Smallest padded size and the factor between one and the next, by what is counted.
_SIZES = {
    "neurons": (16, 8),
    "synapses": (128, 16),
    "ports": (4, 2),
    "inputs": (32, 4),
    "samples": (64, 4),
    "spikes": (128, 4),
    "events": (1024, 4),
}
_QUIET = {"tau_m": 1.0, "v_th": 1.0}  # parameters of neurons that never spike; others are 0


class Parameters(NamedTuple):
    """What can be differentiated, padded; neuron -1 is not one."""

    weight: Array  # (S,)
    delay: Array  # (S,) ms
    tau_m: Array  # (n,) ms
    tau: Array  # (P, 2) ms, rise and decay; an exp port has a decay only
    v_th: Array  # (n,)
    v_reset: Array  # (n,)
    v_rest: Array  # (n,)
    i_ext: Array  # (n,)
    t_ref: Array  # (n,) ms
    v0: Array  # (n,)
    input_times: Array  # (I,) ms, ascending; inf for padding


class Structure(NamedTuple):
    """What cannot be differentiated, padded."""

    pre: Array  # (S,) neurons, then from n on input channels; -1 for padding
    post: Array  # (S,)
    port: Array  # (S,)
    is_cascade: Array  # (P,) whether a port is a double_exp
    input_source: Array  # (I,) as in `pre`
    sample_neuron: Array  # (V,)
    sample_time: Array  # (V,) ms, ascending; inf for padding
    duration: Array  # () ms
    spikes: Array  # (spike capacity,) without content: its length is the capacity
    events: Array  # (event capacity,) likewise


class Layout(NamedTuple):
    """How arrays of the network lie in padded ones."""

    network: Network
    input_order: Array  # (I,) number of each input spike, in ascending order of time
    sample_order: Array  # (V,)


def padded_size(kind: str, count: int) -> int:
    """Return the size of the arrays that hold ``count`` things of a kind."""
    size, factor = _SIZES[kind]
    while size < count:
        size *= factor
    return size


def padded(values: Any, size: int, fill: Any = 0.0) -> Array:
    """Return values, followed by as many of ``fill`` as there is room for."""
    given = np.asarray(values)
    room = np.full((size - len(given), *given.shape[1:]), fill, dtype=given.dtype)
    return np.concatenate([given, room])


def problem(
    network: Network,
    inputs: SpikeTrain,
    duration: float,
    samples: Samples,
    n_spikes: int = 1,
    n_events: int = 1,
) -> tuple[Parameters, Structure, Layout]:
    """Return padded arrays with room for at least so many spikes and events."""
    input_order = np.argsort(inputs.times, kind="stable")
    sample_order = np.argsort(samples.times, kind="stable")
    layout = Layout(network, input_order, sample_order)
    structure = _structure(layout, inputs, samples, duration, n_spikes, n_events)
    return _parameters(layout, inputs), structure, layout


def _parameters(layout: Layout, inputs: SpikeTrain) -> Parameters:
    network = layout.network
    n = padded_size("neurons", network.n_neurons + 1)
    s = padded_size("synapses", len(network.synapses))
    columns = {
        name: padded(getattr(network, name), n, _QUIET.get(name, 0.0)) for name in NEURON_GROUPS
    }
    times = inputs.times[layout.input_order]
    return Parameters(
        weight=padded(network.weight, s),
        delay=padded(network.delay, s),
        tau=padded(_tau_rows(network), padded_size("ports", len(network.ports)), 1.0),
        input_times=padded(times, padded_size("inputs", len(times)), np.inf),
        **columns,
    )


def _tau_rows(network: Network) -> Array:
    """Return (P, 2) time constants: rise and decay, or 1 and the only one."""
    return np.array([(1.0, *port.time_constants)[-2:] for port in network.ports])


def _structure(
    layout: Layout,
    inputs: SpikeTrain,
    samples: Samples,
    duration: float,
    n_spikes: int,
    n_events: int,
) -> Structure:
    network = layout.network
    n = padded_size("neurons", network.n_neurons + 1)
    s = padded_size("synapses", len(network.synapses))
    pre = np.where(
        network.pre < network.n_neurons, network.pre, network.pre - network.n_neurons + n
    )
    is_cascade = [isinstance(port, DoubleExpPort) for port in network.ports]
    v = padded_size("samples", len(samples))
    return Structure(
        pre=padded(pre.astype(np.int64), s, -1),
        post=padded(network.post.astype(np.int64), s, n - 1),
        port=padded(network.port.astype(np.int64), s),
        is_cascade=padded(is_cascade, padded_size("ports", len(is_cascade)), False),
        input_source=padded(
            n + inputs.sources[layout.input_order], padded_size("inputs", len(inputs))
        ),
        sample_neuron=padded(samples.neurons[layout.sample_order], v, n - 1),
        sample_time=padded(samples.times[layout.sample_order], v, np.inf),
        duration=np.float64(duration),
        spikes=np.zeros(padded_size("spikes", n_spikes), dtype=np.int8),
        events=np.zeros(padded_size("events", n_events), dtype=np.int8),
    )


def gradient_of(gradient: Parameters, layout: Layout) -> dict[str, Array]:
    """Return a gradient by padded parameters in the layout of the network."""
    network = layout.network
    found = {
        name: np.asarray(getattr(gradient, name))[: network.n_neurons] for name in NEURON_GROUPS
    }
    for name in ("weight", "delay"):
        found[name] = np.asarray(getattr(gradient, name))[: len(network.synapses)]
    rows = zip(network.ports, np.asarray(gradient.tau), strict=False)
    found["tau"] = np.concatenate([row[-len(port.time_constants) :] for port, row in rows])
    found["input_times"] = in_given_order(gradient.input_times, layout.input_order)
    return found


def in_given_order(values: Any, order: Array) -> Array:
    """Return what belongs to sorted things in the order in which they were given."""
    given = np.empty(len(order))
    given[order] = np.asarray(values)[: len(order)]
    return given
