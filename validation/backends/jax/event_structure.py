"""What the event-driven JAX back end is given."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from validation.backends.jax.layout import (
    Layout,
    Parameters,
    Synapses,
    layout_of,
    padded,
    parameters_of,
    synapses_of,
)

Array = Any  # a jax.Array or numpy array

_SIZES = {
    "neurons": (16, 8),
    "synapses": (128, 16),
    "ports": (4, 2),
    "inputs": (32, 4),
    "samples": (64, 4),
    "spikes": (128, 4),
    "events": (1024, 4),
}


class Structure(NamedTuple):
    """What cannot be differentiated, padded."""

    synapses: Synapses
    input_source: Array  # (I,) as synapses.pre
    sample_neuron: Array  # (V,)
    sample_time: Array  # (V,) ms, ascending; inf for padding
    duration: Array  # () ms
    spikes: Array  # (spike capacity,) without content: its length is the capacity
    events: Array  # (event capacity,) likewise


def problem(
    network: Network,
    inputs: SpikeTrain,
    duration: float,
    samples: Samples,
    n_spikes: int = 1,
    n_events: int = 1,
) -> tuple[Parameters, Structure, Layout]:
    """Return padded arrays with room for at least so many spikes and events."""
    layout = layout_of(network, inputs, samples, _SIZES)
    n, v = layout.n_neurons, layout.size("samples", len(samples))
    sources = n + inputs.sources[layout.input_order]
    structure = Structure(
        synapses=synapses_of(layout),
        input_source=padded(sources, layout.size("inputs", len(inputs))),
        sample_neuron=padded(samples.neurons[layout.sample_order], v, n - 1),
        sample_time=padded(samples.times[layout.sample_order], v, np.inf),
        duration=np.float64(duration),
        spikes=np.zeros(layout.size("spikes", n_spikes), dtype=np.int8),
        events=np.zeros(layout.size("events", n_events), dtype=np.int8),
    )
    return parameters_of(layout, inputs), structure, layout
