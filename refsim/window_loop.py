"""The window engine: neurons advance by windows in which no spike can reach another neuron.

A window is no longer than the shortest delay between neurons, so all its arrivals are known when it
begins, and the neurons are independent in it. They are divided into blocks, which threads share.
In each window a block

1. finds and delivers its arrivals, in sums that need no order (window_deliver);
2. takes the neurons to the end of the window, but for those that may fire (window_sweep);
3. gathers and sorts the arrivals at those (window_gather), and replays them (window_replay).

Between windows one thread records the spikes of all blocks (window_record).
"""

import numpy as np

from queues.barrier import wait
from queues.jit import inner_kernel, kernel
from refsim.status import DONE, RUNNING, WORKING
from refsim.window_deliver import deliver, find_arrivals
from refsim.window_gather import gather
from refsim.window_record import close_window, open_window
from refsim.window_replay import replay
from refsim.window_sweep import mark_sampled, sweep
from refsim.window_types import (
    DELIVERING,
    DENSE,
    EVENTS,
    FINDING,
    FLIGHTS,
    GATHERING,
    LACK,
    LAST_SAMPLE,
    NOW,
    PHASE,
    REPLAYING,
    SAMPLES,
    STATUS,
    STEP,
    VISITED,
    WAITING,
)
from refsim.window_visit import choose_visits, count_driven, visit_targets


@inner_kernel
def _work_on(problem, work, b, thread):
    """Take block ``b`` through the window, or note what it lacks room for, to go on from there."""
    tally = work.tally
    rows, counts = problem.rows, work.counts
    t1 = (counts[NOW] + 1) * problem.length
    tally[b, LACK] = 0
    if tally[b, STEP] == FINDING:
        tally[b, EVENTS] = find_arrivals(rows, work.flights, t1, problem.t_end, counts[FLIGHTS], b)
        tally[b, STEP] = DELIVERING
    if tally[b, STEP] == DELIVERING:
        if tally[b, EVENTS] >= work.hits.synapse.shape[1]:
            tally[b, LACK] = 1
            return
        model, table, length = problem.model, problem.propagator, problem.length
        neurons, lists, x = work.neurons, work.lists, work.state[b, 0]
        now = counts[NOW]
        choose_visits(
            problem.shape, rows.edge, model, table, length, neurons, lists, now, tally, x, b
        )
        if tally[b, DENSE] == 0:
            visit_targets(
                problem.shape, rows, work.flights, model, table, length, neurons, lists, counts,
                tally, x, b,
            )  # fmt: skip
        if counts[LAST_SAMPLE] > counts[SAMPLES]:
            mark_sampled(
                problem.samples, rows.edge, model, table, length,
                neurons, lists, counts, tally, x, b,
            )  # fmt: skip
        deliver(problem, work, b)
        sweep(problem, work, b)
        tally[b, STEP] = GATHERING
    if tally[b, STEP] == GATHERING and gather(problem, work, b, thread):
        tally[b, STEP] = REPLAYING
    if tally[b, STEP] == REPLAYING and replay(problem, work, b, thread):
        tally[b, STEP] = WAITING


@kernel
def start_windows(problem, work):
    """Wake the neurons that may fire unaided."""
    for b in range(work.tally.shape[0]):
        x = work.state[b, 0]
        count_driven(
            problem.shape, problem.rows.edge, problem.model, problem.propagator, work.neurons,
            work.tally, x, b, work.counts[NOW],
        )  # fmt: skip


@inner_kernel
def _turn(problem, work, used, share, stop):
    """Close the window at work, if there is one, and open the next; return a status."""
    if work.counts[PHASE] > 0:
        status = close_window(problem, work)
        if status != WORKING:
            return status
    if used >= share:
        return RUNNING
    if work.counts[NOW] >= stop:
        return DONE
    return open_window(problem, work)


@kernel
def run_windows(problem, work, share, stop, barrier, thread, n_threads):
    """Process windows until about ``share`` arrivals are used up; return a status.

    All threads call this, and return together; the work between windows is done by thread 0. No
    window from number ``stop`` on is opened.
    """
    n_blocks = work.tally.shape[0]
    first = thread * n_blocks // n_threads
    last = (thread + 1) * n_blocks // n_threads
    used = np.int64(0)
    resumes = work.counts[PHASE] == 1  # room ran out in the middle of a window
    while True:
        if thread == 0:
            status = np.int64(WORKING)
            if not resumes:
                status = np.int64(_turn(problem, work, used, share, stop))
            for b in range(n_blocks):
                used += 1 + work.tally[b, EVENTS] + work.tally[b, VISITED]
            work.counts[STATUS] = status
        if not wait(barrier, n_threads):
            return RUNNING
        if work.counts[STATUS] != WORKING:
            return work.counts[STATUS]
        resumes = False
        for b in range(first, last):
            if work.tally[b, STEP] != WAITING:
                _work_on(problem, work, b, thread)
            if work.tally[b, LACK] != 0:
                break  # what it has gathered stays; the other blocks wait
        if not wait(barrier, n_threads):
            return RUNNING
