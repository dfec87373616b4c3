"""Between windows: spikes go on the tape and on their way, and those that have arrived leave."""

import math

import numpy as np

from queues.jit import inner_kernel, keep_apart, phase_kernel
from refsim.status import DONE, FULL, SPIKE_LIMIT, WORKING
from refsim.window_types import (
    ARRIVALS,
    AWAKE,
    BASE,
    DENSE,
    EVENTS,
    FINDING,
    FLIGHTS,
    FOUND,
    INPUTS,
    LACK,
    LAST_SAMPLE,
    NOW,
    PHASE,
    REPLAYED,
    REPLAYS,
    ROWS,
    SAMPLES,
    SPIKES,
    STEP,
    Findings,
)

_RUN = 16  # spikes of a window that are sorted by insertion


@inner_kernel
def _launch(start, n_blocks, flights, counts, time, source, number):
    """Take a spike on its way."""
    first = source * n_blocks
    if start[first] == start[first + n_blocks]:
        return
    f = counts[FLIGHTS]
    flights.time[f] = time
    flights.source[f] = source
    flights.number[f] = number
    for b in range(n_blocks):
        flights.begin[b, f] = start[first + b]
        flights.end[b, f] = start[first + b]
    counts[FLIGHTS] += 1


@inner_kernel
def _has_landed(start, n_blocks, flights, f):
    for b in range(n_blocks):
        if flights.end[b, f] < start[flights.source[f] * n_blocks + b + 1]:
            return False
    return True


@phase_kernel
def _land(start, n_blocks, flights, counts):
    """Forget the spikes that have reached all their synapses."""
    keep_apart()
    kept = np.int64(0)
    for f in range(counts[FLIGHTS]):
        if _has_landed(start, n_blocks, flights, f):
            continue
        if kept < f:
            flights.time[kept] = flights.time[f]
            flights.source[kept] = flights.source[f]
            flights.number[kept] = flights.number[f]
            for b in range(n_blocks):
                flights.end[b, kept] = flights.end[b, f]
        kept += 1
    counts[FLIGHTS] = kept


@inner_kernel
def _is_silent(counts, tally):
    """Return whether no neuron is awake and no spike under way."""
    if counts[FLIGHTS] > 0:
        return False
    busy = np.int64(0)
    for b in range(tally.shape[0]):
        busy += tally[b, DENSE] + tally[b, AWAKE]
    return busy == 0


@inner_kernel
def _next_window(inputs, samples, counts, t_end, length):
    """Return a window before the next input spike or sample: those until then are silent."""
    t = t_end
    if counts[INPUTS] < inputs.shape[0]:
        t = min(t, inputs[counts[INPUTS]])
    if counts[SAMPLES] < samples.shape[0]:
        t = min(t, samples[counts[SAMPLES]])
    return max(counts[NOW], np.int64(math.floor(t / length)) - 1)


@inner_kernel
def _end_of(times, i, t1):
    """Return the first of the ascending ``times`` from ``i`` on that is not before t1."""
    while i < times.shape[0] and times[i] < t1:
        i += 1
    return i


@inner_kernel
def open_window(problem, work):
    """Begin the next window: take its input spikes on their way. Return a status."""
    counts, inputs = work.counts, problem.inputs
    n_blocks = problem.rows.edge.shape[0] - 1
    if _is_silent(counts, work.tally):
        counts[NOW] = _next_window(
            inputs.time, problem.samples.time, counts, problem.t_end, problem.length
        )
    if counts[NOW] * problem.length > problem.t_end:
        return DONE
    t1 = (counts[NOW] + 1) * problem.length
    last = _end_of(inputs.time, counts[INPUTS], t1)
    if counts[FLIGHTS] + last - counts[INPUTS] > work.flights.time.shape[0]:
        counts[FOUND] = last - counts[INPUTS]
        return FULL
    for i in range(counts[INPUTS], last):
        _launch(
            problem.rows.start, n_blocks, work.flights, counts,
            inputs.time[i], inputs.source[i], -1 - i,
        )  # fmt: skip
    counts[INPUTS] = last
    counts[LAST_SAMPLE] = _end_of(problem.samples.time, counts[SAMPLES], t1)
    for b in range(work.tally.shape[0]):
        work.tally[b, STEP] = FINDING
        work.tally[b, ROWS] = 0
        work.tally[b, REPLAYS] = 0
        work.tally[b, REPLAYED] = 0
    counts[PHASE] = 1
    return WORKING


