"""The state of the event engine between two events.

What is under way is kept as what will arrive, with the weights and delays that held when it was
sent, and not as entries of a queue: so a run goes on with any exact queue, or another network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.events.loop import Margins, Problem, Work
from refsim.files.saved_columns import check, check_columns, check_finite, check_within, copies
from refsim.network.network import Network
from refsim.network.parameters import PARAMETERS
from refsim.transit.arrivals import arrival_times
from refsim.types import Float, Int
from refsim.validate import LONGEST

_NUMBERS = ("spike", "emission", "counts", "first", "post", "port")
_LAST = ("last_arrival", "last_bend", "last_sample")
COLUMNS = ("time", "v", "current", "release", *_LAST)  # as kernels have them


class EventState(NamedTuple):
    """What a run has reached when all events up to a time have been processed."""

    time: Float  # (n,) ms, of the voltage and currents of each neuron
    v: Float  # (n,) above the datum of the neuron
    current: Float  # (n, K)
    release: Float  # (n,) ms, end of refractoriness, -1 for a neuron that is free
    last_arrival: Float  # (n,) ms, -inf before the first, and so below
    last_bend: Float  # (n,) ms, of an arrival that bent the voltage
    last_sample: Float  # (n,) ms, of the free voltage
    spike: Int  # (n,) number of the last spike, -1 before the first
    spike_time: Float  # (n,) ms, and below slopes of that spike as on the tape
    slope_before: Float
    slope_after: Float
    emission: Int  # (n,) which of the spikes under way it is, -1 for none
    counts: Int  # (4,) spikes, input spikes, arrivals and searches so far
    margins: Float  # as in Margins
    sent: Float  # (k,) ms, of each spike under way, in the order in which they were sent
    first: Int  # (k + 1,) where its arrivals begin below
    post: Int  # (a,) what is still to arrive, of each spike in the order of its synapses
    port: Int  # (a,)
    weight: Float  # (a,)
    delay: Float  # (a,) ms

    @property
    def n_spikes(self) -> int:
        """Number of spikes so far."""
        return int(self.counts[0])

    @property
    def nbytes(self) -> int:
        """Memory that the state takes, in bytes."""
        return sum(column.nbytes for column in self)

    def __repr__(self) -> str:
        return f"<EventState: {self.n_spikes} spikes so far, {len(self.sent)} under way>"


def snapshot(
    problem: Problem,
    work: Work,
    t: float,
    number_of: Callable[[Any], Any],
    inputs_before: int,
) -> EventState:
    """Copy the state of a run that has processed all events up to time ``t``.

    ``number_of`` counts spikes, given by their rows, from the very beginning, as do
    ``inputs_before`` input spikes of earlier runs.
    """
    state, counts, tape = work.state, work.counts, work.tape
    has_spiked = state.last_spike >= 0
    row = np.maximum(state.last_spike, 0)
    number, sent, source = _spikes_under_way(problem, work, t)
    which, synapse = _to_arrive(problem, sent, source, t)
    kept, which = np.unique(which, return_inverse=True)
    place = np.full(int(work.counts.emitted[0]) + 1, -1)  # the last entry stands for none
    place[number[kept]] = np.arange(len(kept))
    wiring = problem.wiring
    return EventState(
        **copies(state, COLUMNS),
        spike=np.where(has_spiked, number_of(row), -1),
        spike_time=np.where(has_spiked, tape.time[row], 0.0),
        slope_before=np.where(has_spiked, tape.slope_before[row], 0.0),
        slope_after=np.where(has_spiked, tape.slope_after[row], 0.0),
        emission=place[state.last_emission],
        counts=np.array(
            [
                number_of(counts.spikes[0]),
                inputs_before + counts.inputs[0],
                counts.arrivals[0],
                counts.searches[0],
            ]
        ),
        margins=np.array([margin[0] for margin in work.margins]),
        sent=sent[kept],
        first=np.searchsorted(which, np.arange(len(kept) + 1)),
        post=wiring.post[synapse],
        port=wiring.port[synapse],
        weight=wiring.weight[synapse],
        delay=wiring.delay[synapse],
    )


def _spikes_under_way(problem: Problem, work: Work, t: float) -> tuple[Int, Float, Int]:
    """Return order, time and source of the emissions that may have arrivals later than ``t``."""
    inputs = problem.inputs
    origin = work.origin[: int(work.counts.emitted[0])]
    is_input = origin < 0
    row = np.where(is_input, 0, origin)
    number = np.where(is_input, -1 - origin, 0)
    time, source = work.tape.time[row], work.tape.neuron[row]
    if is_input.any():
        time = np.where(is_input, inputs.time[number], time)
        source = np.where(is_input, inputs.source[number], source)
    longest = float(problem.wiring.delay.max(initial=0.0)) + 2.0 * problem.dt
    late = np.flatnonzero(time >= t - longest - 1e-12 * (t + longest))
    return late, time[late], source[late]


def _to_arrive(problem: Problem, sent: Float, source: Int, t: float) -> tuple[Int, Int]:
    """Return what arrives after ``t``: the number of the spike, and the synapse."""
    wiring = problem.wiring
    first = wiring.start[source]
    size = wiring.start[source + 1] - first
    which = np.repeat(np.arange(len(sent)), size)
    synapse = np.arange(len(which)) + (first - (np.cumsum(size) - size))[which]
    arrival = arrival_times(problem.dt, sent[which], wiring.delay[synapse])
    return which[arrival > t], synapse[arrival > t]


def checked_event_state(
    arrays: dict[str, NDArray[Any]], network: Network, t: float, dt: float
) -> EventState:
    """Return the state that a file holds, or raise ValueError that says what is not one."""
    state = EventState(**{name: arrays[name] for name in EventState._fields})
    n, sent, size = network.n_neurons, np.size(state.sent), np.size(state.post)
    shapes = {"current": (n, len(network.model.ports.rate)), "counts": (4,), "sent": (sent,)}
    shapes |= {"margins": (len(Margins._fields),), "first": (sent + 1,)}
    shapes |= dict.fromkeys(("post", "port", "weight", "delay"), (size,))
    floats = [name for name in EventState._fields if name not in _NUMBERS]
    check_columns(state, shapes, (n,), floats)
    check_finite(state, (name for name in floats if name not in ("margins", *_LAST)))
    _check_neurons(state, network, t)
    _check_spikes(state, t)
    _check_under_way(state, network, t, dt)
    return state


def _check_neurons(state: EventState, network: Network, t: float) -> None:
    """Refuse neurons that no run leaves at its end ``t``."""
    check_within("time", state.time, 0.0, t)
    check("v", state.v, state.v <= network.model.neurons.v_th, "at most the threshold")
    held = (state.release > state.time) & (state.spike >= 0)
    is_right = (state.release == -1.0) | (held & (state.release <= state.time + LONGEST))
    check("release", state.release, is_right, "-1, or a time after that of a neuron that spiked")
    for name in _LAST:
        column = getattr(state, name)
        check(name, column, (column == -np.inf) | ((column >= 0.0) & (column <= t)), f"0 to {t}")
    check("margins", state.margins, state.margins >= 0.0, "a distance")


def _check_spikes(state: EventState, t: float) -> None:
    """Refuse last spikes that are not those of one sequence."""
    check("counts", state.counts, state.counts >= 0, "a count")
    number = state.n_spikes
    check_within("spike", state.spike, -1, number - 1)
    check_within("spike_time", state.spike_time, 0.0, np.minimum(state.time, t))
    fired = state.spike >= 0
    last = np.flatnonzero(fired)[np.argsort(state.spike[fired])]
    if number and (not len(last) or state.spike[last[-1]] != number - 1):
        raise ValueError(f"counts[0] is {number}; expected the number of the last spike, and one")
    follows = np.ones(len(fired), dtype=bool)
    follows[last[1:]] = np.diff(state.spike[last]) > 0
    check("spike", state.spike, follows, "another number for each spike")
    follows[last[1:]] = np.diff(state.spike_time[last]) >= 0.0
    check("spike_time", state.spike_time, follows, "times in the order of the spikes")
    check_within("emission", state.emission, -1, len(state.sent) - 1)
    known = state.emission >= 0
    is_same = np.ones(len(fired), dtype=bool)
    is_same[known] = fired[known] & (state.sent[state.emission[known]] == state.spike_time[known])
    check("emission", state.emission, is_same, "a spike under way of the time of the last spike")


def _check_under_way(state: EventState, network: Network, t: float, dt: float) -> None:
    """Refuse spikes under way that have arrived, or do not exist."""
    sent = len(state.sent)
    check_within("sent", state.sent, 0.0, t)
    in_order = np.append(True, np.diff(state.sent) >= 0.0)[:sent]
    check("sent", state.sent, in_order, "times in ascending order")
    if sent > state.counts[:2].sum():
        raise ValueError(f"counts is {state.counts.tolist()}; expected {sent} spikes or more")
    in_order = np.append(state.first[0] == 0, np.diff(state.first) >= 0)
    in_order[-1] &= state.first[-1] == len(state.post)
    check("first", state.first, in_order, f"0 to {len(state.post)}, ascending")
    check_within("weight", state.weight, *PARAMETERS["weight"].domain)
    check_within("delay", state.delay, *PARAMETERS["delay"].domain)
    which = np.repeat(np.arange(sent), np.diff(state.first))
    is_late = arrival_times(dt, state.sent[which], state.delay) > t
    check("delay", state.delay, is_late, f"one with which a spike arrives after {t} ms")
    check_within("post", state.post, 0, network.n_neurons - 1)
    check_within("port", state.port, 0, len(network.ports) - 1)
