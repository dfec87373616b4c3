"""One neuron after the other, each through all of its arrivals: no queue, and no global order.

Where synapses form no cycle, all that a neuron is sent is known once its sources are done. It is
taken through its arrivals by the steps of the event loop, so that it does what it does there.
Spikes are sorted when the last neuron of a sample is done.
"""

import math

import numpy as np

from queues.compiled.jit import inner_kernel, kernel
from refsim.events import loop as event_loop
from refsim.layers.arrivals import enter_inputs, gather, most_arrivals
from refsim.layers.order import group, sort
from refsim.layers.origin import write_origin
from refsim.layers.types import HITS, OUT, TAPE
from refsim.status import DONE, FULL, RUNNING, SPIKE_LIMIT
from refsim.types import ARRIVALS, EMITTED, INPUTS, SEARCHES, SPIKES


@inner_kernel
def _is_short(cursor, which, array, need):
    """Return whether an array has too little room, and note it if so."""
    if need <= array.shape[0]:
        return False
    cursor.short[0] = which
    cursor.need[0] = need
    return True


@inner_kernel
def _begin_sample(problem, work, batch, room, cursor):
    """Go to the next sample."""
    i = cursor.sample[0]
    reads, samples = room.reads, problem.samples
    enter_inputs(problem.inputs, batch.input_start[i], batch.input_start[i + 1], room.emitted)
    group(
        samples.neuron,
        batch.sample_start[i],
        batch.sample_start[i + 1],
        reads.first,
        reads.stop,
        reads.row,
    )
    work.counts.spikes[0] = 0
    work.counts.arrivals[0] = 0
    work.counts.searches[0] = 0
    work.margins.gap[0] = math.inf
    work.margins.release_gap[0] = math.inf
    work.margins.sample_gap[0] = math.inf
    cursor.position[0] = 0
    cursor.begun[0] = 1


@inner_kernel
def _run_neuron(problem, work, room, n, v0, hits):
    """Take neuron ``n`` through its arrivals, voltage samples and spikes; return a status."""
    crossings = work.crossings
    reads = room.reads
    event_loop.begin(work, n, v0)
    crossings.size[0] = 0
    event_loop.expect(problem, work, n, 0.0)
    hit = np.int64(0)
    read = reads.first[n]
    while True:
        crossing = math.inf
        if crossings.size[0] > 0:
            crossing = crossings.time[n]
        arrival = room.hits.time[hit] if hit < hits else math.inf
        sample = math.inf
        if read < reads.stop[n]:
            sample = problem.samples.time[reads.row[read]]
        if min(crossing, arrival, sample) == math.inf:
            event_loop.finish_neuron(problem, work, n)
            return DONE
        if crossing <= arrival and crossing <= sample:
            if work.is_exact[n] == 0:
                event_loop.predict(problem, work, n)
                continue
            if work.counts.spikes[0] == problem.max_spikes:
                return SPIKE_LIMIT
            if work.counts.spikes[0] == work.tape.time.shape[0]:
                return FULL
            event_loop.fire(problem, work)
        elif arrival <= sample:
            synapse = room.hits.synapse[room.hits.order[hit]]
            event_loop.receive(problem, work, synapse, arrival, 0.0, np.int64(-1))
            hit += 1
        else:
            work.counts.samples[0] = reads.row[read]
            event_loop.read_sample(problem, work)
            read += 1


@inner_kernel
def _send(work, emitted, n, inputs, before):
    """Enter the spikes of neuron ``n``, those from row ``before`` on; the tape has no more rows."""
    emitted.first[n] = inputs + before
    emitted.stop[n] = inputs + work.counts.spikes[0]
    for k in range(before, work.counts.spikes[0]):
        emitted.time[inputs + k] = work.tape.time[k]
        emitted.row[inputs + k] = k


