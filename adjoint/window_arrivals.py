"""Arrivals read the adjoint of their target.

With the responses of a unit that has come a time u before the row (v, x, y) of the target holds,

    dL/dweight = lift v + first x + second y,
    dL/d(time) = -weight d(dL/dweight)/du
               = weight (a (lift - current) v + r first x + (s second - gain first) y),

where the current is ``first``, or ``second`` in a cascade. Gradients by rates are read alike, from
rate_v, rate_x, own and cross, by the product rule; see refsim.lif_vjp.

These are the loops over synapses: one for a segment of a row that has one delay, one for several
delays, both for one exponential port and one membrane time constant, and one for everything else.
What is not wanted is left out while they are compiled. Indices are unsigned, which spares a test
for negative ones.
"""

from collections.abc import Callable

import numpy as np

from adjoint.window_responses import respond
from adjoint.window_types import (
    FIRST,
    FIRST_R,
    LIFT,
    LIFT_A,
    LIFT_R,
    LIFT_S,
    SECOND,
    SECOND_R,
    SECOND_S,
    Adjoints,
    WeightBars,
)
from queues.jit import by_type, inner_kernel, phase_kernel
from queues.prefetch import prefetch

# Columns of a row of one exponential port.
_RATE_V, _RATE_X, _OWN, _RATE = 2, 3, 4, 6


@inner_kernel
def _add_weight(bars, k, weight_bar):
    bars.weight[k] += weight_bar


@inner_kernel
def _add_both(bars, k, weight_bar, time_bar):
    place = k + k
    bars.both[place] += weight_bar
    bars.both[place + np.uint64(1)] += time_bar


@by_type
def add_bars(bars: type) -> Callable[..., None]:
    """Add what synapse ``k`` has read; arguments are (bars, k, weight_bar, time_bar)."""
    if bars is WeightBars:
        return lambda bars, k, weight_bar, time_bar: _add_weight(bars, k, weight_bar)
    return lambda bars, k, weight_bar, time_bar: _add_both(bars, k, weight_bar, time_bar)


@inner_kernel
def _add_rates(row, own, n, w, v, x, first, lift, lift_a, lift_r, first_r):
    rate = first * row[n, np.uint64(_RATE_X)] + lift * row[n, np.uint64(_RATE_V)] + lift_a * v
    row[n, np.uint64(_RATE)] += w * rate
    return own + w * (first * row[n, np.uint64(_OWN)] + first_r * x + lift_r * v)


