"""The tangent pass by windows, along a simulation that is known.

Between the events of a neuron tangents are linear, and no spike of a window can reach a neuron
before the next: the tangents of all arrivals of a window are known at its begin. A block of targets
goes through the window by itself: its neurons are visited when something arrives, and arrivals
are added to their rows in any order; neurons with events of their own go through these then.
"""

import numpy as np

from adjoint.windows.calendar import edge, enlist, window_of
from adjoint.windows.forward.arrivals import (
    Sent,
    add_alike,
    add_any,
    add_apart,
    add_found,
    visit_targets,
)
from adjoint.windows.forward.own import go_through_own, list_own
from adjoint.windows.responses import respond
from adjoint.windows.segments import evaluate, scale
from adjoint.windows.types import CHUNK, FIRST, LIFT, LIFT_A, LIFT_R
from queues.compiled.barrier import claim, wait, withdraw
from queues.compiled.jit import inner_kernel, kernel, phase_kernel
from refsim.status import DONE, RUNNING, WORKING
from refsim.windows.deliver import delay_of

_LONG = 64  # synapses of one delay that are added at once, with one response


@inner_kernel
def _put(windows, departures, b, e, begin, arrival):
    """Put emission ``e`` in the window of ``arrival``, over synapse ``begin``."""
    place = e & departures.mask[0]
    departures.begin[b, place] = begin
    enlist(windows, departures.head, departures.link, b, e, place, arrival)


@phase_kernel
def _enter(problem, work, b):
    """Let the emissions of this window enter; arrivals after the end do not exist."""
    rows, emissions, windows = problem.rows, problem.emissions, problem.windows
    n_blocks = work.counts.shape[0]
    e = work.counts[b].entered
    while e < emissions.time.shape[0]:
        time = emissions.time[e]
        if window_of(windows, time) > work.now[0].window:
            break
        i = emissions.source[e] * n_blocks + b
        first = rows.start[i]
        if first < rows.start[i + 1]:
            arrival = time + delay_of(rows, first)
            if arrival <= windows.t_end:
                _put(windows, work.departures, b, e, first, arrival)
                work.counts[b].pending += 1
        e += 1
    work.counts[b].entered = e


@phase_kernel
def _scan(rows, begin, stop, time, limit, t1, since, used):
    """Write times from arrivals before a limit to t1; return where the segment ends."""
    k = begin
    while k < stop and used < since.shape[0]:
        arrival = time + delay_of(rows, k)
        if arrival >= limit:
            break
        since[used] = t1 - arrival
        used += 1
        k += 1
    return k, used


@phase_kernel
def _find(post, is_special, begin, end, e, found, b, size):
    """List the synapses whose targets have events of their own, after ``size`` others."""
    synapse, place = found.synapse[b], found.place[b]
    g = np.uint64(size)
    for k in range(np.uint64(begin), np.uint64(end)):
        synapse[g] = k
        place[g] = np.uint64(e)
        g += np.uint64(is_special[np.uint64(post[k])])
    return np.int64(g)


@inner_kernel
def _add_found(problem, work, b, size):
    sent = Sent(problem.emissions.time, work.emission_dot)
    found = work.found.synapse[b, :size], work.found.place[b, :size]
    add_found(
        problem.tables, problem.direction, problem.rows, sent, work.pieces, b, found, work.out[b]
    )
    return np.int64(0)


@inner_kernel
def _meet_targets(problem, work, b, e, begin, end, n_found):
    """Bring the targets of a segment to the end of the window, and list those with own events."""
    rows = problem.rows
    visit_targets(
        problem.tables, problem.direction, work.row, work.at, rows.post[begin:end],
        work.now[0].window + 1, work.out[b],
    )  # fmt: skip
    if work.counts[b].n_pieces == 0:
        return n_found
    n_found = _find(rows.post, work.pieces.is_special, begin, end, e, work.found, b, n_found)
    return _add_found(problem, work, b, n_found) if n_found >= CHUNK else n_found


@phase_kernel
def _add_chunk(problem, work, b, n_segments, size):
    tables, chunk = problem.tables, work.chunk
    if not problem.tables.is_plain:
        add_any(
            tables, problem.direction, problem.rows, work.row, chunk, b, n_segments, work.out[b]
        )
        return
    scaled, response, poly = chunk.scaled[b], chunk.response[b], tables.poly[0, 0]
    scale(chunk.since[b], tables.length, size, scaled)
    evaluate(poly[LIFT], scaled, size, response[LIFT])
    evaluate(poly[FIRST], scaled, size, response[FIRST])
    if tables.with_rates:
        evaluate(poly[LIFT_A], scaled, size, response[LIFT_A])
        evaluate(poly[LIFT_R], scaled, size, response[LIFT_R])
    add_apart(problem, work.row, chunk, b, n_segments)