@inner_kernel
def _is_before(time, neuron, i, j):
    """Return whether spike ``i`` comes before ``j``; numbers count through the blocks."""
    if time[i] != time[j]:
        return time[i] < time[j]
    return neuron[i] < neuron[j]


@inner_kernel
def _insert_run(time, neuron, sequence, begin, end):
    """Sort a few spikes by insertion, whose branches are foreseen more often than a merge's."""
    for i in range(begin + 1, end):
        spike = sequence[i]
        j = i
        while j > begin and _is_before(time, neuron, spike, sequence[j - 1]):
            sequence[j] = sequence[j - 1]
            j -= 1
        sequence[j] = spike


@phase_kernel
def _sort_found(time, neuron, room, tally, sequence, size):
    """Return which half of ``sequence`` holds the spikes of this window, merged into order.

    Times and neurons are flat, with ``room`` for each block.
    """
    keep_apart()
    source, target = np.int64(0), sequence.shape[0] >> 1
    i = np.int64(0)
    for b in range(tally.shape[0]):
        for row in range(tally[b, ROWS]):
            sequence[i] = b * room + row
            i += 1
    for low in range(0, size, _RUN):
        _insert_run(time, neuron, sequence, low, min(low + _RUN, size))
    width = np.int64(_RUN)
    while width < size:
        for low in range(0, size, 2 * width):
            middle, high = min(low + width, size), min(low + 2 * width, size)
            a, b = low, middle
            for k in range(low, high):
                take_a = b >= high
                if not take_a and a < middle:
                    take_a = not _is_before(
                        time, neuron, sequence[source + b], sequence[source + a]
                    )
                if take_a:
                    sequence[target + k] = sequence[source + a]
                    a += 1
                else:
                    sequence[target + k] = sequence[source + b]
                    b += 1
        source, target = target, source
        width *= 2
    return source


@phase_kernel
def _record(start, flights, last_spike, out, sequence, t_end, max_spikes):
    """Move the spikes of this window to the tape, in order, and take them on their way."""
    keep_apart()
    tape, found, counts = out.tape, out.found, out.counts
    n_blocks, room = found.time.shape
    rows = _sort_found(
        found.time.reshape(n_blocks * room), found.neuron.reshape(n_blocks * room), room,
        out.tally, sequence, counts[FOUND],
    )  # fmt: skip
    for i in range(counts[FOUND]):
        b = sequence[rows + i] // room
        row = sequence[rows + i] - b * room
        time, n = found.time[b, row], found.neuron[b, row]
        if time > t_end:
            break
        if counts[SPIKES] >= max_spikes:
            return SPIKE_LIMIT
        k = counts[SPIKES] - counts[BASE]
        tape.time[k] = time
        tape.neuron[k] = n
        tape.slope_before[k] = found.slope_before[b, row]
        tape.slope_after[k] = found.slope_after[b, row]
        last_spike[n] = counts[SPIKES]
        _launch(start, n_blocks, flights, counts, time, n, counts[SPIKES])
        counts[SPIKES] += 1
    return WORKING


@inner_kernel
def _has_room(work, counts):
    """Return whether the spikes of this window find room wherever they go."""
    return (
        counts[SPIKES] - counts[BASE] + counts[FOUND] <= work.tape.time.shape[0]
        and counts[FLIGHTS] + counts[FOUND] <= work.flights.time.shape[0]
        and 2 * counts[FOUND] <= work.sequence.shape[0]
    )


@inner_kernel
def close_window(problem, work):
    """Record what the blocks have found, and go on to the next window. Return a status."""
    counts = work.counts
    counts[FOUND] = 0
    for b in range(work.tally.shape[0]):
        if work.tally[b, LACK] != 0:
            return FULL
        counts[FOUND] += work.tally[b, ROWS]
    if counts[PHASE] == 1:
        _land(problem.rows.start, work.tally.shape[0], work.flights, counts)
        counts[PHASE] = 2
    if not _has_room(work, counts):
        return FULL
    out = Findings(tape=work.tape, found=work.found, counts=counts, tally=work.tally, gap=work.gap)
    status = _record(
        problem.rows.start, work.flights, work.neurons.last_spike, out, work.sequence,
        problem.t_end, problem.max_spikes,
    )  # fmt: skip
    if status != WORKING:
        return status
    for b in range(work.tally.shape[0]):
        work.tally[b, ARRIVALS] += work.tally[b, EVENTS]
    counts[SAMPLES] = counts[LAST_SAMPLE]
    counts[NOW] += 1
    counts[PHASE] = 0
    return WORKING
