"""Neurons with events of their own in a window: their spikes, releases and voltage samples.

These change the adjoint, so that it is one row no longer but one for each piece between events.
Such a neuron is taken through its events first, since they wait for nothing in the window; its row
is zero meanwhile, so that the loops over synapses read nothing from it, and its arrivals are found
and read from the pieces.
"""

import math

import numpy as np

from adjoint.windows.calendar import edge
from adjoint.windows.flow import columns_of, flow_row, visit
from adjoint.windows.types import RELEASE, SAMPLE, SPIKE
from queues.compiled.jit import inner_kernel, phase_kernel
from refsim.models import lif as neuron


@inner_kernel
def _copy(columns, source, i, target, j):
    """Copy the adjoint of one row; sums by the rate of the membrane begin at zero."""
    for q in range(columns):
        target[j, q] = source[i, q]
    for q in range(columns, target.shape[1]):
        target[j, q] = 0.0


@inner_kernel
def _spike_bar(spike_bar, calendar, e, k):
    """Return dL/d(time) of a spike: its own, and that of all its arrivals by order of blocks."""
    total = spike_bar[k]
    for b in range(calendar.bar.shape[0]):
        total += calendar.bar[b, e & calendar.mask[0]]
    spike_bar[k] = total
    return total


@inner_kernel
def _happen(model, own, slopes, sample_bar, membrane, bar, i, total):
    """Let event ``i`` change the voltage's adjoint; ``total`` is the cotangent of a spike."""
    n, k = own.neuron[i], own.row[i]
    neuron.membrane_vjp(model, membrane, bar, n, own.time[i])
    if own.kind[i] == SAMPLE:
        neuron.sample_vjp(membrane, bar, n, sample_bar[k])
    elif own.kind[i] == RELEASE:
        neuron.release_vjp(model, membrane, bar, n)
    else:
        neuron.fire_vjp(membrane, bar, n, slopes.before[k], slopes.after[k], total)


@inner_kernel
def _piece(tables, adjoints, pieces, b, j, n, time, out):
    """Begin piece ``j + 1``, or what holds at the end of them all, from piece ``j``."""
    row = pieces.row[b]
    _copy(columns_of(tables), row, j, row, j + 1)
    dt = pieces.time[b, j] - time
    flow_row(tables, adjoints, row, j + 1, n, dt, out)
    pieces.time[b, j + 1] = time
    pieces.neuron[b, j + 1] = n


@inner_kernel
def _open(columns, adjoints, pieces, b, j, n, end):
    """Begin the first piece ``j`` of a neuron, at the ``end`` of the window."""
    _copy(columns, adjoints.row, n, pieces.row[b], j)
    for q in range(columns):
        adjoints.row[n, q] = 0.0
    pieces.first[n] = j
    pieces.is_special[n] = 1
    pieces.time[b, j] = end
    pieces.neuron[b, j] = n


@phase_kernel
def begin_own(problem, work, b):
    """Take the neurons of a block that have events in this window through them."""
    own, tables, windows = problem.own, problem.tables, problem.windows
    pieces, adjoints = work.pieces, work.adjoints
    row, out = pieces.row[b], work.once.out[b]
    w = work.now[0].window
    i = work.counts[b].own
    stop = own.start[b + 1]
    j = np.int64(-1)
    while i < stop and own.window[i] == w:
        n = own.neuron[i]
        j += 1
        if work.counts[b].sparse == 1:
            visit(tables, adjoints, work.at, n, w + 1, out)
        _open(columns_of(tables), adjoints, pieces, b, j, n, edge(windows, w + 1))
        while True:
            happens = i < stop and own.window[i] == w and own.neuron[i] == n
            time, below = edge(windows, w), -math.inf
            if happens:
                time, k = own.time[i], own.row[i]
                below = np.nextafter(time, math.inf) if own.kind[i] == SAMPLE else time
            pieces.below[b, j] = below
            _piece(tables, adjoints, pieces, b, j, n, time, out)
            j += 1
            if not happens:
                break
            total = 0.0
            if own.kind[i] == SPIKE:
                e = problem.emissions.of_spike[k]
                total = _spike_bar(work.spike_bar, work.calendar, e, k)
            _happen(
                problem.model, own, problem.slopes, problem.sample_bar, work.membrane, work.bar, i,
                total,
            )  # fmt: skip
            row[j, 0] = work.membrane.v[n]
            work.injected[b, 0] += abs(row[j, 0])
            if tables.with_rates:
                row[j, 1 + tables.gain.shape[0]] = work.membrane.rate_v[n]
            i += 1
        pieces.below[b, j] = math.inf
    work.counts[b].own = i
    work.counts[b].n_pieces = j + 1


@phase_kernel
def end_own(tables, adjoints, at, pieces, b, n_pieces, w):
    """Put back the rows of these neurons, at the begin of the window."""
    columns = columns_of(tables)
    row = pieces.row[b]
    for j in range(n_pieces):
        n = pieces.neuron[b, j]
        for q in range(columns, row.shape[1]):
            adjoints.row[n, q] += row[j, q]
        if pieces.below[b, j] == math.inf:
            for q in range(columns):
                adjoints.row[n, q] = row[j, q]
            pieces.is_special[n] = 0
            at[n] = w
