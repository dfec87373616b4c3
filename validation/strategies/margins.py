"""How far a run is from another pattern of spikes, event by event, and how to move away from it.

`refsim` reports the smallest slope and the smallest gap of a run. Here every crossing, arrival and
release that comes too close is named with its time, so that the network can be changed where it
matters: a threshold is lowered under a grazing spike, an input or a delay is moved off a
coincidence. What no small change mends is cut off: the run ends before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.engine import simulate
from refsim.errors import SpikeLimitError
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.results.simulation import Simulation
from validation.arrivals import arrivals

# Least distances of a well-conditioned run.
MIN_SLOPE = 0.01  # of a crossing, in (v_th - v_reset)/tau_m
MIN_GAP = 1e-3  # ms, between an arrival and a crossing or a release of its neuron
MIN_MARGIN = 1e-6  # of a summit below threshold, in v_th - v_reset
NUDGE = 4e-3  # ms, by which what coincides is moved apart
LOWERED = 0.03  # by which a threshold is lowered under a grazing spike, in v_th - v_reset
ROUNDS = 8  # of changes, before the run is cut short

Vector = NDArray[np.float64]


class Hazard(NamedTuple):
    """An event that is close to a change of the pattern."""

    time: float  # ms, of the event
    spike: int  # row of the spike that grazes, -1 if two events coincide
    synapse: int  # number of the synapse of the arrival that coincides, -1 if a spike grazes
    origin: int  # where that arrival comes from, as in validation.arrivals


@dataclass(frozen=True)
class Setting:
    """What is simulated, and what may be changed of it."""

    network: Network
    inputs: SpikeTrain
    duration: float  # ms


def hazards(simulation: Simulation) -> list[Hazard]:
    """Return the events of a run that come too close to another pattern, in order of time."""
    network, spikes = simulation.network, simulation.spikes
    scale = ((network.v_th - network.v_reset) / network.tau_m)[spikes.neuron]
    grazing = np.flatnonzero(spikes.slope_before < MIN_SLOPE * scale)
    found = [Hazard(float(spikes.time[k]), int(k), -1, 0) for k in grazing]
    events = arrivals(simulation)
    early = np.flatnonzero(events.time <= simulation.duration + MIN_GAP)
    for n in np.unique(spikes.neuron):
        own = np.flatnonzero(spikes.neuron == n)
        moments = np.concatenate([spikes.time[own], spikes.time[own] + network.t_ref[n]])
        crossing = np.concatenate([own, np.full(len(own), -1)])  # which it is; -1 for releases
        for i in early[events.neuron[early] == n]:
            time = float(events.time[i])
            # What a spike sends to its own neuron follows it, whatever is moved.
            is_other = (crossing != events.origin[i]) | (crossing < 0)
            near = moments[is_other & (np.abs(moments - time) < MIN_GAP)]
            if near.size:
                first = time - MIN_GAP if time > MIN_GAP else 0.5 * float(near.min())
                found.append(Hazard(first, -1, int(events.synapse[i]), int(events.origin[i])))
    return sorted(found)


def limited(setting: Setting, max_spikes: int) -> tuple[Setting, Simulation]:
    """Simulate; where there are too many spikes, end before the first that is too many."""
    try:
        return setting, _run(setting, max_spikes)
    except SpikeLimitError as error:
        times = error.partial.spikes.time
        shorter = Setting(setting.network, setting.inputs, before(float(times[-1])))
        return shorter, _run(shorter, len(times))


def before(time: float) -> float:
    """Return a time before ``time``, of three decimals where that is not 0."""
    rounded = np.floor(time * 1000.0 - 1e-6) / 1000.0
    return float(rounded) if rounded > 0.0 else 0.5 * time


def improved(setting: Setting, max_spikes: int) -> Setting:
    """Return a setting near to the one given that is far from a change of its pattern.

    Changes are made in order of time, because what comes later depends on what comes earlier. The
    result depends on the setting alone.
    """
    for _ in range(ROUNDS):
        setting, simulation = limited(setting, max_spikes)
        found = hazards(simulation)
        if not found:
            break
        setting = _mended(setting, simulation, found[0])
    setting, simulation = limited(setting, max_spikes)
    for hazard in hazards(simulation)[:1]:
        setting = Setting(setting.network, setting.inputs, before(hazard.time))
    setting = _without_near_misses(setting, max_spikes)
    return _with_a_quiet_end(setting, max_spikes)


def _run(setting: Setting, max_spikes: int) -> Simulation:
    return simulate(setting.network, setting.inputs, setting.duration, max_spikes=max_spikes)


def _mended(setting: Setting, simulation: Simulation, hazard: Hazard) -> Setting:
    """Change the parameter that is nearest to a hazard."""
    network, inputs = setting.network, setting.inputs
    if hazard.spike >= 0:
        n = simulation.spikes.neuron[hazard.spike]
        v_th = network.v_th.copy()
        lowered = v_th[n] - LOWERED * (v_th[n] - network.v_reset[n])
        floor = max(network.v_reset[n], network.v0[n])
        v_th[n] = round(max(lowered, 0.5 * (v_th[n] + floor)), 6)
        return Setting(network.replace(v_th=v_th), inputs, setting.duration)
    if hazard.origin >= 0:
        delay = network.delay.copy()
        delay[hazard.synapse] = round(delay[hazard.synapse] + NUDGE, 6)
        return Setting(network.replace(delay=delay), inputs, setting.duration)
    times = inputs.times.copy()
    i = np.argsort(times, kind="stable")[-1 - hazard.origin]
    times[i] = round(times[i] + NUDGE, 6)
    moved = SpikeTrain(times, inputs.sources, inputs.n_inputs)
    return Setting(network, moved, setting.duration)


def _without_near_misses(setting: Setting, max_spikes: int) -> Setting:
    """End before the first summit that hardly stays below its threshold.

    Such a summit becomes a spike where thresholds are a little lower.
    """
    network = setting.network
    lower = network.v_th - MIN_MARGIN * (network.v_th - network.v_reset)
    floor = np.maximum(network.v_reset, network.v0)
    lower = np.where(lower > floor, lower, network.v_th)
    _, simulation = limited(setting, max_spikes)
    eager = Setting(network.replace(v_th=lower), setting.inputs, setting.duration)
    _, other = limited(eager, max_spikes)
    first = _first_difference(simulation, other)
    if first is None:
        return setting
    return Setting(network, setting.inputs, before(max(first - MIN_GAP, 0.5 * first)))


def _first_difference(one: Simulation, other: Simulation) -> float | None:
    """Return the time of the first spike that one run has and the other has not."""
    times = []
    for a, b in zip(one.by_neuron(), other.by_neuron(), strict=True):
        k = min(len(a), len(b))
        apart = np.flatnonzero(np.abs(a[:k] - b[:k]) > MIN_GAP)
        first = int(apart[0]) if apart.size else k
        times += [float(train[first]) for train in (a, b) if first < len(train)]
    return min(times, default=None)


def _with_a_quiet_end(setting: Setting, max_spikes: int) -> Setting:
    """End where no neuron has spiked or is about to spike."""
    later = Setting(setting.network, setting.inputs, setting.duration + MIN_GAP)
    _, simulation = limited(later, max_spikes + 1)
    end = setting.duration
    for time in simulation.spikes.time[::-1]:
        if abs(time - end) < MIN_GAP:
            end = before(float(max(time - MIN_GAP, 0.5 * time)))
    return Setting(setting.network, setting.inputs, end)


def quiet_times(simulation: Simulation, samples: Samples) -> Samples:
    """Move samples off the events of their neurons, where a voltage jumps or bends.

    Of the times at multiples of NUDGE from the one given the nearest is taken; a sample for which
    there is none is left out.
    """
    events = arrivals(simulation)
    spikes, t_ref = simulation.spikes, simulation.network.t_ref
    rows = []
    for n, time in zip(samples.neurons, samples.times, strict=True):
        own = spikes.time[spikes.neuron == n]
        moments = np.concatenate([own, own + t_ref[n], events.time[events.neuron == n]])
        quiet = _nearest_quiet(float(time), moments, simulation.duration)
        if quiet is not None:
            rows.append((n, quiet))
    return Samples([n for n, _ in rows], [t for _, t in rows])


def _nearest_quiet(time: float, moments: Vector, end: float) -> float | None:
    steps = NUDGE * np.arange(int(end / NUDGE) + 1)
    around = np.round(np.stack([time + steps, time - steps], axis=1).ravel(), 6)  # by distance
    around = around[(around >= 0.0) & (around <= end)]
    quiet = np.all(np.abs(around[:, None] - moments) >= MIN_GAP, axis=1)
    return float(around[np.argmax(quiet)]) if quiet.any() else None
