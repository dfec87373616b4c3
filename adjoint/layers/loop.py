"""One neuron after the other, the last ones first, each back through all of its events.

What a neuron has sent is complete once its targets are done, so that its spikes can be crossed. The
steps are those of the backward pass event by event.
"""

from typing import NamedTuple

import numpy as np

from adjoint.events.groups import add_to_group, are_finite
from adjoint.events.loop import finish_neuron_back, fire_vjp, receive_vjp, sample_vjp
from queues.compiled.jit import inner_kernel, kernel
from refsim.layers.arrivals import enter_inputs, enter_spikes, gather, most_arrivals
from refsim.layers.order import group
from refsim.status import DONE, FULL, RUNNING
from refsim.types import Int


class BackCursor(NamedTuple):
    """How far a task has come, arrays of one element."""

    sample: Int  # sample under way
    stop: Int  # sample after the last one of the task
    begun: Int  # 1 once the sample has begun
    position: Int  # neurons of the sample that are still to be done
    need: Int  # arrivals at a neuron for which there is too little room


@inner_kernel
def _begin_sample(problem, plan, batch, room, cursor, flat):
    """Go to the next sample."""
    i = cursor.sample[0]
    reads = room.reads
    low, high = batch.input_start[i], batch.input_start[i + 1]
    enter_inputs(problem.inputs, low, high, room.emitted)
    first, stop = batch.spike_start[i], batch.spike_start[i + 1]
    enter_spikes(problem.tape, first, stop, high - low, room.emitted, reads)
    group(
        problem.samples.neuron,
        batch.sample_start[i],
        batch.sample_start[i + 1],
        reads.first,
        reads.stop,
        reads.row,
    )
    for j in range(flat.shape[0]):
        flat[j] = 0.0
    cursor.position[0] = plan.order.shape[0]
    cursor.begun[0] = 1


@inner_kernel
def _begin_neuron(problem, work, emitted, n, t_end):
    """Leave neuron ``n`` as it is after the end."""
    adj, tape = work.adjoint, problem.tape
    adj.time[n] = t_end
    adj.v[n] = 0.0
    adj.rate_v[n] = 0.0
    adj.after[n] = 0.0
    for k in range(adj.x.shape[1]):
        adj.x[n, k] = 0.0
        adj.rate_x[n, k] = 0.0
        adj.own[n, k] = 0.0
        adj.cross[n, k] = 0.0
    adj.held[n] = 0
    adj.spike[n] = -1
    for e in range(emitted.first[n], emitted.stop[n]):
        k = emitted.row[e]
        problem.before[k] = adj.spike[n]
        adj.spike[n] = k
        adj.held[n] = 1 if tape.time[k] + problem.model.neurons.t_ref[n] > t_end else 0


@inner_kernel
def _hit_back(problem, work, room, hit):
    """Read the adjoint at an arrival."""
    h = room.hits.order[hit]
    synapse = room.hits.synapse[h]
    row = room.emitted.row[room.hits.place[h]]
    time_bar = receive_vjp(problem, work, synapse, room.hits.time[hit])
    work.wiring_bar.delay[synapse] += time_bar
    if row >= 0:
        work.spike_bar[row] += time_bar
    else:
        work.input_bar[-1 - row] += time_bar


@inner_kernel
def _run_neuron_back(problem, work, room, n, hits):
    """Take neuron ``n`` back through its samples, arrivals and spikes."""
    emitted, reads = room.emitted, room.reads
    hit = hits - 1
    read = reads.stop[n] - 1
    e = emitted.stop[n] - 1
    while True:
        spike = emitted.time[e] if e >= emitted.first[n] else -np.inf
        arrival = room.hits.time[hit] if hit >= 0 else -np.inf
        sample = -np.inf
        if read >= reads.first[n]:
            sample = problem.samples.time[reads.row[read]]
        if max(spike, arrival, sample) == -np.inf:
            return
        if sample >= arrival and sample >= spike:
            sample_vjp(problem, work, reads.row[read])
            read -= 1
        elif arrival >= spike:
            _hit_back(problem, work, room, hit)
            hit -= 1
        else:
            fire_vjp(problem, work, emitted.row[e])
            e -= 1


@inner_kernel
def _end_sample(work, batch, cursor, flat):
    """Add the gradient of a sample to the sum of its group."""
    i = cursor.sample[0]
    add_to_group(batch, flat, i)
    finite = are_finite(flat)
    for j in range(batch.input_start[i], batch.input_start[i + 1]):
        finite = finite and work.input_bar[j] - work.input_bar[j] == 0.0
    batch.is_finite[i] = 1 if finite else 0
    cursor.sample[0] += 1
    cursor.begun[0] = 0


@kernel
def run_layers_back(problem, work, plan, batch, room, cursor, flat, share):
    """Process a few times ``share`` events at most and return a status, DONE after the last sample.

    Where a neuron has more arrivals than there is room for, the status is FULL.
    """
    used = np.int64(0)
    t_end = batch.t_end[0]
    while cursor.sample[0] < cursor.stop[0]:
        if cursor.begun[0] == 0:
            _begin_sample(problem, plan, batch, room, cursor, flat)
        while cursor.position[0] > 0:
            if used >= share:
                return RUNNING
            n = plan.order[cursor.position[0] - 1]
            cursor.need[0] = most_arrivals(plan.into, room.emitted, n)
            if cursor.need[0] > room.hits.time.shape[0]:
                return FULL
            hits = gather(problem.wiring, plan.into, room.emitted, n, t_end, room.hits)
            _begin_neuron(problem, work, room.emitted, n, t_end)
            _run_neuron_back(problem, work, room, n, hits)
            finish_neuron_back(problem, work, n, batch.v0[n])
            cursor.position[0] -= 1
            used += 1 + hits + room.emitted.stop[n] - room.emitted.first[n]
        _end_sample(work, batch, cursor, flat)
    return DONE