@inner_kernel
def _is_alike(problem, begin, stop):
    """Return whether what is left of a row is long and has one delay and one response."""
    if not problem.tables.is_plain or stop - begin < _LONG:
        return False
    return delay_of(problem.rows, begin) == delay_of(problem.rows, stop - 1)


@phase_kernel
def _add_block(problem, work, b):
    """Add all arrivals of this window at the neurons of a block."""
    rows, tables, windows, emissions = (
        problem.rows, problem.tables, problem.windows, problem.emissions,
    )  # fmt: skip
    departures, chunk = work.departures, work.chunk
    n_blocks, n_lists = departures.head.shape
    w = work.now[0].window
    t1 = edge(windows, w + 1)
    after = np.nextafter(windows.t_end, np.inf)  # what arrives at the end itself counts
    limit = after if w == windows.total - 1 else min(t1, after)
    e = np.int64(departures.head[b, w % n_lists])
    departures.head[b, w % n_lists] = -1
    events, n_segments, size, n_found = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    while e >= 0:
        place = e & departures.mask[0]
        following = np.int64(departures.link[b, place])
        time, t_dot = emissions.time[e], work.emission_dot[e]
        begin, stop = departures.begin[b, place], rows.start[emissions.source[e] * n_blocks + b + 1]
        if _is_alike(problem, begin, stop):
            n_found = _meet_targets(problem, work, b, e, begin, stop, n_found)
            respond(tables, 0, 0, t1 - (time + delay_of(rows, begin)), work.out[b])
            add_alike(problem, work.row, begin, stop, t_dot, work.out[b])
            events += stop - begin
            begin = stop
        while begin < stop:
            end, used = _scan(rows, begin, stop, time, limit, t1, chunk.since[b], size)
            if end > begin:
                n_found = _meet_targets(problem, work, b, e, begin, end, n_found)
                chunk.end[b, n_segments] = np.uint64(begin)
                chunk.start[b, n_segments + 1] = np.uint64(used)
                chunk.emitted[b, n_segments] = t_dot
                n_segments += 1
                events += used - size
                begin, size = end, used
            if size < CHUNK:
                break
            _add_chunk(problem, work, b, n_segments, size)
            n_segments, size = np.int64(0), np.int64(0)
        arrival = time + delay_of(rows, begin) if begin < stop else np.inf
        if arrival <= windows.t_end:
            _put(windows, departures, b, e, begin, arrival)
        else:
            work.counts[b].pending -= 1
        e = following
    if size > 0:
        _add_chunk(problem, work, b, n_segments, size)
    if n_found > 0:
        _add_found(problem, work, b, n_found)
    work.counts[b].events = events


@phase_kernel
def _go_over_window(problem, work, b):
    _enter(problem, work, b)
    list_own(problem, work, b)
    _add_block(problem, work, b)
    go_through_own(problem, work, b)


@phase_kernel
def _move_on(problem, work):
    """Go to the next window in which something happens, or beyond the last."""
    own, emissions, windows, counts = problem.own, problem.emissions, problem.windows, work.counts
    following = windows.total
    for b in range(counts.shape[0]):
        if counts[b].pending > 0:
            following = work.now[0].done + 1
        elif counts[b].own > own.start[b]:
            following = min(following, own.window[counts[b].own - 1])
    entered = counts[0].entered
    if entered < emissions.time.shape[0]:
        following = min(following, window_of(windows, emissions.time[entered]))
    work.now[0].window = following


@inner_kernel
def _turn(problem, now, share, used):
    """Return what comes next: a window, another call, or the end."""
    if now[0].window >= problem.windows.total:
        return DONE
    return RUNNING if used >= share else WORKING


@kernel
def run_tangents(problem, work, share, gate, thread, n_threads):
    """Process windows until about ``share`` arrivals are used up; return a status.

    All threads call this, and return together; they share blocks out as they go, and what lies
    between windows is done by thread 0.
    """
    n_blocks = work.counts.shape[0]
    used = np.int64(0)
    while True:
        if thread == 0:
            _move_on(problem, work)
            work.now[0].status = _turn(problem, work.now, share, used)
            withdraw(work.claims)
        if not wait(gate, n_threads):
            return RUNNING
        if work.now[0].status != WORKING:
            return work.now[0].status
        for i in range(n_blocks):
            b = claim(work.claims, i, thread, n_threads)
            if b >= 0:
                _go_over_window(problem, work, b)
        if not wait(gate, n_threads):
            return RUNNING
        if thread == 0:
            work.now[0].done = work.now[0].window
            used += 100
            for b in range(n_blocks):
                used += work.counts[b].events
