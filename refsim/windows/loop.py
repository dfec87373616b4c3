"""The window engine: neurons advance by windows in which no spike can reach another neuron.

A window is no longer than the shortest delay between neurons, so all its arrivals are known when it
begins, and the neurons are independent in it. They are divided into blocks, which threads share.
In each window a block

1. finds and delivers its arrivals, in sums that need no order (deliver);
2. takes the neurons to the end of the window, but for those that may fire (sweep);
3. gathers and sorts the arrivals at those (gather), and replays them (replay).

A turn is as many windows as fit into the shortest delay: no spike of it reaches a neuron in it. So
blocks take all its windows without waiting for each other, and then one thread records the spikes
of all of them (record).
"""

import numpy as np

from queues.compiled.barrier import claim, wait, withdraw
from queues.compiled.jit import inner_kernel, kernel
from refsim.status import DONE, RUNNING, WORKING
from refsim.windows.deliver import deliver, find_arrivals
from refsim.windows.gather import gather
from refsim.windows.record import close_turn, open_turn, sort_found
from refsim.windows.replay import replay
from refsim.windows.sweep import mark_sampled, sweep
from refsim.windows.types import (
    ARRIVALS,
    AT,
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
    REPLAYED,
    REPLAYING,
    ROWS,
    SAMPLES,
    SPIKES,
    STATUS,
    STEP,
    TURN_END,
    VISITED,
    WAITING,
    WORK,
)
from refsim.windows.visit import choose_visits, count_driven, visit_targets


@inner_kernel
def _end_window(work, max_spikes, b):
    """Have block ``b`` go on to the next window of the turn, or wait.

    It waits too where its spikes alone lead beyond the limit: none of the next window will count.
    """
    tally, counts = work.tally, work.counts
    tally[b, ARRIVALS] += tally[b, EVENTS]
    tally[b, WORK] += tally[b, EVENTS] + tally[b, VISITED]
    tally[b, AT] += 1
    if tally[b, AT] < counts[TURN_END] and tally[b, ROWS] <= max_spikes - counts[SPIKES]:
        tally[b, STEP] = FINDING
        return
    sort_found(work.found.time[b], work.found.neuron[b], work.order[b], tally[b, ROWS])
    tally[b, STEP] = WAITING


@inner_kernel
def _work_on(problem, work, b, thread):
    """Take block ``b`` through its window, or note what it lacks room for, to go on from there."""
    tally = work.tally
    rows, counts = problem.rows, work.counts
    now = tally[b, AT]
    t1 = (now + 1) * problem.length
    tally[b, LACK] = 0
    if tally[b, STEP] == FINDING:
        tally[b, EVENTS] = find_arrivals(rows, work.flights, t1, problem.t_end, counts[FLIGHTS], b)
        tally[b, REPLAYED] = 0
        tally[b, STEP] = DELIVERING
    if tally[b, STEP] == DELIVERING:
        if tally[b, EVENTS] >= work.hits.synapse.shape[1]:
            tally[b, LACK] = 1
            return
        model, table, length = problem.model, problem.propagator, problem.length
        neurons, lists, x = work.neurons, work.lists, work.state[b, 0]
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
    if tally[b, STEP] == REPLAYING:
        if replay(problem, work, b, thread):
            _end_window(work, problem.max_spikes, b)
        else:
            tally[b, STEP] = GATHERING  # again, for the other replays


@inner_kernel
def _take_turn(problem, work, b, thread):
    """Take block ``b`` to the end of the turn, or to where room runs out."""
    while work.tally[b, STEP] != WAITING:
        _work_on(problem, work, b, thread)
        if work.tally[b, LACK] != 0:
            break


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
    """Close the turn at work, if there is one, and open the next; return a status."""
    if work.counts[PHASE] > 0:
        status = close_turn(problem, work)
        if status != WORKING:
            return status
    if used >= share:
        return RUNNING
    if work.counts[NOW] >= stop:
        return DONE
    return open_turn(problem, work, stop)


@kernel
def run_windows(problem, work, share, stop, barrier, thread, n_threads):
    """Process windows until about ``share`` arrivals are used up; return a status.

    All threads call this, and return together; the work between turns is done by thread 0. No
    window from number ``stop`` on is opened.
    """
    n_blocks = work.tally.shape[0]
    used = np.int64(0)
    resumes = work.counts[PHASE] == 1  # room ran out in the middle of a turn
    while True:
        if thread == 0:
            status = np.int64(WORKING)
            if not resumes:
                status = np.int64(_turn(problem, work, used, share, stop))
            for b in range(n_blocks):
                used += 1 + work.tally[b, WORK]
                work.tally[b, WORK] = 0
            withdraw(work.claims)
            work.counts[STATUS] = status
        if not wait(barrier, n_threads):
            return RUNNING
        if work.counts[STATUS] != WORKING:
            return work.counts[STATUS]
        resumes = False
        for i in range(n_blocks):
            b = claim(work.claims, i, thread, n_threads)
            if b >= 0:
                _take_turn(problem, work, b, thread)
        if not wait(barrier, n_threads):
            return RUNNING
