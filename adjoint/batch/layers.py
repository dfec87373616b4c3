"""The pullback of a batch of the engine of acyclic networks."""

from __future__ import annotations

import numpy as np

from adjoint.batch.events import TASKS_A_THREAD, EventPullback
from adjoint.batch.pullback import Vector
from adjoint.events.groups import BackArrays
from adjoint.layers.dense.loop import DenseBack, DenseBars
from adjoint.layers.dense.run import DenseBackWorker
from adjoint.layers.run import LayersBackWorker
from refsim.batch.layers import LayersBatch
from refsim.layers.dense.layout import Dense
from refsim.results.batch import BatchResult
from refsim.status import DONE, RUNNING
from refsim.threads import Tasks, share_out

# Fewer groups: to touch memory for their sums takes longer than to take samples back.
_COARSER = 4
_SERVED = {"weight", "delay", "input_times"}  # by full layers in vectors


class LayersPullback(EventPullback):
    """A pullback that takes the neurons of each sample back one after the other.

    Where layers are full, gradients by no more than weights, delays and input times take all
    neurons of a layer at once.
    """

    def __init__(self, run: LayersBatch, batch: BatchResult):
        super().__init__(run, batch, "heap")
        self._layers = run

    def _worker(self, arrays: BackArrays, spike_bar: Vector, input_bar: Vector) -> LayersBackWorker:
        plan = self._layers.plan
        return LayersBackWorker(self._batch.network, plan, arrays, spike_bar, input_bar)

    def _group_sums(
        self, spike_bar: Vector, sample_bar: Vector, group: int, wanted: set[str]
    ) -> tuple[Vector, Vector]:
        if self._layers.dense is None or not wanted <= _SERVED:
            return super()._group_sums(spike_bar, sample_bar, group, wanted)
        run, dense = self._layers, self._layers.dense
        if group > 1:
            group *= _COARSER
        given = run.problem.inputs
        n_sums, cells = -(-len(self._batch) // group), len(dense.layers.weight)
        back = DenseBack(
            input_start=run.given.start,
            spike_start=self._batch.spike_start,
            input_time=given.time,
            input_source=given.source,
            tape=run.tape,
            t_end=np.array([run.question.duration]),
            group=np.array([group]),
            with_times=np.array([int(wanted != {"weight"})]),
            with_delays=np.array([int("delay" in wanted)]),
        )
        bars = DenseBars(
            spike=spike_bar.copy(),
            input=np.zeros(len(given.time)),
            weight=np.zeros((n_sums, cells)),
            delay=np.zeros((n_sums, cells) if "delay" in wanted else (0, 0)),
        )
        self._take_dense_back(dense, back, bars)
        self._check_slopes(bars.spike)
        if not (np.isfinite(bars.weight).all() and np.isfinite(bars.input).all()):
            # Which sample it was, the other way says.
            return super()._group_sums(spike_bar, sample_bar, group, wanted)
        size = len(dense.groups.cell_of)
        parts = [bars.weight, bars.delay] if "delay" in wanted else [bars.weight]
        if group > 1:
            parts = [_total(part) for part in parts]
        sums = np.zeros((len(parts[0]), self._size))
        for k, part in enumerate(parts):
            sums[:, k * size : (k + 1) * size] = part[:, dense.groups.cell_of]
        input_bar = np.zeros(run.given.given)
        input_bar[run.given.order] = bars.input
        return sums, input_bar

    def _take_dense_back(self, dense: Dense, back: DenseBack, bars: DenseBars) -> None:
        """Take all samples back; cotangents are completed in place."""
        size, group, n_sums = len(self._batch), int(back.group[0]), len(bars.weight)
        n_tasks = TASKS_A_THREAD * self._threads if self._threads > 1 else 1
        at_once = group * -(-n_sums // n_tasks)

        def body(tasks: Tasks) -> None:
            worker = DenseBackWorker(dense, back, bars)
            for task in tasks:
                worker.begin(task * at_once, min((task + 1) * at_once, size))
                status = RUNNING
                while status != DONE and not tasks.stopped:
                    status = worker.go_on()

        share_out(-(-size // at_once), self._threads, body)


def _total(rows: Vector) -> Vector:
    """Return the sum of rows, one after the other, as a single row."""
    total = rows[:1].copy()
    for row in rows[1:]:
        total[0] += row
    return total
