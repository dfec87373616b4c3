"""Arrivals read the adjoint of their target.

With the responses of a unit that has come a time u before the row (v, x, y) of the target holds,

    dL/dweight = lift v + first x + second y,
    dL/d(time) = -weight d(dL/dweight)/du
               = weight (a (lift - current) v + r first x + (s second - gain first) y),

where the current is ``first``, or ``second`` in a cascade. Gradients by rates are read alike, from
rate_v, rate_x, own and cross, by the product rule; see refsim.models.lif.adjoint.

Here are the loops for one exponential port and one membrane time constant: over a long segment of
one delay, over segments of any, and over synapses one by one. What is not wanted is left out while
they are compiled.

Indices are unsigned; see `queues.compiled.jit`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adjoint.windows.bars import add_bars, prefetch_bars_line
from adjoint.windows.types import (
    AT_OWN,
    AT_RATE,
    AT_RATE_V,
    AT_RATE_X,
    FIRST,
    FIRST_R,
    LIFT,
    LIFT_A,
    LIFT_R,
    Adjoints,
)
from queues.compiled.jit import by_type, inner_kernel, phase_kernel
from queues.compiled.prefetch import prefetch_line
from refsim.types import Float

_LINE = np.uint64(8)  # numbers in a line of the cache


class Reading(NamedTuple):
    """From what a loop reads, and to what it adds."""

    adjoints: Any  # Adjoints or AdjointsAndRates
    bars: Any  # WeightBars or SynapseBars
    spike_bar: Float  # (places,) dL/d(time) of emissions by their places in the calendar
    rate_bar: Float  # (K,) dL/drate of the filters


class Targets(NamedTuple):
    """The columns of `Rows` that a loop over segments takes."""

    post: NDArray[np.int32]
    weight: NDArray[Any]


class Listed(NamedTuple):
    """Arrivals at neurons with events of their own: of all that were found, and of one chunk."""

    synapse: NDArray[np.uint64]  # (found,)
    place: NDArray[np.uint64]  # (found,) of the emission in the calendar
    row: Float  # (R, W) adjoints at the ends of pieces
    piece: NDArray[np.uint64]  # (chunk,) the row of ``row`` that is read
    since: Float  # (chunk,) from the arrival to the end of the piece
    response: Float  # (Q, chunk), or scratch (Q,) for any ports


class Unit(NamedTuple):
    """What a unit has done by the time at which a row holds, and what the formulas make of it."""

    lift: float
    first: float
    by_lift: float  # a (lift - first)
    by_first: float  # r first
    lift_a: float  # these are 0 where no gradients by rates are wanted
    lift_r: float
    first_r: float


@by_type
def _rate_responses(adjoints: type) -> Callable[..., tuple[float, float, float]]:
    """Return the responses of ``out`` that gradients by rates take: (adjoints, out)."""
    if adjoints is Adjoints:
        return lambda adjoints, out: (0.0, 0.0, 0.0)
    return lambda adjoints, out: (out[LIFT_A], out[LIFT_R], out[FIRST_R])


@by_type
def _rate_responses_at(adjoints: type) -> Callable[..., tuple[float, float]]:
    """Return lift_a and lift_r of arrival ``i``: (adjoints, response, i)."""
    if adjoints is Adjoints:
        return lambda adjoints, response, i: (0.0, 0.0)
    return lambda adjoints, response, i: (
        response[np.uint64(LIFT_A), i],
        response[np.uint64(LIFT_R), i],
    )


@inner_kernel
def unit_of(adjoints, rates, out):
    """Return what all arrivals of one delay share: ``rates`` are those of membrane and filter."""
    a, r = rates
    first, lift = out[FIRST], out[LIFT]
    return Unit(lift, first, a * (lift - first), r * first, *_rate_responses(adjoints, out))


@inner_kernel
def _unit_at(adjoints, rates, response, since, i):
    """Return the same for arrival ``i`` of a chunk."""
    a, r = rates
    lift, first = response[np.uint64(LIFT), i], response[np.uint64(FIRST), i]
    lift_a, lift_r = _rate_responses_at(adjoints, response, i)
    return Unit(lift, first, a * (lift - first), r * first, lift_a, lift_r, -since[i] * first)


@inner_kernel
def _add_rates(row, n, w, v, x, unit, own):
    rate = unit.first * row[n, AT_RATE_X] + unit.lift * row[n, AT_RATE_V] + unit.lift_a * v
    row[n, AT_RATE] += w * rate
    return own + w * (unit.first * row[n, AT_OWN] + unit.first_r * x + unit.lift_r * v)


@by_type
def add_rates(adjoints: type) -> Callable[..., float]:
    """Read gradients by rates from row ``n``, whose first columns are ``v`` and ``x``.

    Arguments are (adjoints, row, n, w, v, x, unit, own); return the sum ``own`` with what the
    arrival adds to it.
    """
    if adjoints is Adjoints:
        return lambda adjoints, row, n, w, v, x, unit, own: own
    return lambda adjoints, row, n, w, v, x, unit, own: _add_rates(row, n, w, v, x, unit, own)


@inner_kernel
def _read_one(into, row, n, k, w, unit, own):
    """Let synapse ``k`` read row ``n``; return dL/d(time), and ``own`` with what it adds."""
    v, x = row[n, np.uint64(0)], row[n, np.uint64(1)]
    time_bar = w * (unit.by_lift * v + unit.by_first * x)
    add_bars(into.bars, k, unit.lift * v + unit.first * x, time_bar)
    return time_bar, add_rates(into.adjoints, row, n, w, v, x, unit, own)


@inner_kernel
def _read_target(into, targets, k, unit, own):
    row, n = into.adjoints.row, np.uint64(targets.post[k])
    return _read_one(into, row, n, k, targets.weight[k], unit, own)


@phase_kernel
def read_alike(into, targets, begin, end, ahead, unit):
    """Read synapses of one delay; return dL/d(time). Those ``ahead`` are asked for beforehand."""
    total, other_total, own, other_own = 0.0, 0.0, 0.0, 0.0
    k = np.uint64(begin)
    stop = np.uint64(end)
    while k + _LINE <= stop:
        there = np.uint64(np.int64(k) + ahead)
        prefetch_line(targets.post, there)
        prefetch_line(targets.weight, there)
        prefetch_bars_line(into.bars, there)
        # Two sums of each, for an addition waits for the one before it.
        for j in range(np.uint64(0), _LINE, np.uint64(2)):
            time_bar, own = _read_target(into, targets, k + j, unit, own)
            total += time_bar
            time_bar, other_own = _read_target(into, targets, k + j + np.uint64(1), unit, other_own)
            other_total += time_bar
        k += _LINE
    while k < stop:
        time_bar, own = _read_target(into, targets, k, unit, own)
        total += time_bar
        k += np.uint64(1)
    into.rate_bar[0] += own + other_own
    return total + other_total


@phase_kernel
def read_apart(into, targets, chunk, b, size, rates):
    """Read ``size`` segments of a chunk, with the response of each synapse."""
    response, since = chunk.response[b], chunk.since[b]
    own = 0.0
    i = np.uint64(0)
    for s in range(np.uint64(0), np.uint64(size)):
        k = chunk.end[b, s]
        stop = chunk.start[b, s + np.uint64(1)]
        total = 0.0
        while i < stop:
            k -= np.uint64(1)
            unit = _unit_at(into.adjoints, rates, response, since, i)
            time_bar, own = _read_target(into, targets, k, unit, own)
            total += time_bar
            i += np.uint64(1)
        into.spike_bar[chunk.place[b, s]] += total
    into.rate_bar[0] += own


@phase_kernel
def read_listed(into, weight, listed, begin, end, rates):
    """Read the synapses listed from ``begin`` to ``end``, one by one, from rows of pieces."""
    own = 0.0
    i = np.uint64(0)
    g = np.uint64(begin)
    while g < np.uint64(end):
        k = listed.synapse[g]
        unit = _unit_at(into.adjoints, rates, listed.response, listed.since, i)
        time_bar, own = _read_one(into, listed.row, listed.piece[i], k, weight[k], unit, own)
        into.spike_bar[listed.place[g]] += time_bar
        i += np.uint64(1)
        g += np.uint64(1)
    into.rate_bar[0] += own
