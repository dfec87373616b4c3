"""Replay: a neuron goes through its arrivals of a window one by one, and its crossings are found.

With one exponential port the voltage is given by what it and the state lose, 1 - e^{-a s} and
1 - e^{-r s} (`refsim.models.lif.one_port`). What is lost since the begin of the window belongs to
the arrivals, so that only crossings need exponentials of their own. Losses keep the digits of short
times, in which little happens; e^{-a s} itself would round them away where the drive is far beyond
V. All other networks are replayed by the functions of the event engine.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from queues.compiled.jit import by_type, inner_kernel, keep_apart, phase_kernel
from refsim.models import lif as neuron
from refsim.models.lif.bound import excited, has_summit, may_reach, stays_below_its_tangent
from refsim.models.lif.exponentials import convolve2, convolve3
from refsim.models.lif.one_port import Course, crossing_of
from refsim.types import Scratch, Tape
from refsim.windows.deliver import port_of
from refsim.windows.types import (
    LEAK,
    LOSS,
    TIME,
    WEIGHT,
    Arrivals,
    Findings,
    Limits,
    OneExp,
)
from refsim.windows.visit import (
    advance_one,
    forget_low,
    keep_awake,
    load_states,
    may_fire,
    store_states,
)

_DONE, _NO_ROOM = True, False


# What both kinds of replay do --------------------------------------------------------------------


@inner_kernel
def _note_gap(out, i, distance):
    out.gap[i] = min(out.gap[i], abs(distance))


@inner_kernel
def _row_of_last(neurons, n):
    """Return the row of the neuron's last spike among those found in this turn, -1 for none."""
    return max(-2 - neurons.last_spike[n], np.int64(-1))


@inner_kernel
def _keep_row_of_last(neurons, n, row):
    if row >= 0:
        neurons.last_spike[n] = -2 - row


@inner_kernel
def _note_release(out, neurons, n, own, slope):
    """Note the slope at the end of refractoriness in the row of the spike."""
    # The spike is one of this turn, or of an earlier one, or its row has been taken off the tape.
    if own >= 0:
        out.found.slope_after[own] = slope
        return
    row = neurons.last_spike[n] - out.run[0].first
    if row >= 0:
        out.tape.slope_after[row] = slope
    else:
        neurons.carried[n] = slope


@inner_kernel
def _write_spike(out, n, t, slope):
    """Note a spike of this turn; return its row."""
    row = out.own[0].rows
    out.found.time[row] = t
    out.found.neuron[row] = n
    out.found.slope_before[row] = slope
    out.found.slope_after[row] = 0.0
    out.own[0].rows = row + 1
    return row


@inner_kernel
def _has_room(out):
    return out.own[0].rows < out.found.time.shape[0]


@inner_kernel
def _is_enough(out, max_spikes, before):
    """Return whether the limit comes before the neuron's last spike, whatever the others do."""
    return out.own[0].rows - before > max_spikes - out.run[0].spikes


@inner_kernel
def _finish_replay(window, own, n):
    """Go on to the next replay, and have the next window visit the neuron if it may fire."""
    window.lists.flag[n] = 0
    if own.dense == 0 and may_fire(window, n):
        keep_awake(window, own, n)
    own.replayed += 1


# One exponential port ---------------------------------------------------------------------------


@inner_kernel
def _lost_between(lost, lost_later):
    """Return what is lost between two times, of which that much is lost since the begin."""
    return (lost_later - lost) / (1.0 - lost)


