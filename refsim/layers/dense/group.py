"""All neurons of a group through all of their arrivals, in vectors, with few exponentials.

Between arrivals the voltage above the drive is S e^{-p (t - T)} - F e^{-q (t - T)}, with p < q the
rates of membrane and port in order, and T a time of reference. An arrival of weight w at t adds
w a/|r - a| e^{p (t - T)} to S and w a/|r - a| e^{q (t - T)} to F: these exponentials belong to the
arrival and are the same for all neurons, so that it costs a multiplication and an addition for each
of the two. References change before e^{q (t - T)} is too large. What follows from S and F, `rise`
says.
"""

import math

import numpy as np

from queues.compiled.jit import arrays_lie_apart, inner_kernel, keep_apart, phase_kernel
from queues.compiled.vector.decay import decay
from queues.compiled.vector.masks import lowest_of, mask_of
from refsim.layers.dense.rise import (
    crossing,
    fade,
    is_off,
    may_pass,
    solve,
    summit,
    whole_vectors,
)
from refsim.layers.dense.types import FLAGS, WIDTH
from refsim.layers.order import sort

_FARTHEST = 300.0  # q (t - T) at most
_LAST_BIT = np.uint64(1)
# In place of a number: there is too little room, for arrivals or for emissions.
FEW_ARRIVALS, FEW_EMISSIONS = np.int64(-1), np.int64(-2)


@inner_kernel
def gather(groups, g, emissions, count, t_end, arrivals):
    """Write the arrivals at group ``g`` of ``count`` emissions in order of time.

    Returns their number, or FEW_ARRIVALS.
    """
    found = np.int64(0)
    is_sorted = True
    latest = -math.inf
    for e in range(count):
        s = emissions.source[e]
        for line in range(groups.first[g, s], groups.first[g, s + 1]):
            t = emissions.time[e] + groups.delay[line]
            if t > t_end:
                continue
            if found == arrivals.time.shape[0]:
                return FEW_ARRIVALS
            arrivals.time[found] = t
            arrivals.line[found] = line
            arrivals.emission[found] = e
            arrivals.order[found] = found
            is_sorted = is_sorted and t >= latest
            latest = t
            found += 1
    if not is_sorted:
        sort(arrivals.time, arrivals.order, found, arrivals.spare_time, arrivals.spare_order)
        _permute(arrivals.line, arrivals.order, found, arrivals.spare)
        _permute(arrivals.emission, arrivals.order, found, arrivals.spare)
    return found


@inner_kernel
def _permute(values, order, count, spare):
    """Put values in order."""
    for i in range(count):
        spare[i] = values[order[i]]
    for i in range(count):
        values[i] = spare[i]


@inner_kernel
def measure(p, q, arrivals, count, t_end):
    """Compute the exponentials of ``count`` arrivals; the last interval goes to ``t_end``."""
    reference = arrivals.time[0]
    time, since = arrivals.time, arrivals.spare_time
    for i in range(count):
        following = time[i + 1] if i + 1 < count else t_end
        since[i] = time[i] - reference
        arrivals.moved[i] = 0
        if q * (following - reference) > _FARTHEST:
            arrivals.moved[i] = 1
            reference = following
    _exponentials(p, q, count, since, arrivals.start_slow, arrivals.start_fast)
    for i in range(count - 1):
        arrivals.end_slow[i] = arrivals.start_slow[i + 1]
        arrivals.end_fast[i] = arrivals.start_fast[i + 1]
        if arrivals.moved[i] == 1:
            _end(p, q, arrivals, i, time[i + 1])
    _end(p, q, arrivals, count - 1, t_end)


@inner_kernel
def is_composed(layers, t_end):
    """Return whether exponentials of arrivals are products of those of spikes and delays."""
    return layers.fade_slow.shape[0] > 0 and layers.fast[0] * t_end <= _FARTHEST


@inner_kernel
def note_exponentials(layers, emissions, low, high):
    """Compute the exponentials of emissions ``low`` to ``high``, measured from time 0."""
    part = emissions.time[low:high]
    slow, fast = emissions.slow[low:high], emissions.fast[low:high]
    _exponentials(layers.slow[0], layers.fast[0], high - low, part, slow, fast)


