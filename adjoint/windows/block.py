"""All arrivals of a window at the neurons of one block.

The emissions of the window are a list in the calendar. Of each, the synapses that it reaches in the
window lie next to each other in its row of the block, before those of the window that was done
last: a *segment*. A long one of one delay has one response and is read at once. Others are
collected, segment by segment, until there are arrivals enough for responses to be evaluated several
at a time: a *chunk*. A row in which more is left goes back into the calendar, in
the window of its next arrival.

Arrivals at neurons with events of their own read nothing from the rows of these, which are zero
meanwhile; they are *found* beside, and read from the pieces.

What comes next in memory cannot be guessed by the processor, since emissions lie anywhere in the
rows: it is told of the next one while it is at work on this. Indices are unsigned; see
`queues.compiled.jit`.
"""

import numpy as np

from adjoint.windows.bars import prefetch_bars
from adjoint.windows.calendar import edge, put
from adjoint.windows.flow import visit
from adjoint.windows.reads import (
    Listed,
    Reading,
    Targets,
    read_alike,
    read_apart,
    read_listed,
    unit_of,
)
from adjoint.windows.reads_any import read_any, read_found
from adjoint.windows.responses import SHORT, respond
from adjoint.windows.segments import evaluate_all, scale, scan
from adjoint.windows.types import CHUNK
from queues.compiled.jit import inner_kernel, phase_kernel
from queues.compiled.prefetch import prefetch
from refsim.windows.deliver import delay_of

_LONG = 64  # synapses of one delay that are read at once, with one response
_AHEAD = 128  # synapses to prefetch at most


@phase_kernel
def _find(post, is_special, begin, end, emission, found, b, size):
    """List the synapses whose targets have events of their own, after ``size`` others.

    The ``emission`` is given by its time, and its place in the calendar.
    """
    time, place = emission
    synapse, emitted, places = found.synapse[b], found.emitted[b], found.place[b]
    # Without a branch: every synapse is written, and stays if the next is written behind it.
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
def _find_in_chunk(post, is_special, chunk, n_segments, found, b, size):
    """Do what `_find` does, for the segments of a chunk."""
    synapse, emitted, places = found.synapse[b], found.emitted[b], found.place[b]
    g = np.uint64(size)
    i = np.uint64(0)
    for s in range(np.uint64(0), np.uint64(n_segments)):
        k = chunk.end[b, s]
        before = g
        while i < chunk.start[b, s + np.uint64(1)]:
            k -= np.uint64(1)
            synapse[g] = k
            g += np.uint64(is_special[np.uint64(post[k])])
            i += np.uint64(1)
        for f in range(before, g):
            emitted[f] = chunk.emitted[b, s]
            places[f] = chunk.place[b, s]
    return np.int64(g)


@phase_kernel
def _list_pieces(rows, pieces, found, b, begin, end):
    """Write the pieces from which some of the synapses found are read, and how long before."""
    piece, since = found.piece[b], found.since[b]
    i = np.uint64(0)
    for g in range(np.uint64(begin), np.uint64(end)):
        k = found.synapse[b, g]
        arrival = found.emitted[b, g] + delay_of(rows, k)
        # Pieces of a neuron go backwards in time: the first that begins before the arrival.
        j = np.uint64(pieces.first[np.uint64(rows.post[k])])
        while arrival < pieces.below[b, j]:
            j += np.uint64(1)
        piece[i] = j
        since[i] = pieces.time[b, j] - arrival
        i += np.uint64(1)


@inner_kernel
def _evaluate_soon(tables, since, size, response, out):
    """Evaluate the responses after next to no time again: see `respond`."""
    for i in range(size):
        if since[i] < SHORT * tables.length:
            respond(tables, 0, 0, since[i], out)
            for q in range(out.shape[0]):
                response[q, i] = out[q]


@inner_kernel
def _reading(work, b):
    return Reading(work.adjoints, work.bars, work.calendar.bar[b], work.port_rate[b])


