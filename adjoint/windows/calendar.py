"""Emissions under way backwards in time: in which window each next arrives, block by block.

An emission enters in the window of its last arrival, at the latest; after each window it moves to
that of the arrivals before. So an emission costs nothing in windows without its arrivals.
"""

import numpy as np

from queues.compiled.jit import inner_kernel, phase_kernel
from refsim.windows.deliver import delay_of


@inner_kernel
def edge(windows, w):
    """Return the begin of window ``w``, which is the end of the one before."""
    if w >= windows.total:
        return windows.t_end
    return w * windows.length


@inner_kernel
def window_of(windows, time):
    """Return the window of a time: the last that does not begin after it."""
    length = windows.length
    last = windows.total - 1
    w = min(np.int64(time / length), last)
    if w > 0 and time < w * length:
        w -= 1
    elif w < last and time >= (w + 1) * length:
        w += 1
    return w


@inner_kernel
def entry_window(windows, calendar, time):
    """Return the window in which an emission enters, no earlier than that of any arrival."""
    ahead = calendar.head.shape[1] - 2
    return min(window_of(windows, time) + ahead, windows.total - 1)


@inner_kernel
def enlist(windows, head, link, b, e, place, arrival):
    """Put emission ``e`` in the list of the window of ``arrival``."""
    i = window_of(windows, arrival) % head.shape[1]
    link[b, place] = head[b, i]
    head[b, i] = e


@inner_kernel
def put(windows, calendar, b, e, end, arrival):
    """Put emission ``e`` in the window of ``arrival``, over the synapse before ``end``."""
    place = e & calendar.mask[0]
    calendar.end[b, place] = end
    enlist(windows, calendar.head, calendar.link, b, e, place, arrival)


@phase_kernel
def enter(problem, work, b):
    """Let the emissions of this window enter; arrivals after the end do not exist."""
    rows, calendar, windows = problem.rows, work.calendar, problem.windows
    n_blocks = calendar.head.shape[0]
    e = work.counts[b].entered
    while e > 0:
        time = problem.emissions.time[e - 1]
        if entry_window(windows, calendar, time) < work.now[0].window:
            break
        e -= 1
        calendar.bar[b, e & calendar.mask[0]] = 0.0
        i = problem.emissions.source[e] * n_blocks + b
        first, end = rows.start[i], rows.start[i + 1]
        while end > first and time + delay_of(rows, end - 1) > windows.t_end:
            end -= 1
        if end > first:
            put(windows, calendar, b, e, end, time + delay_of(rows, end - 1))
            work.counts[b].pending += 1
    work.counts[b].entered = e
