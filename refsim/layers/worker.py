"""The arrays of one thread: what belongs to a sample, and the spikes of the samples of a task."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from refsim.events.loop import Counts, Margins, Problem
from refsim.events.run import EventRun
from refsim.layers.dense.layout import Dense
from refsim.layers.dense.loop import run_dense
from refsim.layers.dense.types import empty_dense_room
from refsim.layers.loop import run_layers
from refsim.layers.plan import Plan
from refsim.layers.types import HITS, OUT, TAPE, Room, cursor, empty_hits, empty_room
from refsim.status import SHARE
from refsim.types import BatchArrays, Tape

_ROOM = 256  # rows of a sample, to begin with
_ROWS = 4096  # of all samples of a task
_NO_TANGENTS = np.zeros(0)


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
    columns: Any = [*(_longer(column, rows) for column in tape[:4]), _NO_TANGENTS]
    return Tape(*columns)


class Worker:
    """What the workers of all loops have in common.

    Attributes
    ----------
    cursor : Cursor
        How far the task has come.
    """

    def __init__(self, problem: Problem, batch: BatchArrays):
        self.problem, self.batch = problem, batch
        self.out, self.origin = empty_tape(_ROWS), np.zeros(_ROWS, dtype=np.int64)
        self.cursor = cursor()
        self._most_inputs = int(np.diff(batch.input_start).max())

    def begin(self, first: int, stop: int) -> None:
        """Go to the samples of a task."""
        for counter in self.cursor:
            counter[0] = 0
        self.cursor.sample[0] = first
        self.cursor.stop[0] = stop

    def go_on(self) -> int:
        """Simulate for a while and return a status."""
        raise NotImplementedError

    def grow(self) -> None:
        """Make room for what has too little."""
        rows = 2 * int(self.cursor.need[0])
        if self.cursor.short[0] == OUT:
            self.out, self.origin = _longer_tape(self.out, rows), _longer(self.origin, rows)
        else:
            self._grow(int(self.cursor.short[0]), rows)

    def _grow(self, short: int, rows: int) -> None:
        raise NotImplementedError

    def columns(self, spikes: int, emitted: int) -> list[NDArray[Any]]:
        """Return copies of the columns of the spikes, and of the origins, that are in use."""
        rows = [column[:spikes].copy() for column in self.out[:4]]
        return [*rows, self.origin[:emitted].copy()]


class NeuronWorker(Worker):
    """Neurons one by one, by the steps of the event loop."""

    def __init__(self, problem: Problem, batch: BatchArrays, run: EventRun, plan: Plan):
        super().__init__(problem, batch)
        self._work, self._plan = run.work, plan
        n, sources = len(plan.order), len(problem.wiring.start) - 1
        reads = int(np.diff(batch.sample_start).max())
        emissions = self._most_inputs + len(self._work.tape.time)
        self._room: Room = empty_room(n, sources, emissions, _ROOM, reads)

    def go_on(self) -> int:
        """Simulate for a while and return a status."""
        return run_layers(
            self.problem,
            self._work,
            self._plan,
            self.batch,
            self._room,
            self.cursor,
            self.out,
            self.origin,
            SHARE,
        )

    def _grow(self, short: int, rows: int) -> None:
        if short == HITS:
            self._room = self._room._replace(hits=empty_hits(rows))
            return
        assert short == TAPE
        self._work = self._work._replace(tape=_longer_tape(self._work.tape, rows))
        emitted = self._room.emitted
        time, row = (_longer(c, self._most_inputs + rows) for c in (emitted.time, emitted.row))
        self._room = self._room._replace(emitted=emitted._replace(time=time, row=row))


class DenseWorker(Worker):
    """Full layers, all neurons of a group at once."""

    def __init__(self, problem: Problem, batch: BatchArrays, dense: Dense):
        super().__init__(problem, batch)
        self._dense = dense
        self._room = self._empty_room(_ROOM + self._most_inputs)
        self._notes = (
            Margins(*np.full((3, 1), np.inf)),
            Counts(*np.zeros((len(Counts._fields), 1), dtype=np.int64)),
        )

    def _empty_room(self, rows: int) -> Any:
        return empty_dense_room(int(self._dense.groups.start[-1]), rows)

    def go_on(self) -> int:
        """Simulate for a while and return a status."""
        return run_dense(
            self.problem,
            *self._dense,
            self._notes,
            self.batch,
            self._room,
            self.cursor,
            (self.out, self.origin),
        )

    def _grow(self, short: int, rows: int) -> None:
        self._room = self._empty_room(rows)
