"""Neurons with events of their own in a window: their spikes, releases and voltage samples.

These change the adjoint, so that it is one row no longer but one for each piece between events.
Such a neuron is taken through its events first, since they wait for nothing in the window; its row
is zero meanwhile, so that the loops over synapses read nothing from it, and its arrivals are found
and read from the pieces.
"""

import math

import numpy as np

from adjoint.window_flow import flow_row, visit
from adjoint.window_types import N_PIECES, OWN, RELEASE, SAMPLE, SECOND, SPARSE
from queues.jit import inner_kernel, kernel
from refsim import model as neuron


@inner_kernel
def edge(problem, w):
    """Return the begin of window ``w``, which is the end of the one before."""
    if w >= problem.n_windows:
        return problem.t_end
    return w * problem.tables.length


@inner_kernel
def _columns(problem):
    """Return the number of columns of a row that belong to the adjoint at one time."""
    n_states = problem.tables.gain.shape[0]
    if problem.tables.over.shape[3] == SECOND + 1:
        return 1 + n_states
    return 2 + 4 * n_states


@inner_kernel
def _copy(problem, source, i, target, j):
    """Copy the adjoint of one row; sums by the rate of the membrane begin at zero."""
    columns = _columns(problem)
    for q in range(columns):
        target[j, q] = source[i, q]
    for q in range(columns, target.shape[1]):
        target[j, q] = 0.0


@inner_kernel
def _spike_bar(work, problem, k):
    """Return dL/d(time) of a spike: its own, and that of all its arrivals by order of blocks."""
    calendar = work.calendar
    place = problem.emissions.of_spike[k] & calendar.mask[0]
    total = work.spike_bar[k]
    for b in range(calendar.bar.shape[0]):
        total += calendar.bar[b, place]
    work.spike_bar[k] = total
    return total


@inner_kernel
def _happen(problem, work, i):
    """Let event ``i`` change the voltage's adjoint."""
    own = problem.own
    membrane, bar = work.membrane, work.model_bar
    n, k = own.neuron[i], own.index[i]
    neuron.membrane_vjp(problem.model, membrane, bar, n, own.time[i])
    if own.kind[i] == SAMPLE:
        neuron.sample_vjp(membrane, bar, n, problem.sample_bar[k])
    elif own.kind[i] == RELEASE:
        neuron.release_vjp(problem.model, membrane, bar, n)
    else:
        before, after = problem.tape.slope_before[k], problem.tape.slope_after[k]
        neuron.fire_vjp(membrane, bar, n, before, after, _spike_bar(work, problem, k))


@inner_kernel
def _piece(problem, work, b, j, n, time):
    """Begin piece ``j + 1``, or what holds at the end of them all, from piece ``j``."""
    pieces = work.pieces
    row = pieces.row[b]
    _copy(problem, row, j, row, j + 1)
    dt = pieces.time[b, j] - time
    flow_row(problem, work.adjoints, row, j + 1, n, dt, work.once.out[b])
    pieces.time[b, j + 1] = time
    pieces.neuron[b, j + 1] = n


@inner_kernel
def _pass_events(problem, work, b, i, j):
    """Take the neuron of event ``i`` through its events from piece ``j`` on; return the next."""
    own, pieces = problem.own, work.pieces
    w = work.now[0]
    n = own.neuron[i]
    n_states = problem.tables.gain.shape[0]
    row = pieces.row[b]
    if work.counts[b, SPARSE] == 1:
        visit(problem, work, n, w + 1, work.once.out[b])
    pieces.first[n] = j
    pieces.is_special[n] = 1
    _copy(problem, work.adjoints.row, n, row, j)
    for q in range(_columns(problem)):
        work.adjoints.row[n, q] = 0.0
    pieces.time[b, j] = edge(problem, w + 1)
    pieces.neuron[b, j] = n
    while i < own.start[b + 1] and own.window[i] == w and own.neuron[i] == n:
        time = own.time[i]
        pieces.below[b, j] = time
        if own.kind[i] == SAMPLE:
            pieces.below[b, j] = np.nextafter(time, math.inf)
        _piece(problem, work, b, j, n, time)
        j += 1
        _happen(problem, work, i)
        row[j, 0] = work.membrane.v[n]
        if problem.tables.over.shape[3] > SECOND + 1:
            row[j, 1 + n_states] = work.membrane.rate_v[n]
        i += 1
    pieces.below[b, j] = -math.inf
    _piece(problem, work, b, j, n, edge(problem, w))
    pieces.below[b, j + 1] = math.inf
    return i, j + 2


@kernel
def begin_own(problem, work, b):
    """Take the neurons of a block that have events in this window through them."""
    i = work.counts[b, OWN]
    j = np.int64(0)
    w = work.now[0]
    while i < problem.own.start[b + 1] and problem.own.window[i] == w:
        i, j = _pass_events(problem, work, b, i, j)
    work.counts[b, OWN] = i
    work.counts[b, N_PIECES] = j


@kernel
def end_own(problem, work, b):
    """Put back the rows of these neurons, at the begin of the window."""
    pieces, adjoints = work.pieces, work.adjoints
    columns = _columns(problem)
    row = pieces.row[b]
    for j in range(work.counts[b, N_PIECES]):
        n = pieces.neuron[b, j]
        for q in range(columns, row.shape[1]):
            adjoints.row[n, q] += row[j, q]
        if pieces.below[b, j] == math.inf:
            for q in range(columns):
                adjoints.row[n, q] = row[j, q]
            pieces.is_special[n] = 0
            work.at[n] = work.now[0]
    work.counts[b, N_PIECES] = 0