@inner_kernel
def _rates(tables):
    """Return the rates of the membrane and of the filter, where there is one of each."""
    return tables.rate[0], tables.decay_rate[0]


@phase_kernel
def _read_found(problem, work, b, size):
    """Read the synapses that were found."""
    rows, tables, chunk, found = problem.rows, problem.tables, work.chunk, work.found
    since, scaled, response = found.since[b], chunk.scaled[b], chunk.response[b]
    synapse, place, piece = found.synapse[b], found.place[b], found.piece[b]
    row, out, into = work.pieces.row[b], work.once.out[b], _reading(work, b)
    for begin in range(0, size, CHUNK):
        end = min(begin + CHUNK, size)
        _list_pieces(rows, work.pieces, found, b, begin, end)
        if problem.tables.is_plain:
            scale(since, tables.length, end - begin, scaled)
            evaluate_all(work.adjoints, tables.poly[0, 0], scaled, end - begin, response)
            _evaluate_soon(tables, since, end - begin, response, out)
            listed = Listed(synapse, place, row, piece, since, response)
            read_listed(into, rows.weight, listed, begin, end, _rates(tables))
        else:
            listed = Listed(synapse, place, row, piece, since, out)
            read_found(tables, rows, into, listed, begin, end)


@phase_kernel
def _visit_segment(tables, adjoints, at, post, begin, end, window, out):
    """Bring all targets of a segment to the begin of ``window``."""
    for k in range(np.uint64(begin), np.uint64(end)):
        visit(tables, adjoints, at, np.int64(post[k]), window, out)


@phase_kernel
def _read_chunk(problem, work, b, n_segments, size, n_found):
    """Read the segments of a chunk; return the number of synapses that were found."""
    rows, tables, chunk, into = problem.rows, problem.tables, work.chunk, _reading(work, b)
    if problem.tables.is_plain:
        scale(chunk.since[b], tables.length, size, chunk.scaled[b])
        evaluate_all(work.adjoints, tables.poly[0, 0], chunk.scaled[b], size, chunk.response[b])
        targets = Targets(rows.post, rows.weight)
        read_apart(into, targets, chunk, b, n_segments, _rates(tables))
    else:
        read_any(tables, rows, into, work.once, chunk, b, n_segments)
    if work.counts[b].n_pieces > 0:
        is_special = work.pieces.is_special
        n_found = _find_in_chunk(rows.post, is_special, chunk, n_segments, work.found, b, n_found)
    return _read_if_many(problem, work, b, n_found)


@inner_kernel
def _read_if_many(problem, work, b, n_found):
    """Read the synapses that were found, once they are many; return how many are left."""
    if n_found < CHUNK:
        return n_found
    _read_found(problem, work, b, n_found)
    return np.int64(0)


@inner_kernel
def _prefetch(bars, post, weight, begin, end):
    """Tell the processor that some synapses come next."""
    prefetch(post, begin, end)
    prefetch(weight, begin, end)
    prefetch_bars(bars, begin, end)


@inner_kernel
def _is_alike(problem, first, end):
    """Return whether what is left of a row is long and has one delay and one response."""
    if not problem.tables.is_plain or end - first < _LONG:
        return False
    return delay_of(problem.rows, first) == delay_of(problem.rows, end - 1)


@inner_kernel
def _prefetch_next(rows, emissions, calendar, b, e, size):
    """Prefetch what emission ``e`` will need first, where segments have about this size.

    Return the first synapse of its row.
    """
    first = rows.start[emissions.source[e] * calendar.head.shape[0] + b]
    end = calendar.end[b, e & calendar.mask[0]]
    if rows.group.shape[0] > 0:
        prefetch(rows.group, max(first, end - size), end)
    elif rows.delay.shape[0] > 1:
        prefetch(rows.delay, max(first, end - size), end)
    return first


