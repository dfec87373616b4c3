"""The backward pass by windows, from the last to the first.

No spike of a window can reach a neuron before the next, so when a window is reached the cotangents
of its spikes are complete. A block of targets then goes through the window by itself: neurons with
events of their own first, then the arrivals, spike by spike, which only read, and then every
neuron goes back over the window at once. What arrivals say of the spikes from which they come is
kept for each block, and added up in the order of the blocks: the result does not depend on who
does the work.

A block with few arrivals is sparse: its neurons go back when they are next read, over many windows
at once.
"""

import numpy as np

from adjoint.windows.block import read_block
from adjoint.windows.calendar import enter, entry_window, window_of
from adjoint.windows.flow import columns_of, sweep_block, visit
from adjoint.windows.own import begin_own, end_own
from adjoint.windows.types import NEXT
from queues.compiled.barrier import claim, wait, withdraw
from queues.compiled.jit import inner_kernel, kernel, phase_kernel
from refsim.models import lif as neuron
from refsim.status import DONE, RUNNING, WORKING

# Arrivals for each neuron of a block above which, and below which, all neurons of the block go back
# over every window.
_MANY, _FEW = 0.1, 0.03


@phase_kernel
def _settle(tables, adjoints, at, counts, edge, b, window, out):
    """Choose whether the rows of a block, at the begin of ``window``, go on together."""
    begin, end = edge[b], edge[b + 1]
    events = counts[b].events
    if counts[b].sparse == 1 and events > _MANY * (end - begin):
        for n in range(begin, end):
            visit(tables, adjoints, at, n, window, out)
        counts[b].sparse = 0
    elif counts[b].sparse == 0 and events < _FEW * (end - begin):
        _scatter(at, counts, edge, b, window)


@inner_kernel
def _scatter(at, counts, edge, b, window):
    """Make a block sparse, whose rows hold at the begin of ``window``."""
    for n in range(edge[b], edge[b + 1]):
        at[n] = window
    counts[b].sparse = 1


@phase_kernel
def back_over_window(problem, work, b):
    """Take a block back over this window."""
    tables, adjoints, edge = problem.tables, work.adjoints, problem.rows.edge
    enter(problem, work, b)
    _settle(
        tables, adjoints, work.at, work.counts, edge, b, work.now[0].window + 1, work.once.out[b]
    )
    begin_own(problem, work, b)
    read_block(problem, work, b)
    if work.counts[b].events == 0 and work.counts[b].n_pieces == 0:
        # Rows wait, as they do where windows are skipped: both give the same to the last bit.
        if work.counts[b].sparse == 0:
            _scatter(work.at, work.counts, edge, b, work.now[0].window + 1)
    elif work.counts[b].sparse == 0:
        sweep_block(adjoints, tables, edge[b], edge[b + 1])
    if work.counts[b].n_pieces > 0:
        n_pieces = work.counts[b].n_pieces
        end_own(tables, adjoints, work.at, work.pieces, b, n_pieces, work.now[0].window)


@inner_kernel
def _collect_inputs(emissions, windows, calendar, now, input_bar, window):
    """Complete the cotangents of the input spikes from a window on."""
    i = now[0].inputs
    while i > 0:
        e = emissions.of_input[i - 1]
        if window_of(windows, emissions.time[e]) < window:
            break
        i -= 1
        total = 0.0
        for b in range(calendar.bar.shape[0]):
            total += calendar.bar[b, e & calendar.mask[0]]
        input_bar[i] = total
    now[0].inputs = i


@inner_kernel
def _next_window(own, emissions, windows, calendar, counts, w):
    """Return the next window in which something happens, or -1."""
    following = np.int64(-1)
    for b in range(counts.shape[0]):
        if counts[b].pending > 0:
            return w - 1
        if counts[b].own < own.start[b + 1]:
            following = max(following, own.window[counts[b].own])
    entered = counts[0].entered
    if entered > 0:
        entry = entry_window(windows, calendar, emissions.time[entered - 1])
        following = max(following, entry)
    return min(following, w - 1)


@phase_kernel
def move_on(problem, work):
    """Go to the next window in which something happens; rows wait where there is none.

    If there is none in this section, the window is below it then.
    """
    w = work.now[0].done
    emissions, windows, calendar = problem.emissions, problem.windows, work.calendar
    counts = work.counts
    following = _next_window(problem.own, emissions, windows, calendar, counts, w)
    if following < windows.first:
        _collect_inputs(emissions, windows, calendar, work.now, work.input_bar, windows.first)
        work.now[0].window = -1
        return
    if following < w - 1:
        for b in range(counts.shape[0]):
            if counts[b].sparse == 0:
                _scatter(work.at, counts, problem.rows.edge, b, w)
            counts[b].events = 0
    _collect_inputs(emissions, windows, calendar, work.now, work.input_bar, following + 1)
    work.now[0].window = following


@inner_kernel
def _turn(now, share, used):
    """Return what comes next: a window, another call, or the end."""
    if now[0].window < 0:
        return DONE
    return RUNNING if used >= share else WORKING


@kernel
def run_windows_back(problem, work, share, gate, thread, n_threads):
    """Process windows until about ``share`` arrivals are used up; return a status.

    All threads call this, and return together; they share blocks out as they go, and what lies
    between windows is done by thread 0.
    """
    n_blocks = work.counts.shape[0]
    used = np.int64(0)
    if thread == 0 and work.now[0].window == NEXT:
        move_on(problem, work)
    while True:
        if thread == 0:
            work.now[0].status = _turn(work.now, share, used)
            withdraw(work.claims)
        if not wait(gate, n_threads):
            return RUNNING
        if work.now[0].status != WORKING:
            return work.now[0].status
        for i in range(n_blocks):
            b = claim(work.claims, i, thread, n_threads)
            if b >= 0:
                back_over_window(problem, work, b)
        if not wait(gate, n_threads):
            return RUNNING
        if thread == 0:
            used += 100
            for b in range(n_blocks):
                used += work.counts[b].events
            work.now[0].done = work.now[0].window
            move_on(problem, work)


@kernel
def finish_windows(model, tables, adjoints, membrane, bar, v0):
    """Take the voltage of every neuron back to time 0."""
    row = adjoints.row
    column = columns_of(tables)
    for n in range(v0.shape[0]):
        neuron.membrane_vjp(model, membrane, bar, n, 0.0)
        neuron.start_vjp(model, membrane, bar, n, v0[n])
        if tables.with_rates:
            bar.rate[n] += row[n, column]
