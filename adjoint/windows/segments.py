"""Segments of rows: the synapses of one emission and block that are reached in one window.

Short segments are collected, and their arrivals read together, a chunk at a time. Where a spike
arrives is a matter of comparisons, one after the other; the responses are polynomials, several at
once.
"""

from collections.abc import Callable

import numpy as np

from adjoint.windows.types import FIRST, LIFT, LIFT_A, LIFT_R, Adjoints
from queues.compiled.jit import by_type, inner_kernel, keep_apart, phase_kernel
from queues.compiled.vector.polynomials import SEVERAL, evaluate_several


@phase_kernel
def _scan_delays(delay, first, end, time, t0, t1, since, used):
    """Write times from arrivals to t1, from the last, for delays of each synapse.

    Return the first synapse of the segment, and how much of ``since`` is used.
    """
    i = np.uint64(used)
    k = np.uint64(end)
    while k > np.uint64(first) and i < np.uint64(since.shape[0]):
        arrival = time + delay[k - np.uint64(1)]
        if arrival < t0:
            break
        since[i] = t1 - arrival
        i += np.uint64(1)
        k -= np.uint64(1)
    return np.int64(k), np.int64(i)


@phase_kernel
def _scan_groups(rows, first, end, time, t0, t1, since, used):
    """Do what `_scan_delays` does, for delays by group."""
    delay, group = rows.delay, rows.group
    i = np.uint64(used)
    k = np.uint64(end)
    while k > np.uint64(first) and i < np.uint64(since.shape[0]):
        arrival = time + delay[np.uint64(group[k - np.uint64(1)])]
        if arrival < t0:
            break
        since[i] = t1 - arrival
        i += np.uint64(1)
        k -= np.uint64(1)
    return np.int64(k), np.int64(i)


@phase_kernel
def _scan_one(delay, first, end, time, t1, since, used):
    """Do what `_scan_delays` does, for one delay: the row is one segment."""
    u = t1 - (time + delay[0])
    size = min(end - first, since.shape[0] - used)
    for i in range(np.uint64(used), np.uint64(used + size)):
        since[i] = u
    return end - size, used + size


@inner_kernel
def scan(rows, first, end, time, t0, t1, since, used):
    """Collect the arrivals from t0 on, from that over the synapse before ``end`` back.

    Return the first synapse of the segment, and how much of ``since`` is used; where that is full
    there may be more.
    """
    if rows.group.shape[0] > 0:
        return _scan_groups(rows, first, end, time, t0, t1, since, used)
    if rows.delay.shape[0] == 1:
        return _scan_one(rows.delay, first, end, time, t1, since, used)
    return _scan_delays(rows.delay, first, end, time, t0, t1, since, used)


@phase_kernel
def scale(since, length, size, scaled):
    """Write times from 0 to ``length`` as numbers from -1 to 1."""
    factor = 2.0 / length
    i = np.uint64(0)
    while i < np.uint64(size):
        scaled[i] = since[i] * factor - 1.0
        i += np.uint64(1)


@phase_kernel
def evaluate(terms, z, size, out):
    """Write a polynomial at many places, and at some more, for which there is room in a chunk."""
    keep_apart()
    i = np.uint64(0)
    while i < np.uint64(size):
        evaluate_several(terms, z, i, out)
        i += np.uint64(SEVERAL)


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
