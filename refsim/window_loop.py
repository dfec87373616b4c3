"""The window engine: neurons advance by windows in which no spike can reach another neuron.

A window is no longer than the shortest delay between neurons, so all its arrivals are known when it
begins. What an arrival will have done to the state of its target at the end of the window depends
on nothing but its time; the sum over arrivals needs no order and no exponential per arrival.

Whether a neuron may cross its threshold in between is decided by a bound. The window is not longer
than the time in which the response to an arrival rises, so in it the voltage stays below the sum of
what excites at the end of the window, from the higher end of the leak. Neurons whose bound reaches
the threshold, or whose refractoriness ends, are replayed: their arrivals are collected, sorted, and
taken one by one, by the functions of the event engine.

A neuron that receives nothing and cannot fire unaided sleeps, and is later advanced over all its
windows at once.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queues.jit import inner_kernel, kernel
from refsim import model as neuron
from refsim.exponentials import convolve2, convolve3
from refsim.status import DONE, FULL, RUNNING, SPIKE_LIMIT
from refsim.types import Float, InputArrays, Int, Model, SampleArrays, Scratch, Tape, Wiring

# Columns of the sums of a neuron: its voltage, the part that excites, the number of the window,
# and then its synaptic states.
_VOLTAGE, _EXCITED, _WINDOW, _STATES = 0, 1, 2, 3


class WindowTables(NamedTuple):
    """What a window does to states; class c is that of neurons with one membrane time constant.

    A polynomial in 2 u/length - 1 gives the response at the end of a window, u after an arrival.
    """

    kind: Int  # (n,) class of each neuron
    rate: Float  # (C,) 1/tau_m of each class
    decay: Float  # (C, M) of the voltage over m windows
    lift: Float  # (C, M, K) voltage over m windows, for synaptic states of 1
    fade: Float  # (M, K) of the synaptic states over m windows
    feed: Float  # (M, K) of the first state of a cascade into the next
    poly_v: Float  # (P, C, D) response of the voltage to an arrival; (P, 0, D) for many classes
    poly_x: Float  # (P, 2, D) response of the synaptic states of the port


class WindowProblem(NamedTuple):
    """What a run is given."""

    model: Model
    wiring: Wiring
    post: NDArray[np.int32]  # (S,) targets, in 4 bytes
    inputs: InputArrays
    samples: SampleArrays
    tables: WindowTables
    length: float  # of a window, ms
    t_end: float
    max_spikes: int


class Flights(NamedTuple):
    """Spikes under way, in order of emission but for those of one window."""

    time: Float  # ms, of emission
    source: Int
    is_input: Int  # 1 for an input spike
    begin: Int  # first synapse that is reached in this window
    end: Int  # the one after the last that is


class Gathered(NamedTuple):
    """Arrivals of this window at the neurons that are replayed, chained by neuron."""

    time: Float  # ms
    fall_v: Float  # e^{-s/tau_m}, s from the begin of the window to the arrival
    fall_x: Float  # e^{-rate s}, for the rate of the only state
    flight: Int
    synapse: Int
    link: Int  # next arrival at the same neuron, -1 for none
    first: Int  # (n,) by place in the list of replays: its first arrival
    last: Int  # (n,)
    size: Int  # (n,)
    order: Int  # scratch: arrivals of one neuron, sorted


class WindowWork(NamedTuple):
    """What a run changes; it can stop between windows, and between replays, and go on."""

    v: Float  # (n,) at the beginning of window ``reached``
    x: Float  # (n, K)
    reached: Int  # (n,)
    release: Float  # (n,) end of refractoriness, -1 for a neuron that is free
    last_spike: Int  # (n,) row of the tape, -1 before the first
    sums: Float  # (n, 3 + K)
    visited: Int  # (n,) neurons of this window
    awake: Int  # (n,) neurons that the next window must visit
    place: Int  # (n,) in the list of replays, -1 elsewhere
    replays: Int  # (n,)
    flights: Flights
    gathered: Gathered
    tape: Tape
    found: Tape  # spikes of this window, by neuron
    sequence: Int  # scratch of the sort: two columns of rows of ``found``
    counts: Int  # see the names below
    gap: Float  # (2,) ms, smallest distance of an arrival from a crossing, and from a release
    scratch: Scratch
    state: Float  # (K,) of the neuron that is replayed
    skim: Float  # (3,) time, voltage and state to which a neuron has been skimmed


# Indices of ``counts``.
(
    _NOW,  # number of the window
    _PHASE,  # 0: arrivals are still to be delivered; 1: neurons are being replayed
    _SPIKES,
    _FOUND,  # spikes of this window
    _FLIGHTS,
    _INPUTS,
    _SAMPLES,  # samples taken
    _LAST_SAMPLE,  # and those of this window
    _VISITED,
    _AWAKE,
    _REPLAYS,
    _DONE,  # of the replays
    _ARRIVALS,
    _EVENTS,  # arrivals of this window
    _SEARCHES,
    _REPLAYED,  # neurons replayed in all
    N_COUNTS,
) = range(17)


@kernel
def responses(model, rate, p, u, out):
    """Write what an arrival at port ``p`` has done after ``u``: to the voltage, and to its states.

    The voltage is that of a neuron with 1/tau_m = ``rate``.
    """
    i = model.ports.first[p]
    r = model.ports.rate[i]
    out[1] = math.exp(-r * u)
    out[2] = 0.0
    if model.ports.order[p] == 1:
        out[0] = rate * convolve2(rate, r, u)
    else:
        s = model.ports.rate[i + 1]
        out[0] = rate * model.ports.gain[p] * convolve3(rate, r, s, u)
        out[2] = model.ports.gain[p] * convolve2(r, s, u)


@inner_kernel
def _advance(problem, work, n, windows):
    """Advance a free neuron without arrivals over whole windows."""
    if windows == 0:
        return
    tables = problem.tables
    if windows >= tables.fade.shape[0]:
        dt = windows * problem.length
        work.v[n] = neuron.flow_voltage(problem.model, n, work.v[n], work.x[n], dt)
        neuron.flow_current(problem.model, work.x[n], dt)
        return
    c = tables.kind[n]
    drive = problem.model.neurons.drive[n]
    v = drive + (work.v[n] - drive) * tables.decay[c, windows]
    for k in range(work.x.shape[1]):
        v += work.x[n, k] * tables.lift[c, windows, k]
    work.v[n] = v
    _advance_states(problem, work, n, windows)


@inner_kernel
def _advance_states(problem, work, n, windows):
    """Advance the synaptic states of a neuron over whole windows, few enough for the tables."""
    tables = problem.tables
    for k in range(work.x.shape[1] - 1, -1, -1):
        x = work.x[n, k] * tables.fade[windows, k]
        if k > 0 and tables.feed[windows, k - 1] != 0.0:
            x += work.x[n, k - 1] * tables.feed[windows, k - 1]
        work.x[n, k] = x


@inner_kernel
def _visit(problem, work, n):
    """Bring a neuron to the beginning of this window and put it on the list."""
    now = work.counts[_NOW]
    if work.release[n] < 0.0:
        _advance(problem, work, n, now - work.reached[n])
    work.reached[n] = now
    for k in range(work.sums.shape[1]):
        work.sums[n, k] = 0.0
    work.sums[n, _WINDOW] = now + 1.0  # 0 stands for none
    work.visited[work.counts[_VISITED]] = n
    work.counts[_VISITED] += 1


@inner_kernel
def _polynomial(coefficients, z):
    total = coefficients[coefficients.shape[0] - 1]
    for d in range(coefficients.shape[0] - 2, -1, -1):
        total = total * z + coefficients[d]
    return total


@inner_kernel
def _add(work, n, i, second, weight, to_voltage, to_first, to_second):
    """Add one arrival to the sums of its target."""
    lift = weight * to_voltage
    work.sums[n, _VOLTAGE] += lift
    if lift > 0.0:
        work.sums[n, _EXCITED] += lift
    work.sums[n, _STATES + i] += weight * to_first
    if second:
        work.sums[n, _STATES + i + 1] += weight * to_second


@inner_kernel
def _deliver_together(problem, work, time, begin, end):
    """Deliver one spike to synapses of equal delay: all have the same response."""
    model = problem.model
    wiring = problem.wiring
    u = (work.counts[_NOW] + 1) * problem.length - time
    stamp = work.counts[_NOW] + 1.0
    response = work.scratch.roots  # three numbers of room
    port = np.int64(-1)
    kind = np.int64(-1)
    i = np.int64(0)
    second = False
    to_voltage, to_first, to_second = 0.0, 0.0, 0.0
    for k in range(begin, end):
        n = np.int64(problem.post[k])
        if work.sums[n, _WINDOW] != stamp:
            _visit(problem, work, n)
        if wiring.port[k] != port or problem.tables.kind[n] != kind:
            port = wiring.port[k]
            kind = problem.tables.kind[n]
            responses(model, problem.tables.rate[kind], port, u, response)
            to_voltage, to_first, to_second = response[0], response[1], response[2]
            i = model.ports.first[port]
            second = model.ports.order[port] == 2
        _add(work, n, i, second, wiring.weight[k], to_voltage, to_first, to_second)


@inner_kernel
def _deliver_apart(problem, work, time, begin, end):
    """Deliver one spike to synapses of several delays, by polynomials."""
    model = problem.model
    wiring = problem.wiring
    tables = problem.tables
    t1 = (work.counts[_NOW] + 1) * problem.length
    stamp = work.counts[_NOW] + 1.0
    scale = 2.0 / problem.length
    response = work.scratch.roots  # three numbers of room
    for k in range(begin, end):
        n = np.int64(problem.post[k])
        if work.sums[n, _WINDOW] != stamp:
            _visit(problem, work, n)
        z = (t1 - (time + wiring.delay[k])) * scale - 1.0
        port = wiring.port[k]
        second = model.ports.order[port] == 2
        if tables.poly_v.shape[1] == 0:
            rate = tables.rate[tables.kind[n]]
            responses(model, rate, port, t1 - (time + wiring.delay[k]), response)
            i = model.ports.first[port]
            _add(work, n, i, second, wiring.weight[k], response[0], response[1], response[2])
            continue
        to_second = _polynomial(tables.poly_x[port, 1], z) if second else 0.0
        _add(
            work,
            n,
            model.ports.first[port],
            second,
            wiring.weight[k],
            _polynomial(tables.poly_v[port, tables.kind[n]], z),
            _polynomial(tables.poly_x[port, 0], z),
            to_second,
        )


@inner_kernel
def _arrives(problem, time, t1):
    return time < t1 and time <= problem.t_end


@kernel
def _deliver(problem, work):
    """Deliver all arrivals of this window, and note which synapses of each spike they were."""
    flights = work.flights
    wiring = problem.wiring
    t1 = (work.counts[_NOW] + 1) * problem.length
    events = np.int64(0)
    for f in range(work.counts[_FLIGHTS]):
        begin = flights.end[f]
        stop = wiring.start[flights.source[f] + 1]
        time = flights.time[f]
        end = begin
        if begin < stop and time + wiring.delay[stop - 1] < t1 and t1 <= problem.t_end:
            end = stop
        else:
            while end < stop and _arrives(problem, time + wiring.delay[end], t1):
                end += 1
        flights.begin[f] = begin
        flights.end[f] = end
        if end > begin:
            events += end - begin
            if wiring.delay[begin] == wiring.delay[end - 1]:
                _deliver_together(problem, work, time + wiring.delay[begin], begin, end)
            else:
                _deliver_apart(problem, work, time, begin, end)
    work.counts[_EVENTS] = events
    work.counts[_ARRIVALS] += events


@inner_kernel
def _launch_inputs(problem, work):
    """Take the input spikes before the end of this window on their way."""
    t1 = (work.counts[_NOW] + 1) * problem.length
    inputs = problem.inputs
    i = work.counts[_INPUTS]
    while i < inputs.time.shape[0] and inputs.time[i] < t1:
        _launch(problem, work, inputs.time[i], inputs.source[i], np.int64(1))
        i += 1
    work.counts[_INPUTS] = i


@inner_kernel
def _launch(problem, work, time, source, is_input):
    """Take a spike on its way."""
    flights = work.flights
    start = problem.wiring.start[source]
    if start == problem.wiring.start[source + 1]:
        return
    f = work.counts[_FLIGHTS]
    flights.time[f] = time
    flights.source[f] = source
    flights.is_input[f] = is_input
    flights.begin[f] = start
    flights.end[f] = start
    work.counts[_FLIGHTS] += 1


@inner_kernel
def _land(problem, work):
    """Forget the spikes that have reached all their synapses."""
    flights = work.flights
    kept = np.int64(0)
    for f in range(work.counts[_FLIGHTS]):
        if flights.end[f] < problem.wiring.start[flights.source[f] + 1]:
            flights.time[kept] = flights.time[f]
            flights.source[kept] = flights.source[f]
            flights.is_input[kept] = flights.is_input[f]
            flights.end[kept] = flights.end[f]
            kept += 1
    work.counts[_FLIGHTS] = kept


@inner_kernel
def _mark(work, n):
    """Put a visited neuron on the list of replays, once."""
    if work.place[n] >= 0:
        return
    i = work.counts[_REPLAYS]
    work.place[n] = i
    work.replays[i] = n
    work.counts[_REPLAYS] += 1


@inner_kernel
def _mark_sampled(problem, work):
    """Put the neurons whose voltage is read in this window on the list of replays."""
    t1 = (work.counts[_NOW] + 1) * problem.length
    i = work.counts[_SAMPLES]
    while i < problem.samples.time.shape[0] and problem.samples.time[i] < t1:
        n = problem.samples.neuron[i]
        if work.sums[n, _WINDOW] != work.counts[_NOW] + 1.0:
            _visit(problem, work, n)
        _mark(work, n)
        i += 1
    work.counts[_LAST_SAMPLE] = i


@inner_kernel
def _keep_awake(work, n):
    work.awake[work.counts[_AWAKE]] = n
    work.counts[_AWAKE] += 1


@inner_kernel
def _may_fire(problem, n, v, x):
    """Return whether a neuron that receives nothing may fire at some time."""
    neurons = problem.model.neurons
    if neurons.drive[n] > neurons.v_th[n]:
        return True
    return neuron.earliest_crossing(problem.model, n, v, x) < math.inf


@inner_kernel
def _settle(work, n):
    """Leave a neuron at the end of this window; it is visited again if it may fire unaided."""
    work.reached[n] = work.counts[_NOW] + 1


@inner_kernel
def _has_summit(problem, work, n, c, after):
    """Return whether the voltage would first rise and then fall, without arrivals.

    With one exponential port it has no other extremum; ``after`` is its value at the end.
    """
    drive = problem.model.neurons.drive[n]
    x = work.x[n, 0]
    if drive - work.v[n] + x <= 0.0:
        return False
    return drive - after + x * problem.tables.fade[1, 0] < 0.0


@inner_kernel
def _finish_quietly(problem, work, n):
    """Take a free neuron to the end of the window, if certainly nothing happens to it; or mark it.

    The margin covers the rounding of a sum of a handful of terms.
    """
    tables = problem.tables
    neurons = problem.model.neurons
    c = tables.kind[n]
    drive = neurons.drive[n]
    leak = drive + (work.v[n] - drive) * tables.decay[c, 1]
    v = leak
    highest = max(work.v[n], leak)
    for k in range(work.x.shape[1]):
        lift = work.x[n, k] * tables.lift[c, 1, k]
        v += lift
        highest += max(lift, 0.0)
    if work.x.shape[1] == 1 and not _has_summit(problem, work, n, c, v):
        highest = max(work.v[n], v)
    highest += work.sums[n, _EXCITED]
    margin = 1e-13 * (abs(drive) + abs(work.v[n]) + abs(highest) + abs(work.sums[n, _VOLTAGE]))
    if highest + margin >= neurons.v_th[n]:
        _mark(work, n)
        return
    work.v[n] = v + work.sums[n, _VOLTAGE]
    _end_states(problem, work, n)
    if _may_fire(problem, n, work.v[n], work.x[n]):
        _keep_awake(work, n)


@inner_kernel
def _end_states(problem, work, n):
    """Take the synaptic states of a neuron to the end of the window."""
    _advance_states(problem, work, n, np.int64(1))
    for k in range(work.x.shape[1]):
        work.x[n, k] += work.sums[n, _STATES + k]
    _settle(work, n)


@kernel
def _sweep(problem, work):
    """Take the visited neurons to the end of the window, but for those to be replayed."""
    t1 = (work.counts[_NOW] + 1) * problem.length
    for i in range(work.counts[_VISITED]):
        n = work.visited[i]
        if work.place[n] >= 0:
            continue
        if work.release[n] < 0.0:
            _finish_quietly(problem, work, n)
        elif work.release[n] <= t1:
            _mark(work, n)
        else:
            _end_states(problem, work, n)
            _keep_awake(work, n)


@kernel
def _gather(problem, work):
    """Chain the arrivals of this window at the neurons to be replayed."""
    gathered = work.gathered
    flights = work.flights
    delay = problem.wiring.delay
    t0 = work.counts[_NOW] * problem.length
    skims = work.x.shape[1] == 1
    for i in range(work.counts[_REPLAYS]):
        gathered.first[i] = -1
        gathered.size[i] = 0
    g = np.int64(0)
    for f in range(work.counts[_FLIGHTS]):
        time = flights.time[f]
        last = -1.0
        kind = np.int64(-1)
        fall_v, fall_x = 1.0, 1.0
        for k in range(flights.begin[f], flights.end[f]):
            place = work.place[problem.post[k]]
            if place < 0:
                continue
            if skims and (delay[k] != last or problem.tables.kind[problem.post[k]] != kind):
                last = delay[k]
                kind = problem.tables.kind[problem.post[k]]
                since = max(time + last - t0, 0.0)
                fall_v = math.exp(-problem.tables.rate[kind] * since)
                fall_x = math.exp(-problem.model.ports.rate[0] * since)
            gathered.time[g] = time + delay[k]
            gathered.fall_v[g] = fall_v
            gathered.fall_x[g] = fall_x
            gathered.flight[g] = f
            gathered.synapse[g] = k
            gathered.link[g] = -1
            if gathered.first[place] < 0:
                gathered.first[place] = g
            else:
                gathered.link[gathered.last[place]] = g
            gathered.last[place] = g
            gathered.size[place] += 1
            g += 1


@inner_kernel
def _comes_before(work, a, b):
    """Return whether arrival ``a`` is before ``b`` in the order of the event engine."""
    gathered = work.gathered
    if gathered.time[a] != gathered.time[b]:
        return gathered.time[a] < gathered.time[b]
    fa, fb = gathered.flight[a], gathered.flight[b]
    if fa != fb:
        flights = work.flights
        if flights.time[fa] != flights.time[fb]:
            return flights.time[fa] < flights.time[fb]
        if flights.is_input[fa] != flights.is_input[fb]:
            return flights.is_input[fa] < flights.is_input[fb]
        return fa < fb
    return gathered.synapse[a] < gathered.synapse[b]


@inner_kernel
def _sort_arrivals(work, place):
    """Write the arrivals of one neuron to ``order``, sorted; most come in order already."""
    order = work.gathered.order
    g = work.gathered.first[place]
    size = np.int64(0)
    while g >= 0:
        i = size
        while i > 0 and _comes_before(work, g, order[i - 1]):
            order[i] = order[i - 1]
            i -= 1
        order[i] = g
        size += 1
        g = work.gathered.link[g]
    return size


@inner_kernel
def _note_gap(work, i, distance):
    work.gap[i] = min(work.gap[i], abs(distance))


@inner_kernel
def _certainly_below(problem, n, v, x, after, dt):
    """Return whether the voltage certainly stays below threshold for ``dt``, to end ``after``.

    With one exponential port the voltage has one extremum at most, and none that is a maximum
    unless it rises at first and falls in the end. In general the response to each state that
    excites is bounded by what it is at the end, since within a window it rises.
    """
    model = problem.model
    v_th = model.neurons.v_th[n]
    if after >= v_th:
        return False
    ports = model.ports
    a = model.neurons.rate[n]
    drive = model.neurons.drive[n]
    if x.shape[0] == 1:
        if drive - v + x[0] <= 0.0:
            return True
        return drive - after + x[0] * math.exp(-ports.rate[0] * dt) > 0.0
    highest = max(v, drive + (v - drive) * math.exp(-a * dt))
    for p in range(ports.first.shape[0]):
        i = ports.first[p]
        if ports.order[p] == 2:
            s = ports.rate[i + 1]
            highest += a * max(x[i + 1], 0.0) * convolve2(a, s, dt)
            lift = ports.gain[p] * convolve3(a, ports.rate[i], s, dt)
            highest += a * max(x[i], 0.0) * lift
        else:
            highest += a * max(x[i], 0.0) * convolve2(a, ports.rate[i], dt)
    return highest + 1e-13 * (abs(highest) + abs(drive) + abs(v)) < v_th


@inner_kernel
def _release_slope(problem, work, n, v, x, spike, own):
    """Note the slope at the end of refractoriness in the row of the spike."""
    after = neuron.slope(problem.model, n, v, x)
    if own >= 0:
        work.found.slope_after[own] = after
    else:
        work.tape.slope_after[spike] = after


@inner_kernel
def _read_samples(problem, work, n, v, x, time, until, is_held, i):
    """Read the samples of neuron ``n`` before the time ``until``; return the next sample."""
    samples = problem.samples
    while i < work.counts[_LAST_SAMPLE] and samples.time[i] < until:
        if samples.neuron[i] == n:
            if is_held:
                samples.voltage[i] = v
            else:
                dt = max(samples.time[i] - time, 0.0)
                samples.voltage[i] = neuron.flow_voltage(problem.model, n, v, x, dt)
        i += 1
    return i


@inner_kernel
def _can_skim(problem, work, n):
    """Return whether the closed form of one exponential port is well enough conditioned here."""
    if work.x.shape[1] != 1 or work.counts[_LAST_SAMPLE] > work.counts[_SAMPLES]:
        return False
    a = problem.model.neurons.rate[n]
    r = problem.model.ports.rate[0]
    return abs(r - a) > 0.01 * (r + a)


@inner_kernel
def _skim(problem, work, n, size):
    """Take a neuron to the last arrival before it may cross, in coordinates of the window.

    With s from the begin of the window, V = drive + p e^{-a s} - c x e^{-r s}, c = a/(r - a); an
    arrival of weight w adds c w e^{a s} to p and w e^{r s} to x, and needs no exponential of its
    own. Return the number of arrivals that were taken, or -1 if the neuron certainly does not cross
    to the end of the window; ``skim`` holds the state there.
    """
    model = problem.model
    gathered = work.gathered
    weight = problem.wiring.weight
    t0 = work.counts[_NOW] * problem.length
    t1 = (work.counts[_NOW] + 1) * problem.length
    a = model.neurons.rate[n]
    r = model.ports.rate[0]
    c = a / (r - a)
    drive = model.neurons.drive[n]
    v_th = model.neurons.v_th[n]
    x = work.x[n, 0]
    i = np.int64(0)
    time = t0
    fall_v, fall_x = 1.0, 1.0
    v = work.v[n]
    release = work.release[n]
    if release >= 0.0:
        while i < size and gathered.time[gathered.order[i]] < release:
            g = gathered.order[i]
            _note_release_gap(problem, work, n, np.int64(-1), gathered.time[g])
            x += weight[gathered.synapse[g]] / gathered.fall_x[g]
            i += 1
        time = max(release, t0)
        fall_v = math.exp(-a * (time - t0))
        fall_x = math.exp(-r * (time - t0))
        if time <= problem.t_end:
            work.tape.slope_after[work.last_spike[n]] = a * (drive - v + x * fall_x)
        work.release[n] = -1.0
    p = (v - drive + c * x * fall_x) / fall_v
    slope = a * (drive - v + x * fall_x)
    c_table = problem.tables.kind[n]
    while True:
        g = np.int64(-1)
        until = t1
        next_v, next_x = problem.tables.decay[c_table, 1], problem.tables.fade[1, 0]
        if i < size:
            g = gathered.order[i]
            until = max(gathered.time[g], time)
            next_v, next_x = gathered.fall_v[g], gathered.fall_x[g]
        after = drive + p * next_v - c * x * next_x
        slope_after = a * (drive - after + x * next_x)
        highest = max(v, after)
        if slope > 0.0 and slope_after < 0.0:
            steepest = max(-a * p * fall_v, -a * p * next_v)
            steepest += max(r * c * x * fall_x, r * c * x * next_x)
            highest = v + steepest * (until - time)
        margin = 1e-12 * (abs(drive) + abs(p) + abs(c * x))
        if highest + margin >= v_th:
            work.skim[0] = time
            work.skim[1] = v
            work.skim[2] = x * fall_x
            return i
        time, v, fall_v, fall_x = until, after, next_v, next_x
        if g < 0:
            work.skim[0] = t1
            work.skim[1] = v
            work.skim[2] = x * fall_x
            return np.int64(-1)
        w = weight[gathered.synapse[g]]
        if work.last_spike[n] >= 0:
            _note_release_gap(problem, work, n, np.int64(-1), until)
        p += c * w / fall_v
        x += w / fall_x
        slope = a * (drive - v + x * fall_x)
        i += 1


@inner_kernel
def _leave(problem, work, n, v, x, release):
    """Leave a neuron at the end of the window with this state."""
    work.v[n] = v
    for k in range(x.shape[0]):
        work.x[n, k] = x[k]
    work.release[n] = release
    _settle(work, n)
    if release >= 0.0 or neuron.earliest_crossing(problem.model, n, v, work.x[n]) < math.inf:
        _keep_awake(work, n)


@inner_kernel
def _replay(problem, work, place):
    """Take one neuron through the window event by event; return False if room ran out."""
    model = problem.model
    n = work.replays[place]
    size = _sort_arrivals(work, place)
    t0 = work.counts[_NOW] * problem.length
    t1 = (work.counts[_NOW] + 1) * problem.length
    x = work.state
    for k in range(x.shape[0]):
        x[k] = work.x[n, k]
    v = work.v[n]
    time = t0
    release = work.release[n]
    own = np.int64(-1)  # row of ``found`` of the neuron's last spike, if it is of this window
    held_until = release
    spikes_before = work.counts[_FOUND]
    sample = work.counts[_SAMPLES]
    earliest = t0
    i = np.int64(0)
    if _can_skim(problem, work, n):
        i = _skim(problem, work, n, size)
        time, v, x[0] = work.skim[0], work.skim[1], work.skim[2]
        release = -1.0
        if i < 0:
            _leave(problem, work, n, v, x, release)
            return True
        if i > 0:
            earliest = np.nextafter(time, math.inf)
    while True:
        arrival = math.inf
        if i < size:
            arrival = max(work.gathered.time[work.gathered.order[i]], t0)
        until = min(arrival, t1)
        if release >= 0.0:
            # Held: nothing happens before the arrival or the release.
            free = min(release, until)
            sample = _read_samples(problem, work, n, v, x, time, free, True, sample)
            if free > time:
                neuron.flow_current(model, x, free - time)
                time = free
            if release <= until:
                if release <= problem.t_end:
                    _release_slope(problem, work, n, v, x, work.last_spike[n], own)
                release = -1.0
                earliest = max(earliest, time)
                continue
        else:
            wait = math.inf
            dt = max(until - time, 0.0)
            after = neuron.flow_voltage(model, n, v, x, dt)
            if not _certainly_below(problem, n, v, x, after, dt):
                work.counts[_SEARCHES] += 1
                wait = neuron.next_crossing(model, n, v, x, dt, work.scratch)
            if wait < math.inf:
                t = max(min(time + wait, until), earliest)
                sample = _read_samples(problem, work, n, v, x, time, t, False, sample)
                if t > problem.t_end:
                    break
                if work.counts[_FOUND] == work.found.time.shape[0]:
                    # Once there is room the replay starts again from the begin of the window.
                    work.counts[_FOUND] = spikes_before
                    work.release[n] = held_until
                    return False
                neuron.flow_current(model, x, t - time)
                time = t
                own = work.counts[_FOUND]
                work.counts[_FOUND] += 1
                found = work.found
                found.time[own] = t
                found.neuron[own] = n
                found.slope_before[own] = neuron.slope(model, n, model.neurons.v_th[n], x)
                found.slope_after[own] = 0.0
                v = model.neurons.v_reset[n]
                release = t + model.neurons.t_ref[n]
                if i < size:
                    _note_gap(work, 0, arrival - t)
                if i > 0:
                    _note_gap(work, 0, t - work.gathered.time[work.gathered.order[i - 1]])
                own_spikes = work.counts[_FOUND] - spikes_before
                if own_spikes > problem.max_spikes - work.counts[_SPIKES]:
                    break  # whatever the other neurons do, the limit comes before this spike
                continue
            sample = _read_samples(problem, work, n, v, x, time, until, False, sample)
            v = after
            neuron.flow_current(model, x, dt)
            time = max(time, until)
        if arrival > t1 or i == size:
            break
        k = work.gathered.synapse[work.gathered.order[i]]
        if release >= 0.0 or work.last_spike[n] >= 0 or own >= 0:
            _note_release_gap(problem, work, n, own, arrival)
        neuron.arrive(model, problem.wiring.port[k], problem.wiring.weight[k], x)
        earliest = np.nextafter(time, math.inf)
        i += 1
    _read_samples(problem, work, n, v, x, time, math.inf, release >= 0.0, sample)
    _leave(problem, work, n, v, x, release)
    return True


@inner_kernel
def _note_release_gap(problem, work, n, own, arrival):
    """Note how far an arrival is from the end of the neuron's last refractoriness."""
    spike = work.found.time[own] if own >= 0 else work.tape.time[work.last_spike[n]]
    _note_gap(work, 1, arrival - (spike + problem.model.neurons.t_ref[n]))


