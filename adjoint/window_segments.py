"""Segments of rows: the synapses of one spike and block that are reached in one window."""

from collections.abc import Callable

import numpy as np

from adjoint.window_arrivals import delay_of, read_alike, read_any, read_apart, read_found
from adjoint.window_calendar import first_arrival, put
from adjoint.window_flow import visit
from adjoint.window_own import edge
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
from queues.jit import by_type, inner_kernel, kernel

CHUNK = 256  # synapses whose responses are computed together


@kernel
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


@kernel
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


@kernel
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
def _read_plain(problem, work, b, time, begin, end, t1):
    """Read a segment of a network with one exponential port and one membrane time constant."""
    rows, tables, adjoints = problem.rows, problem.tables, work.adjoints
    a, r = tables.rate[0], problem.model.ports.rate[0]
    rate_bar = work.port_rate[b]
    latest = delay_of(rows, end - 1)
    if delay_of(rows, begin) == latest:
        out = work.once.out[b]
        respond(problem.model, tables, 0, 0, t1 - (time + latest), out)
        return read_alike(
            adjoints, work.bars, rows.post, rows.weight, begin, end, out, a, r, rate_bar
        )
    total = 0.0
    chunk = work.chunk
    since, scaled, response = chunk.since[b], chunk.scaled[b], chunk.response[b]
    while begin < end:
        stop = min(begin + CHUNK, end)
        if rows.group.shape[0] > 0:
            _times_of_groups(
                rows.delay, rows.group, begin, stop, t1 - time, tables.length, since, scaled
            )
        else:
            _times(rows.delay, begin, stop, t1 - time, tables.length, since, scaled)
        evaluate_all(adjoints, tables.poly[0, 0], scaled, stop - begin, response)
        total += read_apart(
            adjoints, work.bars, rows.post, rows.weight, begin, stop, response, since, a, r,
            rate_bar,
        )  # fmt: skip
        begin = stop
    return total


@kernel
def _find(post, is_special, begin, end, found):
    """List the synapses whose targets have events of their own; return their number."""
    size = np.uint64(0)
    k = np.uint64(begin)
    while k < np.uint64(end):
        found[size] = np.int64(k)
        size += np.uint64(is_special[np.uint64(post[k])])
        k += np.uint64(1)
    return np.int64(size)


@inner_kernel
def _read(problem, work, b, time, begin, end):
    """Read the synapses of a segment; return dL/d(time)."""
    rows = problem.rows
    w = work.now[0]
    t1 = edge(problem, w + 1)
    rate_bar = work.port_rate[b]
    if work.counts[b, SPARSE] == 1:
        for k in range(begin, end):
            visit(problem, work, np.int64(rows.post[k]), w + 1, work.once.out[b])
    if problem.is_plain:
        total = _read_plain(problem, work, b, time, begin, end, t1)
    else:
        total = read_any(
            problem.model, problem.tables, rows, work.adjoints, work.bars, work.once, b, time,
            begin, end, t1, rate_bar,
        )  # fmt: skip
    if work.counts[b, N_PIECES] > 0:
        found = work.chunk.found[b]
        size = _find(rows.post, work.pieces.is_special, begin, end, found)
        if size > 0:
            total += read_found(
                problem.model, problem.tables, rows, work.adjoints, work.bars, work.pieces, b,
                work.once.out[b], time, found, size, rate_bar,
            )  # fmt: skip
    return total


@kernel
def read_block(problem, work, b):
    """Read all arrivals of this window at the neurons of a block."""
    calendar, rows = work.calendar, problem.rows
    n_blocks = calendar.head.shape[0]
    w = work.now[0]
    since = edge(problem, w)
    i = w % calendar.head.shape[1]
    e = np.int64(calendar.head[b, i])
    calendar.head[b, i] = -1
    events = np.int64(0)
    while e >= 0:
        place = e & calendar.mask[0]
        following = np.int64(calendar.link[b, place])
        end = calendar.end[b, place]
        time = problem.emissions.time[e]
        first = rows.start[problem.emissions.source[e] * n_blocks + b]
        begin = first_arrival(rows, first, end, time, since)
        events += end - begin
        calendar.bar[b, place] += _read(problem, work, b, time, begin, end)
        if begin > first:
            put(problem, work, b, e, begin)
        else:
            work.counts[b, PENDING] -= 1
        e = following
    work.counts[b, EVENTS] = events
