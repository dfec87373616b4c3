"""Networks moved onto a change of their spike pattern, or within any distance of it.

Each function takes a setting and returns one that is ill-conditioned in one way, or None where it
has no place to be so. They are what `validation.strategies.margins` avoids.
"""

from __future__ import annotations

import numpy as np

from refsim.network.inputs import SpikeTrain
from refsim.network.network import Network
from refsim.network.parameters import OF_NEURONS
from refsim.network.ports import DoubleExpPort, ExpPort
from refsim.network.synapses import Synapses
from refsim.results.simulation import Simulation
from validation.strategies.margins import Setting, limited

_OUT_OF_REACH = 1e6  # a threshold that is not reached, in distances from v_reset to v_th
_GRID = 0.05  # ms, on which a summit is looked for before it is closed in


def graze(setting: Setting, neuron: int, depth: float) -> Setting | None:
    """Put a threshold below the highest summit of a neuron, by ``depth`` of its height.

    The height is that above v_reset and v0. Up to its summit the neuron is silent, so the network
    up to there is the same whatever the threshold is.
    """
    network = setting.network
    v_th = network.v_th.copy()
    v_th[neuron] += _OUT_OF_REACH * (v_th[neuron] - network.v_reset[neuron])
    silent = Setting(network.replace(v_th=v_th), setting.inputs, setting.duration)
    _, simulation = limited(silent, 1000)
    summit = _summit(simulation, neuron)
    floor = max(network.v_reset[neuron], network.v0[neuron])
    if summit is None or summit <= floor:
        return None
    v_th[neuron] = summit - depth * (summit - floor)
    if not v_th[neuron] > floor:
        return None
    return Setting(network.replace(v_th=v_th), setting.inputs, setting.duration)


def _summit(simulation: Simulation, neuron: int) -> float | None:
    """Return the highest voltage of a neuron, None if that is at the start or at the end."""
    low, high = 0.0, simulation.duration
    grid = np.linspace(low, high, int((high - low) / _GRID) + 3)
    voltage = np.zeros(0)
    for _ in range(20):
        voltage = simulation.trace([neuron], grid).voltage[0]
        k = int(np.argmax(voltage))
        if grid[k] in (0.0, simulation.duration):
            return None
        low, high = grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)]
        if not high - low > 1e-9:
            break
        grid = np.unique(np.linspace(low, high, 9))
    return float(voltage.max())


def coincide(setting: Setting, spike: int, distance: float, max_spikes: int) -> Setting | None:
    """Let a further input arrive at a neuron within ``distance`` ms of one of its spikes."""
    network, inputs = setting.network, setting.inputs
    _, simulation = limited(setting, max_spikes)
    spikes, synapses = simulation.spikes, network.synapses
    if not len(spikes.time):
        return None
    k = spike % len(spikes.time)
    reach = (synapses.post == spikes.neuron[k]) & (synapses.pre >= network.n_neurons)
    reach &= synapses.delay <= spikes.time[k]
    if not reach.any():
        return None
    s = int(np.flatnonzero(reach)[0])
    time = max(0.0, spikes.time[k] - synapses.delay[s] + distance)
    train = SpikeTrain(
        np.append(inputs.times, time),
        np.append(inputs.sources, synapses.pre[s] - network.n_neurons),
        network.n_inputs,
    )
    return Setting(network, train, setting.duration)


def end_at_a_spike(setting: Setting, spike: int, max_spikes: int) -> Setting | None:
    """End the run at the very time of one of its spikes."""
    times = limited(setting, max_spikes)[1].spikes.time
    if not len(times):
        return None
    return Setting(setting.network, setting.inputs, float(times[spike % len(times)]))


def twin(setting: Setting, neuron: int) -> Setting:
    """Add a neuron that is equal to another one and receives the same spikes at the same times."""
    network = setting.network
    n = network.n_neurons
    columns = {
        name: np.append(getattr(network, name), getattr(network, name)[neuron])
        for name in OF_NEURONS
    }
    given = network.synapses
    same = np.flatnonzero(given.post == neuron)
    pre = np.where(given.pre >= n, given.pre + 1, given.pre)  # channels count from n + 1 now
    synapses = Synapses(
        np.append(pre, pre[same]),
        np.append(given.post, np.full(len(same), n)),
        np.append(given.weight, given.weight[same]),
        np.append(given.delay, given.delay[same]),
        np.append(given.port, given.port[same]),
    )
    larger = Network(n + 1, synapses, n_inputs=network.n_inputs, ports=network.ports, **columns)
    return Setting(larger, setting.inputs, setting.duration)


def nearly_equal(setting: Setting, neuron: int, port: int, difference: float) -> Setting:
    """Bring a membrane and all time constants of a port within a relative ``difference``."""
    network = setting.network
    tau_m = network.tau_m.copy()
    near = tau_m[neuron] * (1.0 + difference)
    ports = list(network.ports)
    equal = DoubleExpPort(near, near * (1.0 - difference))
    ports[port] = ExpPort(near) if isinstance(ports[port], ExpPort) else equal
    changed = network.replace(ports=ports)
    return Setting(changed, setting.inputs, setting.duration)


def at_once(setting: Setting) -> Setting | None:
    """Let all input spikes come at the time of the first."""
    inputs = setting.inputs
    if len(inputs) < 2:
        return None
    times = np.full(len(inputs), inputs.times.min())
    train = SpikeTrain(times, inputs.sources, inputs.n_inputs)
    return Setting(setting.network, train, setting.duration)
