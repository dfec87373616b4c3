"""Voltages on a grid, replayed from the spikes of a finished simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from queues.compiled.jit import jit
from refsim.models import lif as neuron
from refsim.network.voltages import start_of, voltages_of
from refsim.transit.arrivals import arrival_times
from refsim.transit.lossy import NoLosses, lost_bits
from refsim.types import Float, Int

if TYPE_CHECKING:
    from refsim.results.simulation import Simulation

_MOST_SYNAPSES = 2**21  # onto neurons that are replayed together, by the mean in-degree
_ROOM = 2**16  # synapses that are found in one call


class Known(NamedTuple):
    """What reaches a neuron, and its spikes, in order of time."""

    arrivals: Float  # ms
    ports: Int
    weights: Float
    crossings: Float  # ms


@jit
def _replay(model, n, v, x, times, known, scratch, out):
    """Write the voltage at ``times``; all times ascend, and ties are those of the event loop.

    The steps between arrivals and spikes are those of the event loop, so that the voltages are
    the same to the last bit; ``scratch`` is room for the states at a time of the grid.
    """
    arrivals, ports, weights, crossings = known
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
                v, release = neuron.fire(model, n, now)
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


@jit
def _find_onto(first, last, begin, post, is_asked, found, of_range):
    """Write the synapses onto neurons asked for, and the range that each is of.

    Return how many there are, and the range before which room has ended.
    """
    size = np.int64(0)
    for r in range(begin, first.shape[0]):
        if last[r] - first[r] > found.shape[0] - size:
            return size, r
        for k in range(first[r], last[r]):
            if is_asked[post[k]]:
                found[size] = k
                of_range[size] = r
                size += 1
    return size, first.shape[0]


class _Synapses(NamedTuple):
    """All synapses, as the engine that has run holds them, by source, then block of targets."""

    start: Int  # (sources * B + 1,) first synapse of each row
    edge: Int  # (B + 1,) first neuron of each block
    post: NDArray[np.integer]
    port: NDArray[np.integer]
    weight: NDArray[np.floating]
    delay: Float
    group: NDArray[np.integer]  # index into delay, or empty if that is of each synapse

    @classmethod
    def of(cls, simulation: Simulation) -> _Synapses:
        """Take those that are laid out already."""
        network = simulation.network
        if simulation.engine != "windows":
            wiring = network.wiring
            edge = np.array([0, network.n_neurons])
            none = np.zeros(0, np.uint16)
            return cls(
                wiring.start, edge, wiring.post, wiring.port, wiring.weight, wiring.delay, none
            )
        rows = network.rows[0]
        size = len(rows.post)
        port = rows.port if len(rows.port) else np.broadcast_to(rows.only_port, size)
        one = len(rows.delay) == 1 and not len(rows.group)
        delay = np.broadcast_to(rows.delay, size) if one else rows.delay
        return cls(rows.start, rows.edge, rows.post, port, rows.weight, delay, rows.group)

    def delays(self, synapse: Int) -> Float:
        """Return the delays of some synapses."""
        return self.delay[self.group[synapse] if len(self.group) else synapse]

    def onto(self, neurons: Int, sources: Int) -> tuple[Int, Int]:
        """Return the synapses of some sources onto some neurons, in order, and their sources."""
        n_blocks = len(self.edge) - 1
        is_asked = np.zeros(self.edge[-1], dtype=bool)
        is_asked[neurons] = True
        blocks = np.unique(np.searchsorted(self.edge, neurons, side="right") - 1)
        row = (sources[:, None] * n_blocks + blocks).ravel()
        first, last = self.start[row], self.start[row + 1]
        room = max(_ROOM, int((last - first).max(initial=0)))
        found, of_range = np.empty(room, np.int64), np.empty(room, np.int64)
        parts, begin = [(found[:0], of_range[:0])], 0
        while begin < len(row):
            size, begin = _find_onto(first, last, begin, self.post, is_asked, found, of_range)
            parts.append((found[:size].copy(), of_range[:size].copy()))
        synapse, number = (np.concatenate(column) for column in zip(*parts, strict=True))
        return synapse, row[number] // n_blocks


class _Grouped(NamedTuple):
    """Rows of a table by a number that each has; those of one number stay in order."""

    row: Int
    start: Int  # (numbers + 1,)

    @classmethod
    def by(cls, number: Int, size: int, row: Int) -> _Grouped:
        """Group rows with numbers below ``size``."""
        # NumPy sorts integers of 16 bits digit by digit, and so in a tenth of the time.
        keys = number.astype(np.uint16) if size <= 2**16 else number
        start = np.concatenate([[0], np.cumsum(np.bincount(number, minlength=size))])
        return cls(row[np.argsort(keys, kind="stable")], start)

    def of(self, number: Int) -> tuple[Int, Int]:
        """Return the rows of each of some numbers in turn, and which of these they are of."""
        first = self.start[number]
        size = self.start[number + 1] - first
        which = np.repeat(np.arange(len(number)), size)
        begin = np.cumsum(size) - size
        return self.row[np.arange(len(which)) + (first - begin)[which]], which


class _Events:
    """What reaches some neurons: one look at the synapses, and one at the emissions."""

    def __init__(self, simulation: Simulation, synapses: _Synapses, emitted: Float, source: Int):
        self._simulation = simulation
        self._synapses = synapses
        self._emitted, self._source = emitted, source
        self._has_emitted = np.flatnonzero(np.bincount(source, minlength=1))
        self._lost = lost_bits(simulation.losses)

    def gather(self, neurons: Int) -> None:
        """Find the arrivals and the spikes of some ascending neurons."""
        n, n_sources = self._simulation.network.n_neurons, len(self._synapses.start) - 1
        self._place = np.full(n, -1)
        self._place[neurons] = np.arange(len(neurons))
        self._synapse, self._from = self._synapses.onto(neurons, self._has_emitted)
        target = self._place[self._synapses.post[self._synapse]]
        self._onto = _Grouped.by(target, len(neurons), np.arange(len(target)))
        reaches = np.zeros(n_sources, dtype=bool)
        reaches[self._from] = True
        order = np.flatnonzero(reaches[self._source])
        self._emissions = _Grouped.by(self._source[order], n_sources, order)
        place = self._place[self._simulation.spikes.neuron]
        row = np.flatnonzero(place >= 0)
        self._spikes = _Grouped.by(place[row], len(neurons), row)

    def crossings(self, n: int) -> Float:
        """Return the times of the spikes of a neuron."""
        row, _ = self._spikes.of(self._place[n : n + 1])
        return self._simulation.spikes.time[row]

    def arrivals(self, n: int) -> tuple[Float, Int, Float]:
        """Return times, ports and weights of the arrivals at a neuron, as the event loop has it.

        By time, then emission, then delay and number of the synapse, in which order they lie.
        """
        run = self._simulation
        mine, _ = self._onto.of(self._place[n : n + 1])
        order, which = self._emissions.of(self._from[mine])
        synapse = self._synapse[mine][which]
        if not isinstance(run.losses, NoLosses):
            first = self._synapses.start[self._from[mine]][which]
            arrives = ~self._lost[run.losses.start[order] + synapse - first]
            order, synapse = order[arrives], synapse[arrives]
        time = arrival_times(run.dt, self._emitted[order], self._synapses.delays(synapse))
        sequence = np.lexsort((synapse, order, time))
        synapse = synapse[sequence]
        port = self._synapses.port[synapse].astype(np.int64)
        return time[sequence], port, self._synapses.weight[synapse].astype(np.float64)


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


def replay(simulation: Simulation, neurons: Int, times: Float) -> NDArray[np.float64]:
    """Return the voltages of neurons at ascending ``times``, a row each."""
    network = simulation.network
    asked, row_of = np.unique(neurons, return_inverse=True)
    out = np.zeros((len(asked), len(times)))
    events = _Events(simulation, _Synapses.of(simulation), *emissions(simulation))
    start = start_of(network)
    at_once = max(1, _MOST_SYNAPSES // (1 + len(network.synapses) // network.n_neurons))
    for begin in range(0, len(asked), at_once):
        part = asked[begin : begin + at_once]
        events.gather(part)
        for row, n in zip(out[begin:], part, strict=False):
            _replay_one(simulation, int(n), float(start[n]), times, events, row)
    is_in_order = len(asked) == len(neurons) and bool(np.all(asked == neurons))
    out = voltages_of(network, out, asked[:, None])
    return out if is_in_order else out[row_of]


def _replay_one(
    simulation: Simulation, n: int, v: float, times: Float, events: _Events, out: Float
) -> None:
    model = simulation.network.model
    x, room = np.zeros((2, len(model.ports.rate)))
    known = Known(*events.arrivals(n), events.crossings(n))
    _replay(model, n, v, x, times, known, room, out)
