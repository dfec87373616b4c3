"""Runs of the engine of acyclic networks: the arrays of its loop, for one question or for many."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from refsim.errors import InvalidValueError
from refsim.events.run import EventRun
from refsim.layers.loop import run_layers
from refsim.layers.plan import Plan, obstacle, plan_of
from refsim.layers.types import (
    HITS,
    TAPE,
    Cursor,
    Room,
    cursor,
    empty_hits,
    empty_room,
)
from refsim.network.voltages import start_of, voltages_of
from refsim.question import Question
from refsim.results.outcome import EngineRun, Outcome
from refsim.results.simulation import EventCounts
from refsim.status import DONE, FULL, RUNNING, SHARE, SPIKE_LIMIT
from refsim.types import N_COUNTS, BatchArrays, Tape

_ROOM = 256  # rows, to begin with
_NO_TANGENTS = np.zeros(0)


def check_layers(question: Question) -> None:
    """Raise if what is asked cannot be had layer by layer."""
    why_not = question.needs_events or obstacle(question.network, question.duration)
    if question.keep_state:
        why_not = why_not or "a state is to be kept"
    if why_not:
        raise InvalidValueError(f"engine is 'layers', and {why_not}; expected engine='event'")


def empty_tape(rows: int) -> Tape:
    """Return a tape of so many rows."""
    times = np.zeros((3, rows))
    return Tape(times[0], np.zeros(rows, dtype=np.int64), times[1], times[2], _NO_TANGENTS)


def _longer(column: NDArray[Any], rows: int) -> NDArray[Any]:
    """Return a column with room for so many rows, if it has less."""
    if len(column) >= rows:
        return column
    return np.concatenate([column, np.zeros(rows - len(column), dtype=column.dtype)])


def _longer_tape(tape: Tape, rows: int) -> Tape:
    """Return a tape with room for so many rows."""
    columns: Any = (_longer(column, rows) for column in tape[:4])
    return Tape(*columns, _NO_TANGENTS)


class LayersWorker:
    """The arrays of one thread, and the loop over the samples of a task."""

    def __init__(self, template: EventRun, plan: Plan, batch: BatchArrays):
        self.problem, self.work = template.problem, template.work
        self.losses = template.transit.losses
        self.plan, self.batch = plan, batch
        n, sources = len(plan.order), len(self.problem.wiring.start) - 1
        self._most_inputs = int(np.diff(batch.input_start).max())
        reads = int(np.diff(batch.sample_start).max())
        emissions = self._most_inputs + len(self.work.tape.time)
        self.room: Room = empty_room(n, sources, emissions, _ROOM, reads)
        self.out, self.origin = empty_tape(_ROOM), np.zeros(_ROOM, dtype=np.int64)
        self.cursor: Cursor = cursor()

    def begin(self, first: int, stop: int) -> None:
        """Go to the samples of a task."""
        for counter in self.cursor:
            counter[0] = 0
        self.cursor.sample[0] = first
        self.cursor.stop[0] = stop

    def go_on(self) -> int:
        """Simulate for a while and return a status."""
        return run_layers(
            self.problem,
            self.work,
            self.plan,
            self.batch,
            self.room,
            self.cursor,
            self.out,
            self.origin,
            SHARE,
        )

    def grow(self) -> None:
        """Make room for what has too little."""
        rows = 2 * int(self.cursor.need[0])
        short = int(self.cursor.short[0])
        if short == HITS:
            self.room = self.room._replace(hits=empty_hits(rows))
        elif short == TAPE:
            self.work = self.work._replace(tape=_longer_tape(self.work.tape, rows))
            emitted = self.room.emitted
            time, row = (_longer(c, self._most_inputs + rows) for c in (emitted.time, emitted.row))
            self.room = self.room._replace(emitted=emitted._replace(time=time, row=row))
        else:
            self.out, self.origin = _longer_tape(self.out, rows), _longer(self.origin, rows)

    def columns(self, spikes: int, emitted: int) -> list[NDArray[Any]]:
        """Return copies of the columns of the spikes, and of the origins, that are in use."""
        rows = [*(column[:spikes].copy() for column in self.out[:4])]
        return [*rows, self.origin[:emitted].copy()]


class LayersRun(EngineRun):
    """A run of the engine of acyclic networks.

    Until it has come to the end nothing is known of any time: an interrupted run has no spikes.
    """

    engine = "layers"

    def __init__(self, question: Question):
        super().__init__(question)
        check_layers(question)
        inputs, samples = len(question.input_order), len(question.sample_order)
        self.batch = BatchArrays(
            input_start=np.array([0, inputs]),
            sample_start=np.array([0, samples]),
            v0=start_of(question.network),
            counts=np.zeros((1, N_COUNTS), dtype=np.int64),
            gaps=np.full((1, 3), np.inf),
            is_done=np.zeros(1, dtype=np.int64),
        )
        self._worker = LayersWorker(EventRun(question), plan_of(question.network), self.batch)

    def run_to_the_end(self) -> None:
        """Run to the end, or to the limit of spikes, and set the status."""
        self._worker.begin(0, 1)
        self.status = RUNNING
        while self.status not in (DONE, SPIKE_LIMIT):
            if self.status == FULL:
                self._worker.grow()
            if self.question.is_stopped():
                raise KeyboardInterrupt
            self.status = self._worker.go_on()

    def now(self) -> float:
        """Return the time up to which all events have been processed."""
        return self.question.duration if self.status == DONE else 0.0

    def outcome(self) -> Outcome:
        """Return what was found."""
        counts, samples = self.batch.counts[0], self._worker.problem.samples
        if self.status != DONE:
            samples.voltage[:] = np.nan
        spikes, emitted, inputs, arrivals, searches = map(int, counts)
        time, neuron, before, after, origin = self._worker.columns(spikes, emitted)
        return Outcome(
            tape=Tape(time, neuron, before, after, _NO_TANGENTS),
            origin=origin,
            counts=EventCounts(spikes, inputs, arrivals, searches, 0),
            gaps=tuple(self.batch.gaps[0]),
            voltages=voltages_of(self.question.network, samples.voltage, samples.neuron),
            losses=self._worker.losses,
        )
