"""The loops of `adjoint.windows.reads` for networks of any ports and membrane time constants."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from adjoint.windows.bars import add_bars
from adjoint.windows.responses import respond
from adjoint.windows.types import (
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
)
from queues.compiled.jit import by_type, inner_kernel, phase_kernel
from refsim.types import Float


class Place(NamedTuple):
    """Where an arrival reads."""

    row: Float  # table of adjoints, of neurons or of pieces
    j: np.int64  # row of it
    c: np.int64  # class of the neuron
    i: np.int64  # state that the arrival enters


@inner_kernel
def _list_rates(at, n_states, w, out, is_cascade, rate_bar):
    """Read gradients by rates with the responses ``out``."""
    row, j, _, i = at
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
    """Read gradients by rates: (adjoints, at, n_states, w, out, is_cascade, rate_bar)."""
    if adjoints is Adjoints:
        return lambda adjoints, at, n_states, w, out, is_cascade, rate_bar: None
    return lambda adjoints, at, n_states, w, out, is_cascade, rate_bar: _list_rates(
        at, n_states, w, out, is_cascade, rate_bar
    )


@inner_kernel
def state_of(tables, rows, k):
    """Return the state that an arrival over synapse ``k`` enters."""
    if rows.port.shape[0] > 0:
        return tables.first[rows.port[k]]
    return tables.first[rows.only_port[0]]


@inner_kernel
def _read_one(tables, into, at, k, w, out):
    """Let synapse ``k`` read with the responses ``out``; return dL/d(time)."""
    row, j, c, i = at
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
    add_bars(into.bars, k, weight_bar, time_bar)
    list_rates(into.adjoints, at, tables.gain.shape[0], w, out, gain > 0.0, into.rate_bar)
    return time_bar


@phase_kernel
def read_any(tables, rows, into, once, chunk, b, size):
    """Read ``size`` segments of a chunk; arrivals of one time and kind have one response."""
    is_kept = once.response.shape[2] == tables.rate.shape[0]
    last = -1.0
    i = np.uint64(0)
    for s in range(np.uint64(0), np.uint64(size)):
        k = chunk.end[b, s]
        total = 0.0
        while i < chunk.start[b, s + np.uint64(1)]:
            k -= np.uint64(1)
            n = np.int64(rows.post[k])
            c, q, u = tables.kind[n], state_of(tables, rows, k), chunk.since[b, i]
            if u != last:
                last = u
                once.stamp[b] += 1
            # What is kept of an earlier arrival of this time is known by the stamp of the time.
            out = once.out[b]
            if is_kept:
                out = once.response[b, q, c]
            if not is_kept or once.known[b, q, c] != once.stamp[b]:
                respond(tables, c, q, u, out)
                if is_kept:
                    once.known[b, q, c] = once.stamp[b]
            w = np.float64(rows.weight[k])
            total += _read_one(tables, into, Place(into.adjoints.row, n, c, q), k, w, out)
            i += np.uint64(1)
        into.spike_bar[chunk.place[b, s]] += total


@phase_kernel
def read_found(tables, rows, into, listed, begin, end):
    """Read the synapses listed from ``begin`` to ``end``, one by one, from rows of pieces."""
    out = listed.response
    for g in range(begin, end):
        k = listed.synapse[g]
        c = tables.kind[rows.post[k]]
        i = state_of(tables, rows, k)
        respond(tables, c, i, listed.since[g - begin], out)
        at = Place(listed.row, np.int64(listed.piece[g - begin]), c, i)
        w = np.float64(rows.weight[k])
        into.spike_bar[listed.place[g]] += _read_one(tables, into, at, k, w, out)
