"""Which neurons of a block a window visits.

In a dense window all neurons of the block are swept. Where little happens, only neurons that
receive something or may fire unaided are visited; the others sleep, and are advanced over all the
windows they slept through when something reaches them.
"""

import math
from collections.abc import Callable

import numpy as np

from queues.compiled.jit import by_type, inner_kernel, keep_apart, phase_kernel
from refsim.models import lif as neuron
from refsim.models.lif.bound import excited, stays_below
from refsim.windows.sleep import catch_up_all, visit_each, wake_some
from refsim.windows.types import AT, AWAKE, DENSE, DRIVEN, EVENTS, FLIGHTS, VISITED, OneExp

# A block is swept while more than one neuron in so many has something to do: a visit takes so many
# times as long as the share of a neuron in a sweep, in vectors or not (benchmarks/simulators.py).
_CROWD_OF_VECTORS, _CROWD = 6, 4
_LEAST_DENSE = 32  # windows between two changes, which both touch all neurons


@inner_kernel
def add_to(total, low, i, change):
    """Add to number ``i`` of a table, and keep what rounding cuts off for the next time.

    What changes by about its last bits in a window would drift, the same way in each of them. With
    OneExp nothing does, and nothing is kept.
    """
    if low.shape[0] == 0:
        total[i] += change
        return
    change += low[i]
    before = total[i]
    after = before + change
    part = after - before
    low[i] = (before - (after - part)) + (change - part)
    total[i] = after


@inner_kernel
def advance_states(table, neurons, n, sums, first):
    """Take synaptic states to the end of the window; what arrives begins at ``first``, if >= 0."""
    n_states = table.fade.shape[1]
    for k in range(n_states - 1, -1, -1):
        i = n * n_states + k
        change = -neurons.x[i] * table.loss[k]
        if k > 0 and table.feed[1, k - 1] != 0.0:
            change += neurons.x[i - 1] * table.feed[1, k - 1]
        if first >= 0:
            change += sums[first + k]
        add_to(neurons.x, neurons.x_low, i, change)


@inner_kernel
def _advance_states_over(table, neurons, n, windows):
    """Advance the synaptic states of a neuron over several windows, few enough for the tables."""
    n_states = table.fade.shape[1]
    for k in range(n_states - 1, -1, -1):
        i = n * n_states + k
        x = neurons.x[i] * table.fade[windows, k]
        if k > 0 and table.feed[windows, k - 1] != 0.0:
            x += neurons.x[i - 1] * table.feed[windows, k - 1]
        neurons.x[i] = x


@inner_kernel
def rise_of(model, table, neurons, n):
    """Return by how much a free neuron rises in a window without arrivals."""
    kind, v = table.kind[n], neurons.v[n]
    n_states = table.fade.shape[1]
    rise = (model.neurons.drive[n] - v) * table.leak[kind, 1]
    for k in range(n_states):
        rise += neurons.x[n * n_states + k] * table.lift[kind, 1, k]
    return rise


@inner_kernel
def load_states(states, n, x):
    """Copy the synaptic states of neuron ``n`` to ``x``."""
    n_states = x.shape[0]
    for k in range(n_states):
        x[k] = states[n * n_states + k]


@inner_kernel
def store_states(states, n, x):
    """Copy ``x`` to the synaptic states of neuron ``n``."""
    n_states = x.shape[0]
    for k in range(n_states):
        states[n * n_states + k] = x[k]


@phase_kernel
def _advance_far(model, neurons, x, n, dt):
    """Advance a neuron without arrivals or crossings over ``dt``; ``x`` is scratch."""
    keep_apart()
    load_states(neurons.x, n, x)
    if neurons.release[n] < 0.0:
        neurons.v[n] = neuron.flow_voltage(model, n, neurons.v[n], x, dt)
    neuron.flow_current(model, x, dt)
    store_states(neurons.x, n, x)
    forget_low(neurons, n)


@inner_kernel
def forget_low(neurons, n):
    """Note that voltage and states of a neuron have been computed anew."""
    if neurons.v_low.shape[0] == 0:
        return
    neurons.v_low[n] = 0.0
    n_states = neurons.x_low.shape[0] // neurons.v_low.shape[0]
    for k in range(n_states):
        neurons.x_low[n * n_states + k] = 0.0