@inner_kernel
def _found_before(work, a, b):
    found = work.found
    if found.time[a] != found.time[b]:
        return found.time[a] < found.time[b]
    return found.neuron[a] < found.neuron[b]


@inner_kernel
def _sort_found(work):
    """Return which half of ``sequence`` holds the rows of ``found``, merged into order."""
    size = work.counts[_FOUND]
    room = work.found.time.shape[0]
    source, target = np.int64(0), room
    for i in range(size):
        work.sequence[i] = i
    width = np.int64(1)
    while width < size:
        for low in range(0, size, 2 * width):
            middle = min(low + width, size)
            high = min(low + 2 * width, size)
            a, b = low, middle
            for k in range(low, high):
                take_a = b >= high
                if not take_a and a < middle:
                    take_a = not _found_before(
                        work, work.sequence[source + b], work.sequence[source + a]
                    )
                if take_a:
                    work.sequence[target + k] = work.sequence[source + a]
                    a += 1
                else:
                    work.sequence[target + k] = work.sequence[source + b]
                    b += 1
        source, target = target, source
        width *= 2
    return source


@kernel
def _record(problem, work):
    """Move the spikes of this window to the tape, in order, and take them on their way."""
    tape = work.tape
    found = work.found
    rows = _sort_found(work)
    for i in range(work.counts[_FOUND]):
        row = work.sequence[rows + i]
        if found.time[row] > problem.t_end:
            break
        if work.counts[_SPIKES] == problem.max_spikes:
            return SPIKE_LIMIT
        k = work.counts[_SPIKES]
        tape.time[k] = found.time[row]
        tape.neuron[k] = found.neuron[row]
        tape.slope_before[k] = found.slope_before[row]
        tape.slope_after[k] = found.slope_after[row]
        work.last_spike[found.neuron[row]] = k
        work.counts[_SPIKES] += 1
        _launch(problem, work, found.time[row], found.neuron[row], np.int64(0))
    return RUNNING


