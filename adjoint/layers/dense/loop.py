r"""Back through full layers: gradients by weights, delays and input times alone.

Backwards in time the adjoint of a neuron follows from two numbers, m and q, that its own spikes
change alone. With a, r the rates of membrane and port, c = a/(r - a), and T a time of reference,

    lambda_V = m e^{a (t - T)},    lambda_x = q e^{r (t - T)} + c m e^{a (t - T)}.

A spike with lambda_V+ after it leaves lambda_V = -(bar - lambda_V+ V'+)/V'- and does not change
lambda_x, which gives the new q. An arrival of weight w reads lambda_x for its weight, and
w (r lambda_x - a lambda_V) for its time: two multiplications and additions a synapse.
"""

from typing import NamedTuple

import numpy as np

from queues.compiled.jit import inner_kernel, kernel
from queues.compiled.vector.decay import decay
from queues.compiled.vector.lines import read_line, weigh_line
from refsim.layers.dense.group import (
    compose,
    gather,
    is_composed,
    measure,
    note_exponentials,
)
from refsim.layers.dense.types import Arrivals, Emissions
from refsim.status import DONE, RUNNING
from refsim.types import Float, Int, Tape

_MOST = 1_000_000  # arrivals between two looks at the keyboard


class DenseBack(NamedTuple):
    """Where the samples begin, and what they have left."""

    input_start: Int  # (B + 1,)
    spike_start: Int  # (B + 1,)
    input_time: Float  # (I,) ms
    input_source: Int  # (I,)
    tape: Tape
    t_end: Float  # (1,) ms
    group: Int  # (1,) samples whose gradients are one sum
    with_times: Int  # (1,) 1 where the gradient by delays or input times is asked for
    with_delays: Int  # (1,) 1 where that by delays is


class DenseBars(NamedTuple):
    """Cotangents, and the gradients of each group of samples."""

    spike: Float  # (k,) dL/d(spike time), complete once the spike is reached
    input: Float  # (I,)
    weight: Float  # (groups of samples, cells)
    delay: Float  # (groups of samples, cells), or (0, 0)


class BackRoom(NamedTuple):
    """What belongs to one sample."""

    m: Float  # (places,)
    q: Float
    by_time: Float  # (places,) in place of the gradient by delays where that is not asked for
    last: Int  # (G,) row of the last spike of each group, -1 for none
    before: Int  # (R,) of each spike of the sample, row of the one before of the same group
    row: Int  # (R,) row of each emission on the tape
    known: Int  # (levels,) emissions of sources below each level
    arrivals: Arrivals
    emissions: Emissions


@inner_kernel
def _enter(groups, back, room, i):
    """Enter input spikes and spikes of sample ``i`` as emissions, by level of their sources.

    Returns their number. Those that may reach a group of level l come before ``known[l]``.
    """
    emissions, tape, known = room.emissions, back.tape, room.known
    low, high = back.input_start[i], back.input_start[i + 1]
    first, stop = back.spike_start[i], back.spike_start[i + 1]
    for k in range(low, high):
        emissions.time[k - low] = back.input_time[k]
        emissions.source[k - low] = back.input_source[k]
    for g in range(room.last.shape[0]):
        room.last[g] = -1
    for level in range(known.shape[0]):
        known[level] = 0
    for k in range(first, stop):
        g = groups.group[tape.neuron[k]]
        room.before[k - first] = room.last[g]
        room.last[g] = k
        known[groups.level[g]] += 1
    at = high - low
    for level in range(known.shape[0]):
        count = known[level]
        known[level] = at
        at += count
    for k in range(first, stop):
        level = groups.level[groups.group[tape.neuron[k]]]
        e = known[level]
        known[level] += 1
        emissions.time[e] = tape.time[k]
        emissions.source[e] = tape.neuron[k]
        room.row[e] = k
    at = high - low
    for level in range(known.shape[0]):  # where each begins, again
        stop_of_level = known[level]
        known[level] = at
        at = stop_of_level
    return at


