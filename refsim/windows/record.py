"""Between turns: spikes go on the tape and on their way, and those that have arrived leave."""

import math

import numpy as np

from queues.compiled.jit import inner_kernel, keep_apart, phase_kernel
from refsim.status import DONE, FULL, SPIKE_LIMIT, WORKING
from refsim.windows.types import (
    AT,
    AWAKE,
    BASE,
    DENSE,
    FINDING,
    FLIGHTS,
    FOUND,
    FRESH,
    INPUTS,
    LACK,
    LAST_SAMPLE,
    NOW,
    PHASE,
    ROWS,
    SAMPLES,
    SPIKES,
    STEP,
    TAKEN,
    TURN_END,
    Findings,
)

_RUN = 16  # spikes of a turn that are sorted by insertion


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
def _move(n_blocks, flights, f, to):
    """Move what is left of a flight to another place."""
    flights.time[to] = flights.time[f]
    flights.source[to] = flights.source[f]
    flights.number[to] = flights.number[f]
    for b in range(n_blocks):
        flights.end[b, to] = flights.end[b, f]


@inner_kernel
def _has_landed(start, n_blocks, flights, f):
    for b in range(n_blocks):
        if flights.end[b, f] < start[flights.source[f] * n_blocks + b + 1]:
            return False
    return True


@phase_kernel
def _land(start, n_blocks, flights, begin, end, kept):
    """Keep those of some spikes that have synapses left to reach; return where they end.

    They are moved to where the spikes that are kept end so far.
    """
    keep_apart()
    for f in range(begin, end):
        if _has_landed(start, n_blocks, flights, f):
            continue
        if kept < f:
            _move(n_blocks, flights, f, kept)
        kept += 1
    return kept


@inner_kernel
def _land_all(start, n_blocks, flights, counts):
    """Forget the spikes that have reached all their synapses."""
    fresh, last = counts[FRESH], counts[FLIGHTS]
    counts[FRESH] = _land(start, n_blocks, flights, np.int64(0), fresh, np.int64(0))
    counts[FLIGHTS] = _land(start, n_blocks, flights, fresh, last, counts[FRESH])


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
def _end_of_turn(samples, counts, turn, t_end, length, stop):
    """Return the window after the last of a turn, which is one window where samples are taken."""
    now = counts[NOW]
    end = min(now + turn, stop, np.int64(math.floor(t_end / length)) + 1)
    if counts[SAMPLES] < samples.shape[0] and samples[counts[SAMPLES]] < end * length:
        end = now + 1
    return max(end, now + 1)


@inner_kernel
def open_turn(problem, work, stop):
    """Begin the next turn: take its input spikes on their way. Return a status."""
    counts, inputs = work.counts, problem.inputs
    n_blocks = problem.rows.edge.shape[0] - 1
    if _is_silent(counts, work.tally):
        counts[NOW] = _next_window(
            inputs.time, problem.samples.time, counts, problem.t_end, problem.length
        )
    if counts[NOW] * problem.length > problem.t_end:
        return DONE
    counts[TURN_END] = _end_of_turn(
        problem.samples.time, counts, problem.turn, problem.t_end, problem.length, stop
    )
    t1 = counts[TURN_END] * problem.length
    last = _end_of(inputs.time, counts[INPUTS], t1)
    if counts[FLIGHTS] + last - counts[INPUTS] > work.flights.time.shape[0]:
        counts[FOUND] = last - counts[INPUTS]
        return FULL
    counts[FRESH] = counts[FLIGHTS]
    for i in range(counts[INPUTS], last):
        _launch(
            problem.rows.start, n_blocks, work.flights, counts,
            inputs.time[i], inputs.source[i], -1 - i,
        )  # fmt: skip
    counts[INPUTS] = last
    counts[LAST_SAMPLE] = _end_of(problem.samples.time, counts[SAMPLES], t1)
    for b in range(work.tally.shape[0]):
        work.tally[b, AT] = counts[NOW]
        work.tally[b, STEP] = FINDING
        work.tally[b, ROWS] = 0
        work.tally[b, TAKEN] = 0
    counts[PHASE] = 1
    return WORKING


@inner_kernel
def _is_before(time, neuron, i, j):
    if time[i] != time[j]:
        return time[i] < time[j]
    return neuron[i] < neuron[j]


@inner_kernel
def _insert_run(time, neuron, order, begin, end):
    """Sort a few spikes by insertion, whose branches are foreseen more often than a merge's."""
    for i in range(begin + 1, end):
        spike = order[i]
        j = i
        while j > begin and _is_before(time, neuron, spike, order[j - 1]):
            order[j] = order[j - 1]
            j -= 1
        order[j] = spike


