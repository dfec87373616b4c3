"""A run of the window engine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.network.voltages import start_of, voltages_of
from refsim.question import Question
from refsim.results.outcome import ExactRun, Outcome
from refsim.results.result import EventCounts, Spikes
from refsim.status import DONE, FULL, RUNNING, SPIKE_LIMIT
from refsim.threads import Crew, uninterrupted
from refsim.transit.lossy import NoLosses
from refsim.types import Float, Tape
from refsim.validate import checked_threads
from refsim.windows import room
from refsim.windows.loop import run_windows, start_windows
from refsim.windows.options import Windows
from refsim.windows.plan import window_tables
from refsim.windows.room import empty_work, grown, longer
from refsim.windows.state import WindowState, restore, snapshot
from refsim.windows.types import WindowProblem

# Arrivals of a thread between two looks at the keyboard: some hundredths of a second.
_SHARE = 5_000_000
_FOREVER = 2**62  # windows


class Resumed(NamedTuple):
    """What an earlier run has left: its state, and its spikes and voltages in order of time."""

    state: WindowState
    base: int  # number of the first spike below; those before are forgotten
    spikes: Spikes
    voltages: Float


def _problem(question: Question) -> WindowProblem:
    network = question.network
    return WindowProblem(
        model=network.model,
        rows=network.rows[0],
        inputs=question.input_arrays,
        samples=question.samples_to_read(),
        t_end=question.duration,
        max_spikes=question.max_spikes,
        **window_tables(network)._asdict(),
    )


class WindowRun(ExactRun):
    """A run of the window engine."""

    engine = "windows"

    def __init__(
        self,
        question: Question,
        windows: Windows = Windows(),  # noqa: B008  (frozen)
        resumed: Resumed | None = None,
    ):
        super().__init__(question)
        if windows.threads is not None:
            question.threads = checked_threads(windows.threads)
        self.problem = _problem(question)
        self.n_threads = min(question.threads, len(self.problem.rows.edge) - 1)
        self.work = empty_work(self.problem, start_of(question.network), self.n_threads)
        self._resumed = resumed
        if resumed is None:
            start_windows(self.problem, self.work)
        else:
            self._resume(resumed)

    def _resume(self, resumed: Resumed) -> None:
        """Go back to the window where an earlier run has left its state."""
        self.work = restore(self.work, resumed.state)
        self.work.counts[0].first = resumed.base
        k = resumed.state.n_spikes - resumed.base
        tape = Tape(*(longer(column, 2 * k + room.ROOM) for column in self.work.tape))
        for name, column in resumed.spikes._asdict().items():
            getattr(tape, name)[:k] = column[:k]
        self.work = self.work._replace(tape=tape)

    @property
    def reached(self) -> float:
        """Time in ms up to which the run has come."""
        return min(float(self.work.counts[0].now) * self.problem.length, self.question.duration)

    def run_to_the_end(self) -> None:
        """Run to the end, or to the limit of spikes, and set the status."""
        question = self.question
        try:
            if question.keep_state:
                self.status = self.advance(int(question.duration / self.problem.length))
                if self.status == DONE:
                    self.state = snapshot(self.work)
            if self.status != SPIKE_LIMIT:
                self.status = self.advance(_FOREVER)
        except KeyboardInterrupt:
            with uninterrupted():
                self.status = self.finish_turn()
                # Later ones than the one that is kept lack what arrives after the end.
                if question.keep_state and self.state is None and self.status != SPIKE_LIMIT:
                    self.state = snapshot(self.work)
            raise

    def take(self) -> Spikes:
        """Take the spikes off the tape, and return them.

        The slopes at releases that are still to come will be in ``neurons.carried``.
        """
        counts, tape = self.work.counts, self.work.tape
        rows = slice(int(counts[0].spikes - counts[0].first))
        counts[0].first = counts[0].spikes
        return Spikes(tape.time, tape.neuron, tape.slope_before, tape.slope_after).part(rows)

    def advance(self, stop: int) -> int:
        """Run up to window ``stop`` or to the end; return DONE or SPIKE_LIMIT."""
        status = RUNNING
        with Crew(self.n_threads) as crew:
            while status not in (DONE, SPIKE_LIMIT):
                if status == FULL:
                    self.work = grown(self.problem, self.work)
                if self.question.is_stopped():
                    raise KeyboardInterrupt
                status = self._run_share(crew, stop, _SHARE)
                self.question.report(float(self.work.counts[0].now) * self.problem.length)
        return status

    def finish_turn(self) -> int:
        """Take the turn at work to its end: between turns alone there is a state to keep."""
        status = RUNNING
        with Crew(self.n_threads) as crew:
            while self.work.counts[0].phase != 0 and status != SPIKE_LIMIT:
                status = self._run_share(crew, _FOREVER, 0)
                if status == FULL:
                    self.work = grown(self.problem, self.work)
        return status

    def _run_share(self, crew: Crew, stop: int, share: int) -> int:
        """Let all threads work until a share is used up; return a status."""
        arguments = (self.problem, self.work, np.int64(share * self.n_threads), np.int64(stop))
        return crew.run(run_windows, arguments)

    def now(self) -> float:
        """Return the time up to which all events have been processed."""
        spikes, inputs = self._taken()
        spike = self.work.tape.time[spikes - 1] if spikes else 0.0
        given = self.problem.inputs.time[inputs - 1] if inputs else 0.0
        return float(max(spike, given, 0.0 if self.status == SPIKE_LIMIT else self.reached))

    def _taken(self) -> tuple[int, int]:
        """Return how many spikes are on the tape, and how many input spikes have been taken.

        A run that is cut within a window ends with its last spike.
        """
        counts, inputs = self.work.counts, self.problem.inputs
        spikes = int(counts[0].spikes - counts[0].first)
        if self.status == SPIKE_LIMIT:
            return spikes, int(np.searchsorted(inputs.time, self._cut(spikes)))
        return spikes, int(counts[0].inputs)

    def _cut(self, spikes: int) -> float:
        return float(self.work.tape.time[spikes - 1]) if spikes else self.reached

    def outcome(self) -> Outcome:
        """Return what was found so far."""
        work, samples, network = self.work, self.problem.samples, self.question.network
        spikes, inputs = self._taken()
        voltages = voltages_of(network, samples.voltage, samples.neuron)
        if self.status == SPIKE_LIMIT:
            voltages[samples.time > self._cut(spikes)] = np.nan
        if self._resumed is not None:
            taken = slice(self._resumed.state.n_samples)
            voltages[taken] = self._resumed.voltages[taken]
        time = self.problem.inputs.time[:inputs]
        gap, release_gap, sample_gap = work.gap[:, :3].min(axis=0)
        return Outcome(
            tape=Tape(*(column[:spikes].copy() for column in work.tape)),  # type: ignore[arg-type]
            origin=order_of_emissions(work.tape.time[:spikes], time),
            counts=EventCounts(
                spikes=spikes,
                inputs=inputs,
                arrivals=int(work.tally.arrivals.sum()),
                searches=int(work.tally.searches.sum()),
                dropped=0,
            ),
            gaps=(gap, release_gap, sample_gap),
            voltages=voltages,
            losses=NoLosses(np.zeros(0, dtype=np.int64)),
        )


def order_of_emissions(spikes: Float, inputs: Float) -> NDArray[np.int64]:
    """Return for each emission in order of time the row of its spike, or -1 - that of its input.

    Both are in order; spikes come before inputs of equal time.
    """
    row, i = np.arange(len(spikes)), np.arange(len(inputs))
    origin = np.empty(len(spikes) + len(inputs), dtype=np.int64)
    origin[row + np.searchsorted(inputs, spikes, "left")] = row
    origin[i + np.searchsorted(spikes, inputs, "right")] = -1 - i
    return origin
