"""Arrivals read the adjoint of their target.

With the responses of a unit that has come a time u before the row (v, x, y) of the target holds,

    dL/dweight = lift v + first x + second y,
    dL/d(time) = -weight d(dL/dweight)/du
               = weight (a (lift - current) v + r first x + (s second - gain first) y),

where the current is ``first``, or ``second`` in a cascade. Gradients by rates are read alike, from
rate_v, rate_x, own and cross, by the product rule; see refsim.models.lif.adjoint.

Here are the loops for one exponential port and one membrane time constant: over a long segment of
one delay, over segments of any, and over synapses one by one. What is not wanted is left out while
they are compiled. Indices are unsigned, which spares a test for negative ones.
"""

from collections.abc import Callable

import numpy as np

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

_LINE = np.uint64(8)  # numbers in a line of the cache


@inner_kernel
def _add_rates(row, own, n, w, v, x, first, lift, lift_a, lift_r, first_r):
    rate = first * row[n, AT_RATE_X] + lift * row[n, AT_RATE_V] + lift_a * v
    row[n, AT_RATE] += w * rate
    return own + w * (first * row[n, AT_OWN] + first_r * x + lift_r * v)


@by_type
def add_rates(adjoints: type) -> Callable[..., float]:
    """Read gradients by rates from the row of one exponential port.

    Arguments are (adjoints, row, own, n, w, v, x, first, lift, lift_a, lift_r, first_r); return
    the sum ``own`` with what the arrival adds to it.
    """
    if adjoints is Adjoints:
        return lambda adjoints, row, own, *rest: own
    return lambda adjoints, row, own, n, w, v, x, first, lift, lift_a, lift_r, first_r: _add_rates(
        row, own, n, w, v, x, first, lift, lift_a, lift_r, first_r
    )


@by_type
def rate_responses(adjoints: type) -> Callable[..., tuple[float, float, float]]:
    """Return the responses of ``out`` that gradients by rates take: (adjoints, out)."""
    if adjoints is Adjoints:
        return lambda adjoints, out: (0.0, 0.0, 0.0)
    return lambda adjoints, out: (out[LIFT_A], out[LIFT_R], out[FIRST_R])


@inner_kernel
def _alike(adjoints, out, a, r):
    """Return what all arrivals of one delay share."""
    first, lift = out[FIRST], out[LIFT]
    return first, lift, a * (lift - first), r * first, rate_responses(adjoints, out)


@inner_kernel
def _read_one(adjoints, bars, post, weight, k, alike, own):
    """Read synapse ``k``; return dL/d(time), and ``own`` with what the arrival adds to it."""
    first, lift, by_lift, by_first, (lift_a, lift_r, first_r) = alike
    row = adjoints.row
    n = np.uint64(post[k])
    w = weight[k]
    v = row[n, np.uint64(0)]
    x = row[n, np.uint64(1)]
    time_bar = w * (by_lift * v + by_first * x)
    add_bars(bars, k, lift * v + first * x, time_bar)
    own = add_rates(adjoints, row, own, n, w, v, x, first, lift, lift_a, lift_r, first_r)
    return time_bar, own


@phase_kernel
def read_alike(adjoints, bars, post, weight, begin, end, ahead, out, a, r, rate_bar):
    """Read synapses of one delay with responses ``out``; return dL/d(time).

    Those that come ``ahead`` entries later are asked for.
    """
    alike = _alike(adjoints, out, a, r)
    total, other_total, own, other_own = 0.0, 0.0, 0.0, 0.0
    k = np.uint64(begin)
    stop = np.uint64(end)
    while k + _LINE <= stop:
        there = np.uint64(np.int64(k) + ahead)
        prefetch_line(post, there)
        prefetch_line(weight, there)
        prefetch_bars_line(bars, there)
        # Two sums of each, for an addition waits for the one before it.
        for j in range(np.uint64(0), _LINE, np.uint64(2)):
            time_bar, own = _read_one(adjoints, bars, post, weight, k + j, alike, own)
            total += time_bar
            i = k + j + np.uint64(1)
            time_bar, other_own = _read_one(adjoints, bars, post, weight, i, alike, other_own)
            other_total += time_bar
        k += _LINE
    while k < stop:
        time_bar, own = _read_one(adjoints, bars, post, weight, k, alike, own)
        total += time_bar
        k += np.uint64(1)
    rate_bar[0] += own + other_own
    return total + other_total


@by_type
def rate_responses_at(adjoints: type) -> Callable[..., tuple[float, float]]:
    """Return what `rate_responses` does, of arrival ``i``, but for ``first_r``."""
    if adjoints is Adjoints:
        return lambda adjoints, response, i: (0.0, 0.0)
    return lambda adjoints, response, i: (
        response[np.uint64(LIFT_A), i],
        response[np.uint64(LIFT_R), i],
    )


@phase_kernel
def read_apart(adjoints, bars, post, weight, chunk, b, size, a, r, spike_bar, rate_bar):
    """Read the segments of a chunk, with the response of each synapse."""
    row, response, since = adjoints.row, chunk.response[b], chunk.since[b]
    own = 0.0
    i = np.uint64(0)
    for s in range(np.uint64(0), np.uint64(size)):
        k = chunk.end[b, s]
        stop = chunk.start[b, s + np.uint64(1)]
        total = 0.0
        while i < stop:
            k -= np.uint64(1)
            n = np.uint64(post[k])
            w = weight[k]
            v = row[n, np.uint64(0)]
            x = row[n, np.uint64(1)]
            lift, first = response[np.uint64(LIFT), i], response[np.uint64(FIRST), i]
            time_bar = w * (a * (lift - first) * v + r * first * x)
            add_bars(bars, k, lift * v + first * x, time_bar)
            total += time_bar
            lift_a, lift_r = rate_responses_at(adjoints, response, i)
            first_r = -since[i] * first
            own = add_rates(adjoints, row, own, n, w, v, x, first, lift, lift_a, lift_r, first_r)
            i += np.uint64(1)
        spike_bar[chunk.place[b, s]] += total
    rate_bar[0] += own


@phase_kernel
def read_listed(
    adjoints, bars, row, piece, weight, synapse, place, begin, end, response, since, a, r,
    spike_bar, rate_bar,
):  # fmt: skip
    """Read synapses of one exponential port, one by one, from rows of pieces."""
    own = 0.0
    i = np.uint64(0)
    g = np.uint64(begin)
    while g < np.uint64(end):
        k = synapse[g]
        j = piece[i]
        w = weight[k]
        v = row[j, np.uint64(0)]
        x = row[j, np.uint64(1)]
        lift, first = response[np.uint64(LIFT), i], response[np.uint64(FIRST), i]
        time_bar = w * (a * (lift - first) * v + r * first * x)
        add_bars(bars, k, lift * v + first * x, time_bar)
        spike_bar[place[g]] += time_bar
        lift_a, lift_r = rate_responses_at(adjoints, response, i)
        first_r = -since[i] * first
        own = add_rates(adjoints, row, own, j, w, v, x, first, lift, lift_a, lift_r, first_r)
        i += np.uint64(1)
        g += np.uint64(1)
    rate_bar[0] += own
