"""Kernels of CUDA: one thread simulates one sample, and takes it back.

A block that shares a sample among threads would wait for the one neuron that searches for its
crossing, and needs barriers at each event; a sample of a small network has few arrivals at the
same time. A thread a sample needs no barrier and no atomic operation, so nothing depends on the
order in which threads run, and a batch of thousands fills a device.

A thread does what a thread of the CPU does for a batch of one sample: it runs
`refsim.batch_loop.run_samples` and `adjoint.batch_loop.run_samples_back` on rows of its own.
"""

from __future__ import annotations

from typing import Any

import numba.cuda
import numpy as np

from adjoint.batch_loop import BackArrays, BackCursor, run_samples_back
from adjoint.keep import KeepsAll
from adjoint.reverse import Pending, ReverseProblem, ReverseTransit, ReverseWork, WiringBar
from queues.jit import inner_kernel
from queues.types import HeapOrRingArrays, IndexedHeapArrays
from refsim.batch_loop import Cursor, run_samples
from refsim.event_loop import Counts, Margins, Problem, Transit, Work
from refsim.lif_vjp import AdjointState, ModelBar
from refsim.lossy import NoLosses
from refsim.types import (
    InputArrays,
    ModelTangent,
    SampleArrays,
    Scratch,
    State,
    StateTangent,
    Tape,
    WiringTangent,
)
from validation.backends.cuda_target import share_kernels

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
        dt=given.dt,
        unit=1.0,
        lane=wiring.post[0:0],
        entries=_ONE,
        max_spikes=given.max_spikes,
        with_tangent=False,
        model_dot=ModelTangent(neurons=given.model.neurons, ports=given.model.ports),
        wiring_dot=WiringTangent(weight=wiring.weight, delay=wiring.delay),
    )


@inner_kernel
def _state(state, b):
    return State(
        time=state.time[:, b],
        v=state.v[:, b],
        current=state.current[:, :, b],
        release=state.release[:, b],
        last_spike=state.last_spike[:, b],
        last_arrival=state.last_arrival[:, b],
    )


@inner_kernel
def _tape(tape, b):
    return Tape(
        time=tape.time[:, b],
        neuron=tape.neuron[:, b],
        slope_before=tape.slope_before[:, b],
        slope_after=tape.slope_after[:, b],
        tangent=tape.tangent[:, b],
    )


@inner_kernel
def _counts(counts, b):
    return Counts(
        spikes=counts.spikes[:, b],
        emitted=counts.emitted[:, b],
        inputs=counts.inputs[:, b],
        samples=counts.samples[:, b],
        arrivals=counts.arrivals[:, b],
        searches=counts.searches[:, b],
    )


@inner_kernel
def _scratch(scratch, b):
    return Scratch(
        current=scratch.current[:, b],
        current_tangent=scratch.current_tangent[:, b],
        roots=scratch.roots[:, b],
        roots_next=scratch.roots_next[:, b],
    )


@inner_kernel
def _work(rows, b):
    """Return what thread ``b`` of a forward pass changes."""
    state = _state(rows.state, b)
    crossings = rows.crossings
    return Work(
        state=state,
        state_dot=StateTangent(v=state.v, current=state.current, release=state.release),
        crossings=IndexedHeapArrays(
            time=crossings.time[:, b],
            item=crossings.item[:, b],
            position=crossings.position[:, b],
            size=crossings.size[:, b],
        ),
        is_exact=rows.is_exact[:, b],
        tape=_tape(rows.tape, b),
        origin=rows.origin[:, b],
        counts=_counts(rows.counts, b),
        margins=Margins(gap=rows.margins.gap[:, b], release_gap=rows.margins.release_gap[:, b]),
        scratch=_scratch(rows.scratch, b),
    )


@inner_kernel
def _queue(queue, kind, b):
    """Return the queue of thread ``b``, empty, which takes arrivals as ``kind`` says."""
    own = HeapOrRingArrays(
        time=queue.time[:, b],
        order=queue.order[:, b],
        payload=queue.payload[:, b],
        tangent=queue.tangent[:, b],
        head=queue.head[:, b],
        kind=queue.kind[:, b],
        size=queue.size[:, b],
    )
    own.kind[0] = kind
    return own