@by_type
def add_rates(adjoints: type) -> Callable[..., float]:
    """Read gradients by rates from the row of one exponential port.

    Arguments are (adjoints, row, own, n, w, v, x, first, lift, lift_a, lift_r, first_r); return the sum
    ``own`` with what the arrival adds to it.
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


@by_type
def prefetch_bars(bars: type) -> Callable[..., None]:
    """Tell the processor that the bars of some synapses come next: (bars, begin, end)."""
    if bars is WeightBars:
        return lambda bars, begin, end: prefetch(bars.weight, begin, end)
    return lambda bars, begin, end: prefetch(bars.both, begin + begin, end + end)


@phase_kernel
def prefetch_segment(bars, post, weight, begin, end):
    """Tell the processor that some synapses come next."""
    prefetch(post, begin, end)
    prefetch(weight, begin, end)
    prefetch_bars(bars, begin, end)


@phase_kernel
def read_alike(adjoints, bars, post, weight, begin, end, out, a, r, rate_bar):
    """Read synapses of one delay with responses ``out``; return dL/d(time)."""
    first, lift = out[FIRST], out[LIFT]
    lift_a, lift_r, first_r = rate_responses(adjoints, out)
    by_first, by_lift = r * first, a * (lift - first)
    row = adjoints.row
    total = 0.0
    own = 0.0
    k = np.uint64(begin)
    stop = np.uint64(end)
    while k < stop:
        n = np.uint64(post[k])
        w = weight[k]
        v = row[n, np.uint64(0)]
        x = row[n, np.uint64(1)]
        time_bar = w * (by_lift * v + by_first * x)
        add_bars(bars, k, lift * v + first * x, time_bar)
        total += time_bar
        own = add_rates(adjoints, row, own, n, w, v, x, first, lift, lift_a, lift_r, first_r)
        k += np.uint64(1)
    rate_bar[0] += own
    return total


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
def read_apart(adjoints, bars, post, weight, begin, end, response, since, a, r, rate_bar):
    """Read synapses of several delays, each with its response; return dL/d(time)."""
    row = adjoints.row
    total = 0.0
    own = 0.0
    i = np.uint64(0)
    k = np.uint64(begin)
    stop = np.uint64(end)
    while k < stop:
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
        k += np.uint64(1)
        i += np.uint64(1)
    rate_bar[0] += own
    return total


@inner_kernel
def _list_rates(row, j, i, n_states, w, out, is_cascade, rate_bar):
    """Read gradients by rates from row ``j`` with the responses ``out`` of state ``i``."""
    first, lift = out[FIRST], out[LIFT]
    v, x = row[j, 0], row[j, 1 + i]
    at_x, at_own, at_cross = 2 + n_states + i, 2 + 2 * n_states + i, 2 + 3 * n_states + i
    rate = first * row[j, at_x] + lift * row[j, 1 + n_states] + out[LIFT_A] * v
    own = first * row[j, at_own] + out[FIRST_R] * x + out[LIFT_R] * v
    if is_cascade:
        y = row[j, 2 + i]
        rate += out[SECOND] * row[j, at_x + 1]
        own += out[SECOND_R] * y
        cross = first * row[j, at_cross] + out[SECOND] * row[j, at_own + 1]
        rate_bar[i + 1] += w * (cross + out[SECOND_S] * y + out[LIFT_S] * v)
    row[j, 2 + 4 * n_states] += w * rate
    rate_bar[i] += w * own


@by_type
def list_rates(adjoints: type) -> Callable[..., None]:
    """Read gradients by rates from a row of any network.

    Arguments are (adjoints, row, j, i, n_states, w, out, is_cascade, rate_bar).
    """
    if adjoints is Adjoints:
        return lambda adjoints, *rest: None
    return lambda adjoints, row, j, i, n_states, w, out, is_cascade, rate_bar: _list_rates(
        row, j, i, n_states, w, out, is_cascade, rate_bar
    )


@inner_kernel
def delay_of(rows, k):
    """Return the delay of synapse ``k``."""
    if rows.group.shape[0] > 0:
        return rows.delay[rows.group[k]]
    if rows.delay.shape[0] == 1:
        return rows.delay[0]
    return rows.delay[k]


@inner_kernel
def _state_of(tables, rows, k):
    """Return the state that an arrival over synapse ``k`` enters."""
    if rows.port.shape[0] > 0:
        return tables.first[rows.port[k]]
    return tables.first[rows.only_port[0]]


@inner_kernel
def _read_one(tables, adjoints, row, j, bars, k, w, c, i, out, rate_bar):
    """Read an arrival of weight ``w`` at state ``i`` from row ``j``; return dL/d(time)."""
    first = out[FIRST]
    v, x = row[j, 0], row[j, 1 + i]
    weight_bar = out[LIFT] * v + first * x
    by_time = tables.decay_rate[i] * first * x
    current = first
    gain = tables.gain[i]
    if gain > 0.0:
        current = out[SECOND]
        y = row[j, 2 + i]
        weight_bar += current * y
        by_time += (tables.decay_rate[i + 1] * current - gain * first) * y
    by_time += tables.rate[c] * (out[LIFT] - current) * v
    time_bar = w * by_time
    add_bars(bars, k, weight_bar, time_bar)
    list_rates(adjoints, row, j, i, tables.gain.shape[0], w, out, gain > 0.0, rate_bar)
    return time_bar


@phase_kernel
def read_any(tables, rows, adjoints, bars, once, b, time, begin, end, t1, rate_bar):
    """Read synapses of any network, for a spike of ``time``; return dL/d(time)."""
    total = 0.0
    once.stamp[b] += 1
    is_alike = delay_of(rows, begin) == delay_of(rows, end - 1)
    is_alike = is_alike and once.response.shape[2] == tables.rate.shape[0]
    for k in range(np.uint64(begin), np.uint64(end)):
        n = np.int64(rows.post[k])
        c = tables.kind[n]
        i = _state_of(tables, rows, k)
        out = once.out[b]
        if is_alike:
            out = once.response[b, i, c]
            if once.known[b, i, c] != once.stamp[b]:
                once.known[b, i, c] = once.stamp[b]
                respond(tables, c, i, t1 - (time + delay_of(rows, k)), out)
        else:
            respond(tables, c, i, t1 - (time + delay_of(rows, k)), out)
        w = np.float64(rows.weight[k])
        row = adjoints.row
        total += _read_one(tables, adjoints, row, n, bars, k, w, c, i, out, rate_bar)
    return total


@phase_kernel
def read_listed(
    adjoints, bars, row, piece, weight, synapse, place, begin, end, response, since, a, r, spike_bar,
    rate_bar,
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


@phase_kernel
def read_found(
    tables, rows, adjoints, bars, row, piece, out, synapse, place, begin, end, since, spike_bar,
    rate_bar,
):  # fmt: skip
    """Read synapses of any network, one by one, from rows of pieces."""
    for g in range(begin, end):
        k = synapse[g]
        c = tables.kind[rows.post[k]]
        i = _state_of(tables, rows, k)
        respond(tables, c, i, since[g - begin], out)
        w = np.float64(rows.weight[k])
        j = np.int64(piece[g - begin])
        spike_bar[place[g]] += _read_one(tables, adjoints, row, j, bars, k, w, c, i, out, rate_bar)
