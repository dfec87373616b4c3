"""The backward pass of many samples: one call takes one after the other, in the same arrays.

As forwards, what the samples have left lies end to end, and each is taken back on slices of it by
the loop as it stands. Gradients by the parameters, which the samples share, lie in one array,
``flat``. It is set to zero for each sample and added to the sum of its group when the sample is
done, so that no bit of a sum depends on which thread did what.

The last arrival of every emission is entered in the queue before the pass begins, and not when the
time has come: arrivals leave the queue in an order that rests on time and emission alone.
"""

from typing import NamedTuple

import numpy as np

from adjoint.events.groups import add_to_group, are_finite
from adjoint.events.loop import (
    ReverseProblem,
    ReverseWork,
    arrivals_up_to,
    finish_back,
    link_spikes,
    run_back,
)
from queues.compiled.jit import inner_kernel, kernel
from queues.exact import dispatch
from refsim.status import DONE, RUNNING
from refsim.types import InputArrays, Int, SampleArrays, Tape


class BackCursor(NamedTuple):
    """How far a task has come, arrays of one element."""

    sample: Int  # sample under way
    stop: Int  # sample after the last one of the task
    begun: Int  # 1 once the sample has begun


@inner_kernel
def _problem_of(problem, batch, i):
    """Return the problem of one sample."""
    a = batch.input_start[i]
    b = batch.input_start[i + 1]
    c = batch.sample_start[i]
    d = batch.sample_start[i + 1]
    first = batch.spike_start[i]
    stop = batch.spike_start[i + 1]
    tape = problem.tape
    return ReverseProblem(
        model=problem.model,
        wiring=problem.wiring,
        inputs=InputArrays(
            time=problem.inputs.time[a:b],
            source=problem.inputs.source[a:b],
            tangent=problem.inputs.tangent,
        ),
        samples=SampleArrays(
            time=problem.samples.time[c:d],
            neuron=problem.samples.neuron[c:d],
            voltage=problem.samples.voltage[c:d],
            tangent=problem.samples.tangent,
        ),
        sample_bar=problem.sample_bar[c:d],
        tape=Tape(
            time=tape.time[first:stop],
            neuron=tape.neuron[first:stop],
            slope_before=tape.slope_before[first:stop],
            slope_after=tape.slope_after[first:stop],
            tangent=tape.tangent,
        ),
        before=problem.before[first:stop],
        origin=problem.origin[batch.origin_start[i] : batch.origin_start[i + 1]],
        dt=problem.dt,
        pending=problem.pending,
        walks=problem.walks,
    )


@inner_kernel
def _work_of(work, batch, i):
    """Return ``work`` with the cotangents of one sample."""
    return ReverseWork(
        adjoint=work.adjoint,
        model_bar=work.model_bar,
        wiring_bar=work.wiring_bar,
        spike_bar=work.spike_bar[batch.spike_start[i] : batch.spike_start[i + 1]],
        input_bar=work.input_bar[batch.input_start[i] : batch.input_start[i + 1]],
        spikes=work.spikes,
        samples=work.samples,
        pending=work.pending,
    )


@inner_kernel
def _clear(problem, work, flat, t_end):
    """Leave all as it is before a pass: silence after the end, and a gradient of zeros."""
    adj = work.adjoint
    for n in range(adj.time.shape[0]):
        adj.time[n] = t_end
        adj.v[n] = 0.0
        adj.rate_v[n] = 0.0
        adj.after[n] = 0.0
        adj.held[n] = 0
        adj.spike[n] = -1
        for k in range(adj.x.shape[1]):
            adj.x[n, k] = 0.0
            adj.rate_x[n, k] = 0.0
            adj.own[n, k] = 0.0
            adj.cross[n, k] = 0.0
    for j in range(flat.shape[0]):
        flat[j] = 0.0
    work.spikes[0] = problem.tape.time.shape[0]
    work.samples[0] = problem.samples.time.shape[0]
    work.pending[0] = 0


@inner_kernel
def _link_spikes(problem, work, t_end):
    """Note each neuron's spike before each spike, and which neurons are refractory at the end."""
    adj, tape = work.adjoint, problem.tape
    link_spikes(tape.neuron, problem.before, adj.spike)
    for n in range(adj.spike.shape[0]):
        k = adj.spike[n]
        if k >= 0 and tape.time[k] + problem.model.neurons.t_ref[n] > t_end:
            adj.held[n] = 1


@inner_kernel
def _enter(problem, work, queue, last, t_end):
    """Put the last arrival of every emission in the queue, those of the latest emissions first."""
    queue.head[0] = 0
    queue.size[0] = 0
    used = arrivals_up_to(
        problem.wiring,
        problem.inputs,
        problem.tape,
        problem.origin,
        problem.dt,
        t_end,
        problem.walks,
        last,
    )
    for i in range(used - 1, -1, -1):
        dispatch.add(queue, -last.time[i], -last.order[i], last.synapse[i], 0.0, np.int64(0))


@kernel
def run_samples_back(problem, work, transit, batch, cursor, flat, last, share):
    """Process a few times ``share`` events at most and return a status, DONE after the last one.

    Inputs, samples, tape and cotangents are those of all samples; ``last`` has room for the
    emissions of any of them, and so has the queue, a heap or a ring.
    """
    used = np.int64(0)
    t_end = batch.t_end[0]
    while cursor.sample[0] < cursor.stop[0]:
        if used >= share:
            return RUNNING
        i = cursor.sample[0]
        one = _problem_of(problem, batch, i)
        own = _work_of(work, batch, i)
        if cursor.begun[0] == 0:
            _clear(one, own, flat, t_end)
            _link_spikes(one, own, t_end)
            _enter(one, own, transit.queue, last, t_end)
            cursor.begun[0] = 1
        status = run_back(one, own, transit, share)
        if status != DONE:
            return status
        finish_back(one, own, batch.v0)
        add_to_group(batch, flat, i)
        if are_finite(flat) and are_finite(own.input_bar):
            batch.is_finite[i] = 1
        cursor.begun[0] = 0
        cursor.sample[0] = i + 1
        used += one.origin.shape[0] + batch.arrivals[i]
    return DONE