@inner_kernel
def advance_one(model, table, neurons, n):
    """Advance a neuron without arrivals or crossings over a window."""
    if neurons.release[n] < 0.0:
        add_to(neurons.v, neurons.v_low, n, rise_of(model, table, neurons, n))
    advance_states(table, neurons, n, neurons.x, np.int64(-1))


@inner_kernel
def advance(model, table, length, neurons, x, n, windows):
    """Advance a neuron without arrivals or crossings over whole windows; ``x`` is scratch."""
    if windows == 1:
        advance_one(model, table, neurons, n)
        return
    if windows >= table.fade.shape[0]:
        _advance_far(model, neurons, x, n, windows * length)
        return
    n_states = table.fade.shape[1]
    if neurons.release[n] < 0.0:
        drive, kind = model.neurons.drive[n], table.kind[n]
        v = neurons.v[n] * table.decay[kind, windows] + drive * table.leak[kind, windows]
        for k in range(n_states):
            v += neurons.x[n * n_states + k] * table.lift[kind, windows, k]
        neurons.v[n] = v
    _advance_states_over(table, neurons, n, windows)
    forget_low(neurons, n)


@inner_kernel
def is_quiet(model, table, neurons, n):
    """Return whether a neuron is free, and certainly stays below threshold without arrivals."""
    n_states = table.fade.shape[1]
    excitation = 0.0
    for k in range(n_states):
        excitation += excited(table.reach[table.kind[n], k], neurons.x[n * n_states + k])
    v, drive, v_th = neurons.v[n], model.neurons.drive[n], model.neurons.v_th[n]
    return neurons.release[n] < 0.0 and stays_below(v_th, v, drive, excitation)


@inner_kernel
def may_fire(model, table, neurons, x, n):
    """Return whether a neuron has to be released, or may fire without receiving anything."""
    return not is_quiet(model, table, neurons, n) and _may_fire(model, neurons, x, n)


@phase_kernel
def _may_fire(model, neurons, x, n):
    keep_apart()
    if neurons.release[n] >= 0.0 or model.neurons.drive[n] > model.neurons.v_th[n]:
        return True
    load_states(neurons.x, n, x)
    return neuron.earliest_crossing(model, n, neurons.v[n], x) < math.inf


@inner_kernel
def keep_awake(first, tally, awake, b, n):
    """Have the next window visit a neuron; the list of block ``b`` begins at ``first``."""
    awake[first + tally[b, AWAKE]] = n
    tally[b, AWAKE] += 1


@inner_kernel
def write(table, row, column, value):
    """Write a number to a table, as an expression."""
    table[row, column] = value


@inner_kernel
def visit(edge, model, table, length, neurons, lists, now, tally, x, b, n):
    """Bring a neuron to the beginning of window ``now`` and put it on the list, once."""
    if lists.stamp[n] == now + 1:  # 0 stands for none
        return
    if neurons.reached[n] < now:
        advance(model, table, length, neurons, x, n, now - neurons.reached[n])
        neurons.reached[n] = now
    lists.stamp[n] = now + 1
    lists.visited[edge[b] + tally[b, VISITED]] = n
    tally[b, VISITED] += 1


@phase_kernel
def _wake_any(edge, model, table, neurons, tally, x, b, now):
    keep_apart()
    for n in range(edge[b], edge[b + 1]):
        neurons.reached[n] = now
        if may_fire(model, table, neurons, x, n):
            keep_awake(edge[b], tally, neurons.awake, b, n)


@by_type
def _wake_some(shape: type) -> Callable[..., None]:
    if shape is OneExp:
        return lambda shape, edge, model, table, neurons, tally, x, b, now: write(
            tally, b, AWAKE, wake_some(
                shape, neurons, model.neurons.drive, model.neurons.v_th, edge[b], edge[b + 1], now
            ),
        )  # fmt: skip
    return lambda shape, edge, model, table, neurons, tally, x, b, now: _wake_any(
        edge, model, table, neurons, tally, x, b, now
    )


@inner_kernel
def _wake_all(shape, edge, model, table, neurons, tally, x, b, now):
    """Go over to visits: leave all neurons at the beginning of this window, some of them awake."""
    tally[b, DENSE] = 0
    tally[b, AWAKE] = 0
    _wake_some(shape, edge, model, table, neurons, tally, x, b, now)


