"""Segments of rows: the synapses of one spike and block that are reached in one window."""

from collections.abc import Callable

import numpy as np

from adjoint.window_arrivals import (
    delay_of,
    prefetch_segment,
    read_alike,
    read_any,
    read_apart,
    read_found,
    read_listed,
)
from adjoint.window_calendar import edge, first_arrival, put
from adjoint.window_flow import visit
from adjoint.window_responses import respond
from adjoint.window_types import (
    EVENTS,
    FIRST,
    LIFT,
    LIFT_A,
    LIFT_R,
    N_PIECES,
    PENDING,
    SPARSE,
    Adjoints,
)
from queues.jit import by_type, inner_kernel, phase_kernel

_AHEAD = 128  # synapses to prefetch; then the processor has learned where a row goes on
CHUNK = 256  # synapses whose responses are computed together


@phase_kernel
def _times(delay, begin, end, arrival, length, since, scaled):
    """Write the times from arrivals to the end of the window, for delays of each synapse."""
    i = np.uint64(0)
    k = np.uint64(begin)
    while k < np.uint64(end):
        u = arrival - delay[k]
        since[i] = u
        scaled[i] = u * (2.0 / length) - 1.0
        k += np.uint64(1)
        i += np.uint64(1)


@phase_kernel
def _times_of_groups(delay, group, begin, end, arrival, length, since, scaled):
    """Write the times from arrivals to the end of the window, for delays by group."""
    i = np.uint64(0)
    k = np.uint64(begin)
    while k < np.uint64(end):
        u = arrival - delay[np.uint64(group[k])]
        since[i] = u
        scaled[i] = u * (2.0 / length) - 1.0
        k += np.uint64(1)
        i += np.uint64(1)


@phase_kernel
def evaluate(terms, z, size, out):
    """Write a polynomial at many places, two terms at a time."""
    d = terms.shape[0] - 1
    last = terms[d]
    stop = np.uint64(size)
    i = np.uint64(0)
    if d % 2 == 1:
        c = terms[d - 1]
        while i < stop:
            out[i] = last * z[i] + c
            i += np.uint64(1)
        d -= 1
    else:
        while i < stop:
            out[i] = last
            i += np.uint64(1)
    while d > 0:
        b, c = terms[d - 1], terms[d - 2]
        i = np.uint64(0)
        while i < stop:
            out[i] = (out[i] * z[i] + b) * z[i] + c
            i += np.uint64(1)
        d -= 2


@inner_kernel
def _evaluate_two(poly, scaled, size, response):
    evaluate(poly[LIFT], scaled, size, response[LIFT])
    evaluate(poly[FIRST], scaled, size, response[FIRST])


@inner_kernel
def _evaluate_four(poly, scaled, size, response):
    _evaluate_two(poly, scaled, size, response)
    evaluate(poly[LIFT_A], scaled, size, response[LIFT_A])
    evaluate(poly[LIFT_R], scaled, size, response[LIFT_R])


@by_type
def evaluate_all(adjoints: type) -> Callable[..., None]:
    """Write the responses that are read; arguments are (adjoints, poly, scaled, size, response)."""
    if adjoints is Adjoints:
        return lambda adjoints, poly, scaled, size, response: _evaluate_two(
            poly, scaled, size, response
        )
    return lambda adjoints, poly, scaled, size, response: _evaluate_four(
        poly, scaled, size, response
    )


@inner_kernel
def _evaluate_chunk(rows, tables, adjoints, chunk, b, begin, end, until):
    """Write the responses of some synapses; ``until`` is the time from emission to the end."""
    since, scaled = chunk.since[b], chunk.scaled[b]
    if rows.group.shape[0] > 0:
        _times_of_groups(rows.delay, rows.group, begin, end, until, tables.length, since, scaled)
    else:
        _times(rows.delay, begin, end, until, tables.length, since, scaled)
    evaluate_all(adjoints, tables.poly[0, 0], scaled, end - begin, chunk.response[b])


@inner_kernel
def _read_plain(rows, tables, adjoints, bars, out, chunk, b, begin, end, until, rate_bar):
    """Read a segment of a network with one exponential port and one membrane time constant."""
    a, r = tables.rate[0], tables.decay_rate[0]
    post, weight = rows.post, rows.weight
    latest = delay_of(rows, end - 1)
    if delay_of(rows, begin) == latest:
        respond(tables, 0, 0, until - latest, out)
        return read_alike(adjoints, bars, post, weight, begin, end, out, a, r, rate_bar)
    total = 0.0
    while begin < end:
        stop = min(begin + CHUNK, end)
        _evaluate_chunk(rows, tables, adjoints, chunk, b, begin, stop, until)
        total += read_apart(
            adjoints, bars, post, weight, begin, stop, chunk.response[b], chunk.since[b], a, r,
            rate_bar,
        )  # fmt: skip
        begin = stop
    return total


@phase_kernel
def _find(post, is_special, begin, end, time, place, found, b, size):
    """List the synapses whose targets have events of their own, after ``size`` others."""
    synapse, emitted, places = found.synapse[b], found.emitted[b], found.place[b]
    g = np.uint64(size)
    k = np.uint64(begin)
    while k < np.uint64(end):
        synapse[g] = k
        g += np.uint64(is_special[np.uint64(post[k])])
        k += np.uint64(1)
    for i in range(np.uint64(size), g):
        emitted[i] = time
        places[i] = np.uint64(place)
    return np.int64(g)