@inner_kernel
def compose(layers, emissions, arrivals, count, t_end):
    """Do what `measure` does, by products of exponentials that are known."""
    for i in range(count):
        e, line = arrivals.emission[i], arrivals.line[i]
        arrivals.spare_time[i] = arrivals.time[i]
        arrivals.moved[i] = 0
        arrivals.start_slow[i] = emissions.slow[e] * layers.fade_slow[line]
        arrivals.start_fast[i] = emissions.fast[e] * layers.fade_fast[line]
    for i in range(count - 1):
        arrivals.end_slow[i] = arrivals.start_slow[i + 1]
        arrivals.end_fast[i] = arrivals.start_fast[i + 1]
    arrivals.end_slow[count - 1] = decay(layers.slow[0] * t_end)
    arrivals.end_fast[count - 1] = decay(layers.fast[0] * t_end)


@inner_kernel
def _end(p, q, arrivals, i, t):
    """Compute the exponentials at the end of an interval, with the reference of its arrival."""
    until = t - arrivals.time[i] + arrivals.spare_time[i]
    arrivals.end_slow[i] = decay(p * until)
    arrivals.end_fast[i] = decay(q * until)


@phase_kernel
def _exponentials(p, q, count, since, slow, fast):
    """Write the exponentials of ``count`` times."""
    arrays_lie_apart()
    keep_apart()
    for i in range(count):
        slow[i] = decay(p * since[i])
        fast[i] = decay(q * since[i])


@phase_kernel
def _arrive(p, q, lines, factors, weight, level, slow, fast, flag):
    """Let a spike arrive at all neurons, and flag those that may cross before the next one.

    ``lines`` are those of `tangents`; ``factors`` what an arrival adds to both exponentials, and
    these at the arrival and at the next one.
    """
    arrays_lie_apart()
    keep_apart()
    add_slow, add_fast, start_slow, start_fast, end_slow, end_fast = factors
    share = 1.0 - p / q
    for j in range(slow.shape[0]):
        s = slow[j] + weight[j] * add_slow
        f = fast[j] + weight[j] * add_fast
        slow[j] = s
        fast[j] = f
        a, y = s * start_slow, q * (f * start_fast)
        x = p * a
        end_s, end_f = s * end_slow, f * end_fast
        passes = may_pass(share, lines, x, y, a, level[j]) & (p * end_s >= q * end_f)
        flag[j] = (y > x) & ((end_s - end_f >= level[j]) | passes)


@inner_kernel
def _arrive_at_one(room, layers, place, cell, factors):
    """Let a spike arrive at the one neuron of a group."""
    add_slow, add_fast = factors[0], factors[1]
    room.slow[place] += layers.weight[cell] * add_slow
    room.fast[place] += layers.weight[cell] * add_fast


@inner_kernel
def _list(rates, room, level, first, size, i, length):
    """List the flagged neurons that cross within ``length`` of arrival ``i``; return how many."""
    arrivals = room.arrivals
    start_slow, start_fast = arrivals.start_slow[i], arrivals.start_fast[i]
    whole = (0.0, length, start_slow, start_fast)
    count = np.int64(0)
    if size == 1:
        return np.int64(1) if _enter(rates, room, level, count, first, i, whole) else count
    for block in range(np.int64(0), size, FLAGS):
        mask = mask_of(room.flag, np.uint64(block))
        while mask:
            j = first + block + np.int64(lowest_of(mask))
            mask &= mask - _LAST_BIT
            if _enter(rates, room, level, count, j, i, whole):
                count += 1
    return count


