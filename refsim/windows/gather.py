"""Arrivals of a window at the neurons that are replayed, sorted by neuron and time."""

import math
from collections.abc import Callable

import numpy as np

from queues.compiled.jit import arrays_lie_apart, by_type, inner_kernel, keep_apart, phase_kernel
from queues.compiled.prefetch import prefetch_line
from refsim.windows.deliver import delay_of
from refsim.windows.types import LEAK, LOSS, TIME, WEIGHT, OneExp

_FEW = 24  # arrivals up to which insertion sorts faster than merging


@phase_kernel
def _pick_all(post, begins, ends, picked, stop, flag, n_flights):
    """List the synapses reached whose targets are marked; return how many there are.

    Without a branch for each, and so one entry too far; ``stop`` is where the hits of each flight
    end.
    """
    keep_apart()
    arrays_lie_apart()
    j = np.uint64(0)
    for f in range(n_flights):
        k, end = np.uint64(begins[f]), np.uint64(ends[f])
        while k < end:
            picked[j] = np.int32(k)
            j += np.uint64(flag[np.uint64(post[k])])
            k += np.uint64(1)
        stop[f] = np.int64(j)
    return np.int64(j)


@phase_kernel
def _count_hits(post, weight, picked, size, replays, place, begin, owner):
    """Reserve a part of the columns for the arrivals of each of the neurons ``replays``.

    Write whose each arrival is, and ask for its weight.
    """
    keep_apart()
    for i in range(replays.shape[0]):
        place[replays[i]] = i
        begin[i + 1] = 0
    begin[0] = 0
    for j in range(np.uint64(size)):
        k = np.uint64(picked[j])
        prefetch_line(weight, k)
        i = place[np.uint64(post[k])]
        owner[j] = i
        begin[i + 1] += 1
    for i in range(replays.shape[0]):
        begin[i + 1] += begin[i]


@by_type
def _losses(shape: type) -> Callable[..., tuple[float, float]]:
    """Return what voltage and state lose from the begin of the window to an arrival, as shares."""
    if shape is OneExp:
        return lambda shape, t: (-math.expm1(-shape.rate_v * t), -math.expm1(-shape.rate_x * t))
    return lambda shape, t: (0.0, 0.0)


@phase_kernel
def _place_hits(shape, rows, flights, hits, t0, n_flights, replays, thread):
    """Write the arrivals to the parts of their neurons, in the order of flights."""
    keep_apart()
    begin, picked, stop = hits.begin[thread], hits.synapse[thread], hits.stop[thread]
    arrival, origin, owner = hits.arrival[thread], hits.origin[thread], hits.spare[thread]
    j = np.int64(0)
    for f in range(n_flights):
        last = -1.0
        time, leak, loss = 0.0, 0.0, 0.0
        while j < stop[f]:
            k = np.int64(picked[j])
            delay = delay_of(rows, k)
            if delay != last:
                last = delay
                time = flights.time[f] + delay
                leak, loss = _losses(shape, max(time - t0, 0.0))
            # Until all are placed, entry i is where the next arrival of neuron i goes.
            i = owner[j]
            to = begin[i]
            begin[i] = to + 1
            arrival[to, TIME] = time
            arrival[to, LEAK] = leak
            arrival[to, LOSS] = loss
            arrival[to, WEIGHT] = np.float64(rows.weight[k])
            origin[to, 0] = f
            origin[to, 1] = k
            j += 1
    for i in range(replays, 0, -1):
        begin[i] = begin[i - 1]
    begin[0] = 0


@inner_kernel
def _is_later(flights, arrival, origin, i, j):
    """Return whether arrival ``i`` comes after ``j`` in the order of the event engine."""
    if arrival[i, TIME] != arrival[j, TIME]:
        return arrival[i, TIME] > arrival[j, TIME]
    fi, fj = origin[i, 0], origin[j, 0]
    if fi != fj:
        if flights.time[fi] != flights.time[fj]:
            return flights.time[fi] > flights.time[fj]
        ni, nj = flights.number[fi], flights.number[fj]
        if (ni < 0) != (nj < 0):
            return ni < 0  # inputs come after the spikes of neurons
        return ni > nj if ni >= 0 else ni < nj
    return origin[i, 1] > origin[j, 1]


@inner_kernel
def _insert_all(flights, arrival, origin, begin, end, order):
    """Sort a few arrivals, or many that are nearly in order; return False if that took too long."""
    patience = 8 * (end - begin) + _FEW * _FEW
    for i in range(begin, end):
        j = i
        while j > begin and _is_later(flights, arrival, origin, order[j - 1], i):
            order[j] = order[j - 1]
            j -= 1
        order[j] = i
        patience -= i - j
        if patience < 0:
            return False
    return True


@phase_kernel
def _merge_all(flights, arrival, origin, begin, end, order, other):
    """Sort many arrivals by merging; the result is in ``order``."""
    keep_apart()
    for i in range(begin, end):
        order[i] = i
    width = np.int64(1)
    while width < end - begin:
        for low in range(begin, end, 2 * width):
            middle, high = min(low + width, end), min(low + 2 * width, end)
            i, j = low, middle
            for k in range(low, high):
                if j >= high or (
                    i < middle and not _is_later(flights, arrival, origin, order[i], order[j])
                ):
                    other[k] = order[i]
                    i += 1
                else:
                    other[k] = order[j]
                    j += 1
        for k in range(begin, end):
            order[k] = other[k]
        width *= 2


@phase_kernel
def _sort_hits(flights, begin, arrival, origin, order, other, replays):
    """Sort the arrivals of each neuron."""
    keep_apart()
    for i in range(replays):
        if not _insert_all(flights, arrival, origin, begin[i], begin[i + 1], order):
            _merge_all(flights, arrival, origin, begin[i], begin[i + 1], order, other)


@inner_kernel
def gather(problem, work, b, thread):
    """Collect the arrivals at the marked neurons of block ``b``; return False if room ran out."""
    rows, flights, hits, lists = problem.rows, work.flights, work.hits, work.lists
    first, replays = rows.edge[b], work.tally[b].replays
    if replays == 0:
        return True
    n_flights = work.counts[0].flights
    picked, begin = hits.synapse[thread], hits.begin[thread]
    size = _pick_all(
        rows.post, flights.begin[b], flights.end[b], picked, hits.stop[thread], lists.flag,
        n_flights,
    )  # fmt: skip
    if size > hits.arrival.shape[1]:
        work.tally[b].lack = size
        return False
    neurons = lists.replays[first : first + replays]
    _count_hits(
        rows.post, rows.weight, picked, size, neurons, lists.place, begin, hits.spare[thread]
    )
    t0 = work.tally[b].at * problem.length
    _place_hits(problem.shape, rows, flights, hits, t0, n_flights, replays, thread)
    arrival, origin = hits.arrival[thread], hits.origin[thread]
    order, spare = hits.order[thread], hits.spare[thread]
    _sort_hits(flights, begin, arrival, origin, order, spare, replays)
    return True
