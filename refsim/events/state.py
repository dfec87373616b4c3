"""The state of the event engine between two events, and runs that go on from it.

What is under way is kept as what will arrive, with the weights and delays that held when it was
sent, and not as entries of a queue: so a run goes on with any exact queue, or another network.
There it comes from channels of its own behind those of the user, one for each spike under way,
which are sent again in their order before anything else; all orders, and so all bits, stay what
they were.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from queues.exact import ring_buffer
from queues.types import RingBufferArrays
from refsim.engine import Run
from refsim.errors import InvalidValueError
from refsim.events import loop as event_loop
from refsim.events.loop import Margins
from refsim.files.saved_columns import check, check_columns, check_finite, check_within, copies
from refsim.models.lif.datum import moved
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.network.synapses import Synapses
from refsim.network.voltages import voltages_of
from refsim.question import MAX_SPIKES
from refsim.results.sample_gaps import gap_to_own_events
from refsim.results.simulation import Conditioning, Simulation, Spikes
from refsim.transit.arrivals import arrival_times
from refsim.types import Float, Int, SampleArrays, Tape
from refsim.validate import LARGEST, LONGEST

_NUMBERS = ("spike", "emission", "counts", "first", "post", "port")
_LAST = ("last_arrival", "last_bend", "last_sample")
_COLUMNS = ("time", "v", "current", "release", *_LAST)  # as kernels have them


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


def snapshot(run: Run, t: float) -> EventState:
    """Copy the state of a run that has processed all events up to time ``t``."""
    state, counts, tape = run.work.state, run.work.counts, run.work.tape
    has_spiked = state.last_spike >= 0
    row = np.maximum(state.last_spike, 0)
    number, sent, source = _spikes_under_way(run, t)
    which, synapse = _to_arrive(run, sent, source, t)
    kept, which = np.unique(which, return_inverse=True)
    place = np.full(int(run.work.counts.emitted[0]) + 1, -1)  # the last entry stands for none
    place[number[kept]] = np.arange(len(kept))
    wiring = run.problem.wiring
    return EventState(
        **copies(state, _COLUMNS),
        spike=np.where(has_spiked, run.number_of(row), -1),
        spike_time=np.where(has_spiked, tape.time[row], 0.0),
        slope_before=np.where(has_spiked, tape.slope_before[row], 0.0),
        slope_after=np.where(has_spiked, tape.slope_after[row], 0.0),
        emission=place[state.last_emission],
        counts=np.array(
            [
                run.number_of(counts.spikes[0]),
                run.inputs_before + counts.inputs[0],
                counts.arrivals[0],
                counts.searches[0],
            ]
        ),
        margins=np.array([margin[0] for margin in run.work.margins]),
        sent=sent[kept],
        first=np.searchsorted(which, np.arange(len(kept) + 1)),
        post=wiring.post[synapse],
        port=wiring.port[synapse],
        weight=wiring.weight[synapse],
        delay=wiring.delay[synapse],
    )


def _spikes_under_way(run: Run, t: float) -> tuple[Int, Float, Int]:
    """Return order, time and source of the emissions that may have arrivals later than ``t``."""
    work, inputs = run.work, run.problem.inputs
    origin = work.origin[: int(work.counts.emitted[0])]
    is_input = origin < 0
    row = np.where(is_input, 0, origin)
    number = np.where(is_input, -1 - origin, 0)
    time, source = work.tape.time[row], work.tape.neuron[row]
    if is_input.any():
        time = np.where(is_input, inputs.time[number], time)
        source = np.where(is_input, inputs.source[number], source)
    longest = float(run.problem.wiring.delay.max(initial=0.0)) + 2.0 * run.dt
    late = np.flatnonzero(time >= t - longest - 1e-12 * (t + longest))
    return late, time[late], source[late]


def _to_arrive(run: Run, sent: Float, source: Int, t: float) -> tuple[Int, Int]:
    """Return what arrives after ``t``: the number of the spike, and the synapse."""
    wiring = run.problem.wiring
    first = wiring.start[source]
    size = wiring.start[source + 1] - first
    which = np.repeat(np.arange(len(sent)), size)
    synapse = np.arange(len(which)) + (first - (np.cumsum(size) - size))[which]
    arrival = arrival_times(run.dt, sent[which], wiring.delay[synapse])
    return which[arrival > t], synapse[arrival > t]


def settled(simulation: Simulation, state: EventState, network: Network) -> EventState:
    """Return the state for another network: with all neurons at the end of the simulation."""
    before = simulation.network
    if (network.n_neurons, network.n_inputs) != (before.n_neurons, before.n_inputs):
        raise InvalidValueError(
            f"network has {network.n_neurons} neurons and {network.n_inputs} inputs; expected "
            f"{before.n_neurons} and {before.n_inputs}, as before"
        )
    if [type(port) for port in network.ports] != [type(port) for port in before.ports]:
        raise InvalidValueError(
            f"network has the ports {network.ports}; expected ports of the same kinds as before, "
            f"{before.ports}"
        )
    none = Samples([], [])  # those that are still to be read come after the end
    run = EventRun(simulation, state, before, simulation.duration, samples=none)
    run.load()
    event_loop.settle(run.problem, run.work, simulation.duration)
    now = run.work.state
    v = moved(now.v, before.datum, network.datum)
    high = np.flatnonzero(v > network.model.neurons.v_th)
    if high.size:
        n = int(high[0])
        voltage = float(voltages_of(network, v[high], high)[0])
        raise InvalidValueError(
            f"network.v_th[{n}] is {network.v_th[n]:.17g}, and the voltage at "
            f"{simulation.duration:g} ms is {voltage:.17g}; expected a threshold that is not below"
        )
    row = np.maximum(now.last_spike, 0)
    after = np.where(now.last_spike >= 0, run.work.tape.slope_after[row], 0.0)
    return state._replace(
        time=now.time, v=v, current=now.current, release=now.release, slope_after=after
    )


class EventRun(Run):
    """A run of the event engine that goes on from a state.

    ``inputs`` and ``samples`` are those of the whole simulation; what comes after the state counts.
    The simulation that results is that of ``before``, gone on with.
    """

    def __init__(
        self,
        before: Simulation,
        state: EventState,
        network: Network,
        duration: float,
        inputs: SpikeTrain | None = None,
        samples: Samples | None = None,
        max_spikes: int = MAX_SPIKES,
        queue: Any = "auto",
        **options: Any,
    ):
        self.before, self.begun, self.users_network = before, state, network
        self.users_inputs = before.inputs if inputs is None else inputs
        self.users_samples = before.samples if samples is None else samples
        late = self.users_samples.times > before.duration
        super().__init__(
            _with_ghosts(network, state),
            _sent_again(self.users_inputs, before.duration, state),
            duration,
            Samples(self.users_samples.neurons[late], self.users_samples.times[late]),
            queue,
            before.dt or None,
            max_spikes,
            engine="event",
            **options,
        )
        has_spiked = np.flatnonzero(state.spike >= 0)
        self._last = has_spiked[np.argsort(state.spike[has_spiked])]  # neurons by last spike
        self.inputs_before = int(state.counts[1]) - len(state.sent)
        limit = self.max_spikes - state.n_spikes + len(self._last)
        self.problem = self.problem._replace(max_spikes=limit)

    def number_of(self, row: Any) -> Any:
        """Return the number of the spike in a row of the tape, from the very beginning."""
        old = np.append(self.begun.spike[self._last], 0)
        known = len(self._last)
        new = self.begun.n_spikes + row - known
        return np.where(row < known, old[np.minimum(row, known)], new)

    def load(self) -> None:
        """Put neurons, counts and last spikes where the run has to go on from."""
        begun, known = self.begun, len(self._last)
        state, counts = self.work.state, self.work.counts
        for name in _COLUMNS:
            getattr(state, name)[:] = getattr(begun, name)
        state.last_spike[self._last] = np.arange(known)
        state.last_emission[:] = begun.emission
        columns = {
            "time": begun.spike_time[self._last],
            "neuron": self._last,
            "slope_before": begun.slope_before[self._last],
            "slope_after": begun.slope_after[self._last],
            "tangent": np.zeros(0),
        }
        tape = self.work.tape  # all of whose rows are new room behind those
        rows = (np.concatenate([columns[name], getattr(tape, name)]) for name in Tape._fields)
        self.work = self.work._replace(tape=Tape(*rows))
        counts.spikes[0] = known
        counts.arrivals[0], counts.searches[0] = begun.counts[2:]
        for margin, value in zip(self.work.margins, begun.margins, strict=True):
            margin[0] = value
        queue = self.transit.queue
        if isinstance(queue, RingBufferArrays):
            ring_buffer.restart(queue, int(self.before.duration / self.dt))

    def first_left_over(self) -> tuple[int, float] | None:
        """Return neuron and time of the first spike that is due by where the run goes on."""
        self.load()
        self._process(self.problem._replace(t_end=np.inf, stop=self.before.duration))
        tape, known = self.tape(), len(self._last)
        if len(tape.time) == known:
            return None
        return int(tape.neuron[known]), float(tape.time[known])

    def _execute_events(self) -> None:
        self.load()
        super()._execute_events()

    def _now(self) -> float:
        return max(super()._now(), self.before.duration)

    def result(self, duration: float) -> Simulation:
        """Return the simulation before, with what has come since."""
        return self._joined(super().result(duration))

    def _joined(self, tail: Simulation) -> Simulation:
        before, known = self.before, len(self._last)
        tail_inputs = self.inputs_before + tail.counts.inputs
        spikes = self._spikes(tail.spikes)
        whole = Conditioning.of(
            Tape(*spikes, np.zeros(0)),
            tail.conditioning.min_gap,
            tail.conditioning.min_release_gap,
            self._sample_gap(tail, spikes),
        )
        return replace(
            tail,
            network=self.users_network,
            begin=before.begin,
            inputs=self.users_inputs,
            samples=self.users_samples,
            spikes=spikes,
            voltages=self._voltages(tail.voltages),
            conditioning=whole,
            counts=tail.counts._replace(
                spikes=self.begun.n_spikes + tail.n_spikes - known, inputs=tail_inputs
            ),
            origin=self._origin(tail),
        )

    def _sample_gap(self, tail: Simulation, spikes: Spikes) -> float:
        """Return the gap of samples on both sides of where the run went on."""
        read = self.users_samples
        samples = SampleArrays(read.times, read.neurons, np.zeros(0), np.zeros(0))
        own = gap_to_own_events(spikes, self.users_network.t_ref, samples)
        known = self.before.conditioning.min_sample_gap, tail.conditioning.min_sample_gap
        return min(own, *known)

    def _spikes(self, tail: Spikes) -> Spikes:
        """Return the spikes before, with slopes at releases since, and the new ones."""
        before, known = self.before, len(self._last)
        earlier = before.spikes.part(slice(None))
        place = self.begun.spike[self._last] - (before.counts.spikes - before.n_spikes)
        held = place >= 0
        earlier.slope_after[place[held]] = tail.slope_after[:known][held]
        new = tail.part(slice(known, None))
        columns: Any = zip(earlier, new, strict=True)
        return Spikes(*map(np.concatenate, columns))

    def _voltages(self, tail: Float) -> Float:
        """Return the voltages read before, and the new ones."""
        before = self.before
        is_late = self.users_samples.times > before.duration
        voltages = np.zeros(len(is_late))
        voltages[~is_late] = before.voltages[before.samples.times <= before.duration]
        voltages[is_late] = tail
        return voltages

    def _origin(self, tail: Simulation) -> Int:
        """Return the sources of all emissions, where none is forgotten."""
        before, known, ghosts = self.before, len(self._last), len(self.begun.sent)
        if before.begin > 0.0:
            return np.zeros(0, dtype=np.int64)
        origin = tail.origin[ghosts:]
        spikes = before.n_spikes - known + origin
        inputs = -1 - (before.counts.inputs + (-1 - origin - ghosts))
        return np.concatenate([before.origin, np.where(origin >= 0, spikes, inputs)])


def _with_ghosts(network: Network, state: EventState) -> Network:
    """Return a network with a channel more for each spike under way, to what it has not reached."""
    if not len(state.sent):
        return network
    channel = network.n_neurons + network.n_inputs + np.arange(len(state.sent))
    ghosts = Synapses(
        np.repeat(channel, np.diff(state.first)), state.post, state.weight, state.delay, state.port
    )
    listed = network.synapses
    if not isinstance(listed, Synapses):
        listed = listed.unpacked()
    return network.replace(
        synapses=Synapses.concatenate([listed, ghosts]),
        n_inputs=network.n_inputs + len(state.sent),
    )


def _sent_again(inputs: SpikeTrain, t: float, state: EventState) -> SpikeTrain:
    """Return the spikes under way and the input spikes after ``t``, for the network with ghosts."""
    ghosts = inputs.n_inputs + np.arange(len(state.sent))
    late = inputs.times > t
    return SpikeTrain(
        np.concatenate([state.sent, inputs.times[late]]),
        np.concatenate([ghosts, inputs.sources[late]]),
        inputs.n_inputs + len(ghosts),
    )


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
    check_within("weight", state.weight, -LARGEST, LARGEST)
    check_within("delay", state.delay, 0.0, LONGEST)
    which = np.repeat(np.arange(sent), np.diff(state.first))
    is_late = arrival_times(dt, state.sent[which], state.delay) > t
    check("delay", state.delay, is_late, f"one with which a spike arrives after {t} ms")
    check_within("post", state.post, 0, network.n_neurons - 1)
    check_within("port", state.port, 0, len(network.ports) - 1)


def check_no_spike_is_left(simulation: Simulation) -> None:
    """Raise ValueError if neurons, left alone, would cross their threshold before the end so far.

    A run has made spikes of all such crossings. They are searched for as it would have done, by
    itself, so that what it leaves passes to the last bit.
    """
    state, network = simulation.state, simulation.network
    assert isinstance(state, EventState)
    none: dict[str, Any] = dict.fromkeys(("post", "port"), np.zeros(0, dtype=np.int64))
    none |= dict.fromkeys(("sent", "weight", "delay"), np.zeros(0))
    alone = state._replace(
        first=np.zeros(1, dtype=np.int64), emission=np.full(network.n_neurons, -1), **none
    )
    nothing = SpikeTrain([], [], network.n_inputs)
    run = EventRun(
        simulation,
        alone,
        network.replace(synapses=Synapses([], [], [], [])),
        simulation.duration,
        inputs=nothing,
        samples=Samples([], []),
        max_spikes=state.n_spikes + 1,
        queue=simulation.queue,
    )
    known = run.first_left_over()
    if known is not None:
        n, t = known
        raise ValueError(
            f"v[{n}] is {state.v[n].item()!r} at time[{n}] = {state.time[n].item()!r}, from where "
            f"it is at the threshold at {t!r} ms; expected no crossing up to {simulation.duration}"
        )