@inner_kernel
def _next_neuron(problem, work, plan, batch, room, cursor):
    """Take the next neuron to the end; where room is short, leave all as it was before."""
    counts = work.counts
    n = plan.order[cursor.position[0]]
    before, arrivals, searches = counts.spikes[0], counts.arrivals[0], counts.searches[0]
    i = cursor.sample[0]
    inputs = batch.input_start[i + 1] - batch.input_start[i]
    if _is_short(cursor, HITS, room.hits.time, most_arrivals(plan.into, room.emitted, n)):
        return FULL
    hits = gather(problem.wiring, plan.into, room.emitted, n, problem.t_end, room.hits)
    status = _run_neuron(problem, work, room, n, batch.v0[n], hits)
    if status == FULL:
        _is_short(cursor, TAPE, work.tape.time, counts.spikes[0] + 1)
    if status == DONE:
        _send(work, room.emitted, n, inputs, before)
        cursor.position[0] += 1
    else:
        counts.spikes[0] = before
        counts.arrivals[0] = arrivals
        counts.searches[0] = searches
    return status


@inner_kernel
def _sorted_spikes(work, room, out, first):
    """Write the spikes of a sample, in order of time and neuron, to ``out`` from row ``first`` on.

    Returns their number. Emissions are not needed any more, and are where they are sorted.
    """
    emitted, tape = room.emitted, work.tape
    count = np.int64(0)
    hits = room.hits
    for n in range(work.state.v.shape[0]):
        for e in range(emitted.first[n], emitted.stop[n]):
            hits.time[count] = emitted.time[e]
            hits.order[count] = emitted.row[e]
            count += 1
    sort(hits.time, hits.order, count, hits.spare_time, hits.spare_order)
    for k in range(count):
        row = hits.order[k]
        out.time[first + k] = tape.time[row]
        out.neuron[first + k] = tape.neuron[row]
        out.slope_before[first + k] = tape.slope_before[row]
        out.slope_after[first + k] = tape.slope_after[row]
    return count


@inner_kernel
def _end_sample(problem, work, batch, room, cursor, out, origin):
    """Note what a sample has left, or return FULL where there is no room for it."""
    i = cursor.sample[0]
    low, high = batch.input_start[i], batch.input_start[i + 1]
    spikes, first, at = work.counts.spikes[0], cursor.spikes[0], cursor.emitted[0]
    emitted = spikes + high - low
    if _is_short(cursor, HITS, room.hits.time, spikes):
        return FULL
    # There are as many rows of spikes as of emissions, which are more.
    if _is_short(cursor, OUT, origin, at + emitted):
        return FULL
    _sorted_spikes(work, room, out, first)
    write_origin(problem.inputs, low, high, out.time, first, spikes, origin, at)
    batch.counts[i, SPIKES] = spikes
    batch.counts[i, EMITTED] = emitted
    batch.counts[i, INPUTS] = high - low
    batch.counts[i, ARRIVALS] = work.counts.arrivals[0]
    batch.counts[i, SEARCHES] = work.counts.searches[0]
    batch.gaps[i, 0] = work.margins.gap[0]
    batch.gaps[i, 1] = work.margins.release_gap[0]
    batch.gaps[i, 2] = work.margins.sample_gap[0]
    batch.is_done[i] = 1
    cursor.spikes[0] += spikes
    cursor.emitted[0] += emitted
    cursor.sample[0] += 1
    cursor.begun[0] = 0
    return DONE


@kernel
def run_layers(problem, work, plan, batch, room, cursor, out, origin, share):
    """Process a few times ``share`` events at most and return a status, DONE after the last sample.

    Spikes go to ``out``, emissions to ``origin``. Where there is no room for more the status is
    FULL, and the next call goes on with the same neuron.
    """
    used = np.int64(0)
    while cursor.sample[0] < cursor.stop[0]:
        if cursor.begun[0] == 0:
            _begin_sample(problem, work, batch, room, cursor)
        while cursor.position[0] < plan.order.shape[0]:
            if used >= share:
                return RUNNING
            arrivals, searches = work.counts.arrivals[0], work.counts.searches[0]
            status = _next_neuron(problem, work, plan, batch, room, cursor)
            if status != DONE:
                return status
            used += 1 + work.counts.arrivals[0] - arrivals + work.counts.searches[0] - searches
        if _end_sample(problem, work, batch, room, cursor, out, origin) == FULL:
            return FULL
    return DONE