@phase_kernel
def _catch_up_any(edge, model, table, length, neurons, x, b, now):
    keep_apart()
    for n in range(edge[b], edge[b + 1]):
        if neurons.reached[n] < now:
            advance(model, table, length, neurons, x, n, now - neurons.reached[n])


@by_type
def _catch_up(shape: type) -> Callable[..., None]:
    if shape is OneExp:
        return lambda shape, edge, model, table, length, neurons, x, b, now: catch_up_all(
            shape, neurons, model.neurons.drive, table.decay[0], table.leak[0],
            table.lift[0, :, 0], table.fade[:, 0], length, edge[b], edge[b + 1], now,
        )  # fmt: skip
    return lambda shape, edge, model, table, length, neurons, x, b, now: _catch_up_any(
        edge, model, table, length, neurons, x, b, now
    )


@phase_kernel
def _visit_any(edge, model, table, length, neurons, lists, tally, x, b, now, some):
    keep_apart()
    for k in range(some.shape[0]):
        n = np.int64(some[k])
        if lists.stamp[n] != now + 1:
            visit(edge, model, table, length, neurons, lists, now, tally, x, b, n)


@by_type
def _visit_each(shape: type) -> Callable[..., None]:
    """Visit some neurons."""
    if shape is OneExp:
        return lambda shape, edge, model, table, length, neurons, lists, tally, x, b, now, some: (
            write(
                tally, b, VISITED, visit_each(
                    shape, neurons, model.neurons.drive, table.decay[0], table.leak[0],
                    table.lift[0, :, 0], table.fade[:, 0], length, lists.stamp, lists.visited,
                    some, now,
                    edge[b] + tally[b, VISITED],
                ) - edge[b],
            )
        )  # fmt: skip
    return lambda shape, edge, model, table, length, neurons, lists, tally, x, b, now, some: (
        _visit_any(edge, model, table, length, neurons, lists, tally, x, b, now, some)
    )


@by_type
def _crowd(shape: type) -> Callable[..., int]:
    if shape is OneExp:
        return lambda shape: _CROWD_OF_VECTORS
    return lambda shape: _CROWD


@inner_kernel
def choose_visits(shape, edge, model, table, length, neurons, lists, now, tally, x, b):
    """Decide whether this window sweeps block ``b``; if not, visit the neurons that are awake."""
    size = edge[b + 1] - edge[b]
    if tally[b, DENSE] == 0:
        if _crowd(shape) * (tally[b, EVENTS] + tally[b, AWAKE]) > size:
            _catch_up(shape, edge, model, table, length, neurons, x, b, now)
            tally[b, DENSE] = _LEAST_DENSE
    elif tally[b, DENSE] > 1:
        tally[b, DENSE] -= 1
    elif 2 * _crowd(shape) * (tally[b, EVENTS] + tally[b, DRIVEN]) <= size:
        _wake_all(shape, edge, model, table, neurons, tally, x, b, now)
    tally[b, VISITED] = 0
    if tally[b, DENSE] > 0:
        return
    first, awake = edge[b], tally[b, AWAKE]
    tally[b, AWAKE] = 0
    _visit_each(
        shape, edge, model, table, length, neurons, lists, tally, x, b, now,
        neurons.awake[first : first + awake],
    )  # fmt: skip


@inner_kernel
def visit_targets(shape, rows, flights, model, table, length, neurons, lists, counts, tally, x, b):
    """Visit the targets of all arrivals of this window in block ``b``."""
    for f in range(counts[FLIGHTS]):
        begin, end = flights.begin[b, f], flights.end[b, f]
        if begin < end:
            _visit_each(
                shape, rows.edge, model, table, length, neurons, lists, tally, x, b, tally[b, AT],
                rows.post[begin:end],
            )  # fmt: skip


@phase_kernel
def count_driven(shape, edge, model, table, neurons, tally, x, b, now):
    """Begin a run: count the neurons that fire unaided, and find those that are awake."""
    keep_apart()
    driven = np.int64(0)
    for n in range(edge[b], edge[b + 1]):
        driven += np.int64(model.neurons.drive[n] > model.neurons.v_th[n])
    tally[b, DRIVEN] = driven
    _wake_all(shape, edge, model, table, neurons, tally, x, b, now)
