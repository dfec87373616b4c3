"""Voltages of one neuron on a grid, replayed from the spikes of a finished simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from queues.jit import jit
from refsim import model as neuron
from refsim.datum import start_of, voltages_of
from refsim.grid import arrival_times
from refsim.lossy import NoLosses, lost_bits

if TYPE_CHECKING:
    from refsim.simulation import Simulation


@jit
def _replay(model, n, v, x, times, arrivals, ports, weights, crossings, scratch, out):
    """Write the voltage at ``times``; all times ascend, and ties are those of the event loop.

    The steps between arrivals and spikes are those of the event loop, so that the voltages are
    the same to the last bit; ``scratch`` is room for the states at a time of the grid.
    """
    time = 0.0
    release = -1.0
    i = np.int64(0)
    k = np.int64(0)
    for j in range(times.shape[0]):
        t = times[j]
        while True:
            spike = crossings[k] if k < crossings.shape[0] else np.inf
            arrival = arrivals[i] if i < arrivals.shape[0] else np.inf
            now = min(spike, arrival)
            if now > t:
                break
            if release >= 0.0 and now >= release:
                neuron.flow_current(model, x, release - time)
                time = release
                release = -1.0
            if release < 0.0:
                v = neuron.flow_voltage(model, n, v, x, now - time)
            neuron.flow_current(model, x, now - time)
            time = now
            if spike <= arrival:
                v = model.neurons.v_reset[n]
                release = now + model.neurons.t_ref[n]
                k += 1
            else:
                neuron.arrive(model, ports[i], weights[i], x)
                i += 1
        if t < release:
            out[j] = v
            continue
        for q in range(x.shape[0]):
            scratch[q] = x[q]
        begin = time
        if release >= 0.0:
            neuron.flow_current(model, scratch, release - time)
            begin = release
        out[j] = neuron.flow_voltage(model, n, v, scratch, t - begin)


def _arrivals_at(simulation: Simulation, n: int) -> tuple[NDArray, NDArray, NDArray]:
    """Return times, ports and weights of the arrivals at ``n`` in the order of the event loop."""
    wiring = simulation.network.wiring
    rows = np.flatnonzero(wiring.post == n)
    source = np.searchsorted(wiring.start, rows, side="right") - 1
    emitted, emitter = emissions(simulation)
    by_source = np.argsort(emitter, kind="stable")
    bounds = np.searchsorted(emitter[by_source], np.arange(len(wiring.start)))
    times: list[NDArray[np.float64]] = []
    synapses: list[NDArray[np.int64]] = []
    orders: list[NDArray[np.int64]] = []
    losses = simulation.losses
    lost = lost_bits(losses)
    for row, s in zip(rows, source, strict=True):
        spikes = by_source[bounds[s] : bounds[s + 1]]
        if not isinstance(losses, NoLosses):
            spikes = spikes[~lost[losses.start[spikes] + row - wiring.start[s]]]
        times.append(arrival_times(simulation.dt, emitted[spikes], wiring.delay[row]))
        synapses.append(np.full(len(spikes), row))
        orders.append(spikes)
    if not times:
        return np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0)
    time, synapse, order = (
        np.concatenate(times),
        np.concatenate(synapses),
        np.concatenate(orders),
    )
    sequence = np.lexsort((synapse, order, time))
    synapse = synapse[sequence]
    return time[sequence], wiring.port[synapse], wiring.weight[synapse]


def emissions(simulation: Simulation) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return time and source of every emission in order; channel c is source n + c."""
    given = np.argsort(simulation.inputs.times, kind="stable")
    origin = simulation.origin
    row = np.maximum(origin, 0)
    is_input = origin < 0
    time = np.zeros(len(origin))
    source = np.zeros(len(origin), dtype=np.int64)
    time[~is_input] = simulation.spikes.time[row[~is_input]]
    source[~is_input] = simulation.spikes.neuron[row[~is_input]]
    number = given[-1 - origin[is_input]]
    time[is_input] = simulation.inputs.times[number]
    source[is_input] = simulation.network.n_neurons + simulation.inputs.sources[number]
    return time, source


def dropped(simulation: Simulation) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return source, time of emission, synapse and time of arrival of what was lost."""
    wiring = simulation.network.wiring
    time, source = emissions(simulation)
    degree = np.diff(wiring.start)[source]
    bit = np.flatnonzero(lost_bits(simulation.losses))
    begin = np.cumsum(degree) - degree  # first bit of each emission
    order = np.searchsorted(begin + degree, bit, side="right")
    row = wiring.start[source[order]] + bit - begin[order]
    arrival = arrival_times(simulation.dt, time[order], wiring.delay[row])
    return source[order], time[order], wiring.number[row], arrival


def replay(simulation: Simulation, n: int, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the voltage of neuron ``n`` at ascending ``times``."""
    model = simulation.network.model
    arrivals, ports, weights = _arrivals_at(simulation, n)
    crossings = simulation.spikes.time[simulation.spikes.neuron == n]
    n_states = len(model.ports.rate)
    out = np.zeros(len(times))
    x = np.zeros(n_states)
    v = float(start_of(simulation.network)[n])
    room = np.zeros(n_states)
    _replay(model, n, v, x, times, arrivals, ports, weights, crossings, room, out)
    return voltages_of(simulation.network, out, np.full(len(times), n))
