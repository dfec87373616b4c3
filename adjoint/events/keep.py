"""A lossy backward pass: each synapse holds a bounded number of cotangents under way.

Backwards in time the cotangent of an arrival enters the queue of its synapse at the arrival and
leaves it at the emission of the spike, where it is added to the cotangents of the spike's time and
of the delay. A queue of ``k`` rows that is full drops one of them by the rule of `queues.Keep`, and
its share of these gradients is lost; gradients of weights are complete at the arrival.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from queues.compiled.jit import by_type, inner_kernel
from queues.derivative.log import Keep
from refsim.events.loop import emission
from refsim.types import Float, Int

__all__ = ["Keep", "KeepsAll", "Kept", "collect", "collect_rest", "deposit", "kept_arrays"]


class KeepsAll(NamedTuple):
    """Every cotangent reaches its spike."""

    none: Int  # (0,)


class Kept(NamedTuple):
    """Cotangents under way; synapse s owns rows s*k to s*k + k - 1, in order of entry."""

    order: Int  # (S*k,) order of emission of the spike
    value: Float  # (S*k,) dL/d(time of arrival)
    size: Int  # (S,) rows in use
    capacity: Int  # (1,) k
    by_size: Int  # (1,) 1 to keep the largest, 0 to keep those that came last
    order_of: Int  # (spikes,) order of emission of each spike of the tape
    dropped: Int  # (1,) cotangents dropped


def kept_arrays(keep: Keep | None, n_synapses: int, origin: Int) -> KeepsAll | Kept:
    """Return empty queues for a backward pass over the emissions in ``origin``."""
    if keep is None:
        return KeepsAll(np.zeros(0, dtype=np.int64))
    order_of = np.zeros(int((origin >= 0).sum()), dtype=np.int64)
    order_of[origin[origin >= 0]] = np.flatnonzero(origin >= 0)
    return Kept(
        order=np.zeros(n_synapses * keep.k, dtype=np.int64),
        value=np.zeros(n_synapses * keep.k),
        size=np.zeros(n_synapses, dtype=np.int64),
        capacity=np.full(1, keep.k, dtype=np.int64),
        by_size=np.full(1, keep.which == "largest", dtype=np.int64),
        order_of=order_of,
        dropped=np.zeros(1, dtype=np.int64),
    )


@inner_kernel
def _remove(kept, s, i):
    """Take out row ``i`` of synapse ``s``; those behind it move up."""
    first = s * kept.capacity[0]
    kept.size[s] -= 1
    for j in range(first + i, first + kept.size[s]):
        kept.order[j] = kept.order[j + 1]
        kept.value[j] = kept.value[j + 1]


@inner_kernel
def _victim(kept, s, value):
    """Return the row of a full queue to drop, or its size to drop ``value`` itself."""
    k = kept.capacity[0]
    if kept.by_size[0] == 0:
        return np.int64(0)
    least = k
    magnitude = abs(value)
    for i in range(k - 1, -1, -1):
        other = abs(kept.value[s * k + i])
        if other < magnitude:
            least = np.int64(i)
            magnitude = other
    return least


@inner_kernel
def _insert(kept, s, order, value):
    k = kept.capacity[0]
    if kept.size[s] == k:
        kept.dropped[0] += 1
        victim = _victim(kept, s, value)
        if victim == k:
            return
        _remove(kept, s, victim)
    row = s * k + kept.size[s]
    kept.order[row] = order
    kept.value[row] = value
    kept.size[s] += 1


@inner_kernel
def _release_first(kept, problem, work, s):
    """Let the first cotangent of a queue reach its spike and the delay."""
    row = s * kept.capacity[0]
    value = kept.value[row]
    origin = problem.origin[kept.order[row]]
    work.wiring_bar.delay[s] += value
    if origin >= 0:
        work.spike_bar[origin] += value
    else:
        work.input_bar[-1 - origin] += value
    _remove(kept, s, np.int64(0))


@inner_kernel
def _deposit(kept, problem, work, s, order, t, value):
    """Let cotangents emitted after ``t`` reach their spikes, then take one more on its way."""
    while kept.size[s] > 0:
        origin = problem.origin[kept.order[s * kept.capacity[0]]]
        if emission(problem.wiring, problem.inputs, problem.tape, origin)[0] <= t:
            break
        _release_first(kept, problem, work, s)
    _insert(kept, s, order, value)
    return 0.0


@inner_kernel
def _deposit_all(work, s, value):
    work.wiring_bar.delay[s] += value
    return value


@inner_kernel
def _collect(kept, problem, work, row):
    """Let the cotangents of a spike of the tape reach it, before the pass crosses it."""
    wiring = problem.wiring
    source = problem.tape.neuron[row]
    order = kept.order_of[row]
    for s in range(wiring.start[source], wiring.start[source + 1]):
        if kept.size[s] > 0 and kept.order[s * kept.capacity[0]] == order:
            _release_first(kept, problem, work, s)


@inner_kernel
def _collect_rest(kept, problem, work):
    for s in range(kept.size.shape[0]):
        while kept.size[s] > 0:
            _release_first(kept, problem, work, s)


@by_type
def deposit(arrays: type) -> Callable[..., Any]:
    """Take a cotangent of an arrival on its way; return what reaches the spike at once.

    Arguments are (kept, problem, work, synapse, order of emission, time of arrival, cotangent).
    """
    if arrays is KeepsAll:
        return lambda kept, problem, work, s, order, t, value: _deposit_all(work, s, value)
    return lambda kept, problem, work, s, order, t, value: _deposit(
        kept, problem, work, s, order, t, value
    )


@by_type
def collect(arrays: type) -> Callable[..., None]:
    """Let the cotangents of a spike (kept, problem, work, row of the tape) reach it."""
    if arrays is KeepsAll:
        return lambda kept, problem, work, row: None
    return lambda kept, problem, work, row: _collect(kept, problem, work, row)


@by_type
def collect_rest(arrays: type) -> Callable[..., None]:
    """Let all cotangents under way (kept, problem, work) reach their input spikes."""
    if arrays is KeepsAll:
        return lambda kept, problem, work: None
    return lambda kept, problem, work: _collect_rest(kept, problem, work)
