"""Between turns: spikes go on the tape and on their way, and those that have arrived leave."""

import math

import numpy as np

from queues.compiled.jit import inner_kernel, keep_apart, phase_kernel
from refsim.status import DONE, FULL, SPIKE_LIMIT, WORKING
from refsim.windows.types import FINDING, Turn

_RUN = 16  # spikes of a turn that are sorted by insertion


@inner_kernel
def _launch(start, n_blocks, flights, counts, time, source, number):
    """Take a spike on its way."""
    first = source * n_blocks
    if start[first] == start[first + n_blocks]:
        return
    f = counts[0].flights
    flights.time[f] = time
    flights.source[f] = source
    flights.number[f] = number
    for b in range(n_blocks):
        flights.begin[b, f] = start[first + b]
        flights.end[b, f] = start[first + b]
    counts[0].flights += 1


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
    fresh, last = counts[0].fresh, counts[0].flights
    counts[0].fresh = _land(start, n_blocks, flights, np.int64(0), fresh, np.int64(0))
    counts[0].flights = _land(start, n_blocks, flights, fresh, last, counts[0].fresh)


@inner_kernel
def _is_silent(counts, tally):
    """Return whether no neuron is awake and no spike under way."""
    if counts[0].flights > 0:
        return False
    busy = np.int64(0)
    for b in range(tally.shape[0]):
        busy += tally[b].dense + tally[b].awake
    return busy == 0


@inner_kernel
def _next_window(inputs, samples, counts, t_end, length):
    """Return a window before the next input spike or sample: those until then are silent."""
    t = t_end
    if counts[0].inputs < inputs.shape[0]:
        t = min(t, inputs[counts[0].inputs])
    if counts[0].samples < samples.shape[0]:
        t = min(t, samples[counts[0].samples])
    return max(counts[0].now, np.int64(math.floor(t / length)) - 1)


@inner_kernel
def _end_of(times, i, t1):
    """Return the first of the ascending ``times`` from ``i`` on that is not before t1."""
    while i < times.shape[0] and times[i] < t1:
        i += 1
    return i


@inner_kernel
def _end_of_turn(samples, counts, turn, t_end, length, stop):
    """Return the window after the last of a turn, which is one window where samples are taken."""
    now = counts[0].now
    end = min(now + turn, stop, np.int64(math.floor(t_end / length)) + 1)
    if counts[0].samples < samples.shape[0] and samples[counts[0].samples] < end * length:
        end = now + 1
    return max(end, now + 1)


@inner_kernel
def open_turn(problem, work, stop):
    """Begin the next turn: take its input spikes on their way. Return a status."""
    counts, inputs = work.counts, problem.inputs
    n_blocks = problem.rows.edge.shape[0] - 1
    if _is_silent(counts, work.tally):
        counts[0].now = _next_window(
            inputs.time, problem.samples.time, counts, problem.t_end, problem.length
        )
    if counts[0].now * problem.length > problem.t_end:
        return DONE
    counts[0].turn_end = _end_of_turn(
        problem.samples.time, counts, problem.turn, problem.t_end, problem.length, stop
    )
    t1 = counts[0].turn_end * problem.length
    last = _end_of(inputs.time, counts[0].inputs, t1)
    if counts[0].flights + last - counts[0].inputs > work.flights.time.shape[0]:
        counts[0].found = last - counts[0].inputs
        return FULL
    counts[0].fresh = counts[0].flights
    for i in range(counts[0].inputs, last):
        _launch(
            problem.rows.start, n_blocks, work.flights, counts,
            inputs.time[i], inputs.source[i], -1 - i,
        )  # fmt: skip
    counts[0].inputs = last
    counts[0].last_sample = _end_of(problem.samples.time, counts[0].samples, t1)
    for b in range(work.tally.shape[0]):
        work.tally[b].at = counts[0].now
        work.tally[b].step = FINDING
        work.tally[b].rows = 0
        work.tally[b].taken = 0
    counts[0].phase = 1
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
        if tally[b].taken < tally[b].rows:
            row = order[b, tally[b].taken]
            time, neuron = found.time[b, row], found.neuron[b, row]
            if time < earliest or (time == earliest and neuron < least):
                first, earliest, least = np.int64(b), time, neuron
    return first


@inner_kernel
def _let_pass(n_blocks, flights, counts, waiting, last, time):
    """Append those of the waiting flights that come before a time; return where the rest begins."""
    while waiting < last and flights.time[waiting] < time:
        _move(n_blocks, flights, waiting, counts[0].flights)
        counts[0].flights += 1
        waiting += 1
    return waiting


@phase_kernel
def _record(start, flights, last_spike, turn, t_end, max_spikes):
    """Move the spikes of this turn to the tape, in order, and take them on their way.

    Flights are in order of time, whatever the turns: sums depend on it.
    """
    keep_apart()
    tape, found, counts, tally, order = turn
    n_blocks = found.time.shape[0]
    waiting, last = counts[0].fresh + counts[0].found, counts[0].flights + counts[0].found
    for f in range(counts[0].flights - 1, counts[0].fresh - 1, -1):
        _move(n_blocks, flights, f, f + counts[0].found)
    counts[0].flights = counts[0].fresh
    for _ in range(counts[0].found):
        b = _block_of_next(found, order, tally)
        row = order[b, tally[b].taken]
        tally[b].taken += 1
        time, n = found.time[b, row], found.neuron[b, row]
        if time > t_end:
            break
        if counts[0].spikes >= max_spikes:
            return SPIKE_LIMIT
        k = counts[0].spikes - counts[0].first
        tape.time[k] = time
        tape.neuron[k] = n
        tape.slope_before[k] = found.slope_before[b, row]
        tape.slope_after[k] = found.slope_after[b, row]
        last_spike[n] = counts[0].spikes
        waiting = _let_pass(n_blocks, flights, counts, waiting, last, time)
        _launch(start, n_blocks, flights, counts, time, n, counts[0].spikes)
        counts[0].spikes += 1
    _let_pass(n_blocks, flights, counts, waiting, last, math.inf)
    return WORKING


@inner_kernel
def _has_room(work, counts):
    """Return whether the spikes of this turn find room wherever they go."""
    return (
        counts[0].spikes - counts[0].first + counts[0].found <= work.tape.time.shape[0]
        and counts[0].flights + counts[0].found <= work.flights.time.shape[0]
    )


@inner_kernel
def close_turn(problem, work):
    """Record what the blocks have found, and go on to the next turn. Return a status."""
    counts = work.counts
    counts[0].found = 0
    for b in range(work.tally.shape[0]):
        if work.tally[b].lack != 0:
            return FULL
        counts[0].found += work.tally[b].rows
    if counts[0].phase == 1:
        _land_all(problem.rows.start, work.tally.shape[0], work.flights, counts)
        counts[0].phase = 2
    if not _has_room(work, counts):
        return FULL
    turn = Turn(work.tape, work.found, counts, work.tally, work.order)
    status = _record(
        problem.rows.start, work.flights, work.neurons.last_spike, turn,
        problem.t_end, problem.max_spikes,
    )  # fmt: skip
    if status != WORKING:
        return status
    counts[0].samples = counts[0].last_sample
    counts[0].now = counts[0].turn_end
    counts[0].phase = 0
    return WORKING
