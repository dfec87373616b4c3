"""Peaks of voltages of a finished simulation, and the times at which a neuron has events."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from queues.compiled.jit import kernel
from refsim.errors import InvalidValueError
from refsim.models import lif as neuron
from refsim.models.lif.peak import turning_points
from refsim.network.voltages import start_of, voltages_of
from refsim.results.simulation import Simulation
from refsim.results.trace import _Events, _Synapses, emissions
from refsim.types import Float, Int


class Peaks(NamedTuple):
    """The highest voltage of each of some neurons.

    Where an inhibitory arrival cuts a rise off, the slope jumps from above to below 0; elsewhere
    the voltage turns, or the run begins or ends.
    """

    time: Float  # (m,) ms
    neuron: Int  # (m,)
    voltage: Float  # (m,)
    slope_before: Float  # (m,) dV/dt at an end of a run or at an arrival, else 0
    slope_after: Float  # (m,)


@kernel
def _peak(model, n, v, x, t_end, arrivals, ports, weights, scratch, out):
    """Write time, height and slopes of the peak of a neuron that does not fire up to ``t_end``."""
    time = 0.0
    out[0] = 0.0
    out[1] = v
    out[2] = 0.0
    out[3] = 0.0
    for i in range(arrivals.shape[0] + 1):
        now = min(arrivals[i], t_end) if i < arrivals.shape[0] else t_end
        found, turns = turning_points(model, n, v, x, now - time, scratch)
        is_at_end = False
        for k in range(found + 1):
            step = turns[k] if k < found else now - time
            there = neuron.flow_voltage(model, n, v, x, step)
            if there > out[1]:
                out[0] = now if k == found else time + step
                out[1] = there
                out[2] = 0.0
                out[3] = 0.0
                is_at_end = k == found
        v = neuron.flow_voltage(model, n, v, x, now - time)
        neuron.flow_current(model, x, now - time)
        time = now
        if is_at_end:
            out[2] = neuron.slope(model, n, v, x)
            out[3] = out[2]
        if i < arrivals.shape[0]:
            neuron.arrive(model, ports[i], weights[i], x)
            if out[0] == now and out[2] != 0.0:
                out[3] = neuron.slope(model, n, v, x)


def voltage_peaks(simulation: Simulation, neurons: Int) -> Peaks:
    """Return where the voltages of silent neurons are highest, to the last bits.

    Between arrivals the voltage turns where a sum of exponentials vanishes; the search is that for
    crossings, and samples nothing.

    Parameters
    ----------
    simulation : Simulation
        A simulation from time 0 on.
    neurons : (m,) int
        Neurons without spikes, ascending.
    """
    network = simulation.network
    events = _events(simulation, neurons)
    start = start_of(network)
    size = len(network.model.ports.rate)
    scratch = neuron.scratch(size)
    found = np.zeros((len(neurons), 4))
    for row, n in zip(found, neurons, strict=True):
        v, x = float(start[n]), np.zeros(size)
        end = simulation.duration
        time, port, weight = _until(end, *events.arrivals(int(n)))
        _peak(network.model, int(n), v, x, end, time, port, weight, scratch, row)
    voltage = voltages_of(network, found[:, 1], neurons)
    return Peaks(found[:, 0], neurons, voltage, found[:, 2], found[:, 3])


def event_times(simulation: Simulation, neurons: Int) -> list[tuple[Float, Float]]:
    """Return for each of some ascending neurons the times of its arrivals and of its spikes."""
    events = _events(simulation, neurons)
    return [
        (_until(simulation.duration, events.arrivals(int(n))[0])[0], events.crossings(int(n)))
        for n in neurons
    ]


def _until(end: float, time: Float, *columns: Float | Int) -> tuple[Any, ...]:
    """Return what arrives up to the end."""
    size = int(np.searchsorted(time, end, side="right"))
    return tuple(column[:size] for column in (time, *columns))


def _events(simulation: Simulation, neurons: Int) -> _Events:
    if simulation.begin > 0.0:
        raise InvalidValueError(
            f"this simulation begins at {simulation.begin:g} ms, and what was before is forgotten; "
            "expected one from time 0 on"
        )
    events = _Events(simulation, _Synapses.of(simulation), *emissions(simulation))
    events.gather(neurons)
    return events
