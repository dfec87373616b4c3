"""Parameters of a network as arrays of padded sizes, for the JAX back ends.

Sizes are rounded up, so that networks of similar size share compiled code. Neurons, synapses and
the like that are only padding are inert: neuron -1 (the last row) takes what concerns nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.network.parameters import OF_NEURONS, OF_SYNAPSES
from refsim.network.ports import DoubleExpPort

Array = Any  # a jax.Array or numpy array
# Least padded size and the factor from one to the next, by what is counted; no padding if missing.
Sizes = Mapping[str, tuple[int, int]]

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


class Synapses(NamedTuple):
    """Where synapses lead, padded."""

    pre: Array  # (S,) neurons, then from n on input channels; -1 for padding
    post: Array  # (S,)
    port: Array  # (S,)
    is_cascade: Array  # (P,) whether a port is a double_exp


class Layout(NamedTuple):
    """How arrays of a network lie in padded ones."""

    network: Network
    input_order: Array  # (I,) number of each input spike, in ascending order of time
    sample_order: Array  # (V,)
    sizes: Sizes

    def size(self, kind: str, count: int) -> int:
        """Return the size of the arrays that hold ``count`` things of a kind."""
        if kind not in self.sizes:
            return max(count, 1)
        size, factor = self.sizes[kind]
        while size < count:
            size *= factor
        return size

    @property
    def n_neurons(self) -> int:
        """Padded number of neurons."""
        return self.size("neurons", self.network.n_neurons + 1)


def layout_of(network: Network, inputs: SpikeTrain, samples: Samples, sizes: Sizes) -> Layout:
    """Return the layout of a network, its inputs and samples."""
    input_order = np.argsort(inputs.times, kind="stable")
    return Layout(network, input_order, np.argsort(samples.times, kind="stable"), sizes)


def padded(values: Any, size: int, fill: Any = 0.0) -> Array:
    """Return values, followed by as many of ``fill`` as there is room for."""
    given = np.asarray(values)
    room = np.full((size - len(given), *given.shape[1:]), fill, dtype=given.dtype)
    return np.concatenate([given, room])


def parameters_of(layout: Layout, inputs: SpikeTrain) -> Parameters:
    """Return the padded parameters of a network and its inputs."""
    network = layout.network
    n, s = layout.n_neurons, layout.size("synapses", len(network.synapses))
    columns = {
        name: padded(getattr(network, name), n, _QUIET.get(name, 0.0)) for name in OF_NEURONS
    }
    columns |= {name: padded(getattr(network, name), s) for name in OF_SYNAPSES}
    times = inputs.times[layout.input_order]
    taus = np.array([(1.0, *port.time_constants)[-2:] for port in network.ports])
    return Parameters(
        tau=padded(taus, layout.size("ports", len(taus)), 1.0),
        input_times=padded(times, layout.size("inputs", len(times)), np.inf),
        **columns,
    )


def synapses_of(layout: Layout) -> Synapses:
    """Return the padded synapses of a network."""
    network, n = layout.network, layout.n_neurons
    s = layout.size("synapses", len(network.synapses))
    is_input = network.pre >= network.n_neurons
    pre = np.where(is_input, network.pre - network.n_neurons + n, network.pre)
    is_cascade = [isinstance(port, DoubleExpPort) for port in network.ports]
    return Synapses(
        pre=padded(pre.astype(np.int32), s, -1),
        post=padded(network.post.astype(np.int32), s, n - 1),
        port=padded(network.port.astype(np.int32), s),
        is_cascade=padded(is_cascade, layout.size("ports", len(is_cascade)), False),
    )


def gradient_of(gradient: Parameters, layout: Layout) -> dict[str, Array]:
    """Return a gradient by padded parameters in the layout of the network."""
    network = layout.network
    columns = {name: np.asarray(values) for name, values in gradient._asdict().items()}
    found = {name: columns[name][: network.n_neurons] for name in OF_NEURONS}
    found |= {name: columns[name][: len(network.synapses)] for name in OF_SYNAPSES}
    rows = zip(network.ports, columns["tau"], strict=False)
    found["tau"] = np.concatenate([row[-len(port.time_constants) :] for port, row in rows])
    found["input_times"] = in_given_order(columns["input_times"], layout.input_order)
    return found


def in_given_order(values: Any, order: Array) -> Array:
    """Return what belongs to sorted things in the order in which they were given."""
    given = np.empty(len(order))
    given[order] = np.asarray(values)[: len(order)]
    return given