@inner_kernel
def _enter(rates, room, level, count, j, i, search):
    """Enter neuron ``j`` as a candidate if it crosses before the next arrival."""
    p, q, lines = rates
    since, until, loss_slow, loss_fast = search
    arrivals, out = room.arrivals, room.candidates
    s, f = room.slow[j] * loss_slow, room.fast[j] * loss_fast
    if not (s > 0.0 and q * f > p * s):
        return False
    end = room.slow[j] * arrivals.end_slow[i] - room.fast[j] * arrivals.end_fast[i]
    if end < level[j]:
        if not may_pass(1.0 - p / q, lines, p * s, q * f, s, level[j]):
            return False
        top, height = summit(p, q, s, f)
        if height <= level[j] or top >= until:
            return False
        until = top
    out.place[count] = j
    out.since[count] = since
    out.slow[count] = s
    out.fast[count] = f
    out.level[count] = level[j]
    out.until[count] = until
    out.loss_slow[count] = loss_slow
    out.loss_fast[count] = loss_fast
    return True


@inner_kernel
def _solve_all(p, q, out, count, t):
    """Find the crossings of ``count`` candidates of an interval that begins at ``t``."""
    for k in range(count, whole_vectors(count, WIDTH // 2)):
        out.slow[k], out.fast[k] = out.slow[0], out.fast[0]
        out.level[k], out.until[k], out.since[k] = out.level[0], out.until[0], out.since[0]
    full = whole_vectors(count, WIDTH // 2)
    solve(p, q, t, full, out.slow, out.fast, out.level, out.until, out.wait, out.left)
    for k in range(count):
        if is_off(out.left[k]):
            if out.slow[k] - out.fast[k] >= out.level[k]:
                out.wait[k] = 0.0  # rounding put it there a last bit before
            else:
                out.wait[k] = crossing(p, q, out.slow[k], out.fast[k], out.level[k], out.until[k])
    fade(p, q, full, out.wait, out.faded_slow, out.faded_fast)


@inner_kernel
def _fire(p, q, a, scale, layers, groups, room, k, at, moment):
    """Write candidate ``k`` as emission ``at``, and reset it."""
    out, emissions = room.candidates, room.emissions
    t, earliest, latest = moment
    j = out.place[k]
    wait, x, y = out.wait[k], out.faded_slow[k], out.faded_fast[k]
    slow, fast = out.slow[k] * x, out.fast[k] * y
    if q > a:
        current = fast / scale
        slow = layers.reset[j] + fast
    else:
        current = slow / scale
        fast = slow - layers.reset[j]
    out.loss_slow[k] *= x
    out.loss_fast[k] *= y
    room.slow[j] = slow / out.loss_slow[k]
    room.fast[j] = fast / out.loss_fast[k]
    out.since[k] += wait
    emissions.time[at] = min(max(t + out.since[k], earliest), latest)
    emissions.source[at] = groups.neuron[j]
    emissions.slope_before[at] = a * (current - layers.level[j])
    emissions.slope_after[at] = a * (current - layers.reset[j])


@inner_kernel
def _sort_spikes(emissions, low, high):
    """Sort a handful of spikes by time, then neuron."""
    for i in range(low + 1, high):
        t, n = emissions.time[i], emissions.source[i]
        before, after = emissions.slope_before[i], emissions.slope_after[i]
        j = i
        while j > low and (
            emissions.time[j - 1] > t
            or (emissions.time[j - 1] == t and emissions.source[j - 1] > n)
        ):
            emissions.time[j] = emissions.time[j - 1]
            emissions.source[j] = emissions.source[j - 1]
            emissions.slope_before[j] = emissions.slope_before[j - 1]
            emissions.slope_after[j] = emissions.slope_after[j - 1]
            j -= 1
        emissions.time[j], emissions.source[j] = t, n
        emissions.slope_before[j], emissions.slope_after[j] = before, after


@inner_kernel
def _fire_all(layers, groups, g, room, count, i, at, search):
    """Let all listed neurons fire, as often as they do, before the next arrival.

    Returns the number of emissions so far, or FEW_EMISSIONS.
    """
    rates, t, following = search
    p, q, a, scale = rates[0], rates[1], layers.leak[g], layers.scale[g]
    out = room.candidates
    earliest = math.nextafter(t, math.inf)
    while count > 0:
        if at + count > room.emissions.time.shape[0]:
            return FEW_EMISSIONS
        _solve_all(p, q, out, count, t)
        again = np.int64(0)
        for k in range(count):
            _fire(p, q, a, scale, layers, groups, room, k, at, (t, earliest, following))
            at += 1
            since = out.since[k]
            part = (since, following - t - since, out.loss_slow[k], out.loss_fast[k])
            if part[1] > 0.0 and _enter(rates, room, layers.level, again, out.place[k], i, part):
                again += 1
        count = again
    return at


@inner_kernel
def _begin(layers, groups, g, room):
    """Put all neurons of a group where they are at the time of reference of the first arrival."""
    q, a = layers.fast[g], layers.leak[g]
    left = math.exp(-a * (room.arrivals.time[0] - room.arrivals.spare_time[0]))
    for j in range(groups.start[g], groups.start[g + 1]):
        v = layers.v0[j] * left
        room.slow[j] = v if q > a else 0.0
        room.fast[j] = 0.0 if q > a else -v
    if groups.size[g] > 1:
        for j in range(room.flag.shape[0]):
            room.flag[j] = 0


@inner_kernel
def _move(room, low, high, i):
    """Measure from the arrival after ``i``."""
    for j in range(low, high):
        room.slow[j] *= room.arrivals.end_slow[i]
        room.fast[j] *= room.arrivals.end_fast[i]


@inner_kernel
def _note_gaps(margins, emissions, low, high, t, following):
    """Update the margins with spikes between two arrivals, of which the second may be none."""
    for k in range(low, high):
        margins.gap[0] = min(margins.gap[0], emissions.time[k] - t)
        margins.gap[0] = min(margins.gap[0], following - emissions.time[k])
        margins.release_gap[0] = min(margins.release_gap[0], following - emissions.time[k])


@inner_kernel
def run_group(layers, groups, g, room, count, at, t_end, margins, counts):
    """Take group ``g`` to the end, of which ``count`` arrivals are known.

    Its spikes become emissions from ``at`` on. Returns the number of emissions, or FEW_EMISSIONS.
    """
    if count == 0:
        return at
    p, q = layers.slow[g], layers.fast[g]
    low, high = groups.start[g], groups.start[g + 1]
    arrivals, emissions = room.arrivals, room.emissions
    composed = is_composed(layers, t_end)
    if composed:
        compose(layers, emissions, arrivals, count, t_end)
    else:
        measure(p, q, arrivals, count, t_end)
    begun = at
    _begin(layers, groups, g, room)
    slow, fast, level = room.slow[low:high], room.fast[low:high], layers.level[low:high]
    line = layers.line
    lines, scale = (line[g, 0], line[g, 1], line[g, 2], line[g, 3]), layers.scale[g]
    rates = (p, q, lines)
    for i in range(count):
        t = arrivals.time[i]
        is_last = i + 1 == count
        following = t_end if is_last else arrivals.time[i + 1]
        cell = groups.cell[arrivals.line[i]]
        start_slow, start_fast = arrivals.start_slow[i], arrivals.start_fast[i]
        factors = (
            scale / start_slow,
            scale / start_fast,
            start_slow,
            start_fast,
            arrivals.end_slow[i],
            arrivals.end_fast[i],
        )
        if high - low == 1:
            _arrive_at_one(room, layers, low, cell, factors)
        else:
            weight = layers.weight[cell : cell + high - low]
            _arrive(p, q, lines, factors, weight, level, slow, fast, room.flag)
        if following > t:
            listed = _list(rates, room, layers.level, low, high - low, i, following - t)
            if listed > 0:
                before = at
                at = _fire_all(layers, groups, g, room, listed, i, at, (rates, t, following))
                if at < 0:
                    return at
                counts.searches[0] += at - before
                _sort_spikes(emissions, before, at)
                gap = math.inf if is_last else following
                _note_gaps(margins, emissions, before, at, t, gap)
        if arrivals.moved[i] == 1:
            _move(room, low, high, i)
    if composed and at > begun:
        note_exponentials(layers, emissions, begun, at)
    return at