@kernel
def _visit_awake(problem, work):
    """Begin a window with the neurons that may fire unaided."""
    awake = work.counts[_AWAKE]
    work.counts[_AWAKE] = 0
    work.counts[_VISITED] = 0
    work.counts[_REPLAYS] = 0
    work.counts[_DONE] = 0
    work.counts[_FOUND] = 0
    for i in range(awake):
        _visit(problem, work, work.awake[i])


@inner_kernel
def _begin(problem, work):
    """Deliver what arrives in this window, and find out which neurons to replay."""
    _visit_awake(problem, work)
    _launch_inputs(problem, work)
    _deliver(problem, work)
    _mark_sampled(problem, work)
    _sweep(problem, work)
    work.counts[_PHASE] = 1


@inner_kernel
def _input_room(problem, work):
    """Return how many input spikes this window takes on their way."""
    t1 = (work.counts[_NOW] + 1) * problem.length
    i = work.counts[_INPUTS]
    while i < problem.inputs.time.shape[0] and problem.inputs.time[i] < t1:
        i += 1
    return i - work.counts[_INPUTS]


@inner_kernel
def _is_silent(problem, work):
    """Return whether no neuron is awake, no spike under way and nothing read in this window."""
    return work.counts[_AWAKE] == 0 and work.counts[_FLIGHTS] == 0


