"""The event loop for many samples: one call simulates one after the other, in the same arrays.

What the samples are given lies end to end in order of the samples, and so does what they leave;
each is simulated on slices of these arrays by the event loop as it stands. A call ends early when
the tape is full or its share of events is used up, and the next one goes on from there.
"""

import math
from typing import NamedTuple

import numpy as np

from queues.compiled.jit import inner_kernel, kernel
from refsim.events import loop as event_loop
from refsim.events.loop import Problem, Work
from refsim.status import DONE, RUNNING
from refsim.types import (
    ARRIVALS,
    EMITTED,
    INPUTS,
    SEARCHES,
    SPIKES,
    InputArrays,
    Int,
    SampleArrays,
    Tape,
)


class Cursor(NamedTuple):
    """How far a task has come, arrays of one element."""

    sample: Int  # sample under way
    stop: Int  # sample after the last one of the task
    begun: Int  # 1 once the sample has begun
    spikes: Int  # rows of the tape that the samples before have filled
    emitted: Int  # emissions of the samples before


@inner_kernel
def _problem_of(problem, batch, i):
    """Return the problem of one sample."""
    a = batch.input_start[i]
    b = batch.input_start[i + 1]
    c = batch.sample_start[i]
    d = batch.sample_start[i + 1]
    return Problem(
        model=problem.model,
        wiring=problem.wiring,
        inputs=InputArrays(
            time=problem.inputs.time[a:b],
            source=problem.inputs.source[a:b],
            tangent=problem.inputs.tangent,
        ),
        samples=SampleArrays(
            time=problem.samples.time[c:d],
            neuron=problem.samples.neuron[c:d],
            voltage=problem.samples.voltage[c:d],
            tangent=problem.samples.tangent,
        ),
        t_end=problem.t_end,
        stop=problem.stop,
        dt=problem.dt,
        unit=problem.unit,
        lane=problem.lane,
        entries=problem.entries,
        max_spikes=problem.max_spikes,
        with_tangent=problem.with_tangent,
        model_dot=problem.model_dot,
        wiring_dot=problem.wiring_dot,
    )


@inner_kernel
def _work_of(work, cursor):
    """Return ``work`` with what is left of the tape."""
    first = cursor.spikes[0]
    return Work(
        state=work.state,
        state_dot=work.state_dot,
        crossings=work.crossings,
        is_exact=work.is_exact,
        tape=Tape(
            time=work.tape.time[first:],
            neuron=work.tape.neuron[first:],
            slope_before=work.tape.slope_before[first:],
            slope_after=work.tape.slope_after[first:],
            tangent=work.tape.tangent,
        ),
        origin=work.origin[cursor.emitted[0] :],
        counts=work.counts,
        margins=work.margins,
        scratch=work.scratch,
    )


@inner_kernel
def _clear(work, queue, v0):
    """Leave all as it is before a run."""
    for n in range(v0.shape[0]):
        event_loop.begin(work, n, v0[n])
    work.crossings.size[0] = 0
    queue.head[0] = 0
    queue.size[0] = 0
    counts = work.counts
    counts.spikes[0] = 0
    counts.emitted[0] = 0
    counts.inputs[0] = 0
    counts.samples[0] = 0
    counts.arrivals[0] = 0
    counts.searches[0] = 0
    work.margins.gap[0] = math.inf
    work.margins.release_gap[0] = math.inf
    work.margins.sample_gap[0] = math.inf


@inner_kernel
def _note(work, batch, i):
    """Note what has been done of sample ``i``."""
    counts = work.counts
    batch.counts[i, SPIKES] = counts.spikes[0]
    batch.counts[i, EMITTED] = counts.emitted[0]
    batch.counts[i, INPUTS] = counts.inputs[0]
    batch.counts[i, ARRIVALS] = counts.arrivals[0]
    batch.counts[i, SEARCHES] = counts.searches[0]
    batch.gaps[i, 0] = work.margins.gap[0]
    batch.gaps[i, 1] = work.margins.release_gap[0]
    batch.gaps[i, 2] = work.margins.sample_gap[0]


@inner_kernel
def _go_on(work, batch, cursor):
    """Pass from a sample that is done to the next one; return how many events it had."""
    i = cursor.sample[0]
    batch.is_done[i] = 1
    cursor.spikes[0] += work.counts.spikes[0]
    cursor.emitted[0] += work.counts.emitted[0]
    cursor.begun[0] = 0
    cursor.sample[0] = i + 1
    return batch.counts[i, INPUTS] + batch.counts[i, ARRIVALS] + batch.counts[i, SEARCHES]


@kernel
def run_samples(problem, work, transit, batch, cursor, share):
    """Process a few times ``share`` events at most and return a status, DONE after the last one.

    Inputs and voltage samples of ``problem`` are those of all samples, the tape of ``work`` is that
    of this task. The queue is a heap or a ring.
    """
    used = np.int64(0)
    while cursor.sample[0] < cursor.stop[0]:
        if used >= share:
            return RUNNING
        i = cursor.sample[0]
        one = _problem_of(problem, batch, i)
        own = _work_of(work, cursor)
        if cursor.begun[0] == 0:
            _clear(own, transit.queue, batch.v0)
            event_loop.start(one, own)
            cursor.begun[0] = 1
        status = event_loop.run(one, own, transit, share)
        _note(own, batch, i)
        if status != DONE:
            return status
        event_loop.finish(one, own)
        used += _go_on(own, batch, cursor)
    return DONE
