"""Samples one after the other, and in each of them the groups in order."""

import math

import numpy as np

from queues.compiled.jit import inner_kernel, kernel
from refsim.layers.dense.group import gather, is_composed, note_exponentials, run_group
from refsim.layers.order import sort
from refsim.layers.origin import write_origin
from refsim.layers.types import OUT, ROOM
from refsim.status import DONE, FULL, RUNNING, SPIKE_LIMIT
from refsim.types import ARRIVALS, EMITTED, INPUTS, SEARCHES, SPIKES


@inner_kernel
def _run_sample(problem, groups, layers, margins, counts, batch, room, i):
    """Simulate sample ``i``; return the number of emissions, or -1 where there is no room."""
    emissions, inputs = room.emissions, problem.inputs
    low, high = batch.input_start[i], batch.input_start[i + 1]
    margins.gap[0] = math.inf
    margins.release_gap[0] = math.inf
    counts.arrivals[0] = 0
    counts.searches[0] = 0
    at = high - low
    if at > emissions.time.shape[0]:
        return np.int64(-1)
    for k in range(at):
        emissions.time[k] = inputs.time[low + k]
        emissions.source[k] = inputs.source[low + k]
    if at > 0 and is_composed(layers, problem.t_end):
        note_exponentials(layers, emissions, np.int64(0), at)
    level, known = np.int64(-1), at
    for g in range(groups.size.shape[0]):
        if groups.level[g] != level:
            level, known = groups.level[g], at
        count = gather(groups, g, emissions, known, problem.t_end, room.arrivals)
        if count < 0:
            return count
        at = run_group(layers, groups, g, room, count, at, problem.t_end, margins, counts)
        if at < 0:
            return at
        counts.arrivals[0] += count * groups.size[g]
    return at


@inner_kernel
def _write_sorted(room, inputs, at, out, first):
    """Write the spikes of a sample in order of time, then neuron."""
    emissions, arrivals = room.emissions, room.arrivals
    count = at - inputs
    for k in range(count):
        arrivals.time[k] = emissions.time[inputs + k]
        arrivals.order[k] = inputs + k
    sort(arrivals.time, arrivals.order, count, arrivals.spare_time, arrivals.spare_order)
    for k in range(count):
        row = arrivals.order[k]
        j = first + k
        while (
            j > first
            and out.time[j - 1] == arrivals.time[k]
            and out.neuron[j - 1] > emissions.source[row]
        ):
            out.neuron[j] = out.neuron[j - 1]
            out.time[j] = out.time[j - 1]
            out.slope_before[j] = out.slope_before[j - 1]
            out.slope_after[j] = out.slope_after[j - 1]
            j -= 1
        out.time[j] = arrivals.time[k]
        out.neuron[j] = emissions.source[row]
        out.slope_before[j] = emissions.slope_before[row]
        out.slope_after[j] = emissions.slope_after[row]


@kernel
def run_dense(problem, groups, layers, notes, batch, room, cursor, results):
    """Simulate samples and return a status, DONE after the last one.

    ``notes`` are margins and counts as of the event loop, ``results`` spikes and emissions. Where
    there is no room for what a sample does the status is FULL, and the next call begins with it.
    """
    margins, counts = notes
    out, origin = results
    used = np.int64(0)
    while cursor.sample[0] < cursor.stop[0]:
        i = cursor.sample[0]
        inputs = batch.input_start[i + 1] - batch.input_start[i]
        first, begin = cursor.spikes[0], cursor.emitted[0]
        at = _run_sample(problem, groups, layers, margins, counts, batch, room, i)
        cursor.short[0] = ROOM
        cursor.need[0] = room.emissions.time.shape[0]
        if at < 0:
            return FULL
        spikes = at - inputs
        if spikes > problem.max_spikes:
            return SPIKE_LIMIT
        if begin + at > origin.shape[0]:
            cursor.short[0] = OUT
            cursor.need[0] = begin + at
            return FULL
        _write_sorted(room, inputs, at, out, first)
        write_origin(
            problem.inputs,
            batch.input_start[i],
            batch.input_start[i + 1],
            out.time,
            first,
            spikes,
            origin,
            begin,
        )
        batch.counts[i, SPIKES] = spikes
        batch.counts[i, EMITTED] = at
        batch.counts[i, INPUTS] = inputs
        batch.counts[i, ARRIVALS] = counts.arrivals[0]
        batch.counts[i, SEARCHES] = counts.searches[0]
        batch.gaps[i, 0] = margins.gap[0]
        batch.gaps[i, 1] = margins.release_gap[0]
        batch.is_done[i] = 1
        cursor.spikes[0] += spikes
        cursor.emitted[0] += at
        cursor.sample[0] += 1
        used += counts.arrivals[0] + counts.searches[0]
        if used > 1000000:
            return RUNNING
    return DONE
