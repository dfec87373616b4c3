"""A case moved along a direction of its parameters, and spikes matched across such moves."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from adjoint.types import Parameters
from refsim.cases import Case
from refsim.engine import simulate
from refsim.errors import InvalidValueError
from refsim.network.inputs import SpikeTrain
from refsim.results.simulation import Simulation
from validation.arrivals import arrivals


class PatternChangedError(Exception):
    """The moved network spikes in another pattern, or is not a network any more.

    The pattern is the number of spikes of each neuron, for each spike and each end of
    refractoriness the number of arrivals before it, and for each sample the numbers of events that
    it comes after. Where it is kept, the loss is smooth.
    """


def value_of(case: Case, name: str) -> NDArray[np.float64]:
    """Return the values of one group of parameters."""
    return case.inputs.times if name == "input_times" else getattr(case.network, name)


def moved(case: Case, direction: Parameters, step: float) -> Case:
    """Return the case with every parameter moved by ``step`` times its direction."""
    changes = {
        name: value_of(case, name) + step * values
        for name, values in direction.items()
        if np.any(values)
    }
    times = changes.pop("input_times", case.inputs.times)
    inputs = SpikeTrain(times, case.inputs.sources, case.inputs.n_inputs)
    network = case.network.replace(**changes) if changes else case.network
    return replace(case, network=network, inputs=inputs)


def by_neuron_order(simulation: Simulation) -> NDArray[np.int64]:
    """Return the rows of spikes sorted by neuron, then time: the same spikes after any move."""
    return np.argsort(simulation.spikes.neuron, kind="stable")


def arrivals_before(simulation: Simulation) -> NDArray[np.int64]:
    """Return the number of arrivals at its neuron before each spike, and before each release.

    The order is that of neurons, then times: the same events after any move.
    """
    spikes, events = simulation.spikes, arrivals(simulation)
    release = spikes.time + simulation.network.t_ref[spikes.neuron]
    moments = np.concatenate([spikes.time, release, events.time])
    neuron = np.concatenate([spikes.neuron, spikes.neuron, events.neuron])
    is_arrival = np.arange(len(moments)) >= 2 * len(spikes.time)
    order = np.lexsort((is_arrival, moments, neuron))
    seen = np.cumsum(is_arrival[order])
    first = np.searchsorted(neuron[order], neuron[order])
    seen = seen - np.concatenate([[0], seen])[first]
    return seen[~is_arrival[order]]


def events_before_samples(simulation: Simulation) -> NDArray[np.int64]:
    """Return how many events of its neuron each sample comes after, itself last of equal times.

    Returns
    -------
    (3, V) int
        Spikes, releases, and arrivals; of the last none while the voltage is held.
    """
    spikes, samples, events = simulation.spikes, simulation.samples, arrivals(simulation)
    release = spikes.time + simulation.network.t_ref[spikes.neuron]
    moments = np.concatenate([spikes.time, release, events.time, samples.times])
    neuron = np.concatenate([spikes.neuron, spikes.neuron, events.neuron, samples.neurons])
    sizes = [len(spikes.time), len(release), len(events.time), len(samples)]
    kind = np.repeat(np.arange(4), sizes)
    order = np.lexsort((kind, moments, neuron))
    first = np.searchsorted(neuron[order], neuron[order])
    seen = np.cumsum(kind[order] == np.arange(3)[:, None], axis=1)
    seen -= np.concatenate([np.zeros((3, 1), dtype=np.int64), seen], axis=1)[:, first]
    before = np.zeros((3, len(samples)), dtype=np.int64)
    is_sample = kind[order] == 3
    before[:, order[is_sample] - sum(sizes[:3])] = seen[:, is_sample]
    before[2, before[0] > before[1]] = 0
    return before


def pattern(simulation: Simulation) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what moves must leave alone, beside the numbers of spikes."""
    return arrivals_before(simulation), events_before_samples(simulation)


# The unmoved run is compared with every moved one.
_pattern_of_base = lru_cache(maxsize=1)(pattern)


def loss_change(case: Case, base: Simulation, direction: Parameters, step: float) -> float:
    """Return how much the loss of the case changes with a move, spike by spike.

    Raises
    ------
    PatternChangedError
        If the pattern of spikes and arrivals changes.
    """
    try:
        there = moved(case, direction, step)
    except InvalidValueError as error:
        raise PatternChangedError(str(error)) from None
    run = simulate(there.network, there.inputs, there.duration, samples=there.samples)
    rows, rows_base = by_neuron_order(run), by_neuron_order(base)
    if not np.array_equal(run.spikes.neuron[rows], base.spikes.neuron[rows_base]):
        raise PatternChangedError("a neuron spikes more or less often")
    of_arrivals, of_samples = pattern(run)
    of_arrivals_base, of_samples_base = _pattern_of_base(base)
    if not np.array_equal(of_arrivals, of_arrivals_base):
        raise PatternChangedError("an arrival has passed a crossing or a release")
    if not np.array_equal(of_samples, of_samples_base):
        raise PatternChangedError("an event has passed a sample of its neuron")
    assert case.time_bar is not None
    change = run.spikes.time[rows] - base.spikes.time[rows_base]
    of_voltages = case.voltage_bar * (run.voltages - base.voltages)
    return float(np.dot(case.time_bar[rows_base], change) + of_voltages.sum())