@cuda.jit
def simulate_samples(given, batch, rows, kind, which, status):
    """Simulate the samples ``which``, one a thread, and write how each of them ended.

    ``kind`` is that of the queues in `queues.heap_or_ring`. A sample that finds no room ends with
    FULL and has to be simulated again with more of it.
    """
    b = cuda.grid(1)
    if b < which.shape[0]:
        cursor = Cursor(
            sample=rows.cursor.sample[:, b],
            stop=rows.cursor.stop[:, b],
            begun=rows.cursor.begun[:, b],
            spikes=rows.cursor.spikes[:, b],
            emitted=rows.cursor.emitted[:, b],
        )
        cursor.sample[0] = which[b]
        cursor.stop[0] = which[b] + 1
        cursor.begun[0] = 0
        cursor.spikes[0] = 0
        cursor.emitted[0] = 0
        transit = Transit(
            queue=_queue(rows.queue, kind, b), losses=NoLosses(none=given.wiring.post[0:0])
        )
        work = _work(rows, b)
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
def _adjoint(adj, b):
    return AdjointState(
        time=adj.time[:, b],
        v=adj.v[:, b],
        x=adj.x[:, :, b],
        rate_v=adj.rate_v[:, b],
        rate_x=adj.rate_x[:, :, b],
        own=adj.own[:, :, b],
        cross=adj.cross[:, :, b],
        after=adj.after[:, b],
        held=adj.held[:, b],
        spike=adj.spike[:, b],
    )


@inner_kernel
def _model_bar(flat, s, n, k):
    """Return the parts of a gradient behind those of the ``s`` weights and delays."""
    a = 2 * s
    b = a + 6 * n
    return ModelBar(
        rate=flat[a : a + n],
        drive=flat[a + n : a + 2 * n],
        v_th=flat[a + 2 * n : a + 3 * n],
        v_reset=flat[a + 3 * n : a + 4 * n],
        t_ref=flat[a + 4 * n : a + 5 * n],
        v0=flat[a + 5 * n : b],
        port_rate=flat[b : b + k],
        port_gain=flat[b + k : flat.shape[0]],
    )


@inner_kernel
def _reverse_work(given, rows, bars, flat, b):
    """Return what thread ``b`` of a backward pass changes; its gradient is ``flat``."""
    s = given.wiring.weight.shape[0]
    n = given.model.neurons.rate.shape[0]
    return ReverseWork(
        adjoint=_adjoint(rows.adjoint, b),
        model_bar=_model_bar(flat, s, n, given.model.ports.rate.shape[0]),
        wiring_bar=WiringBar(weight=flat[0:s], delay=flat[s : 2 * s]),
        spike_bar=bars.spike,
        input_bar=bars.input,
        spikes=rows.spikes[:, b],
        samples=rows.samples[:, b],
        pending=rows.pending[:, b],
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
        cursor = BackCursor(
            sample=rows.cursor.sample[:, b],
            stop=rows.cursor.stop[:, b],
            begun=rows.cursor.begun[:, b],
        )
        cursor.sample[0] = b
        cursor.stop[0] = b + 1
        cursor.begun[0] = 0
        none = given.wiring.post[0:0]
        transit = ReverseTransit(
            queue=_queue(rows.queue, kind, b),
            losses=NoLosses(none=none),
            kept=KeepsAll(none=none),
        )
        last = Pending(
            time=rows.last.time[:, b], order=rows.last.order[:, b], synapse=rows.last.synapse[:, b]
        )
        problem = _reverse_problem(given, bars.sample)
        flat = batch.sums[:, b]
        work = _reverse_work(given, rows, bars, flat, b)
        by_sample = _by_sample(batch)
        run_samples_back(problem, work, transit, by_sample, cursor, flat, last, _ALL)


@cuda.jit
def add_in_order(flat, first, size, group, sums):
    """Add the gradients of samples from ``first`` on to those of their groups, one by one.

    A thread adds up one number of one group, and the order is that of `adjoint.batch_loop`: no
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