@inner_kernel
def _next_window(problem, work):
    """Return the next window with an input spike or a sample: those before it are silent."""
    t = problem.t_end
    if work.counts[_INPUTS] < problem.inputs.time.shape[0]:
        t = min(t, problem.inputs.time[work.counts[_INPUTS]])
    if work.counts[_SAMPLES] < problem.samples.time.shape[0]:
        t = min(t, problem.samples.time[work.counts[_SAMPLES]])
    return max(work.counts[_NOW], np.int64(math.floor(t / problem.length)) - 1)


@kernel
def _replay_all(problem, work):
    """Replay the neurons on the list; return False if room ran out."""
    while work.counts[_DONE] < work.counts[_REPLAYS]:
        if not _replay(problem, work, work.counts[_DONE]):
            return False
        work.counts[_DONE] += 1
    return True


@inner_kernel
def _end(problem, work):
    """Replay the neurons that may fire, and go on to the next window."""
    if work.gathered.time.shape[0] < work.counts[_EVENTS]:
        return FULL
    if work.counts[_DONE] == 0:
        _gather(problem, work)
    if not _replay_all(problem, work):
        return FULL
    _land(problem, work)
    room = work.tape.time.shape[0] - work.counts[_SPIKES]
    if room < work.counts[_FOUND] or (
        work.flights.time.shape[0] - work.counts[_FLIGHTS] < work.counts[_FOUND]
    ):
        return FULL
    status = _record(problem, work)
    if status != RUNNING:
        return status
    for i in range(work.counts[_REPLAYS]):
        work.place[work.replays[i]] = -1
    work.counts[_REPLAYED] += work.counts[_REPLAYS]
    work.counts[_SAMPLES] = work.counts[_LAST_SAMPLE]
    work.counts[_NOW] += 1
    work.counts[_PHASE] = 0
    return RUNNING


