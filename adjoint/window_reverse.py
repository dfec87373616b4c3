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

from adjoint.window_calendar import enter, entry_window, window_of
from adjoint.window_flow import sweep_block, visit
from adjoint.window_own import begin_own, end_own
from adjoint.window_segments import read_block
from adjoint.window_types import ENTERED, EVENTS, N_PIECES, OWN, PENDING, SECOND, SPARSE
from queues.jit import inner_kernel, kernel
from refsim import model as neuron
from refsim.status import DONE, RUNNING

# Arrivals for each neuron of a block above which, and below which, all neurons of the block go back
# over every window.
_MANY, _FEW = 0.25, 0.0625


@kernel
def _settle(problem, work, b):
    """Choose whether the rows of a block go through this window together."""
    begin, end = problem.rows.edge[b], problem.rows.edge[b + 1]
    events = work.counts[b, EVENTS]
    if work.counts[b, SPARSE] == 1 and events > _MANY * (end - begin):
        for n in range(begin, end):
            visit(problem, work, n, work.now[0] + 1, work.once.out[b])
        work.counts[b, SPARSE] = 0
    elif work.counts[b, SPARSE] == 0 and events < _FEW * (end - begin):
        _scatter(problem, work, b, work.now[0] + 1)


@inner_kernel
def _scatter(problem, work, b, window):
    """Make a block sparse, whose rows hold at the begin of ``window``."""
    for n in range(problem.rows.edge[b], problem.rows.edge[b + 1]):
        work.at[n] = window
    work.counts[b, SPARSE] = 1


@kernel
def back_over_window(problem, work, first_block, last_block):
    """Take some blocks back over this window; return the number of arrivals."""
    events = np.int64(0)
    for b in range(first_block, last_block):
        enter(problem, work, b)
        _settle(problem, work, b)
        begin_own(problem, work, b)
        read_block(problem, work, b)
        if work.counts[b, SPARSE] == 0:
            sweep_block(work.adjoints, problem, problem.rows.edge[b], problem.rows.edge[b + 1])
        if work.counts[b, N_PIECES] > 0:
            end_own(problem, work, b)
        events += work.counts[b, EVENTS]
    return events


@inner_kernel
def _collect_inputs(problem, work, window):
    """Complete the cotangents of the input spikes from a window on."""
    calendar = work.calendar
    i = work.now[1]
    while i > 0:
        e = problem.emissions.of_input[i - 1]
        if window_of(problem, problem.emissions.time[e]) < window:
            break
        i -= 1
        total = 0.0
        for b in range(calendar.bar.shape[0]):
            total += calendar.bar[b, e & calendar.mask[0]]
        work.input_bar[i] = total
    work.now[1] = i


@inner_kernel
def _next_window(problem, work):
    """Return the next window in which something happens, or -1."""
    own, w = problem.own, work.now[0]
    n_blocks = work.counts.shape[0]
    following = np.int64(-1)
    for b in range(n_blocks):
        if work.counts[b, PENDING] > 0:
            return w - 1
        if work.counts[b, OWN] < own.start[b + 1]:
            following = max(following, own.window[work.counts[b, OWN]])
    entered = work.counts[0, ENTERED]
    if entered > 0:
        following = max(following, entry_window(problem, work, entered - 1))
    return min(following, w - 1)


@kernel
def move_on(problem, work):
    """Go to the next window in which something happens; rows wait where there is none."""
    w = work.now[0]
    following = _next_window(problem, work)
    if following < w - 1:
        for b in range(work.counts.shape[0]):
            if work.counts[b, SPARSE] == 0:
                _scatter(problem, work, b, w)
            work.counts[b, EVENTS] = 0
    _collect_inputs(problem, work, following + 1)
    work.now[0] = following


@kernel
def run_windows_back(problem, work, share):
    """Process windows until about ``share`` arrivals are used up; return a status."""
    used = np.int64(0)
    while work.now[0] >= 0:
        if used >= share:
            return RUNNING
        used += 100 + back_over_window(problem, work, 0, work.counts.shape[0])
        move_on(problem, work)
    return DONE


@kernel
def finish_windows(problem, work, v0):
    """Take the voltage of every neuron back to time 0."""
    row = work.adjoints.row
    n_states = problem.tables.gain.shape[0]
    with_rates = problem.tables.over.shape[3] > SECOND + 1
    for n in range(v0.shape[0]):
        neuron.membrane_vjp(problem.model, work.membrane, work.model_bar, n, 0.0)
        neuron.start_vjp(problem.model, work.membrane, work.model_bar, n, v0[n])
        if with_rates:
            work.model_bar.rate[n] += row[n, 2 + 4 * n_states]
