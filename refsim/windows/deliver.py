"""Delivery of all arrivals of a window to a block of neurons.

What an arrival will have done to its target at the end of the window depends on its time alone, so
arrivals are summed in any order. Excitation and inhibition are summed apart: without the latter
the voltage at the end of the window is a bound for all of it.

Sums with one exponential port: lift and state of all neurons by excitation, then those by
inhibition, for a spike has targets of one kind, and half of the memory stays in a core's cache.
Otherwise those of a neuron lie together: lift by excitation, by inhibition, synaptic states.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from queues.compiled.jit import arrays_lie_apart, by_type, inner_kernel, keep_apart, phase_kernel
from queues.compiled.prefetch import prefetch, prefetch_line
from queues.compiled.vector.pairs import add_scaled_pair
from queues.compiled.vector.polynomials import TERMS, polynomial, respond_to_group, scaled
from queues.compiled.vector.reached import AT_ONCE, count_reached
from queues.compiled.vector.vectors import LANES
from refsim.models.lif.response import respond
from refsim.windows.types import OneExp

_ONE = np.uint64(1)
_LINE = np.uint64(8)  # weights in a line of the cache
_NEAR = 16  # synapses that are looked at first
_GROUP = np.uint64(LANES)
_NEAR_SYNAPSES = 2**17  # that a core's cache holds, so that none need be asked for beforehand
_SPIKES_AHEAD = 8  # for which delays are asked for beforehand
_MOST_AHEAD = 128  # delays of one of them


@inner_kernel
def are_spread(rows):
    """Return whether delays are those of each synapse: neither one for all nor by groups."""
    return len(rows.group) == 0 and len(rows.delay) > 1


@inner_kernel
def delay_of(rows, k):
    """Return the delay of a synapse in ms."""
    if rows.group.shape[0] > 0:
        return rows.delay[rows.group[k]]
    if rows.delay.shape[0] == 1:
        return rows.delay[0]
    return rows.delay[k]


@inner_kernel
def _end_of_row(rows, time, begin, stop, limit):
    """Return the first synapse of a row, from ``begin`` on, that is not reached before a time."""
    near = min(begin + _NEAR, stop)
    while begin < near and time + delay_of(rows, begin) < limit:
        begin += 1
    if begin < near or begin == stop:
        return begin
    if time + delay_of(rows, stop - 1) < limit:
        return stop
    # Steps that double find the end in a time that depends on how far it is.
    low, step = begin - 1, np.int64(16)
    while low + step < stop and time + delay_of(rows, low + step) < limit:
        low += step
        step += step
    high = min(low + step, stop)
    while high - low > 1:
        middle = (low + high) >> 1
        if time + delay_of(rows, middle) < limit:
            low = middle
        else:
            high = middle
    return high


@inner_kernel
def _end_among(delay, time, begin, stop, limit):
    """Do what `_end_of_row` does, for delays of each synapse; several are compared at once."""
    k = np.uint64(begin)
    last = np.uint64(stop)
    while k < last and k + np.uint64(AT_ONCE) <= np.uint64(delay.shape[0]):
        reached = count_reached(delay, k, time, limit)
        k = min(k + reached, last)
        if reached < np.uint64(AT_ONCE):
            return np.int64(k)
    while k < last and time + delay[k] < limit:
        k += _ONE
    return np.int64(k)


@phase_kernel
def _find_among_delays(rows, flights, limit, n_flights, b):
    """Do what `find_arrivals` does, for delays of each synapse.

    What a spike reaches lies anywhere in memory, so that all of it is asked for beforehand.
    """
    keep_apart()
    n_blocks = rows.edge.shape[0] - 1
    delay = rows.delay
    is_far = delay.shape[0] > _NEAR_SYNAPSES
    events, usual = np.int64(0), np.int64(_NEAR)
    for f in range(n_flights):
        if is_far and f + _SPIKES_AHEAD < n_flights:
            ahead = flights.end[b, f + _SPIKES_AHEAD]
            prefetch(delay, ahead, ahead + usual)
        begin = flights.end[b, f]
        stop = rows.start[flights.source[f] * n_blocks + b + 1]
        end = _end_among(delay, flights.time[f], begin, stop, limit)
        if is_far:
            prefetch(rows.post, begin, end)
            prefetch(rows.weight, begin, end)
        flights.begin[b, f] = begin
        flights.end[b, f] = end
        events += end - begin
        usual = min(end - begin + 8, np.int64(_MOST_AHEAD))
    return events


@phase_kernel
def find_arrivals(rows, flights, t1, t_end, n_flights, b):
    """Find what each spike under way reaches in block ``b`` before t1; return how many."""
    keep_apart()
    n_blocks = rows.edge.shape[0] - 1
    limit = t1 if t1 <= t_end else np.nextafter(t_end, math.inf)
    if are_spread(rows):
        return _find_among_delays(rows, flights, limit, n_flights, b)
    events = np.int64(0)
    for f in range(n_flights):
        begin = flights.end[b, f]
        stop = rows.start[flights.source[f] * n_blocks + b + 1]
        end = _end_of_row(rows, flights.time[f], begin, stop, limit)
        flights.begin[b, f] = begin
        flights.end[b, f] = end
        events += end - begin
    return events


@inner_kernel
def horner(terms, z):
    """Return the value of a polynomial."""
    total = terms[terms.shape[0] - 1]
    for d in range(terms.shape[0] - 2, -1, -1):
        total = total * z + terms[d]
    return total


# One exponential port ---------------------------------------------------------------------------


@inner_kernel
def _add(post, weight, k, lift, fade, sums):
    w = np.float64(weight[k])
    half = np.uint64(sums.shape[0]) >> _ONE
    i = (np.uint64(post[k]) << _ONE) + (half if w < 0.0 else np.uint64(0))
    add_scaled_pair(sums, i, w, lift, fade)


@phase_kernel
def _add_run(post, weight, begin, end, ahead, lift, fade, sums):
    """Add arrivals of one time, and ask for those that come ``ahead`` entries later."""
    keep_apart()
    k = np.uint64(begin)
    stop = np.uint64(end)
    while k + _LINE <= stop:
        there = np.uint64(np.int64(k) + ahead)
        prefetch_line(post, there)
        prefetch_line(weight, there)
        for j in range(_LINE):
            _add(post, weight, k + j, lift, fade, sums)
        k += _LINE
    while k < stop:
        _add(post, weight, k, lift, fade, sums)
        k += _ONE


@inner_kernel
def _respond(terms, since, scale):
    if terms.shape[0] == TERMS:
        return polynomial(terms, scaled(since, scale))
    return horner(terms, since * scale - 1.0)


class Span(NamedTuple):
    """The flights of a window of one block, and how times are counted in it."""

    b: int
    n_flights: int
    t1: float  # ms, the end of the window
    scale: float  # 2/length: what responses take for a time is from -1 to 1


class Flight(NamedTuple):
    """One spike, and what it reaches."""

    time: float
    begin: int
    end: int


@inner_kernel
def _flight(flights, b, f):
    return Flight(flights.time[f], flights.begin[b, f], flights.end[b, f])


@phase_kernel
def _deliver_spread(shape, rows, flights, span, lift, fade, sums):
    """Deliver all arrivals of this window over synapses with delays of their own.

    Responses are evaluated for a group of arrivals at once; those that are too many are not used.
    """
    keep_apart()
    arrays_lie_apart()
    b, n_flights, t1, scale = span
    is_usual = shape.lift_terms.shape[0] == TERMS
    n_synapses = np.uint64(rows.delay.shape[0])
    for f in range(n_flights):
        time = flights.time[f]
        k, end = np.uint64(flights.begin[b, f]), np.uint64(flights.end[b, f])
        while k < end:
            size = min(end - k, _GROUP)
            if is_usual and k + _GROUP <= n_synapses:
                respond_to_group(
                    rows.delay, k, time, t1, scale, shape.lift_terms, shape.fade_terms, lift, fade
                )
            else:
                for j in range(size):
                    since = t1 - (time + rows.delay[k + j])
                    lift[j] = _respond(shape.lift_terms, since, scale)
                    fade[j] = _respond(shape.fade_terms, since, scale)
            for j in range(size):
                _add(rows.post, rows.weight, k + j, lift[j], fade[j], sums)
            k += size


@inner_kernel
def _deliver_runs(shape, rows, span, flight, ahead, sums):
    """Deliver one spike to synapses of one exponential port, group of equal delay by group."""
    time, begin, end = flight
    while begin < end:
        stop = end
        delay = delay_of(rows, begin)
        if rows.group.shape[0] > 0:
            group = rows.group[begin]
            stop = begin + 1
            while stop < end and rows.group[stop] == group:
                stop += 1
        since = span.t1 - (time + delay)
        lift = _respond(shape.lift_terms, since, span.scale)
        fade = _respond(shape.fade_terms, since, span.scale)
        _add_run(rows.post, rows.weight, begin, stop, ahead, lift, fade, sums)
        begin = stop


@phase_kernel
def _deliver_grouped(shape, rows, flights, span, sums):
    """Deliver all arrivals of this window over synapses with equal delays, or few of them."""
    keep_apart()
    b, n_flights = span.b, span.n_flights
    for f in range(n_flights):
        flight = _flight(flights, b, f)
        following = flights.begin[b, min(f + 1, n_flights - 1)]
        _deliver_runs(shape, rows, span, flight, following - flight.begin, sums)


@inner_kernel
def _deliver_one_exp(shape, rows, flights, span, lift, fade, sums):
    """Deliver all arrivals of this window at a block; one exponential port."""
    if are_spread(rows):
        _deliver_spread(shape, rows, flights, span, lift, fade, sums)
    else:
        _deliver_grouped(shape, rows, flights, span, sums)


# Any ports --------------------------------------------------------------------------------------


@inner_kernel
def port_of(rows, k):
    """Return the port of a synapse."""
    if rows.port.shape[0] > 0:
        return np.int64(rows.port[k])
    return rows.only_port[0]


@inner_kernel
def _responses_to(has_kinds, model, table, scale, kind, p, u, out):
    """Write lift and states ``u`` after an arrival, for a neuron of class ``kind``."""
    if not has_kinds:
        respond(model, table.rate[kind], p, u, out)
        return
    z = u * scale - 1.0
    out[0] = horner(table.lift[p, kind], z)
    out[1] = horner(table.first[p], z)
    out[2] = 0.0
    if model.ports.order[p] == 2:
        out[2] = horner(table.second[p], z)


@inner_kernel
def _deliver_flight(shape, model, table, rows, span, flight, out, sums):
    """Deliver one spike to synapses of any ports and delays; ``out`` is scratch."""
    ports = model.ports
    t1, scale, time = span.t1, span.scale, flight.time
    delay, port, kind = -1.0, np.int64(-1), np.int64(-1)
    lift, first, second = 0.0, 0.0, 0.0
    state = np.int64(0)
    for k in range(flight.begin, flight.end):
        n = np.int64(rows.post[k])
        d, p, c = delay_of(rows, k), port_of(rows, k), table.kind[n]
        if d != delay or p != port or c != kind:
            delay, port, kind = d, p, c
            _responses_to(shape.has_kinds, model, table, scale, kind, port, t1 - (time + d), out)
            lift, first, second = out[0], out[1], out[2]
            state = ports.first[port]
        w = np.float64(rows.weight[k])
        i = n * shape.n_sums
        sums[i + np.int64(w < 0.0)] += w * lift
        sums[i + 2 + state] += w * first
        if ports.order[port] == 2:
            sums[i + 3 + state] += w * second


@phase_kernel
def _deliver_any_ports(shape, model, table, rows, flights, span, out, sums):
    """Deliver all arrivals of this window at a block; any ports."""
    keep_apart()
    for f in range(span.n_flights):
        flight = _flight(flights, span.b, f)
        _deliver_flight(shape, model, table, rows, span, flight, out, sums)


@by_type
def _deliver(shape: type) -> Callable[..., None]:
    if shape is OneExp:
        return lambda shape, problem, work, span: _deliver_one_exp(
            shape, problem.rows, work.flights, span, work.response[span.b, 0],
            work.response[span.b, 1], work.sums,
        )  # fmt: skip
    return lambda shape, problem, work, span: _deliver_any_ports(
        shape, problem.model, problem.responses, problem.rows, work.flights, span,
        work.roots[span.b, 0], work.sums,
    )  # fmt: skip


@inner_kernel
def deliver(problem, work, b):
    """Add the arrivals of this window to the sums of their targets in block ``b``."""
    t1 = (work.tally[b].at + 1) * problem.length
    span = Span(b, work.counts[0].flights, t1, 2.0 / problem.length)
    _deliver(problem.shape, problem, work, span)
