"""Which neurons of a block a window visits.

In a dense window all neurons of the block are swept. Where little happens, only neurons that
receive something or may fire unaided are visited; the others sleep, and are advanced over all the
windows they slept through when something reaches them.
"""

import math

import numpy as np

from queues.jit import inner_kernel, keep_apart, phase_kernel
from refsim import model as neuron
from refsim.window_types import AWAKE, DENSE, DRIVEN, EVENTS, FLIGHTS, NOW, VISITED

# A block is swept while more than one neuron in four has something to do, since a visit takes about
# four times as long as the share of a neuron in a sweep (benchmarks/simulators.py).
_CROWD = 4
_LEAST_DENSE = 32  # windows between two changes, which both touch all neurons


@inner_kernel
def advance_states(table, states, n, windows):
    """Advance the synaptic states of a neuron over whole windows, few enough for the tables."""
    n_states = table.fade.shape[1]
    for k in range(n_states - 1, -1, -1):
        x = states[n * n_states + k] * table.fade[windows, k]
        if k > 0 and table.feed[windows, k - 1] != 0.0:
            x += states[n * n_states + k - 1] * table.feed[windows, k - 1]
        states[n * n_states + k] = x


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


@phase_kernel
def advance(model, table, length, neurons, x, n, windows):
    """Advance a neuron without arrivals or crossings over whole windows; ``x`` is scratch."""
    keep_apart()
    if windows >= table.fade.shape[0]:
        _advance_far(model, neurons, x, n, windows * length)
        return
    n_states = table.fade.shape[1]
    if neurons.release[n] < 0.0:
        drive = model.neurons.drive[n]
        v = drive + (neurons.v[n] - drive) * table.decay[table.kind[n], windows]
        for k in range(n_states):
            v += neurons.x[n * n_states + k] * table.lift[table.kind[n], windows, k]
        neurons.v[n] = v
    advance_states(table, neurons.x, n, windows)


@phase_kernel
def may_fire(model, neurons, x, n):
    """Return whether a neuron has to be released, or may fire without receiving anything."""
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


@phase_kernel
def visit(edge, model, table, length, neurons, lists, now, tally, x, b, n):
    """Bring a neuron to the beginning of window ``now`` and put it on the list, once."""
    keep_apart()
    if lists.stamp[n] == now + 1:  # 0 stands for none
        return
    if neurons.reached[n] < now:
        advance(model, table, length, neurons, x, n, now - neurons.reached[n])
        neurons.reached[n] = now
    lists.stamp[n] = now + 1
    lists.visited[edge[b] + tally[b, VISITED]] = n
    tally[b, VISITED] += 1


@phase_kernel
def _wake_all(edge, model, neurons, tally, x, b, now):
    """Go over to visits: leave all neurons at the beginning of this window, some of them awake."""
    keep_apart()
    tally[b, DENSE] = 0
    tally[b, AWAKE] = 0
    for n in range(edge[b], edge[b + 1]):
        neurons.reached[n] = now
        if may_fire(model, neurons, x, n):
            keep_awake(edge[b], tally, neurons.awake, b, n)


@phase_kernel
def _gather_all(edge, model, table, length, neurons, tally, x, b, now):
    """Go over to sweeps: bring all neurons to the beginning of this window."""
    keep_apart()
    for n in range(edge[b], edge[b + 1]):
        if neurons.reached[n] < now:
            advance(model, table, length, neurons, x, n, now - neurons.reached[n])
    tally[b, DENSE] = _LEAST_DENSE


@phase_kernel
def choose_visits(edge, model, table, length, neurons, lists, now, tally, x, b):
    """Decide whether this window sweeps block ``b``; if not, visit the neurons that are awake."""
    keep_apart()
    size = edge[b + 1] - edge[b]
    if tally[b, DENSE] == 0:
        if _CROWD * (tally[b, EVENTS] + tally[b, AWAKE]) > size:
            _gather_all(edge, model, table, length, neurons, tally, x, b, now)
    elif tally[b, DENSE] > 1:
        tally[b, DENSE] -= 1
    elif 2 * _CROWD * (tally[b, EVENTS] + tally[b, DRIVEN]) <= size:
        _wake_all(edge, model, neurons, tally, x, b, now)
    tally[b, VISITED] = 0
    if tally[b, DENSE] > 0:
        return
    awake = tally[b, AWAKE]
    tally[b, AWAKE] = 0
    for i in range(edge[b], edge[b] + awake):
        n = neurons.awake[i]
        visit(edge, model, table, length, neurons, lists, now, tally, x, b, n)


@phase_kernel
def visit_targets(rows, flights, model, table, length, neurons, lists, counts, tally, x, b):
    """Visit the targets of all arrivals of this window in block ``b``."""
    keep_apart()
    n_blocks = rows.edge.shape[0] - 1
    now = counts[NOW]
    for i in range(b, n_blocks * counts[FLIGHTS], n_blocks):
        for k in range(flights.begin[i], flights.end[i]):
            n = np.int64(rows.post[k])
            if lists.stamp[n] != now + 1:
                visit(rows.edge, model, table, length, neurons, lists, now, tally, x, b, n)


@phase_kernel
def count_driven(edge, model, neurons, tally, x, b, now):
    """Begin a run: count the neurons that fire unaided, and find those that are awake."""
    keep_apart()
    driven = np.int64(0)
    for n in range(edge[b], edge[b + 1]):
        driven += np.int64(model.neurons.drive[n] > model.neurons.v_th[n])
    tally[b, DRIVEN] = driven
    _wake_all(edge, model, neurons, tally, x, b, now)
