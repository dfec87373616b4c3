"""Launches of the kernels of CUDA: room on the device, parts of a batch, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numba.cuda
import numpy as np
from numpy.typing import NDArray

from adjoint.batch.loop import BackCursor
from adjoint.events.groups import BackArrays
from adjoint.events.loop import Pending, ReverseProblem
from queues.exact import heap_or_ring, indexed_heap
from queues.exact.dispatch import STRUCTURES
from refsim.batch.loop import Cursor
from refsim.events.loop import Problem
from refsim.events.run import EventRun
from refsim.models import lif as neuron
from refsim.status import FULL
from refsim.types import EMITTED, SPIKES, BatchArrays, Float, Int, Tape
from validation.backends.cuda import kernels as cuda_kernels
from validation.backends.cuda.target import bytes_of, configured, rows_on_device, to_device
from validation.backends.cuda.types import BackRows, Bars, ForwardRows, Given

cuda: Any = numba.cuda
THREADS = 32  # of a block: one warp, so that a small batch spreads over many processors
_COLUMNS = ("time", "neuron", "slope_before", "slope_after")  # of the tape


def _parts(size: int, bytes_each: int, memory: int) -> Iterator[slice]:
    """Cut ``size`` threads into launches that take no more than ``memory``, or one warp each."""
    at_once = max(memory // max(bytes_each, 1) // THREADS, 1) * THREADS
    for first in range(0, size, at_once):
        yield slice(first, min(first + at_once, size))


def _kind(queue: str) -> int:
    """Return the number in `queues.exact.heap_or_ring` of a structure."""
    return int(STRUCTURES[queue].empty(1, 1, 1).kind[0])


def given_on_device(problem: Problem) -> Given:
    """Return what all threads are given, copied to the device."""
    return Given(
        model=to_device(problem.model),
        wiring=to_device(problem.wiring),
        inputs=to_device(problem.inputs),
        samples=to_device(problem.samples),
        t_end=float(problem.t_end),
        dt=float(problem.dt),
        max_spikes=int(problem.max_spikes),
    )


class ForwardPass:
    """Forward passes of the samples of a batch.

    Attributes
    ----------
    status : (B,) int
        How each sample has ended, see `refsim.status`.
    """

    def __init__(self, template: EventRun, problem: Problem, arrays: BatchArrays, memory: int):
        self._template = template
        self._memory = memory
        self._given: Any = given_on_device(problem)
        self._batch: Any = to_device(arrays)
        self._most_inputs = int(np.diff(arrays.input_start).max())
        self.status = np.zeros(len(arrays.is_done), dtype=np.int64)

    def parts(self, which: Int, room: int) -> Iterator[Int]:
        """Cut samples into parts of one launch each, for room for so many spikes of a sample."""
        each = bytes_of(self._rows_of_one(room))
        return (which[part] for part in _parts(len(which), each, self._memory))

    def launch(self, which: Int, room: int) -> list[NDArray[Any]]:
        """Simulate samples; return the columns of their tapes, and their origins, end to end.

        Those that find no room leave nothing.
        """
        rows: Any = self.rows(len(which), room)
        status = cuda.device_array(len(which), np.int64)
        self.start(rows, cuda.to_device(which), status)
        self.status[which] = status.copy_to_host()
        counts = self._batch.counts.copy_to_host()[which]
        counts[self.status[which] == FULL] = 0
        used = [(getattr(rows.tape, name), counts[:, SPIKES]) for name in _COLUMNS]
        used.append((rows.origin, counts[:, EMITTED]))
        return [_end_to_end(array.copy_to_host().T, size) for array, size in used]

    def rows(self, threads: int, room: int) -> ForwardRows:
        """Return what so many threads change, with room for so many spikes of each."""
        return rows_on_device(self._rows_of_one(room), threads)

    def start(self, rows: ForwardRows, which: Any, status: Any) -> None:
        """Launch the kernel, and do not wait for it."""
        kind = _kind(self._template.queue)
        launched = configured(cuda_kernels.simulate_samples, len(which), THREADS)
        launched(self._given, self._batch, rows, kind, which, status)

    def fetch(self, arrays: BatchArrays, voltage: Float) -> None:
        """Copy what was noted of the samples, and their voltages, to the host."""
        for name in ("counts", "gaps", "is_done"):
            getattr(arrays, name)[...] = getattr(self._batch, name).copy_to_host()
        voltage[:] = self._given.samples.voltage.copy_to_host()

    def _rows_of_one(self, room: int) -> ForwardRows:
        """Return the arrays of one thread with room for so many spikes."""
        work = self._template.work
        n = len(work.is_exact)
        emissions = room + self._most_inputs
        floats, ints = np.empty(room), np.empty(room, dtype=np.int64)
        return ForwardRows(
            state=work.state,
            crossings=indexed_heap.empty(n),
            is_exact=work.is_exact,
            tape=Tape(floats, ints, floats, floats, np.empty(0)),
            origin=np.empty(emissions, dtype=np.int64),
            counts=work.counts,
            margins=work.margins,
            scratch=work.scratch,
            queue=heap_or_ring.empty(room, heap_or_ring.HEAP),
            cursor=Cursor(*np.zeros((5, 1), dtype=np.int64)),
        )


def _end_to_end(array: NDArray[Any], used: Int) -> NDArray[Any]:
    """Return the first ``used[i]`` numbers of each row, one row after the other."""
    return np.asarray(array[np.arange(array.shape[1]) < used[:, None]])


class BackwardPass:
    """Backward passes of the samples of a batch that has been simulated.

    Parameters
    ----------
    problem : ReverseProblem
        What the forward passes have left, of all samples end to end.
    queue : str
        Structure of the queue of arrivals backwards.
    room : int
        Most emissions of a sample.
    memory : int
        Bytes that the threads of one launch may take.
    """

    def __init__(self, problem: ReverseProblem, queue: str, room: int, memory: int):
        self._problem: Any = to_device(problem)
        self._kind = _kind(queue)
        self._memory = memory
        model = problem.model
        ints = np.empty((2, room), dtype=np.int64)
        counters = np.zeros((3, 1), dtype=np.int64)
        adjoint, _ = neuron.adjoint_state(
            len(model.neurons.rate), len(model.ports.rate), len(model.ports.order), 0.0
        )
        self._rows_of_one = BackRows(
            adjoint=adjoint,
            queue=STRUCTURES[queue].empty(room, 1, 1),
            last=Pending(np.empty(room), *ints),
            spikes=counters[0],
            samples=counters[1],
            pending=counters[2],
            cursor=BackCursor(*counters),
        )

    def run(
        self, arrays: BackArrays, sample_bar: Float, spike_bar: Float, input_bar: Float
    ) -> None:
        """Take all samples back; cotangents are completed, and the arrays filled, in place."""
        size = arrays.sums.shape[1]
        group = int(arrays.group[0])
        bars: Any = to_device(Bars(sample_bar, spike_bar, input_bar))
        sums = cuda.to_device(arrays.sums)
        each = bytes_of(self._rows_of_one) + 8 * size
        for part in _parts(len(arrays.is_finite), each, self._memory):
            threads = part.stop - part.start
            flat = cuda.device_array((size, threads), np.float64)
            batch: Any = self.batch_of(arrays, part, flat)
            self.start(batch, self.rows(threads), bars)
            n_groups = (part.stop - 1) // group - part.start // group + 1
            launched = configured(cuda_kernels.add_in_order, n_groups * size, THREADS)
            launched(flat, part.start, threads, group, sums)
            arrays.is_finite[part] = batch.is_finite.copy_to_host()
        spike_bar[:] = bars.spike.copy_to_host()
        input_bar[:] = bars.input.copy_to_host()
        arrays.sums[:] = sums.copy_to_host()

    def rows(self, threads: int) -> BackRows:
        """Return what so many threads change."""
        return rows_on_device(self._rows_of_one, threads)

    def start(self, batch: BackArrays, rows: BackRows, bars: Bars) -> None:
        """Launch the kernel, and do not wait for it."""
        launched = configured(cuda_kernels.take_samples_back, len(batch.is_finite), THREADS)
        launched(self._problem, batch, rows, bars, self._kind)

    @staticmethod
    def batch_of(arrays: BackArrays, part: slice, flat: Any) -> BackArrays:
        """Return on the device what is to be known of a part of the samples, each its own group."""
        bounds = slice(part.start, part.stop + 1)
        return to_device(
            arrays._replace(
                input_start=arrays.input_start[bounds],
                sample_start=arrays.sample_start[bounds],
                spike_start=arrays.spike_start[bounds],
                origin_start=arrays.origin_start[bounds],
                arrivals=arrays.arrivals[part],
                is_finite=np.zeros(part.stop - part.start, dtype=np.int64),
                group=np.ones(1, dtype=np.int64),
                sums=flat,
            )
        )
