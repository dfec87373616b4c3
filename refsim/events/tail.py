"""Runs of the event engine that go on from a state.

In another network, what is under way comes from channels of its own behind those of the user, one
for each spike under way, which are sent again in their order before anything else; all orders, and
so all bits, stay what they were.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from queues.exact import ring_buffer
from queues.types import RingBufferArrays
from refsim.errors import InvalidValueError
from refsim.events import loop as event_loop
from refsim.events.options import Events
from refsim.events.run import EventRun
from refsim.events.state import COLUMNS, EventState
from refsim.models.lif.datum import moved
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.network.synapses import Synapses
from refsim.network.voltages import voltages_of
from refsim.question import MAX_SPIKES, Question
from refsim.results.outcome import gap_to_own_events
from refsim.results.result import Conditioning, Spikes
from refsim.results.simulation import Simulation
from refsim.types import Float, Int, SampleArrays, Tape


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
    run = EventTail(simulation, state, before, simulation.duration, samples=none)
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


class EventTail(EventRun):
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
        question = Question(
            _with_ghosts(network, state),
            _sent_again(self.users_inputs, before.duration, state),
            duration,
            Samples(self.users_samples.neurons[late], self.users_samples.times[late]),
            max_spikes,
            **options,
        )
        super().__init__(question, Events(queue, before.dt or None))
        has_spiked = np.flatnonzero(state.spike >= 0)
        self._last = has_spiked[np.argsort(state.spike[has_spiked])]  # neurons by last spike
        self.inputs_before = int(state.counts[1]) - len(state.sent)
        limit = self.question.max_spikes - state.n_spikes + len(self._last)
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
        for name in COLUMNS:
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

    def run_to_the_end(self) -> None:
        """Go on to the end, or to the limit of spikes."""
        self.load()
        super().run_to_the_end()

    def now(self) -> float:
        """Return the time up to which all events have been processed."""
        return max(super().now(), self.before.duration)

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
    run = EventTail(
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
