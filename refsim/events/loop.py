"""The event engine: crossings, input spikes, arrivals and samples in one global order of time.

At equal times crossings come first (by neuron), then input spikes, then arrivals (by order of
emission of the source spike, then by synapse), then samples. A crossing that an arrival causes is
later than the arrival, by one unit in the last place if need be, so this order is total.

A spike holds one entry in the queue. Its synapses are sorted by delay; the entry delivers those
of equal delay and goes back with the time of the next: it walks. Where the queue has lanes, one
for each delay, a spike has an entry in the lane of each of its delays, so that none comes out of
turn; and so it is in a queue of time steps, whose slots keep the order of push.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from queues.compiled.jit import inner_kernel, kernel
from queues.exact import dispatch, indexed_heap
from queues.exact.indexed_heap import IndexedHeapArrays
from refsim.models import lif as neuron
from refsim.status import DONE, FULL, RUNNING, SPIKE_LIMIT
from refsim.transit import lossy
from refsim.transit.arrivals import arrival_time, step_of
from refsim.types import (
    Float,
    InputArrays,
    Int,
    Model,
    ModelTangent,
    SampleArrays,
    Scratch,
    State,
    StateTangent,
    Tape,
    Wiring,
    WiringTangent,
)


class Counts(NamedTuple):
    """Counters, arrays of one element."""

    spikes: Int
    emitted: Int  # spikes of neurons and input channels
    inputs: Int  # input spikes emitted
    samples: Int  # samples taken
    arrivals: Int  # synaptic events
    searches: Int  # searches for a crossing


class Margins(NamedTuple):
    """Distances from the next change of the spike pattern, arrays of one element."""

    gap: Float  # ms, between a crossing of a neuron and an arrival at it
    release_gap: Float  # ms, between the end of refractoriness and an arrival
    sample_gap: Float  # ms, between a sample of a free voltage and an arrival that bends it


class Problem(NamedTuple):
    """What a run is given and does not change in size."""

    model: Model
    wiring: Wiring
    inputs: InputArrays
    samples: SampleArrays
    t_end: float
    stop: float  # ms, where a run pauses: its end, beyond which nothing is entered, or earlier
    dt: float  # step of the grid of arrivals in ms, 0 for none
    unit: float  # of the times in the queue in ms: 1, or dt where they are steps
    lane: Int  # (S,) number of the synapse's delay among all; empty if entries walk
    entries: int  # most entries of a spike in the queue: 1 if they walk
    max_spikes: int
    with_tangent: bool
    model_dot: ModelTangent
    wiring_dot: WiringTangent


class Work(NamedTuple):
    """What a run changes; a run can stop between any two events and go on from here.

    Arrays that grow (queue, tape, origin) do so between calls, outside the kernels: a tuple of
    arrays that a kernel returns costs it the counting of all their references.
    """

    state: State
    state_dot: StateTangent
    crossings: IndexedHeapArrays  # next crossings, or times before which there is none
    is_exact: Int  # (n,) 1 where the heap holds the crossing itself
    tape: Tape
    origin: Int  # by order of emission: row of the tape, or -1 - number of the input spike
    counts: Counts
    margins: Margins
    scratch: Scratch


class Transit(NamedTuple):
    """Spikes under way.

    Its type is that of the queues. What does not take it is compiled once for all of them.
    """

    queue: Any  # arrays of any structure in queues.exact.dispatch
    losses: Any  # of refsim.transit.lossy: which spikes bounded queues have lost


@inner_kernel
def _flow(problem, work, n, dt):
    """Let neuron ``n``, which is not refractory, run freely for ``dt``."""
    state = work.state
    x = state.current[n]
    if problem.with_tangent:
        dot = work.state_dot
        dot.v[n] = neuron.flow_voltage_jvp(
            problem.model, problem.model_dot, n, state.v[n], dot.v[n], x, dot.current[n], dt
        )
        neuron.flow_current_jvp(problem.model, problem.model_dot, x, dot.current[n], dt)
    state.v[n] = neuron.flow_voltage(problem.model, n, state.v[n], x, dt)
    neuron.flow_current(problem.model, x, dt)


@inner_kernel
def _hold(problem, work, n, dt):
    """Let the currents of the refractory neuron ``n`` run for ``dt``."""
    x = work.state.current[n]
    if problem.with_tangent:
        x_dot = work.state_dot.current[n]
        neuron.flow_current_jvp(problem.model, problem.model_dot, x, x_dot, dt)
    neuron.flow_current(problem.model, x, dt)


@inner_kernel
def _release(problem, work, n):
    """End the refractoriness of neuron ``n`` now, and note the slope at which it leaves."""
    state = work.state
    after = neuron.slope(problem.model, n, state.v[n], state.current[n])
    work.tape.slope_after[state.last_spike[n]] = after
    if problem.with_tangent:
        dot = work.state_dot
        dot.v[n] = neuron.release_jvp(problem.model_dot.neurons, n, after, dot.release[n])
    state.release[n] = -1.0


@inner_kernel
def advance(problem, work, n, t):
    """Bring neuron ``n`` to time ``t``; at the end of refractoriness it is free."""
    state = work.state
    release = state.release[n]
    if release >= 0.0:
        if t < release:
            _hold(problem, work, n, t - state.time[n])
            state.time[n] = t
            return
        _hold(problem, work, n, release - state.time[n])
        state.time[n] = release
        _release(problem, work, n)
    _flow(problem, work, n, t - state.time[n])
    state.time[n] = t


@inner_kernel
def _copy_row(table, n, row):
    # Written out: the assignment of a slice compiles the text of numba's errors with it.
    for k in range(row.shape[0]):
        row[k] = table[n, k]


@inner_kernel
def expect(problem, work, n, now):
    """Enter a time before which neuron ``n`` does not cross, whatever comes, in the heap."""
    state = work.state
    start = max(state.time[n], state.release[n])
    wait = neuron.earliest_crossing(problem.model, n, state.v[n], state.current[n])
    t = math.inf
    if wait < math.inf:
        t = max(start + wait, math.nextafter(now, math.inf))
    work.is_exact[n] = 0
    indexed_heap.update(work.crossings, n, t if t <= problem.t_end else math.inf)


@inner_kernel
def _horizon(model, n, start, expected):
    """Return how far ahead to look for a crossing: twice as far as where it is expected, or more.

    Not up to the end of the run, for the last bit of a root depends on where its bracket ends, and
    a run that goes on would have other spikes than one with a later end.
    """
    slowest = model.neurons.rate[n]
    for i in range(model.ports.rate.shape[0]):
        slowest = min(slowest, model.ports.rate[i])
    horizon = max(8.0 / slowest, 1e-12 * start)
    while horizon < 2.0 * (expected - start):
        horizon *= 2.0
    return horizon


@inner_kernel
def predict(problem, work, n):
    """Replace the earliest time of a crossing of neuron ``n`` by the crossing itself.

    This waits until the loop has come to that time, for most searches would be in vain: another
    arrival comes first. The crossing is computed from the state at the last one all the same.
    """
    state = work.state
    work.counts.searches[0] += 1
    expected = work.crossings.time[n]
    x = work.scratch.current
    _copy_row(state.current, n, x)
    start = state.time[n]
    if state.release[n] > start:
        neuron.flow_current(problem.model, x, state.release[n] - start)
        start = state.release[n]
    horizon = _horizon(problem.model, n, start, expected)
    wait = neuron.next_crossing(problem.model, n, state.v[n], x, horizon, work.scratch)
    work.is_exact[n] = 1 if wait < math.inf else 0
    t = max(start + wait, expected) if wait < math.inf else start + horizon
    indexed_heap.update(work.crossings, n, t if t <= problem.t_end else math.inf)


@inner_kernel
def _in_lanes(problem):
    return problem.lane.shape[0] > 0


@inner_kernel
def _emit(problem, work, transit, source, t, t_dot, origin):
    """Put the first arrivals of a spike of ``source`` in the queue, or in lanes all of them."""
    wiring = problem.wiring
    emission_order = work.counts.emitted[0]
    work.origin[emission_order] = origin
    work.counts.emitted[0] += 1
    k = wiring.start[source]
    stop = wiring.start[source + 1]
    lossy.offer(transit.losses, problem.wiring, problem.dt, source, t, emission_order)
    order = emission_order * problem.entries
    while k < stop:
        arrival = arrival_time(problem.dt, t, wiring.delay[k])
        if arrival > problem.t_end:
            return
        if not _in_lanes(problem):
            dispatch.add(transit.queue, arrival, order, k, t_dot, np.int64(0))
            return
        time = arrival
        if problem.unit != 1.0:
            time = step_of(problem.unit, arrival)
        dispatch.add(transit.queue, time, order, k, t_dot, problem.lane[k])
        order += 1
        lane = problem.lane[k]
        while k < stop and problem.lane[k] == lane:
            k += 1


@inner_kernel
def fire(problem, work):
    """Record the earliest crossing as a spike and reset the neuron; return (t, its tangent)."""
    state = work.state
    tape = work.tape
    n = work.crossings.item[0]
    t = work.crossings.time[n]
    k = work.counts.spikes[0]
    work.margins.gap[0] = min(work.margins.gap[0], t - state.last_arrival[n])
    advance(problem, work, n, t)
    v_th = problem.model.neurons.v_th[n]
    before = neuron.slope(problem.model, n, v_th, state.current[n])
    tape.time[k] = t
    tape.neuron[k] = n
    tape.slope_before[k] = before
    tape.slope_after[k] = 0.0
    t_dot = 0.0
    if problem.with_tangent:
        dot = work.state_dot
        t_dot = neuron.later_by(problem.model_dot.neurons.v_th[n] - dot.v[n], before)
        tape.tangent[k] = t_dot
        dot.release[n] = t_dot + problem.model_dot.neurons.t_ref[n]
    state.v[n], state.release[n] = neuron.fire(problem.model, n, t)
    state.last_spike[n] = k
    state.last_emission[n] = work.counts.emitted[0]
    work.counts.spikes[0] += 1
    if state.release[n] <= t:
        advance(problem, work, n, t)
    expect(problem, work, n, t)
    return t, t_dot


@inner_kernel
def _fire_and_emit(problem, work, transit):
    """Let the neuron that is first to cross spike."""
    n = work.crossings.item[0]
    k = work.counts.spikes[0]
    t, t_dot = fire(problem, work)
    _emit(problem, work, transit, n, t, t_dot, k)


@inner_kernel
def _emit_input(problem, work, transit):
    """Emit the next input spike."""
    i = work.counts.inputs[0]
    work.counts.inputs[0] += 1
    inputs = problem.inputs
    t_dot = inputs.tangent[i] if problem.with_tangent else 0.0
    _emit(problem, work, transit, inputs.source[i], inputs.time[i], t_dot, -1 - i)


@inner_kernel
def _note_gaps(work, n, t, emission_order):
    """Update the margins with an arrival at neuron ``n``.

    What a spike sends to its own neuron follows it whatever happens: there is no gap between them.
    """
    state = work.state
    state.last_arrival[n] = t
    k = state.last_spike[n]
    if k >= 0 and emission_order != state.last_emission[n]:
        work.margins.gap[0] = min(work.margins.gap[0], t - work.tape.time[k])


@inner_kernel
def _note_bend(problem, work, synapse, n, t):
    """Update the margins with an arrival at neuron ``n``, if it bends the voltage.

    It does if its port has a single filter and the neuron is free. A sample of a neuron that is
    held is nearer to the release than to any arrival that bends.
    """
    if problem.model.ports.order[problem.wiring.port[synapse]] == 1 and work.state.release[n] < 0.0:
        work.state.last_bend[n] = t
        gap = t - work.state.last_sample[n]
        work.margins.sample_gap[0] = min(work.margins.sample_gap[0], gap)


@inner_kernel
def receive(problem, work, synapse, t, t_dot, emission_order):
    """Let a spike arrive over ``synapse`` at time ``t``."""
    wiring = problem.wiring
    n = wiring.post[synapse]
    weight = wiring.weight[synapse]
    state = work.state
    if state.last_spike[n] >= 0:
        release = work.tape.time[state.last_spike[n]] + problem.model.neurons.t_ref[n]
        work.margins.release_gap[0] = min(work.margins.release_gap[0], abs(t - release))
    advance(problem, work, n, t)
    p = wiring.port[synapse]
    if problem.with_tangent:
        dot, wiring_dot = work.state_dot, problem.wiring_dot
        late = t_dot + wiring_dot.delay[synapse]
        lost = neuron.arrive_jvp(
            problem.model, n, p, weight, wiring_dot.weight[synapse], late, dot.current[n]
        )
        if state.release[n] < 0.0:
            dot.v[n] -= lost
    neuron.arrive(problem.model, p, weight, state.current[n])
    _note_gaps(work, n, t, emission_order)
    _note_bend(problem, work, synapse, n, t)
    work.counts.arrivals[0] += 1
    expect(problem, work, n, t)


@inner_kernel
def emission(wiring, inputs, tape, origin):
    """Return (time, source) of a spike of a neuron or of an input channel."""
    if origin >= 0:
        return tape.time[origin], tape.neuron[origin]
    return inputs.time[-1 - origin], inputs.source[-1 - origin]


@inner_kernel
def _deliver(problem, work, transit):
    """Deliver the earliest arrivals of one spike; return at how many synapses."""
    wiring = problem.wiring
    queue = transit.queue
    top = dispatch.top(queue)
    t, order, synapse, t_dot = (
        queue.time[top] * problem.unit,
        queue.order[top],
        queue.payload[top],
        queue.tangent[top],
    )
    emission_order = order // problem.entries
    emitted, source = emission(wiring, problem.inputs, work.tape, work.origin[emission_order])
    delay = wiring.delay[synapse]
    stop = wiring.start[source + 1]
    first = synapse
    while synapse < stop and wiring.delay[synapse] == delay:
        if lossy.passes(transit.losses, wiring, problem.dt, source, synapse, t, emission_order):
            receive(problem, work, synapse, t, t_dot, emission_order)
        synapse += 1
    if synapse < stop and not _in_lanes(problem):
        following = arrival_time(problem.dt, emitted, wiring.delay[synapse])
        if following <= problem.t_end:
            dispatch.replace_top(queue, following, order, synapse, t_dot, np.int64(0))
            return synapse - first
    dispatch.pop(queue)
    return synapse - first


@inner_kernel
def read_sample(problem, work):
    """Read one voltage without advancing the neuron, so that samples cannot change a bit."""
    model = problem.model
    samples = problem.samples
    state = work.state
    i = work.counts.samples[0]
    work.counts.samples[0] += 1
    n = samples.neuron[i]
    t = samples.time[i]
    v = state.v[n]
    x = work.scratch.current
    _copy_row(state.current, n, x)
    start = state.time[n]
    release = state.release[n]
    if t < release:
        samples.voltage[i] = v
        if problem.with_tangent:
            samples.tangent[i] = problem.model_dot.neurons.v_reset[n]
        return
    state.last_sample[n] = t
    work.margins.sample_gap[0] = min(work.margins.sample_gap[0], t - state.last_bend[n])
    v_dot = 0.0
    x_dot = work.scratch.current_tangent
    if problem.with_tangent:
        v_dot = work.state_dot.v[n]
        _copy_row(work.state_dot.current, n, x_dot)
    if release >= 0.0:
        if problem.with_tangent:
            neuron.flow_current_jvp(model, problem.model_dot, x, x_dot, release - start)
        neuron.flow_current(model, x, release - start)
        after = neuron.slope(model, n, v, x)
        if problem.with_tangent:
            release_dot = work.state_dot.release[n]
            v_dot = neuron.release_jvp(problem.model_dot.neurons, n, after, release_dot)
        start = release
    samples.voltage[i] = neuron.flow_voltage(model, n, v, x, t - start)
    if problem.with_tangent:
        samples.tangent[i] = neuron.flow_voltage_jvp(
            model, problem.model_dot, n, v, v_dot, x, x_dot, t - start
        )


@inner_kernel
def _next_times(problem, work, transit):
    """Return the times of the next crossing, input, arrival and sample; inf for none."""
    crossing = math.inf
    if work.crossings.size[0] > 0:
        crossing = work.crossings.time[work.crossings.item[0]]
    given = math.inf
    if work.counts.inputs[0] < problem.inputs.time.shape[0]:
        given = problem.inputs.time[work.counts.inputs[0]]
    arrival = math.inf
    if transit.queue.size[0] > 0:
        arrival = transit.queue.time[dispatch.top(transit.queue)] * problem.unit
    sample = math.inf
    if work.counts.samples[0] < problem.samples.time.shape[0]:
        sample = problem.samples.time[work.counts.samples[0]]
    return crossing, given, arrival, sample


@inner_kernel
def begin(work, n, v0):
    """Leave neuron ``n`` as it is before a run, in which it begins at ``v0``."""
    state = work.state
    state.time[n] = 0.0
    state.v[n] = v0
    for k in range(state.current.shape[1]):
        state.current[n, k] = 0.0
    state.release[n] = -1.0
    state.last_spike[n] = -1
    state.last_emission[n] = -1
    state.last_arrival[n] = -math.inf
    state.last_bend[n] = -math.inf
    state.last_sample[n] = -math.inf
    work.crossings.time[n] = math.inf
    work.crossings.position[n] = -1
    work.is_exact[n] = 0


@kernel
def start(problem, work):
    """Expect the next crossing of every neuron."""
    for n in range(work.state.v.shape[0]):
        expect(problem, work, n, work.state.time[n])


@inner_kernel
def _has_room(problem, work, transit):
    """Return whether one more spike and one more emission find room."""
    counts = work.counts
    if counts.spikes[0] == work.tape.time.shape[0] or counts.emitted[0] == work.origin.shape[0]:
        return False
    if transit.queue.size[0] + problem.entries > transit.queue.time.shape[0]:
        return False
    return lossy.has_room(transit.losses)


@kernel
def run(problem, work, transit, share):
    """Process about ``share`` events and return a status.

    Crossings and arrivals after t_end are never entered, and nothing after the time to stop is
    processed, so that a run can go on from there.
    """
    used = np.int64(0)
    while used < share:
        if not _has_room(problem, work, transit):
            return FULL
        crossing, given, arrival, sample = _next_times(problem, work, transit)
        used += 1
        if min(min(crossing, given), min(arrival, sample)) > problem.stop:
            return DONE
        if crossing <= given and crossing <= arrival and crossing <= sample:
            n = work.crossings.item[0]
            if work.is_exact[n] == 0:
                predict(problem, work, n)
                continue
            if work.counts.spikes[0] == problem.max_spikes:
                return SPIKE_LIMIT
            _fire_and_emit(problem, work, transit)
        elif given <= arrival and given <= sample:
            _emit_input(problem, work, transit)
        elif arrival <= sample:
            used += _deliver(problem, work, transit)
        else:
            read_sample(problem, work)
    return RUNNING


@inner_kernel
def finish_neuron(problem, work, n):
    """Note the slope at a release of neuron ``n`` that no later event has reached."""
    release = work.state.release[n]
    if release >= 0.0 and release <= problem.t_end:
        advance(problem, work, n, release)


@kernel
def finish(problem, work):
    """Note the slope at the releases that no later event has reached."""
    for n in range(work.state.v.shape[0]):
        finish_neuron(problem, work, n)


@kernel
def settle(problem, work, t):
    """Bring every neuron to time ``t``, from which on other parameters hold."""
    for n in range(work.state.v.shape[0]):
        advance(problem, work, n, t)