@inner_kernel
def _replay_one_exp(shape, window, given, out, limits, n, place):
    """Take one neuron through the window; return False if room ran out."""
    model, neurons = window.model, window.neurons
    i, size = given.begin[place], given.begin[place + 1]
    order, arrivals = given.order, given.arrival
    t0, t1 = limits.t0, limits.t1
    a, r, c = shape.rate_v, shape.rate_x, shape.ratio
    parameters = model.neurons
    drive, v_th, v_reset = parameters.drive[n], parameters.v_th[n], parameters.v_reset[n]
    # What was found is put back to here where room runs out.
    before, searches = out.own[0].rows, out.own[0].searches
    own = _row_of_last(neurons, n)
    # Voltage and state at s after the begin of the window. A voltage and a state of that time have
    # lost the shares ``leak`` and ``loss`` since the begin, as arrivals know it of their own times:
    # what is lost from one to the other follows without exponentials.
    v, x = neurons.v[n], neurons.x[n]
    s, leak, loss = 0.0, 0.0, 0.0
    release = neurons.release[n]
    # A spike comes no earlier than the release before it, and later than the arrival before it.
    earliest, last_arrival = t0, -math.inf
    while True:
        if release >= 0.0:
            # Held: arrivals change the state alone. At equal times the release comes first.
            last = -math.inf
            while i < size and arrivals[order[i], TIME] < release:
                j = np.int64(order[i])
                x -= x * _lost_between(loss, arrivals[j, LOSS])
                x += arrivals[j, WEIGHT]
                loss, last = arrivals[j, LOSS], arrivals[j, TIME]
                i += 1
            if release > t1:
                break
            # To the release, at which the voltage begins from the reset.
            s = max(release - t0, 0.0)
            leak, loss_then = -math.expm1(-a * s), -math.expm1(-r * s)
            x -= x * _lost_between(loss, loss_then)
            loss = loss_then
            v = v_reset
            _note_gap(out, 1, release - last)
            if i < size:
                _note_gap(out, 1, arrivals[order[i], TIME] - release)
            if release <= limits.t_end:
                _note_release(out, neurons, n, own, a * (drive - v + x))
            earliest = max(earliest, release)
            release = -1.0
        # Free, up to the next arrival or else to the end of the window.
        j = np.int64(-1)
        arrival = math.inf
        until, next_leak, next_loss = limits.length, shape.leak, shape.loss
        if i < size:
            j = np.int64(order[i])
            arrival = arrivals[j, TIME]
            until, next_leak, next_loss = (
                max(arrival - t0, s),
                arrivals[j, LEAK],
                arrivals[j, LOSS],
            )
        # Where the voltage would be then, and whether it crosses on the way.
        lost_a, lost_r = _lost_between(leak, next_leak), _lost_between(loss, next_loss)
        h = c * x
        g = drive - v - h
        v_after, x_after = v + (g * lost_a + h * lost_r), x - x * lost_r
        below, after, slope = v - v_th, v_after - v_th, a * (drive - v + x)
        crossing = math.inf
        if not stays_below_its_tangent(below, after, slope, until - s):
            slope_after = a * (drive - v_after + x_after)
            course = Course(a, r, below, g, h)
            crossing = crossing_of(course, until - s, after, slope, slope_after)
        if crossing < math.inf:
            earliest = max(earliest, np.nextafter(last_arrival, math.inf))
            t = max(min(t0 + (s + crossing), t1), earliest)
            if t > limits.t_end:
                break  # no event of this run; what is kept of the neuron is never looked at
            if not _has_room(out):
                out.own[0].rows, out.own[0].searches = before, searches
                return _NO_ROOM
            out.own[0].searches += 1
            own = _write_spike(out, n, t, a * (drive - v_th + x * math.exp(-r * crossing)))
            _note_gap(out, 0, arrival - t)
            if i > given.begin[place]:
                _note_gap(out, 0, t - arrivals[order[i - 1], TIME])
            # The state, and what it has lost, stay those of s: so long as the neuron is held they
            # wait for the next arrival, and are taken to the release from there.
            _, release = neuron.fire(model, n, t)
            if _is_enough(out, limits.max_spikes, before):
                break
            continue
        v, x = v_after, x_after
        if j < 0:
            loss = shape.loss
            break
        x += arrivals[j, WEIGHT]
        s, leak, loss = until, next_leak, next_loss
        last_arrival = arrival
        i += 1
    # Of a neuron that is held the state has come to its last arrival; to the end of the window.
    neurons.x[n] = x - x * _lost_between(loss, shape.loss)
    neurons.release[n] = release
    neurons.v[n] = v_reset if release >= 0.0 else v
    _keep_row_of_last(neurons, n, own)
    return _DONE


@phase_kernel
def _replay_all_one_exp(shape, window, given, out, limits):
    """Replay the marked neurons of a block; return False if room ran out."""
    keep_apart()
    own = out.own[0]
    while own.replayed < own.replays:
        place = own.replayed
        n = window.lists.replays[window.first + place]
        if not _replay_one_exp(shape, window, given, out, limits, n, place):
            return False
        _finish_replay(window, own, n)
    return True


# Any ports --------------------------------------------------------------------------------------


