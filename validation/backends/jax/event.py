"""An event-driven simulator in JAX, in float64, whose outputs jax.grad and jax.jvp differentiate.

A first pass finds the order of events, a second one computes spike times and voltages from that
order and is differentiated by JAX. No adjoint is written here, and nothing numerical is shared with
refsim; crossings are found by another method (`event_search`), and the flow of nearly equal
time constants by another formula (`convolutions`).

    with float64():
        parameters, structure, layout = sized_problem(network, inputs, duration, samples)
        outputs = spikes_and_samples(parameters, structure)
        gradient = jax.grad(lambda p: spikes_and_samples(p, structure).time[0])(parameters)
        gradient_of(gradient, layout)["weight"]
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refsim.errors import RefsimError
from refsim.network.inputs import Samples, SpikeTrain, checked_inputs, checked_samples
from refsim.network.network import Network
from refsim.validate import LONGEST, integer, scalar
from validation.backends.jax.event_order import SPIKE, Log, event_log
from validation.backends.jax.event_replay import Outputs, replay
from validation.backends.jax.event_structure import Structure, problem
from validation.backends.jax.layout import (
    Layout,
    Parameters,
    gradient_of,
    in_given_order,
    padded,
)
from validation.backends.jax.setup import check_float64, float64, jax, jnp
from validation.comparison.backend import Answer, LossCotangents

Array = Any

MOST_EVENTS = 4_000_000

__all__ = [
    "NotFinishedError",
    "Outputs",
    "Parameters",
    "Structure",
    "backend",
    "float64",
    "gradient_of",
    "sized_problem",
    "spikes_and_samples",
]

_order = jax.jit(event_log)


class NotFinishedError(RefsimError, RuntimeError):
    """A simulation has more events than it may, or a search for a crossing does not end."""


def spikes_and_samples(parameters: Parameters, structure: Structure) -> Outputs:
    """Return spike times and sampled voltages, which jax.grad and jax.jvp differentiate.

    Parameters
    ----------
    parameters, structure
        From `sized_problem`, under `float64`.

    Returns
    -------
    Outputs
        Padded; all nan, and so are derivatives, if there is no room for all spikes and events.
    """
    for name, value in parameters._asdict().items():
        check_float64(name, jnp.asarray(value))
    log = _order(jax.lax.stop_gradient(parameters), structure)
    return _replay(parameters, structure, log)


_replay = jax.jit(replay)


def sized_problem(
    network: Network,
    inputs: SpikeTrain | None,
    duration: float,
    samples: Samples | None = None,
    most_events: int = MOST_EVENTS,
) -> tuple[Parameters, Structure, Layout]:
    """Return the arrays of a simulation, with room for all of its spikes and events.

    Parameters
    ----------
    network, inputs, duration, samples
        As for :func:`refsim.simulate`.
    most_events : int
        Limit on the number of events: arrivals, samples, and two for each spike.

    Raises
    ------
    NotFinishedError
        If there are more events.
    """
    return _sized(network, inputs, duration, samples, most_events)[:3]


def _sized(
    network: Network,
    inputs: SpikeTrain | None,
    duration: float,
    samples: Samples | None,
    most_events: int = MOST_EVENTS,
) -> tuple[Parameters, Structure, Layout, Log]:
    """Return the arrays of a simulation and its events."""
    end = scalar("duration", duration, 0.0, LONGEST, strict=True)
    given = checked_inputs(inputs, network.n_inputs)
    read = checked_samples(samples, network.n_neurons, end)
    limit = integer("most_events", most_events, 1, MOST_EVENTS)
    n_spikes, n_events = 1, 1
    while True:
        found = problem(network, given, end, read, n_spikes, n_events)
        with float64():
            log = jax.device_get(_order(*found[:2]))
        if log.is_complete:
            return *found, log
        room = found[1].spikes.size, found[1].events.size
        is_full = log.n_spikes >= room[0], log.n_events >= room[1]
        if not any(is_full):
            raise NotFinishedError(f"a search for a crossing does not end: {_place(log)}")
        if log.n_events >= limit:
            raise NotFinishedError(f"there are more than {limit} events: {_place(log)}")
        n_spikes, n_events = (size + full for size, full in zip(room, is_full, strict=True))


def _place(log: Log) -> str:
    """Say where a simulation stopped."""
    last = int(log.n_events) - 1
    time = float(log.time[last]) if last >= 0 else 0.0
    return f"stopped at {time:g} ms, after {int(log.n_spikes)} spikes"


@jax.jit
def _gradient(
    parameters: Parameters, structure: Structure, log: Log, bars: Outputs
) -> tuple[Outputs, Parameters]:
    outputs, pullback = jax.vjp(lambda given: replay(given, structure, log), parameters)
    unused = jnp.isnan(outputs.time)  # beyond the number of spikes
    return outputs, pullback(bars._replace(time=jnp.where(unused, 0.0, bars.time)))[0]


def backend(
    network: Network, inputs: SpikeTrain, duration: float, cotangents: LossCotangents
) -> Answer:
    """Simulate a network and differentiate the loss; see :mod:`validation.comparison.backend`.

    Raises
    ------
    NotFinishedError
        If there are more events than MOST_EVENTS.
    """
    parameters, structure, layout, log = _sized(network, inputs, duration, cotangents.samples)
    is_spike = np.asarray(log.kind) == SPIKE
    neuron, found = np.asarray(log.neuron)[is_spike], np.asarray(log.time)[is_spike]
    order = np.lexsort((neuron, found))
    time_bar = np.empty(len(neuron))
    time_bar[order] = cotangents.of_spikes(neuron[order])
    voltage_bar = cotangents.voltage[layout.sample_order]
    bars = Outputs(
        padded(time_bar, structure.spikes.size), padded(voltage_bar, structure.sample_time.size)
    )
    with float64():
        outputs, gradient = _gradient(parameters, structure, log, bars)
    return Answer(
        time=np.asarray(outputs.time)[: len(neuron)][order],
        neuron=neuron[order],
        gradient=gradient_of(gradient, layout),
        voltages=in_given_order(outputs.voltage, layout.sample_order),
    )
