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
from refsim.windows.sleep import Sleep, catch_up_all, visit_each, wake_some
from refsim.windows.types import OneExp

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
def advance(window, n, windows):
    """Advance a neuron without arrivals or crossings over whole windows."""
    model, table, neurons = window.model, window.table, window.neurons
    if windows == 1:
        advance_one(model, table, neurons, n)
        return
    if windows >= table.fade.shape[0]:
        _advance_far(model, neurons, window.x, n, windows * window.length)
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
def may_fire(window, n):
    """Return whether a neuron has to be released, or may fire without receiving anything."""
    model, neurons = window.model, window.neurons
    return not is_quiet(model, window.table, neurons, n) and _may_fire(model, neurons, window.x, n)


@phase_kernel
def _may_fire(model, neurons, x, n):
    keep_apart()
    if neurons.release[n] >= 0.0 or model.neurons.drive[n] > model.neurons.v_th[n]:
        return True
    load_states(neurons.x, n, x)
    return neuron.earliest_crossing(model, n, neurons.v[n], x) < math.inf


@inner_kernel
def keep_awake(window, own, n):
    """Have the next window visit a neuron."""
    window.neurons.awake[window.first + own.awake] = n
    own.awake += 1


@inner_kernel
def visit(window, n, place):
    """Bring a neuron to the beginning of the window, and put it on the list in a place, once.

    Return where the list goes on.
    """
    neurons, lists, now = window.neurons, window.lists, window.now
    if lists.stamp[n] == now + 1:  # 0 stands for none
        return place
    if neurons.reached[n] < now:
        advance(window, n, now - neurons.reached[n])
        neurons.reached[n] = now
    lists.stamp[n] = now + 1
    lists.visited[place] = n
    return place + 1


@phase_kernel
def _wake_any(window):
    keep_apart()
    waiting = window.first
    for n in range(window.first, window.last):
        window.neurons.reached[n] = window.now
        if may_fire(window, n):
            window.neurons.awake[waiting] = n
            waiting += 1
    return waiting - window.first


@by_type
def _wake_some(shape: type) -> Callable[..., int]:
    """Leave all neurons at the beginning of this window; return how many are awake."""
    if shape is OneExp:
        return lambda shape, window: wake_some(
            shape, window.neurons, window.model.neurons, window.first, window.last, window.now
        )
    return lambda shape, window: _wake_any(window)


@inner_kernel
def _wake_all(shape, window, own):
    """Go over to visits: leave all neurons at the beginning of this window, some of them awake."""
    own.dense = 0
    own.awake = _wake_some(shape, window)


@phase_kernel
def _catch_up_any(window):
    keep_apart()
    for n in range(window.first, window.last):
        if window.neurons.reached[n] < window.now:
            advance(window, n, window.now - window.neurons.reached[n])


@inner_kernel
def _sleep_of(window):
    table = window.table
    return Sleep(
        table.decay[0], table.leak[0], table.lift[0, :, 0], table.fade[:, 0], window.length
    )


@by_type
def _catch_up(shape: type) -> Callable[..., None]:
    if shape is OneExp:
        return lambda shape, window: catch_up_all(
            shape, window.neurons, window.model.neurons.drive, _sleep_of(window), window.first,
            window.last, window.now,
        )  # fmt: skip
    return lambda shape, window: _catch_up_any(window)


@phase_kernel
def _visit_any(window, some, place):
    keep_apart()
    for k in range(some.shape[0]):
        place = visit(window, np.int64(some[k]), place)
    return place


@by_type
def _visit_each(shape: type) -> Callable[..., int]:
    """Visit some neurons; return where the list of visits ends, which goes on from ``place``."""
    if shape is OneExp:
        return lambda shape, window, some, place: visit_each(
            shape, window.neurons, window.lists, window.model.neurons.drive, _sleep_of(window),
            some, window.now, place,
        )  # fmt: skip
    return lambda shape, window, some, place: _visit_any(window, some, place)


@by_type
def _crowd(shape: type) -> Callable[..., int]:
    if shape is OneExp:
        return lambda shape: _CROWD_OF_VECTORS
    return lambda shape: _CROWD


@inner_kernel
def choose_visits(shape, window, own):
    """Decide whether this window sweeps the block; if not, visit the neurons that are awake."""
    size = window.last - window.first
    if own.dense == 0:
        if _crowd(shape) * (own.events + own.awake) > size:
            _catch_up(shape, window)
            own.dense = _LEAST_DENSE
    elif own.dense > 1:
        own.dense -= 1
    elif 2 * _crowd(shape) * (own.events + own.driven) <= size:
        _wake_all(shape, window, own)
    own.visited = 0
    if own.dense > 0:
        return
    first, awake = window.first, own.awake
    own.awake = 0
    some = window.neurons.awake[first : first + awake]
    own.visited = _visit_each(shape, window, some, first) - first


@inner_kernel
def visit_targets(shape, window, own, rows, flights, n_flights, b):
    """Visit the targets of all arrivals of this window in block ``b``."""
    place = window.first + own.visited
    for f in range(n_flights):
        begin, end = flights.begin[b, f], flights.end[b, f]
        if begin < end:
            place = _visit_each(shape, window, rows.post[begin:end], place)
    own.visited = place - window.first


@inner_kernel
def count_driven(shape, window, own):
    """Begin a run: count the neurons that fire unaided, and find those that are awake."""
    parameters = window.model.neurons
    driven = np.int64(0)
    for n in range(window.first, window.last):
        driven += np.int64(parameters.drive[n] > parameters.v_th[n])
    own.driven = driven
    _wake_all(shape, window, own)