@inner_kernel
def certainly_below(model, n, v, x, after, dt):
    """Return whether the voltage certainly stays below threshold for ``dt``, to end ``after``.

    With one exponential port it does, unless it has a summit on the way. In general the response to
    each state that excites is bounded by what it is at the end, since within a window it rises.
    """
    v_th = model.neurons.v_th[n]
    if after >= v_th:
        return False
    ports = model.ports
    a = model.neurons.rate[n]
    drive = model.neurons.drive[n]
    if x.shape[0] == 1:
        return not has_summit(v, drive, x[0], after, x[0] * math.exp(-ports.rate[0] * dt))
    highest = max(v, v - (drive - v) * math.expm1(-a * dt))
    for p in range(ports.first.shape[0]):
        i = ports.first[p]
        if ports.order[p] == 2:
            s = ports.rate[i + 1]
            highest += excited(a * convolve2(a, s, dt), x[i + 1])
            highest += excited(a * ports.gain[p] * convolve3(a, ports.rate[i], s, dt), x[i])
        else:
            highest += excited(a * convolve2(a, ports.rate[i], dt), x[i])
    return not may_reach(v_th, v, drive, highest, 0.0, 0.0)


class Stretch(NamedTuple):
    """A time in which nothing happens to a neuron."""

    begin: float  # ms
    end: float
    is_held: bool


class Read(NamedTuple):
    """How far samples have been read."""

    following: int  # the next one
    last: float  # ms, time of the last one of this neuron in this window, -inf before


@inner_kernel
def _read_samples(window, out, n, v, stretch, bend, read):
    """Read the samples of neuron ``n`` in a stretch, from the states ``window.x`` at its begin.

    The last arrival that bent the voltage came at ``bend``.
    """
    samples, i, last = out.samples, read.following, read.last
    while i < out.run[0].last_sample and samples.time[i] < stretch.end:
        if samples.neuron[i] == n:
            last = samples.time[i]
            if stretch.is_held:
                samples.voltage[i] = v
            else:
                dt = max(last - stretch.begin, 0.0)
                samples.voltage[i] = neuron.flow_voltage(window.model, n, v, window.x, dt)
                _note_gap(out, 2, last - bend)
        i += 1
    return Read(i, last)


@inner_kernel
def _replay_events(window, rows, given, out, limits, scratch, n, place):
    """Take one neuron through the window event by event; return False if room ran out."""
    model, neurons, x = window.model, window.neurons, window.x
    i, size = given.begin[place], given.begin[place + 1]
    order, arrivals = given.order, given.arrival
    t0, t1 = limits.t0, limits.t1
    load_states(neurons.x, n, x)
    v = neurons.v[n]
    time, earliest = t0, t0
    release = neurons.release[n]
    own = _row_of_last(neurons, n)
    before, searches = out.own[0].rows, out.own[0].searches
    read = Read(out.run[0].samples, -math.inf)
    last, bend = -math.inf, -math.inf  # arrival before, and before that bent the voltage
    while True:
        # The next thing that may happen is an arrival, a release, a crossing, or the end of the
        # window; each turn of the loop goes to the first of them.
        arrival = math.inf
        if i < size:
            arrival = max(arrivals[order[i], TIME], t0)
        until = min(arrival, t1)
        if release >= 0.0:
            # Held: nothing happens before the arrival or the release.
            free = min(release, until)
            read = _read_samples(window, out, n, v, Stretch(time, free, True), bend, read)
            if free > time:
                neuron.flow_current(model, x, free - time)
                time = free
            if release <= until:
                _note_gap(out, 1, release - last)
                _note_gap(out, 1, arrival - release)
                if release <= limits.t_end:
                    _note_release(out, neurons, n, own, neuron.slope(model, n, v, x))
                release = -1.0
                earliest = max(earliest, time)
                continue
        else:
            # Free: a search for a crossing, unless the bound excludes one.
            wait = math.inf
            dt = max(until - time, 0.0)
            after = neuron.flow_voltage(model, n, v, x, dt)
            if not certainly_below(model, n, v, x, after, dt):
                out.own[0].searches += 1
                wait = neuron.next_crossing(model, n, v, x, dt, scratch)
            if wait < math.inf:
                # Not later than what it comes before, nor earlier than what has happened.
                t = max(min(time + wait, until), earliest)
                read = _read_samples(window, out, n, v, Stretch(time, t, False), bend, read)
                if t > limits.t_end:
                    break
                if not _has_room(out):
                    # Once there is room the replay starts again from the begin of the window.
                    out.own[0].rows, out.own[0].searches = before, searches
                    return _NO_ROOM
                neuron.flow_current(model, x, t - time)
                time = t
                slope = neuron.slope(model, n, model.neurons.v_th[n], x)
                own = _write_spike(out, n, t, slope)
                v, release = neuron.fire(model, n, t)
                _note_gap(out, 0, arrival - t)
                _note_gap(out, 0, t - last)
                if _is_enough(out, limits.max_spikes, before):
                    break
                continue
            read = _read_samples(window, out, n, v, Stretch(time, until, False), bend, read)
            v = after
            neuron.flow_current(model, x, dt)
            time = max(time, until)
        if arrival > t1 or i == size:
            break
        # An arrival. A crossing that it causes comes later, by the last bit if need be.
        j = order[i]
        port = port_of(rows, given.origin[j, 1])
        neuron.arrive(model, port, arrivals[j, WEIGHT], x)
        if release < 0.0 and model.ports.order[port] == 1:
            bend = arrival
            _note_gap(out, 2, arrival - read.last)
        earliest = max(earliest, np.nextafter(time, math.inf))
        last = arrival
        i += 1
    _read_samples(window, out, n, v, Stretch(time, math.inf, release >= 0.0), bend, read)
    # A neuron to which nothing has happened takes the step of all others, so that a look at its
    # voltage changes no bit of it.
    is_quiet = size == given.begin[place] and out.own[0].rows == before
    if is_quiet and release == neurons.release[n]:
        advance_one(model, window.table, neurons, n)
        return _DONE
    store_states(neurons.x, n, x)
    neurons.v[n] = v
    forget_low(neurons, n)
    neurons.release[n] = release
    _keep_row_of_last(neurons, n, own)
    return _DONE


