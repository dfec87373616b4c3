"""A run of the event engine: from a question to the arrays of the event loop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from queues.exact import dispatch, indexed_heap
from queues.exact.dispatch import STRUCTURES
from refsim.errors import InvalidValueError
from refsim.events import loop as event_loop
from refsim.events.loop import Counts, Margins, Problem, Transit, Work
from refsim.events.options import Events, options_for
from refsim.events.state import EventState, snapshot
from refsim.models import lif as model
from refsim.network.network import Network
from refsim.network.voltages import start_of, voltages_of
from refsim.question import Question
from refsim.results.outcome import ExactRun, Outcome
from refsim.results.result import EventCounts
from refsim.status import DONE, FULL, RUNNING, SHARE, SPIKE_LIMIT
from refsim.threads import uninterrupted
from refsim.transit import lossy
from refsim.types import State, StateTangent, Tangents, Tape, no_tangents
from refsim.validate import shown

_EMPTY = np.zeros(0)
_NO_INTS = np.zeros(0, dtype=np.int64)
_ROOM = 256  # rows, to begin with; from 16, growth took half of the time of 200 spikes


def _lanes(queue: str, network: Network) -> tuple[NDArray[np.int64], int]:
    """Return the lane of each synapse, one for each delay, and the most lanes that a spike needs.

    Without lanes there are none, and a spike needs one entry.
    """
    if not (STRUCTURES[queue].in_lanes or STRUCTURES[queue].in_steps):
        return _NO_INTS, 1
    wiring = network.wiring
    lane = np.unique(wiring.delay, return_inverse=True)[1].astype(np.int64)
    source = np.repeat(np.arange(len(wiring.start) - 1), np.diff(wiring.start))
    begins = np.ones(len(lane), dtype=bool)
    begins[1:] = (lane[1:] != lane[:-1]) | (source[1:] != source[:-1])
    return lane, int(np.bincount(source[begins]).max(initial=1))


def _doubled(column: Any) -> Any:
    """Return a copy of a column with as much room again."""
    return np.concatenate([column, np.zeros_like(column)])


def grown_work(work: Work, spikes: int = 0, emitted: int = 0) -> Work:
    """Return ``work`` with more room where there was none, behind so many rows of other runs."""
    tape, origin = work.tape, work.origin
    if spikes + work.counts.spikes[0] == len(tape.time):
        tape = Tape(*map(_doubled, tape))
    if emitted + work.counts.emitted[0] == len(origin):
        origin = _doubled(origin)
    return work._replace(tape=tape, origin=origin)


def grown_transit(transit: Transit, entries: int, emissions: int) -> Transit:
    """Return ``transit`` with room for so many more entries, and emissions in all."""
    queue = transit.queue
    while queue.size[0] + entries > len(queue.time):
        queue = dispatch.grown(queue)
    return Transit(queue, lossy.grown(transit.losses, emissions))


class EventRun(ExactRun):
    """A run of the event loop: the arrays, and the way back to the user's order."""

    engine = "events"

    def __init__(self, question: Question, events: Events = Events()):  # noqa: B008  (frozen)
        super().__init__(question)
        self.queue, self.lossy, self.dt, steps = options_for(
            events, question.network, question.duration
        )
        if question.keep_state and self.lossy:
            raise InvalidValueError(
                f"keep_state is True and queue is {shown(self.lossy)}; expected an exact queue, "
                "since what bounded queues have lost is not kept"
            )
        self.inputs_before = 0  # input spikes before a run that goes on
        self.reached = 0.0  # ms, up to which an interrupted run is complete
        self.problem = self._problem(None)
        self.work = self._work()
        lanes = 1 + int(self.problem.lane.max(initial=0))
        self.transit = Transit(
            queue=STRUCTURES[self.queue].empty(_ROOM, lanes, steps),
            losses=lossy.losses(self.lossy, self.problem.wiring.start, _ROOM),
        )

    def carry(self, tangents: Tangents, v0_dot: NDArray[np.float64]) -> None:
        """Carry tangents through the events of the event engine, from the start on."""
        self.problem = self._problem(tangents)
        self.work = self._work()
        self.work.state_dot.v[:] = v0_dot

    def carried(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the tangents of spikes and of samples, in the orders of the result."""
        voltage = np.zeros(len(self.question.samples))
        voltage[self.question.sample_order] = self.problem.samples.tangent
        return self.tape().tangent, voltage

    def _problem(self, tangents: Tangents | None) -> Problem:
        question, given = self.question, tangents or no_tangents()
        inputs_dot = given.inputs_dot[question.input_order] if tangents else _EMPTY
        n_samples = len(question.samples) if tangents else 0
        lane, entries = _lanes(self.queue, question.network)
        return Problem(
            model=question.network.model,
            wiring=question.network.wiring,
            inputs=question.input_arrays._replace(tangent=inputs_dot),
            samples=question.samples_to_read()._replace(tangent=np.zeros(n_samples)),
            t_end=question.duration,
            stop=question.duration,
            dt=self.dt,
            unit=self.dt if STRUCTURES[self.queue].in_steps else 1.0,
            lane=lane,
            entries=entries,
            max_spikes=question.max_spikes,
            with_tangent=tangents is not None,
            model_dot=given.model_dot,
            wiring_dot=given.wiring_dot,
        )

    def _work(self) -> Work:
        n = self.question.network.n_neurons
        n_states = len(self.question.network.model.ports.rate)
        room = _ROOM
        with_tangent = self.problem.with_tangent
        m = n if with_tangent else 0
        tape = Tape(
            time=np.zeros(room),
            neuron=np.zeros(room, dtype=np.int64),
            slope_before=np.zeros(room),
            slope_after=np.zeros(room),
            tangent=np.zeros(room if with_tangent else 0),
        )
        state = State(
            time=np.zeros(n),
            v=start_of(self.question.network),
            current=np.zeros((n, n_states)),
            release=np.full(n, -1.0),
            last_spike=np.full(n, -1, dtype=np.int64),
            last_emission=np.full(n, -1, dtype=np.int64),
            last_arrival=np.full(n, -np.inf),
            last_bend=np.full(n, -np.inf),
            last_sample=np.full(n, -np.inf),
        )
        state_dot = StateTangent(
            v=np.zeros(m), current=np.zeros((m, n_states)), release=np.zeros(m)
        )
        return Work(
            state=state,
            state_dot=state_dot,
            crossings=indexed_heap.empty(n),
            is_exact=np.zeros(n, dtype=np.int64),
            tape=tape,
            origin=np.zeros(room, dtype=np.int64),
            counts=Counts(*(np.zeros(1, dtype=np.int64) for _ in Counts._fields)),
            margins=Margins(*(np.full(1, np.inf) for _ in Margins._fields)),
            scratch=model.scratch(n_states),
        )

    def run_to_the_end(self) -> None:
        """Run to the end, or to the limit of spikes, and set the status."""
        if self.question.keep_state:
            self._execute_to_state()
        else:
            self._process(self.problem)
        if self.status == DONE:
            event_loop.finish(self.problem, self.work)

    def _process(self, problem: Problem) -> None:
        """Process all events up to the time to stop, or to the limit of spikes."""
        event_loop.start(problem, self.work)
        self.status = RUNNING
        while self.status not in (DONE, SPIKE_LIMIT):
            if self.status == FULL:
                self._grow()
            if self.question.is_stopped():
                raise KeyboardInterrupt
            self.status = event_loop.run(problem, self.work, self.transit, SHARE)
            self.question.report(self.now())

    def _execute_to_state(self) -> None:
        """Run to the end with what comes later entered as well, and keep the state there.

        A spike that rounding puts a last bit after the end is left to the run that goes on.
        """
        endless = self.problem._replace(t_end=np.inf)
        try:
            self._process(endless)
        except KeyboardInterrupt:
            with uninterrupted():  # to the end of the time that it is at
                self.reached = max(self.now(), float(self.work.state.time.max()))
                self.question.is_stopped = bool  # it has been heeded
                self._process(endless._replace(stop=self.reached))
                if self.status == DONE:
                    self.state = self._snapshot(self.reached)
            raise
        if self.status == DONE:
            self.state = self._snapshot(self.question.duration)

    def _snapshot(self, t: float) -> EventState:
        return snapshot(self.problem, self.work, t, self.number_of, self.inputs_before)

    def number_of(self, row: Any) -> Any:
        """Return the number of the spike in a row of the tape, from the very beginning."""
        return row

    def _grow(self) -> None:
        self.work = grown_work(self.work)
        self.transit = grown_transit(self.transit, self.problem.entries, len(self.work.origin))

    def now(self) -> float:
        """Return the time up to which all events have been processed."""
        k = int(self.work.counts.spikes[0])
        i = int(self.work.counts.inputs[0])
        spike = self.work.tape.time[k - 1] if k else 0.0
        given = self.problem.inputs.time[i - 1] if i else 0.0
        return float(max(spike, given, self.reached))

    def tape(self) -> Tape:
        """Return the rows of the tape that are in use."""
        k = int(self.work.counts.spikes[0])
        used = {name: column[:k].copy() for name, column in self.work.tape._asdict().items()}
        return Tape(**used)

    def outcome(self) -> Outcome:
        """Return what was found so far."""
        counts, margins, samples = self.work.counts, self.work.margins, self.problem.samples
        return Outcome(
            tape=self.tape(),
            origin=self.work.origin[: int(counts.emitted[0])].copy(),
            counts=EventCounts(
                spikes=int(counts.spikes[0]),
                inputs=int(counts.inputs[0]),
                arrivals=int(counts.arrivals[0]),
                searches=int(counts.searches[0]),
                dropped=int(lossy.lost_bits(self.transit.losses).sum()),
            ),
            gaps=(margins.gap[0], margins.release_gap[0], margins.sample_gap[0]),
            voltages=voltages_of(self.question.network, samples.voltage, samples.neuron),
            losses=self.transit.losses,
        )
