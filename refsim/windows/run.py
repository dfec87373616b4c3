"""A run of the window engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.network.voltages import start_of
from refsim.results.simulation import Spikes
from refsim.status import DONE, FULL, RUNNING, SPIKE_LIMIT
from refsim.threads import Crew, uninterrupted
from refsim.types import Float, Tape
from refsim.windows import room
from refsim.windows.loop import run_windows, start_windows
from refsim.windows.plan import window_tables
from refsim.windows.room import empty_work, grown, longer
from refsim.windows.state import WindowState, restore, snapshot
from refsim.windows.types import (
    ARRIVALS,
    BASE,
    INPUTS,
    NOW,
    PHASE,
    SEARCHES,
    SPIKES,
    WindowProblem,
)

if TYPE_CHECKING:
    from refsim.engine import Run

# Arrivals of a thread between two looks at the keyboard: some hundredths of a second.
_SHARE = 5_000_000
_FOREVER = 2**62  # windows


class Resumed(NamedTuple):
    """What an earlier run has left: its state, and its spikes and voltages in order of time."""

    state: WindowState
    base: int  # number of the first spike below; those before are forgotten
    spikes: Spikes
    voltages: Float


def _problem(run: Run) -> WindowProblem:
    network = run.network
    return WindowProblem(
        model=network.model,
        rows=network.rows[0],
        inputs=run.problem.inputs,
        samples=run.problem.samples,
        t_end=run.duration,
        max_spikes=run.max_spikes,
        **window_tables(network)._asdict(),
    )


class WindowRun:
    """A run of the window engine, in the place of the event loop of ``run``."""

    def __init__(self, run: Run):
        network = run.network
        self.run = run
        self.problem = _problem(run)
        self.n_threads = min(run.threads, len(self.problem.rows.edge) - 1)
        self.work = empty_work(self.problem, start_of(network), self.n_threads)
        if run.resumed is None:
            start_windows(self.problem, self.work)
        else:
            self._resume(run.resumed)

    def _resume(self, resumed: Resumed) -> None:
        """Go back to the window where an earlier run has left its state."""
        self.work = restore(self.work, resumed.state)
        self.work.counts[BASE] = resumed.base
        k = resumed.state.n_spikes - resumed.base
        tape = Tape(*(longer(column, 2 * k + room.ROOM) for column in self.work.tape))
        for name, column in resumed.spikes._asdict().items():
            getattr(tape, name)[:k] = column[:k]
        self.work = self.work._replace(tape=tape)

    @property
    def reached(self) -> float:
        """Time in ms up to which the run has come."""
        return min(float(self.work.counts[NOW]) * self.problem.length, self.run.duration)

    def execute(self) -> int:
        """Run to the end and return the status; what was found is in ``run`` then."""
        status = RUNNING
        try:
            if self.run.keep_state:
                whole = int(self.run.duration / self.problem.length)
                status = self.advance(whole)
                if status == DONE:
                    self.run.state = snapshot(self.work)
            if status != SPIKE_LIMIT:
                status = self.advance(_FOREVER)
        except KeyboardInterrupt:
            with uninterrupted():
                status = self.finish_turn()
                # Later ones than the one that is kept lack what arrives after the end.
                if self.run.keep_state and self.run.state is None and status != SPIKE_LIMIT:
                    self.run.state = snapshot(self.work)
            raise
        finally:
            self._hand_over(status == SPIKE_LIMIT)
        return status

    def take(self) -> Spikes:
        """Take the spikes off the tape, and return them.

        The slopes at releases that are still to come will be in ``neurons.carried``.
        """
        counts, tape = self.work.counts, self.work.tape
        rows = slice(int(counts[SPIKES] - counts[BASE]))
        counts[BASE] = counts[SPIKES]
        return Spikes(tape.time, tape.neuron, tape.slope_before, tape.slope_after).part(rows)

    def advance(self, stop: int) -> int:
        """Run up to window ``stop`` or to the end; return DONE or SPIKE_LIMIT."""
        status = RUNNING
        with Crew(self.n_threads) as crew:
            while status not in (DONE, SPIKE_LIMIT):
                if status == FULL:
                    self.work = grown(self.problem, self.work)
                if self.run.is_stopped():
                    raise KeyboardInterrupt
                status = self._run_share(crew, stop, _SHARE)
                self.run.report(float(self.work.counts[NOW]) * self.problem.length)
        return status

    def finish_turn(self) -> int:
        """Take the turn at work to its end: between turns alone there is a state to keep."""
        status = RUNNING
        with Crew(self.n_threads) as crew:
            while self.work.counts[PHASE] != 0 and status != SPIKE_LIMIT:
                status = self._run_share(crew, _FOREVER, 0)
                if status == FULL:
                    self.work = grown(self.problem, self.work)
        return status

    def _run_share(self, crew: Crew, stop: int, share: int) -> int:
        """Let all threads work until a share is used up; return a status."""
        arguments = (self.problem, self.work, np.int64(share * self.n_threads), np.int64(stop))
        return crew.run(run_windows, arguments)

    def _hand_over(self, is_cut: bool) -> None:
        """Leave spikes, counts and margins where the event loop leaves them.

        A run that is cut within a window ends with its last spike.
        """
        run, work = self.run, self.work
        spikes, inputs = int(work.counts[SPIKES] - work.counts[BASE]), int(work.counts[INPUTS])
        if is_cut:
            end = work.tape.time[spikes - 1] if spikes else self.reached
            inputs = int(np.searchsorted(run.problem.inputs.time, end))
            run.problem.samples.voltage[run.problem.samples.time > end] = np.nan
        origin = order_of_emissions(work.tape.time[:spikes], run.problem.inputs.time[:inputs])
        if not is_cut:
            run.reached = self.reached
        run.work = run.work._replace(tape=work.tape, origin=origin)
        counts = run.work.counts
        counts.spikes[0] = spikes
        counts.inputs[0] = inputs
        counts.emitted[0] = len(origin)
        counts.arrivals[0] = work.tally[:, ARRIVALS].sum()
        counts.searches[0] = work.tally[:, SEARCHES].sum()
        for margin, gap in zip(run.work.margins, work.gap[:, :3].min(axis=0), strict=True):
            margin[0] = gap


def order_of_emissions(spikes: Float, inputs: Float) -> NDArray[np.int64]:
    """Return for each emission in order of time the row of its spike, or -1 - that of its input.

    Both are in order; spikes come before inputs of equal time.
    """
    row, i = np.arange(len(spikes)), np.arange(len(inputs))
    origin = np.empty(len(spikes) + len(inputs), dtype=np.int64)
    origin[row + np.searchsorted(inputs, spikes, "left")] = row
    origin[i + np.searchsorted(spikes, inputs, "right")] = -1 - i
    return origin