@inner_kernel
def _merge_runs(time, neuron, order, other, low, middle, high):
    """Merge two runs of ``order`` into ``other``."""
    a, b = low, middle
    for k in range(low, high):
        take_a = b >= high
        if not take_a and a < middle:
            take_a = not _is_before(time, neuron, order[b], order[a])
        if take_a:
            other[k] = order[a]
            a += 1
        else:
            other[k] = order[b]
            b += 1


@phase_kernel
def sort_found(time, neuron, order, size):
    """Write the rows of the spikes of one block in order of time and neuron.

    The second half of ``order`` is scratch.
    """
    keep_apart()
    other = order[order.shape[0] >> 1 :]
    for row in range(size):
        order[row] = row
    for low in range(0, size, _RUN):
        _insert_run(time, neuron, order, low, min(low + _RUN, size))
    width = np.int64(_RUN)
    while width < size:
        for low in range(0, size, 2 * width):
            middle, high = min(low + width, size), min(low + 2 * width, size)
            _merge_runs(time, neuron, order, other, low, middle, high)
        for i in range(size):
            order[i] = other[i]
        width *= 2


@inner_kernel
def _block_of_next(found, order, tally):
    """Return the block that has found the earliest of the spikes which are not on the tape yet."""
    first, earliest, least = np.int64(0), math.inf, np.int64(0)
    for b in range(tally.shape[0]):
        if tally[b, TAKEN] < tally[b, ROWS]:
            row = order[b, tally[b, TAKEN]]
            time, neuron = found.time[b, row], found.neuron[b, row]
            if time < earliest or (time == earliest and neuron < least):
                first, earliest, least = np.int64(b), time, neuron
    return first


@inner_kernel
def _let_pass(n_blocks, flights, counts, waiting, last, time):
    """Append those of the waiting flights that come before a time; return where the rest begins."""
    while waiting < last and flights.time[waiting] < time:
        _move(n_blocks, flights, waiting, counts[FLIGHTS])
        counts[FLIGHTS] += 1
        waiting += 1
    return waiting


@phase_kernel
def _record(start, flights, last_spike, out, order, t_end, max_spikes):
    """Move the spikes of this turn to the tape, in order, and take them on their way.

    Flights are in order of time, whatever the turns: sums depend on it.
    """
    keep_apart()
    tape, found, counts = out.tape, out.found, out.counts
    n_blocks = found.time.shape[0]
    waiting, last = counts[FRESH] + counts[FOUND], counts[FLIGHTS] + counts[FOUND]
    for f in range(counts[FLIGHTS] - 1, counts[FRESH] - 1, -1):
        _move(n_blocks, flights, f, f + counts[FOUND])
    counts[FLIGHTS] = counts[FRESH]
    for _ in range(counts[FOUND]):
        b = _block_of_next(found, order, out.tally)
        row = order[b, out.tally[b, TAKEN]]
        out.tally[b, TAKEN] += 1
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
        waiting = _let_pass(n_blocks, flights, counts, waiting, last, time)
        _launch(start, n_blocks, flights, counts, time, n, counts[SPIKES])
        counts[SPIKES] += 1
    _let_pass(n_blocks, flights, counts, waiting, last, math.inf)
    return WORKING


@inner_kernel
def _has_room(work, counts):
    """Return whether the spikes of this turn find room wherever they go."""
    return (
        counts[SPIKES] - counts[BASE] + counts[FOUND] <= work.tape.time.shape[0]
        and counts[FLIGHTS] + counts[FOUND] <= work.flights.time.shape[0]
    )


@inner_kernel
def close_turn(problem, work):
    """Record what the blocks have found, and go on to the next turn. Return a status."""
    counts = work.counts
    counts[FOUND] = 0
    for b in range(work.tally.shape[0]):
        if work.tally[b, LACK] != 0:
            return FULL
        counts[FOUND] += work.tally[b, ROWS]
    if counts[PHASE] == 1:
        _land_all(problem.rows.start, work.tally.shape[0], work.flights, counts)
        counts[PHASE] = 2
    if not _has_room(work, counts):
        return FULL
    out = Findings(tape=work.tape, found=work.found, counts=counts, tally=work.tally, gap=work.gap)
    status = _record(
        problem.rows.start, work.flights, work.neurons.last_spike, out, work.order,
        problem.t_end, problem.max_spikes,
    )  # fmt: skip
    if status != WORKING:
        return status
    counts[SAMPLES] = counts[LAST_SAMPLE]
    counts[NOW] = counts[TURN_END]
    counts[PHASE] = 0
    return WORKING
