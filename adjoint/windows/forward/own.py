"""Neurons with events of their own in a window: their spikes, releases and voltage samples.

Arrivals of the window are known before it, so each is added to the piece between two events in
which it comes; then the neuron goes through its events. What the loops over synapses have added
to its row meanwhile is overwritten at the end.
"""

import math

import numpy as np

from adjoint.windows.calendar import edge
from adjoint.windows.forward.flow import flow_row, visit
from adjoint.windows.types import RELEASE, SAMPLE
from queues.compiled.jit import inner_kernel, phase_kernel
from refsim.models import lif as neuron


@inner_kernel
def _open(row, pieces, b, j, n):
    """Begin the pieces of a neuron with its row at the begin of the window, in place ``j``."""
    for q in range(row.shape[1]):
        pieces.row[b, j, q] = row[n, q]
    pieces.neuron[b, j] = n
    pieces.first[n] = j + 1
    pieces.is_special[n] = 1
    pieces.below[b, j] = -math.inf


@inner_kernel
def _add_piece(pieces, b, j, time, below):
    """Add a piece that ends at a time, to which arrivals ``below`` a time belong."""
    for q in range(pieces.row.shape[2]):
        pieces.row[b, j, q] = 0.0
    pieces.time[b, j] = time
    pieces.below[b, j] = below


@phase_kernel
def list_own(problem, work, b):
    """Begin the pieces of the neurons of a block that have events in this window."""
    own, windows, pieces = problem.own, problem.windows, work.pieces
    w = work.now[0].window
    i = work.counts[b].own
    stop = own.start[b]
    j = np.int64(0)
    while i > stop and own.window[i - 1] == w:
        n = own.neuron[i - 1]
        visit(problem.tables, problem.direction, work.row, work.at, n, w, work.out[b])
        _open(work.row, pieces, b, j, n)
        j += 1
        while i > stop and own.window[i - 1] == w and own.neuron[i - 1] == n:
            i -= 1
            time = own.time[i]
            below = np.nextafter(time, math.inf) if own.kind[i] == SAMPLE else time
            _add_piece(pieces, b, j, time, below)
            j += 1
        _add_piece(pieces, b, j, edge(windows, w + 1), math.inf)
        j += 1
    work.counts[b].n_pieces = j


@inner_kernel
def _happen(problem, work, row, j, i):
    """Let event ``i`` happen to its neuron, whose tangents are those of row ``j``."""
    own, dot, slopes = problem.own, problem.direction.neurons, problem.slopes
    n, k = own.neuron[i], own.row[i]
    if own.kind[i] == SAMPLE:
        is_held = work.held[n] == 1
        work.sample_dot[k] = dot.v_reset[n] if is_held else row[j, 0] + dot.drive[n]
    elif own.kind[i] == RELEASE:
        work.held[n] = 0
        v_dot = neuron.release_jvp(dot, n, slopes.after[k], work.release_dot[n])
        row[j, 0] = v_dot - dot.drive[n]
        if problem.tables.with_rates:
            primal = 1 + problem.tables.gain.shape[0]
            row[j, primal] = problem.neurons.v_reset[n] - problem.neurons.drive[n]
    else:
        t_dot = neuron.later_by(dot.v_th[n] - (row[j, 0] + dot.drive[n]), slopes.before[k])
        work.spike_dot[k] = t_dot
        work.emission_dot[problem.emissions.of_spike[k]] = t_dot
        work.release_dot[n] = t_dot + dot.t_ref[n]
        work.held[n] = 1


@phase_kernel
def go_through_own(problem, work, b):
    """Take these neurons through their events, and to the end of the window."""
    pieces, tables, windows = work.pieces, problem.tables, problem.windows
    row, out = pieces.row[b], work.out[b]
    w = work.now[0].window
    width = row.shape[1]
    i = work.counts[b].own
    j = np.int64(0)
    while j < work.counts[b].n_pieces:
        n = pieces.neuron[b, j]
        time = edge(windows, w)
        while True:
            flow_row(tables, problem.direction, row, j, n, pieces.time[b, j + 1] - time, out)
            for q in range(width):
                row[j + 1, q] += row[j, q]
            j += 1
            time = pieces.time[b, j]
            if pieces.below[b, j] == math.inf:
                break
            i -= 1
            _happen(problem, work, row, j, i)
        for q in range(width):
            work.row[n, q] = row[j, q]
        work.at[n] = w + 1
        pieces.is_special[n] = 0
        j += 1
    work.counts[b].own = i
