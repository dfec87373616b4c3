"""The pullback of a batch of the event engine: many samples in one call of a kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from adjoint.batch.loop import BackCursor, run_samples_back
from adjoint.batch.pullback import BatchPullback, Vector, of_sample
from adjoint.events.bars import bars_of, size_of_bars
from adjoint.events.groups import BackArrays
from adjoint.events.keep import kept_arrays
from adjoint.events.loop import (
    Pending,
    ReverseProblem,
    ReverseTransit,
    ReverseWork,
    WiringBar,
)
from adjoint.events.run import SHARE
from adjoint.layers.run import reverse_problem
from adjoint.layout import as_given, gradient
from adjoint.pullback import check_finite, check_slopes
from adjoint.types import Outcome, Parameters
from queues.exact.dispatch import STRUCTURES
from refsim.batch.events import EventBatch
from refsim.models import lif as neuron
from refsim.models.lif.adjoint import ModelBar
from refsim.network.voltages import start_of
from refsim.results.batch import BatchResult
from refsim.results.result import EventCounts
from refsim.status import DONE, RUNNING
from refsim.threads import Tasks, share_out

TASKS_A_THREAD = 4  # or more: samples take longer and shorter


class EventPullback(BatchPullback):
    """A pullback in which a thread takes many samples back in one call of a kernel."""

    def __init__(self, run: EventBatch, batch: BatchResult, queue: str):
        super().__init__(batch, run.threads)
        self._run = run
        self._queue = queue
        self._lay_out()

    def _lay_out(self) -> None:
        run, batch = self._run, self._batch
        network = batch.network
        self._size = size_of_bars(network)
        # As for one sample, but for the arrays of samples, which hold those of all.
        self._problem = reverse_problem(
            network, run.problem.inputs, run.problem.samples, run.tape
        )._replace(origin=batch.origin, dt=batch.dt)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is laid out anew, since copies of read-only arrays can be written to."""
        return {name: value for name, value in vars(self).items() if name != "_problem"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lay_out()

    def _bars(self, flat: Vector) -> tuple[WiringBar, ModelBar]:
        """Return the parts of a gradient in terms of rates."""
        return bars_of(flat, self._batch.network)

    def _parameters(self, row: Vector, input_bar: Vector) -> Parameters:
        wiring_bar, model_bar = self._bars(row)
        network = self._batch.network
        weight, delay = (as_given(network.wiring, bar) for bar in wiring_bar)
        found = Outcome(model_bar, weight, delay, np.zeros(0), input_bar)
        return gradient(network, found, input_bar)

    def _group_sums(
        self, spike_bar: Vector, sample_bar: Vector, group: int, wanted: set[str]
    ) -> tuple[Vector, Vector]:
        run, batch = self._run, self._batch
        arrays = BackArrays(
            input_start=run.given.start,
            sample_start=run.read.start,
            spike_start=batch.spike_start,
            origin_start=batch.origin_start,
            arrivals=batch.counts_of[:, EventCounts._fields.index("arrivals")].copy(),
            v0=start_of(batch.network),
            t_end=np.array([run.question.duration]),
            group=np.array([group]),
            sums=np.zeros((-(-len(batch) // group), self._size)),
            is_finite=np.zeros(len(batch), dtype=np.int64),
        )
        problem = self._problem._replace(sample_bar=sample_bar[run.read.order])
        sorted_bar = np.zeros(len(run.given.time))
        self._take_back(problem, arrays, spike_bar, sorted_bar)
        self._check_slopes(spike_bar)
        input_bar = np.zeros(run.given.given)
        input_bar[run.given.order] = sorted_bar
        self._check_finite(arrays, input_bar)
        return arrays.sums, input_bar

    def _take_back(
        self, problem: ReverseProblem, arrays: BackArrays, spike_bar: Vector, input_bar: Vector
    ) -> None:
        """Take all samples back; cotangents are completed, and the arrays filled, in place."""
        size, group = len(self._batch), int(arrays.group[0])
        at_once = group * -(-len(arrays.sums) // (TASKS_A_THREAD * self._threads))

        def body(tasks: Tasks) -> None:
            worker = self._worker(arrays, spike_bar, input_bar)
            for task in tasks:
                worker.begin(task * at_once, min((task + 1) * at_once, size))
                status = RUNNING
                while status != DONE and not tasks.stopped:
                    status = worker.go_on(problem, arrays)

        share_out(-(-size // at_once), self._threads, body)

    def _worker(self, arrays: BackArrays, spike_bar: Vector, input_bar: Vector) -> Any:
        """Return the arrays of a thread."""
        return _Worker(self, spike_bar, input_bar)

    def _check_slopes(self, spike_bar: Vector) -> None:
        flat = np.flatnonzero((self._problem.tape.slope_before <= 0.0) & (spike_bar != 0.0))
        if flat.size:
            with of_sample(int(self._batch.sample_of_spike[flat[0]])):
                check_slopes(self._problem.tape, spike_bar)

    def _check_finite(self, arrays: BackArrays, input_bar: Vector) -> None:
        """Refuse the gradient of a sample that is not finite."""
        starts = self._batch.input_start
        for i in np.flatnonzero(arrays.is_finite == 0):
            with of_sample(int(i)):
                own = input_bar[starts[i] : starts[i + 1]]
                parameters = self._parameters(arrays.sums[i // arrays.group[0]], own)
                check_finite("gradient", parameters.items())


class _Worker:
    """The arrays of one thread."""

    def __init__(self, pullback: EventPullback, spike_bar: Vector, input_bar: Vector):
        network, batch = pullback._batch.network, pullback._batch
        ports = network.model.ports
        self._flat = np.zeros(pullback._size)
        wiring_bar, model_bar = pullback._bars(self._flat)
        adjoint, _ = neuron.adjoint_state(network.n_neurons, len(ports.rate), len(ports.order), 0.0)
        counters = np.zeros((3, 1), dtype=np.int64)
        self._work = ReverseWork(adjoint, model_bar, wiring_bar, spike_bar, input_bar, *counters)
        room = int(np.diff(batch.origin_start).max())
        self._last = Pending(np.zeros(room), *np.zeros((2, room), dtype=np.int64))
        self._transit = ReverseTransit(
            queue=STRUCTURES[pullback._queue].empty(room, 1, 1),
            losses=batch.losses[0],
            kept=kept_arrays(None, len(network.synapses), batch.origin),
        )
        self._cursor = BackCursor(*np.zeros((3, 1), dtype=np.int64))

    def begin(self, first: int, stop: int) -> None:
        """Go to the samples of a task."""
        self._cursor.sample[0] = first
        self._cursor.stop[0] = stop
        self._cursor.begun[0] = 0

    def go_on(self, problem: ReverseProblem, arrays: BackArrays) -> int:
        """Go back for a while and return a status."""
        return run_samples_back(
            problem, self._work, self._transit, arrays, self._cursor, self._flat, self._last, SHARE
        )