@inner_kernel
def _add_segment(chunk, b, s, end, used, time, place):
    """Add the segment before ``end`` to a chunk, of which ``used`` arrivals are used with it."""
    chunk.end[b, s] = np.uint64(end)
    chunk.start[b, s + 1] = np.uint64(used)
    chunk.emitted[b, s] = time
    chunk.place[b, s] = np.uint64(place)


@inner_kernel
def _read_alike(problem, work, b, span, time, place, n_found):
    """Read what is left of a row of one delay; return the number of synapses that were found.

    The ``span`` is of its first synapse, its end, and how far behind the next row begins.
    """
    rows, tables, adjoints, out = problem.rows, problem.tables, work.adjoints, work.once.out[b]
    begin, end, ahead = span
    w = work.now[0].window
    if work.counts[b].sparse == 1:
        _visit_segment(tables, adjoints, work.at, rows.post, begin, end, w + 1, out)
    respond(tables, 0, 0, edge(problem.windows, w + 1) - (time + delay_of(rows, begin)), out)
    unit, targets = unit_of(adjoints, _rates(tables), out), Targets(rows.post, rows.weight)
    work.calendar.bar[b, place] += read_alike(_reading(work, b), targets, begin, end, ahead, unit)
    if work.counts[b].n_pieces == 0:
        return n_found
    n_found = _find(
        rows.post, work.pieces.is_special, begin, end, (time, place), work.found, b, n_found
    )
    return _read_if_many(problem, work, b, n_found)


@phase_kernel
def read_block(problem, work, b):
    """Read all arrivals of this window at the neurons of a block."""
    rows, tables, windows = problem.rows, problem.tables, problem.windows
    emissions, calendar, chunk = problem.emissions, work.calendar, work.chunk
    adjoints, bars, out = work.adjoints, work.bars, work.once.out[b]
    n_blocks, n_lists = calendar.head.shape
    is_sparse = work.counts[b].sparse == 1
    since, w = chunk.since[b], work.now[0].window
    t0, t1 = edge(windows, w), edge(windows, w + 1)
    # The list is taken out before it is gone through: what has arrivals left enters another.
    e = np.int64(calendar.head[b, w % n_lists])
    calendar.head[b, w % n_lists] = -1
    # Arrivals so far; segments and arrivals of the chunk at work; synapses found.
    events, n_segments, size, n_found = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    usual = np.int64(16)  # synapses of a segment, from the last one
    while e >= 0:
        place = e & calendar.mask[0]
        following = np.int64(calendar.link[b, place])
        first = rows.start[emissions.source[e] * n_blocks + b]
        end, time = calendar.end[b, place], emissions.time[e]
        next_first = first
        if following >= 0:
            next_first = _prefetch_next(rows, emissions, calendar, b, following, usual)
        if _is_alike(problem, first, end):
            begin = first
            span = begin, end, next_first - first
            n_found = _read_alike(problem, work, b, span, time, place, n_found)
            events += end - begin
        else:
            # A segment that does not fit goes on in the next chunk.
            begin = end
            while True:
                top = begin
                begin, used = scan(rows, first, top, time, t0, t1, since, size)
                if used > size:
                    _add_segment(chunk, b, n_segments, top, used, time, place)
                    if is_sparse:
                        _visit_segment(tables, adjoints, work.at, rows.post, begin, top, w + 1, out)
                    _prefetch(bars, rows.post, rows.weight, begin, top)
                    n_segments += 1
                    events += used - size
                    size = used
                if size < CHUNK:
                    break
                n_found = _read_chunk(problem, work, b, n_segments, size, n_found)
                n_segments, size = np.int64(0), np.int64(0)
        # Synapses before ``begin`` are reached in earlier windows, if there are any.
        usual = min(end - begin + 8, np.int64(_AHEAD))
        if begin > first:
            put(windows, calendar, b, e, begin, time + delay_of(rows, begin - 1))
        else:
            work.counts[b].pending -= 1
        e = following
    if size > 0:
        n_found = _read_chunk(problem, work, b, n_segments, size, n_found)
    if n_found > 0:
        _read_found(problem, work, b, n_found)
    work.counts[b].events = events