@kernel
def fill_tables(model, members, length, decay, lift, fade, feed):
    """Write the tables of a window of ``length``; ``members`` has a neuron of each class."""
    x = feed[0]  # a row of zeros, since no window lasts no time
    for m in range(fade.shape[0]):
        dt = m * length
        for c in range(members.shape[0]):
            decay[c, m] = neuron.flow_excursion(model, members[c], 1.0, x, dt)
            for k in range(x.shape[0]):
                x[k] = 1.0
                lift[c, m, k] = neuron.flow_excursion(model, members[c], 0.0, x, dt)
                x[k] = 0.0
        for p in range(model.ports.first.shape[0]):
            i = model.ports.first[p]
            for k in range(i, i + model.ports.order[p]):
                fade[m, k] = math.exp(-model.ports.rate[k] * dt)
            if model.ports.order[p] == 2 and m > 0:
                gain = model.ports.gain[p]
                r, s = model.ports.rate[i], model.ports.rate[i + 1]
                feed[m, i] = gain * convolve2(r, s, dt)


@kernel
def start_windows(problem, work):
    """Wake the neurons that may fire unaided."""
    for n in range(work.v.shape[0]):
        if _may_fire(problem, n, work.v[n], work.x[n]):
            _keep_awake(work, n)


@kernel
def run_windows(problem, work, share):
    """Process windows until about ``share`` arrivals and visits are used up; return a status."""
    used = np.int64(0)
    while used < share:
        if work.counts[_PHASE] == 0:
            if _is_silent(problem, work):
                work.counts[_NOW] = _next_window(problem, work)
            if work.counts[_NOW] * problem.length > problem.t_end:
                return DONE
            needed = work.counts[_FLIGHTS] + _input_room(problem, work)
            if needed > work.flights.time.shape[0]:
                return FULL
            _begin(problem, work)
        status = _end(problem, work)
        if status != RUNNING:
            return status
        used += work.counts[_EVENTS] + work.counts[_VISITED] + 1
    return RUNNING


class Totals(NamedTuple):
    """What a run has done so far."""

    windows: int
    spikes: int
    found: int  # spikes of the current window
    flights: int
    inputs: int
    events: int  # arrivals of the current window
    arrivals: int
    searches: int
    replayed: int  # neurons


def totals(work: WindowWork) -> Totals:
    """Return what a run has done so far."""
    places = (_NOW, _SPIKES, _FOUND, _FLIGHTS, _INPUTS, _EVENTS, _ARRIVALS, _SEARCHES, _REPLAYED)
    return Totals(*(int(work.counts[i]) for i in places))