@phase_kernel
def _list_pieces(rows, pieces, found, b, begin, end, length, since, scaled):
    """Write the pieces from which some of the synapses found are read, and how long before."""
    piece = found.piece[b]
    i = np.uint64(0)
    for g in range(np.uint64(begin), np.uint64(end)):
        k = found.synapse[b, g]
        arrival = found.emitted[b, g] + delay_of(rows, k)
        j = np.uint64(pieces.first[np.uint64(rows.post[k])])
        while arrival < pieces.below[b, j]:
            j += np.uint64(1)
        piece[i] = j
        since[i] = pieces.time[b, j] - arrival
        scaled[i] = since[i] * (2.0 / length) - 1.0
        i += np.uint64(1)


@phase_kernel
def _read_found(problem, work, b, size):
    """Read the synapses that were found."""
    rows, tables, adjoints, bars = problem.rows, problem.tables, work.adjoints, work.bars
    chunk, found, out = work.chunk, work.found, work.once.out[b]
    since, scaled, response = chunk.since[b], chunk.scaled[b], chunk.response[b]
    synapse, place, piece = found.synapse[b], found.place[b], found.piece[b]
    row, spike_bar, rate_bar = work.pieces.row[b], work.calendar.bar[b], work.port_rate[b]
    for begin in range(0, size, CHUNK):
        end = min(begin + CHUNK, size)
        _list_pieces(rows, work.pieces, found, b, begin, end, tables.length, since, scaled)
        if problem.is_plain:
            evaluate_all(adjoints, tables.poly[0, 0], scaled, end - begin, response)
            read_listed(
                adjoints, bars, row, piece, rows.weight, synapse, place, begin, end, response,
                since, tables.rate[0], tables.decay_rate[0], spike_bar, rate_bar,
            )  # fmt: skip
        else:
            read_found(
                tables, rows, adjoints, bars, row, piece, out, synapse, place, begin, end, since,
                spike_bar, rate_bar,
            )  # fmt: skip


@inner_kernel
def _visit_all(tables, adjoints, at, post, begin, end, window, out):
    """Bring all targets of a segment to the end of the window before it."""
    for k in range(begin, end):
        visit(tables, adjoints, at, np.int64(post[k]), window, out)


@inner_kernel
def _prefetch_next(rows, emissions, calendar, bars, b, e, size):
    """Prefetch the segment of emission ``e``, which is likely as long as the one before."""
    first = rows.start[emissions.source[e] * calendar.head.shape[0] + b]
    end = calendar.end[b, e & calendar.mask[0]]
    begin = max(first, end - size)
    prefetch_segment(bars, rows.post, rows.weight, begin, min(begin + _AHEAD, end))


@phase_kernel
def read_block(problem, work, b):
    """Read all arrivals of this window at the neurons of a block."""
    rows, tables, windows, emissions = (
        problem.rows, problem.tables, problem.windows, problem.emissions,
    )  # fmt: skip
    calendar, adjoints, bars, chunk = work.calendar, work.adjoints, work.bars, work.chunk
    n_blocks, n_lists = calendar.head.shape
    out, rate_bar, is_special = work.once.out[b], work.port_rate[b], work.pieces.is_special
    size = np.int64(0)
    is_sparse, has_pieces = work.counts[b, SPARSE] == 1, work.counts[b, N_PIECES] > 0
    w = work.now[0]
    t0, t1 = edge(windows, w), edge(windows, w + 1)
    e = np.int64(calendar.head[b, w % n_lists])
    calendar.head[b, w % n_lists] = -1
    events = np.int64(0)
    while e >= 0:
        place = e & calendar.mask[0]
        following = np.int64(calendar.link[b, place])
        end = calendar.end[b, place]
        time = emissions.time[e]
        first = rows.start[emissions.source[e] * n_blocks + b]
        begin = first_arrival(rows, first, end, time, t0)
        events += end - begin
        if following >= 0:
            _prefetch_next(rows, emissions, calendar, bars, b, following, end - begin)
        if is_sparse:
            _visit_all(tables, adjoints, work.at, rows.post, begin, end, w + 1, out)
        if problem.is_plain:
            total = _read_plain(
                rows, tables, adjoints, bars, out, chunk, b, begin, end, t1 - time, rate_bar
            )
        else:
            total = read_any(
                tables, rows, adjoints, bars, work.once, b, time, begin, end, t1, rate_bar
            )
        calendar.bar[b, place] += total
        if has_pieces:
            found = work.found
            size = _find(rows.post, is_special, begin, end, time, place, found, b, size)
            if size >= CHUNK:
                _read_found(problem, work, b, size)
                size = np.int64(0)
        if begin > first:
            put(windows, calendar, b, e, begin, time + delay_of(rows, begin - 1))
        else:
            work.counts[b, PENDING] -= 1
        e = following
    if size > 0:
        _read_found(problem, work, b, size)
    work.counts[b, EVENTS] = events