@inner_kernel
def _cross(layers, groups, g, back, bars, room, k, reference):
    """Cross spike ``k`` of group ``g``."""
    p, q, a = layers.slow[g], layers.fast[g], layers.leak[g]
    r = p + q - a
    tape = back.tape
    j = groups.place[tape.neuron[k]]
    since = tape.time[k] - reference
    of_a, of_r = decay(a * since), decay(r * since)
    # So late after all arrivals, what becomes of them does not matter any more.
    after = room.m[j] / of_a if of_a > 0.0 else 0.0
    before = -(bars.spike[k] - after * tape.slope_after[k])
    if before != 0.0:
        before /= tape.slope_before[k]
    room.m[j] = before * of_a
    room.q[j] += a / (r - a) * (after - before) * of_r


@inner_kernel
def _read(layers, groups, g, back, bars, room, places, i, row, is_input):
    """Read the adjoint at arrival ``i``; return dL/d(its time), where that is wanted."""
    arrivals = room.arrivals
    a = layers.leak[g]
    r = layers.slow[g] + layers.fast[g] - a
    low, high = places
    line = arrivals.line[i]
    cell = groups.cell[line]
    stop = cell + high - low
    of_a, of_r = arrivals.start_slow[i], arrivals.start_fast[i]
    if a > r:
        of_a, of_r = of_r, of_a
    slow, fast = a / (r - a) / of_a, 1.0 / of_r
    if high - low == 1:
        part = slow * room.m[low]
        x = part + fast * room.q[low]
        moved = layers.weight[cell] * (r * x + (a - r) * part)
        bars.weight[row, cell] += x
        if back.with_delays[0] == 1:
            bars.delay[row, cell] += moved
        return moved
    m, q = room.m[low:high], room.q[low:high]
    bar = bars.weight[row, cell:stop]
    if is_input and back.with_times[0] == 0:
        read_line(m, q, slow, fast, bar)
        return 0.0
    weight = layers.weight[cell:stop]
    by_time = bars.delay[row, cell:stop] if back.with_delays[0] == 1 else room.by_time[low:high]
    return weigh_line(m, q, slow, fast, bar, weight, r, a - r, by_time)


@inner_kernel
def _run_group(layers, groups, g, back, bars, room, i, row, count):
    """Take group ``g`` of sample ``i`` back through ``count`` arrivals and its spikes."""
    low, high = groups.start[g], groups.start[g + 1]
    arrivals = room.arrivals
    a = layers.leak[g]
    t_end = back.t_end[0]
    if is_composed(layers, t_end):
        compose(layers, room.emissions, arrivals, count, t_end)
    else:
        measure(layers.slow[g], layers.fast[g], arrivals, count, t_end)
    for j in range(low, high):
        room.m[j] = 0.0
        room.q[j] = 0.0
    first, inputs = back.input_start[i], back.input_start[i + 1] - back.input_start[i]
    k = room.last[g]
    for h in range(count - 1, -1, -1):
        t = arrivals.time[h]
        if arrivals.moved[h] == 1:
            end_a, end_r = arrivals.end_slow[h], arrivals.end_fast[h]
            if a == layers.fast[g]:
                end_a, end_r = end_r, end_a
            for j in range(low, high):
                room.m[j] *= end_a
                room.q[j] *= end_r
        reference = t - arrivals.spare_time[h]
        while k >= 0 and back.tape.time[k] > t:
            _cross(layers, groups, g, back, bars, room, k, reference)
            k = room.before[k - back.spike_start[i]]
        e = arrivals.emission[h]
        time_bar = _read(layers, groups, g, back, bars, room, (low, high), h, row, e < inputs)
        if e >= inputs:
            bars.spike[room.row[e]] += time_bar
        else:
            bars.input[first + e] += time_bar


@kernel
def run_dense_back(groups, layers, back, bars, room, cursor):
    """Take samples back and return a status, DONE after the last one.

    There is room for the emissions of any sample, and for its arrivals at any group.
    """
    used = np.int64(0)
    while cursor.sample[0] < cursor.stop[0]:
        if used >= _MOST:
            return RUNNING
        i = cursor.sample[0]
        count = _enter(groups, back, room, i)
        if count > 0 and is_composed(layers, back.t_end[0]):
            note_exponentials(layers, room.emissions, np.int64(0), count)
        row = i // back.group[0]
        for g in range(groups.size.shape[0] - 1, -1, -1):
            known = room.known[groups.level[g]]
            hits = gather(groups, g, room.emissions, known, back.t_end[0], room.arrivals)
            if hits > 0:
                _run_group(layers, groups, g, back, bars, room, i, row, hits)
            used += hits
        cursor.sample[0] += 1
    return DONE