@phase_kernel
def _replay_all_events(window, rows, given, out, limits, scratch):
    """Replay the marked neurons of a block event by event; return False if room ran out."""
    keep_apart()
    own = out.own[0]
    while own.replayed < own.replays:
        place = own.replayed
        n = window.lists.replays[window.first + place]
        if not _replay_events(window, rows, given, out, limits, scratch, n, place):
            return False
        _finish_replay(window, own, n)
    return True


@inner_kernel
def _replay_any(window, work, rows, given, out, limits, b):
    spare, roots = work.state[b, 1], work.roots[b]
    scratch = Scratch(current=spare, current_tangent=spare, roots=roots[0], roots_next=roots[1])
    return _replay_all_events(window, rows, given, out, limits, scratch)


@by_type
def _replay(shape: type) -> Callable[..., bool]:
    if shape is OneExp:
        # Samples are read by the other replay, which serves all networks.
        return lambda shape, window, work, rows, given, out, limits, b: (
            _replay_all_one_exp(shape, window, given, out, limits)
            if out.run[0].last_sample == out.run[0].samples
            else _replay_any(window, work, rows, given, out, limits, b)
        )
    return lambda shape, window, work, rows, given, out, limits, b: _replay_any(
        window, work, rows, given, out, limits, b
    )


@inner_kernel
def _keep_others(replays, first, own):
    """Have the list of replays begin with those that are still to be done."""
    done = own.replayed
    for i in range(first + done, first + own.replays):
        replays[i - done] = replays[i]
    own.replays -= done
    own.replayed = 0


@inner_kernel
def _findings_of(problem, work, b):
    found = work.found
    return Findings(
        tape=work.tape,
        found=Tape(
            time=found.time[b],
            neuron=found.neuron[b],
            slope_before=found.slope_before[b],
            slope_after=found.slope_after[b],
            tangent=found.tangent,
        ),
        samples=problem.samples,
        run=work.counts,
        own=work.tally[b : b + 1],
        gap=work.gap[b],
    )


@inner_kernel
def _limits_of(problem, now):
    return Limits(
        t0=now * problem.length,
        t1=(now + 1) * problem.length,
        length=problem.length,
        t_end=problem.t_end,
        max_spikes=problem.max_spikes,
    )


@inner_kernel
def replay(problem, work, window, b, thread):
    """Replay the marked neurons of block ``b``; return False if room ran out."""
    hits, own = work.hits, work.tally[b]
    given = Arrivals(
        begin=hits.begin[thread],
        order=hits.order[thread],
        arrival=hits.arrival[thread],
        origin=hits.origin[thread],
    )
    out, limits = _findings_of(problem, work, b), _limits_of(problem, window.now)
    if _replay(problem.shape, window, work, problem.rows, given, out, limits, b):
        return True
    own.lack = -1
    _keep_others(work.lists.replays, window.first, own)
    return False
