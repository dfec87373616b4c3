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
from refsim.windows.types import DELIVERING, FINDING, GATHERING, REPLAYING, WAITING, Window
from refsim.windows.visit import choose_visits, count_driven, visit_targets


@inner_kernel
def _end_window(work, max_spikes, b):
    """Have block ``b`` go on to the next window of the turn, or wait.

    It waits too where its spikes alone lead beyond the limit: none of the next window will count.
    """
    own, run = work.tally[b], work.counts[0]
    own.arrivals += own.events
    own.work += own.events + own.visited
    own.at += 1
    if own.at < run.turn_end and own.rows <= max_spikes - run.spikes:
        own.step = FINDING
        return
    sort_found(work.found.time[b], work.found.neuron[b], work.order[b], own.rows)
    own.step = WAITING


@inner_kernel
def _window_of(problem, work, b, now):
    edge = problem.rows.edge
    return Window(
        model=problem.model,
        table=problem.propagator,
        neurons=work.neurons,
        lists=work.lists,
        x=work.state[b, 0],
        length=problem.length,
        now=now,
        first=edge[b],
        last=edge[b + 1],
    )


@inner_kernel
def _deliver_and_sweep(problem, work, window, b):
    """Bring the neurons of block ``b`` to the end of the window, but for those to be replayed."""
    own, run, shape = work.tally[b], work.counts[0], problem.shape
    choose_visits(shape, window, own)
    if own.dense == 0:
        visit_targets(shape, window, own, problem.rows, work.flights, run.flights, b)
    if run.last_sample > run.samples:
        place, is_dense = window.first + own.visited, own.dense > 0
        place = mark_sampled(window, problem.samples, run.samples, run.last_sample, is_dense, place)
        own.visited = place - window.first
    deliver(problem, work, b)
    sweep(shape, window, own, work.sums)


@inner_kernel
def _work_on(problem, work, b, thread):
    """Take block ``b`` through its window, or note what it lacks room for, to go on from there."""
    own, run = work.tally[b], work.counts[0]
    window = _window_of(problem, work, b, own.at)
    own.lack = 0
    if own.step == FINDING:
        t1 = (own.at + 1) * problem.length
        own.events = find_arrivals(problem.rows, work.flights, t1, problem.t_end, run.flights, b)
        own.replayed = 0
        own.step = DELIVERING
    if own.step == DELIVERING:
        if own.events >= work.hits.synapse.shape[1]:
            own.lack = 1
            return
        _deliver_and_sweep(problem, work, window, b)
        own.step = GATHERING
    if own.step == GATHERING and gather(problem, work, b, thread):
        own.step = REPLAYING
    if own.step == REPLAYING:
        if replay(problem, work, window, b, thread):
            _end_window(work, problem.max_spikes, b)
        else:
            own.step = GATHERING  # again, for the other replays


@inner_kernel
def _take_turn(problem, work, b, thread):
    """Take block ``b`` to the end of the turn, or to where room runs out."""
    while work.tally[b].step != WAITING:
        _work_on(problem, work, b, thread)
        if work.tally[b].lack != 0:
            break


@kernel
def start_windows(problem, work):
    """Wake the neurons that may fire unaided."""
    for b in range(work.tally.shape[0]):
        window = _window_of(problem, work, b, work.counts[0].now)
        count_driven(problem.shape, window, work.tally[b])


@inner_kernel
def _turn(problem, work, used, share, stop):
    """Close the turn at work, if there is one, and open the next; return a status."""
    if work.counts[0].phase > 0:
        status = close_turn(problem, work)
        if status != WORKING:
            return status
    if used >= share:
        return RUNNING
    if work.counts[0].now >= stop:
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
    resumes = work.counts[0].phase == 1  # room ran out in the middle of a turn
    while True:
        if thread == 0:
            status = np.int64(WORKING)
            if not resumes:
                status = np.int64(_turn(problem, work, used, share, stop))
            for b in range(n_blocks):
                used += 1 + work.tally[b].work
                work.tally[b].work = 0
            withdraw(work.claims)
            work.counts[0].status = status
        if not wait(barrier, n_threads):
            return RUNNING
        if work.counts[0].status != WORKING:
            return work.counts[0].status
        resumes = False
        for i in range(n_blocks):
            b = claim(work.claims, i, thread, n_threads)
            if b >= 0:
                _take_turn(problem, work, b, thread)
        if not wait(barrier, n_threads):
            return RUNNING
