"""How near voltage samples are to the events at which the voltage of their neuron jumps or bends.

Arrivals are compared with samples as they come, by the engines. Spikes and releases are few: they
are compared here, once a run has ended.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from refsim.results.result import Spikes
from refsim.types import Float, Int, SampleArrays, Tape


class Moments(NamedTuple):
    """Times of what happens at neurons, in several runs."""

    time: Float  # (k,) ms
    neuron: Int  # (k,)
    run: Int  # (k,) which run it belongs to


def gap_to_own_events(spikes: Tape | Spikes, t_ref: Float, samples: SampleArrays) -> float:
    """Return the shortest time in ms between a sample and a spike or release of its neuron."""
    own, read = (
        Moments(given.time, given.neuron, np.zeros(len(given.time), dtype=np.int64))
        for given in (spikes, samples)
    )
    return float(gaps_to_own_events(own, t_ref, read, 1)[0])


def gaps_to_own_events(spikes: Moments, t_ref: Float, samples: Moments, n_runs: int) -> Float:
    """Return for each run the shortest time between a sample and a spike or release, inf for none.

    Parameters
    ----------
    spikes, samples : Moments
        Of all runs.
    t_ref : (n,) float
        Refractory times.
    n_runs : int
        Number of runs.
    """
    gaps = np.full(n_runs, np.inf)
    if not len(samples.time):
        return gaps
    # One number for a neuron of a run.
    read, fired = (one.run * len(t_ref) + one.neuron for one in (samples, spikes))
    chosen = np.flatnonzero(np.isin(fired, read))
    if not chosen.size:
        return gaps
    crossing = spikes.time[chosen]
    time = np.concatenate([samples.time, crossing, crossing + t_ref[spikes.neuron[chosen]]])
    place = np.concatenate([read, fired[chosen], fired[chosen]])
    order = np.lexsort((time, place))
    is_sample = order < len(read)
    # The shortest distance of all is one of neighbours.
    beside = (place[order[1:]] == place[order[:-1]]) & (is_sample[1:] != is_sample[:-1])
    distance = np.diff(time[order])[beside]
    np.minimum.at(gaps, place[order[1:]][beside] // len(t_ref), distance)
    return gaps
