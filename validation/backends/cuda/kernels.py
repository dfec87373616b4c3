"""Kernels of CUDA: one thread simulates one sample, and takes it back.

A block that shares a sample among threads would wait for the one neuron that searches for its
crossing, and needs barriers at each event; a sample of a small network has few arrivals at the
same time. A thread a sample needs no barrier and no atomic operation, so nothing depends on the
order in which threads run, and a batch of thousands fills a device.

A thread does what a thread of the CPU does for a batch of one sample: it runs
`refsim.batch.loop.run_samples` and `adjoint.batch.loop.run_samples_back` on rows of its own.
"""

from __future__ import annotations

from typing import Any

import numba.cuda
import numpy as np

from adjoint.batch.loop import run_samples_back
from adjoint.events.groups import BackArrays
from adjoint.events.keep import KeepsAll
from adjoint.events.loop import ReverseProblem, ReverseTransit
from queues.compiled.jit import inner_kernel
from refsim.batch.loop import run_samples
from refsim.events.loop import Problem, Transit
from refsim.transit.lossy import NoLosses
from refsim.types import InputArrays, ModelTangent, SampleArrays, WiringTangent
from validation.backends.cuda import rows as cuda_rows
from validation.backends.cuda.target import share_kernels

share_kernels()

cuda: Any = numba.cuda
_ALL = np.int64(2**62)  # events, more than there can be: a launch runs to the end
_ONE: Any = np.int64(1)


@inner_kernel
def _inputs(given):
    """Return the input spikes without tangents."""
    inputs = given.inputs
    return InputArrays(time=inputs.time, source=inputs.source, tangent=inputs.time[0:0])


@inner_kernel
def _samples(given):
    """Return the voltage samples without tangents."""
    samples = given.samples
    return SampleArrays(
        time=samples.time,
        neuron=samples.neuron,
        voltage=samples.voltage,
        tangent=samples.time[0:0],
    )


@inner_kernel
def _problem(given):
    """Return the problem of all samples. What is constant here leaves no code for tangents."""
    wiring = given.wiring
    return Problem(
        model=given.model,
        wiring=wiring,
        inputs=_inputs(given),
        samples=_samples(given),
        t_end=given.t_end,
        stop=given.t_end,
        dt=given.dt,
        unit=1.0,
        lane=wiring.post[0:0],
        entries=_ONE,
        max_spikes=given.max_spikes,
        with_tangent=False,
        model_dot=ModelTangent(neurons=given.model.neurons, ports=given.model.ports),
        wiring_dot=WiringTangent(weight=wiring.weight, delay=wiring.delay),
    )


@cuda.jit
def simulate_samples(given, batch, rows, kind, which, status):
    """Simulate the samples ``which``, one a thread, and write how each of them ended.

    ``kind`` is that of the queues in `queues.exact.heap_or_ring`. A sample that finds no room ends
    with FULL and has to be simulated again with more of it.
    """
    b = cuda.grid(1)
    if b < which.shape[0]:
        cursor = cuda_rows.cursor(rows.cursor, which[b], b)
        transit = Transit(
            queue=cuda_rows.queue(rows.queue, kind, b), losses=NoLosses(none=given.wiring.post[0:0])
        )
        work = cuda_rows.work(rows, b)
        status[b] = run_samples(_problem(given), work, transit, batch, cursor, _ALL)


@inner_kernel
def _reverse_problem(given, sample_bar):
    """Return the problem of all samples backwards, with these cotangents and a constant choice."""
    return ReverseProblem(
        model=given.model,
        wiring=given.wiring,
        inputs=_inputs(given),
        samples=_samples(given),
        sample_bar=sample_bar,
        tape=given.tape,
        before=given.before,
        origin=given.origin,
        dt=given.dt,
        pending=given.pending,
        walks=True,
    )


@inner_kernel
def _by_sample(batch):
    """Return ``batch`` with the sums of a group in a row."""
    return BackArrays(
        input_start=batch.input_start,
        sample_start=batch.sample_start,
        spike_start=batch.spike_start,
        origin_start=batch.origin_start,
        arrivals=batch.arrivals,
        v0=batch.v0,
        t_end=batch.t_end,
        group=batch.group,
        sums=batch.sums.T,
        is_finite=batch.is_finite,
    )


@cuda.jit
def take_samples_back(given, batch, rows, bars, kind):
    """Take samples back, one a thread: as many as ``batch`` knows, which may be a part of all.

    Groups of ``batch`` have one sample each, and the columns of its sums are what threads add
    their gradients up in: a thread writes to that of its own sample alone.
    """
    b = cuda.grid(1)
    if b < batch.is_finite.shape[0]:
        cursor = cuda_rows.back_cursor(rows.cursor, b, b)
        none = given.wiring.post[0:0]
        transit = ReverseTransit(
            queue=cuda_rows.queue(rows.queue, kind, b),
            losses=NoLosses(none=none),
            kept=KeepsAll(none=none),
        )
        last = cuda_rows.pending(rows.last, b)
        problem = _reverse_problem(given, bars.sample)
        flat = batch.sums[:, b]
        work = cuda_rows.reverse_work(given, rows, bars, flat, b)
        by_sample = _by_sample(batch)
        run_samples_back(problem, work, transit, by_sample, cursor, flat, last, _ALL)


@cuda.jit
def add_in_order(flat, first, size, group, sums):
    """Add the gradients of samples from ``first`` on to those of their groups, one by one.

    A thread adds up one number of one group, and the order is that of `adjoint.batch.loop`: no
    bit depends on the device, or on the parts in which a batch is taken.
    """
    t = cuda.grid(1)
    first_group = first // group
    n_groups = (first + size - 1) // group - first_group + 1
    if t < n_groups * flat.shape[0]:
        j = t // n_groups
        g = first_group + t % n_groups
        total = sums[g, j]
        for i in range(max(g * group, first), min((g + 1) * group, first + size)):
            value = flat[j, i - first]
            total = value if i % group == 0 else total + value
        sums[g, j] = total
