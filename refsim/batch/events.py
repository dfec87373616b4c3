"""A batch of the event engine, from the arrays of the kernel and back to a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.batch.loop import Cursor, run_samples
from refsim.batch.run import BatchRun
from refsim.events.run import EventRun, grown_transit, grown_work
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.voltages import start_of, voltages_of
from refsim.results.batch import BatchResult, starts
from refsim.results.outcome import Moments, gaps_to_own_events
from refsim.results.result import Spikes
from refsim.status import DONE, FULL, RUNNING, SHARE, SPIKE_LIMIT
from refsim.threads import Tasks, share_out
from refsim.types import (
    ARRIVALS,
    EMITTED,
    INPUTS,
    N_COUNTS,
    SEARCHES,
    SPIKES,
    BatchArrays,
    Float,
    InputArrays,
    Int,
    SampleArrays,
    Tape,
)

_TASKS_A_THREAD = 4  # or more: samples take longer and shorter


class Joined(NamedTuple):
    """Times of all samples in order of sample and time."""

    time: Float  # ms
    member: Int  # channel or neuron
    order: Int  # index of each row among the times as given
    start: Int  # (B + 1,) first row of each sample
    given: int  # number of times as given


def join(times: list[Float], group: list[Int], end: float) -> Joined:
    """Return times up to ``end``; equal ones of a sample stay in the order given."""
    sizes = np.array([len(part) for part in times])
    given = int(sizes.sum())
    if given == 0:
        none = np.zeros(0, dtype=np.int64)
        return Joined(np.zeros(0), none, none, starts(sizes), 0)
    sample = np.repeat(np.arange(len(times)), sizes)
    time, member = np.concatenate(times), np.concatenate(group)
    if ((time[1:] >= time[:-1]) | (sample[1:] != sample[:-1])).all():
        order = np.arange(given)
    else:
        order = np.lexsort((time, sample))
    order = order[time[order] <= end]
    sizes = np.bincount(sample[order], minlength=len(times))
    return Joined(time[order], member[order], order, starts(sizes), given)


class EventBatch(BatchRun):
    """A batch of the event engine: a thread simulates many samples in one call of a kernel.

    Attributes
    ----------
    given, read : Joined
        Input spikes and voltage samples.
    arrays : BatchArrays
        Where samples begin, and what is noted of them.
    tape : Tape
        Rows of all samples, once all have been simulated.
    most_at_once : int
        Samples of a task, all of whose spikes are copied once.
    """

    most_at_once = 64

    def __init__(self, template: EventRun, inputs: Any, samples: Any, threads: Any, run: Any):
        super().__init__(template.question, inputs, samples, threads)
        self.template = template
        self.engine = template.engine
        self._run: Callable[[SpikeTrain | None, Samples | None], EventRun] = run
        network, size = self.question.network, len(self)
        sources = [one.sources for one in self.inputs]
        neurons = [one.neurons for one in self.samples]
        self.given = join([one.times for one in self.inputs], sources, self.question.duration)
        self.read = join([one.times for one in self.samples], neurons, self.question.duration)
        empty = template.problem.inputs.tangent
        self.problem = template.problem._replace(
            inputs=InputArrays(self.given.time, network.n_neurons + self.given.member, empty),
            samples=SampleArrays(
                self.read.time, self.read.member, np.full(len(self.read.time), np.nan), empty
            ),
        )
        self.arrays = BatchArrays(
            input_start=self.given.start,
            sample_start=self.read.start,
            v0=start_of(network),
            counts=np.zeros((size, N_COUNTS), dtype=np.int64),
            gaps=np.full((size, 3), np.inf),
            is_done=np.zeros(size, dtype=np.int64),
        )
        most = -(-size // (_TASKS_A_THREAD * self.threads)) if self.threads > 1 else size
        self._at_once = min(most, self.most_at_once)
        self._n_tasks = -(-size // self._at_once)
        self._parts: dict[int, list[NDArray[Any]]] = {}

    def _simulate(self) -> None:
        share_out(self._n_tasks, self.threads, self._simulate_tasks)

    def _worker(self) -> Any:
        """Return the arrays of a thread."""
        return _Worker(self._run(None, None), self)

    def _simulate_tasks(self, tasks: Tasks) -> None:
        worker = self._worker()
        for task in tasks:
            first = task * self._at_once
            stop = min(first + self._at_once, len(self))
            status = RUNNING
            try:
                worker.begin(first, stop)
                while status != DONE and not tasks.stopped:
                    if status == FULL:
                        worker.grow()
                    status = worker.go_on()
                    if status == SPIKE_LIMIT:
                        self.limited.append(int(worker.cursor.sample[0]))
                        tasks.stop()
            finally:
                self._parts[task] = worker.columns(*self.arrays.counts[first:stop, :2].sum(axis=0))

    def result(self) -> BatchResult:
        """Return what has been simulated."""
        question, arrays = self.question, self.arrays
        for task in range(self._n_tasks):
            if task not in self._parts:  # not begun, or Ctrl-C has met the copying of its spikes
                of_task = slice(task * self._at_once, (task + 1) * self._at_once)
                arrays.counts[of_task] = 0
                arrays.is_done[of_task] = 0
        nothing = [
            column[:0] for column in (*self.template.work.tape[:4], self.template.work.origin)
        ]
        parts = [nothing, *(self._parts[task] for task in sorted(self._parts))]
        time, neuron, before, after, origin = map(np.concatenate, zip(*parts, strict=True))
        self.tape = Tape(time, neuron, before, after, np.zeros(0))
        counts = arrays.counts
        voltages = np.full(self.read.given, np.nan)
        samples = self.problem.samples
        voltages[self.read.order] = voltages_of(question.network, samples.voltage, samples.neuron)
        columns = [SPIKES, INPUTS, ARRIVALS, SEARCHES]
        dropped = np.zeros((len(self), 1), dtype=np.int64)
        return BatchResult(
            network=question.network,
            inputs=self.inputs,
            samples=self.samples,
            durations=self._durations(time),
            # Views, for they are made read-only, and kernels are compiled for what is not.
            spikes=Spikes(time.view(), neuron.view(), before.view(), after.view()),
            spike_start=starts(counts[:, SPIKES]),
            voltages=voltages,
            queue=self.template.queue if self.engine == "events" else "none",
            engine=self.engine,
            engine_reason=self.template.reason,
            dt=self.template.dt,
            counts_of=np.hstack([counts[:, columns], dropped]),
            gaps=self._gaps(time, neuron),
            origin=origin,
            origin_start=starts(counts[:, EMITTED]),
            losses=(self.template.transit.losses,) * len(self),
        )

    def _gaps(self, time: Float, neuron: Int) -> Float:
        """Return the margins of each sample; spikes and releases are those of all of them."""
        spikes, read = self.arrays.counts[:, SPIKES], self.read
        number = np.arange(len(self))
        own = gaps_to_own_events(
            Moments(time, neuron, np.repeat(number, spikes)),
            self.question.network.t_ref,
            Moments(read.time, read.member, np.repeat(number, np.diff(read.start))),
            len(self),
        )
        gaps = self.arrays.gaps.copy()
        gaps[:, 2] = np.minimum(gaps[:, 2], own)
        return gaps

    def _durations(self, time: Float) -> Float:
        """Return the time up to which all events of each sample have been processed."""
        durations = np.full(len(self), self.question.duration)
        spike_stop = starts(self.arrays.counts[:, SPIKES])[1:]
        for i in np.flatnonzero(self.arrays.is_done == 0):
            spikes, inputs = self.arrays.counts[i, SPIKES], self.arrays.counts[i, INPUTS]
            spike = time[spike_stop[i] - 1] if spikes else 0.0
            given = self.given.time[self.given.start[i] + inputs - 1] if inputs else 0.0
            durations[i] = max(spike, given)
        return durations


class _Worker:
    """The arrays of one thread."""

    def __init__(self, run: EventRun, batch: EventBatch):
        self._work, self._transit = run.work, run.transit
        self._batch = batch
        self.cursor = Cursor(*(np.zeros(1, dtype=np.int64) for _ in Cursor._fields))

    def begin(self, first: int, stop: int) -> None:
        """Go to the samples of a task."""
        for counter in self.cursor:
            counter[0] = 0
        self.cursor.sample[0] = first
        self.cursor.stop[0] = stop

    def go_on(self) -> int:
        """Simulate for a while and return a status."""
        batch = self._batch
        return run_samples(
            batch.problem, self._work, self._transit, batch.arrays, self.cursor, SHARE
        )

    def grow(self) -> None:
        """Make room where there is none."""
        self._work = grown_work(self._work, int(self.cursor.spikes[0]), int(self.cursor.emitted[0]))
        self._transit = grown_transit(self._transit, 1, 0)

    def columns(self, spikes: int, emitted: int) -> list[NDArray[Any]]:
        """Return copies of the columns of the tape that are in use, and of the origins."""
        tape = self._work.tape
        rows = [tape.time, tape.neuron, tape.slope_before, tape.slope_after]
        return [*(column[:spikes].copy() for column in rows), self._work.origin[:emitted].copy()]
