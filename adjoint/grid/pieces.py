"""States of a run on a time grid for its backward pass, piece by piece, without keeping them all.

The forward pass keeps a snapshot of the state before each piece of steps. On the way back a piece
is simulated again from its snapshot, the same to the last bit, and its states are recorded.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.grid.result import GridSimulation
from refsim.grid.run import GridRun
from refsim.grid.scheme import Grid
from refsim.grid.types import GridCounts, Recorder
from refsim.question import Question
from refsim.status import SPIKE_LIMIT
from refsim.types import Int

# Numbers of one piece, 32 MB, where these are not less than sqrt(n_steps) steps.
_RECORDED = 4_000_000
_OF_EMISSIONS = ("link", "cursor")  # columns of the calendar that later steps change


class _Snapshot(NamedTuple):
    """What a run needs to go on from a step."""

    state: tuple[NDArray[Any], ...]
    counts: GridCounts
    slots: tuple[Int, Int]  # first and last entry of each list of the calendar
    under_way: int  # emission from which on there may be some that have not arrived
    entries: tuple[Int, ...]  # their columns of the calendar


class PiecesRun(GridRun):
    """A run that can be gone through backwards."""

    def __init__(self, question: Question, grid: Grid):
        super().__init__(question, replace(grid, keep_voltages=False))
        self._grid = grid
        n, n_states = self.work.state.x.shape
        fit = _RECORDED // (n * (1 + n_states))
        self._length = max(fit, math.isqrt(self.n_steps), 1)
        self._snapshots: list[_Snapshot] = []
        self._recorded = -1  # piece on record
        size = min(self._length, self.n_steps)
        self._record = Recorder(
            np.zeros(1, dtype=np.int64), np.zeros((size, n)), np.zeros((size, n, n_states))
        )

    @property
    def n_pieces(self) -> int:
        """Number of pieces."""
        return len(self._snapshots)

    def run_to_the_end(self) -> None:
        """Run forwards from the beginning, and keep snapshots; the last piece is on record."""
        for piece in range(-(-self.n_steps // self._length)):
            self._snapshots.append(self._snapshot())
            if self._stop(piece) > self.n_steps:
                self._start_recording(piece)
                self._recorded = piece
            self.advance(self._stop(piece))
            if self.status == SPIKE_LIMIT:
                return

    def result(self, duration: float) -> GridSimulation:
        """Return what has been simulated; voltages are kept by a run that goes in one piece."""
        found = super().result(duration)
        if self._grid.keep_voltages and duration == self.duration:
            found = replace(found, kept=GridRun(self.question, self._grid).execute().kept)
        return found

    def start(self, piece: int) -> int:
        """Return the first step of a piece."""
        return piece * self._length

    def _stop(self, piece: int) -> int:
        """Return the step after a piece; to the last one belongs the half step at the end."""
        stop = self.start(piece + 1)
        return stop if stop < self.n_steps else self.n_steps + 1

    def states(self, piece: int) -> Recorder:
        """Return the states of a piece."""
        if self._recorded != piece:
            self._recorded = -1  # until it is complete
            self._restore(self._snapshots[piece])
            self._start_recording(piece)
            self.advance(self._stop(piece))
            self._recorded = piece
        return self._record

    def _start_recording(self, piece: int) -> None:
        self._record.first[0] = self.start(piece)
        self.work = self.work._replace(recorder=self._record)

    def _snapshot(self) -> _Snapshot:
        work = self.work
        counts, calendar = work.counts, work.calendar
        now, emitted = int(counts.now[0]), int(counts.emitted[0])
        # What was emitted so long ago has arrived wherever it does.
        old = [s.counts for s in self._snapshots if s.counts.now[0] <= now - len(calendar.first)]
        under_way = int(old[-1].emitted[0]) if old else 0
        return _Snapshot(
            state=tuple(column.copy() for column in work.state),
            counts=GridCounts(*(column.copy() for column in counts)),
            slots=(calendar.first.copy(), calendar.last.copy()),
            under_way=under_way,
            entries=tuple(getattr(calendar, c)[under_way:emitted].copy() for c in _OF_EMISSIONS),
        )

    def _restore(self, snapshot: _Snapshot) -> None:
        work = self.work
        targets = (*work.state, *work.counts, *work.calendar[:2])
        values = (*snapshot.state, *snapshot.counts, *snapshot.slots)
        for target, value in zip(targets, values, strict=True):
            target[...] = value
        rows = slice(snapshot.under_way, int(snapshot.counts.emitted[0]))
        for name, entries in zip(_OF_EMISSIONS, snapshot.entries, strict=True):
            getattr(work.calendar, name)[rows] = entries
