"""Replay: a neuron goes through its arrivals of a window one by one, and its crossings are found.

With one exponential port and s from the begin of the window, between two events

    V = drive + p e^{-a s} - c q e^{-r s},    c = a/(r - a),    synaptic state q e^{-r s},

where p and q are constant; an arrival of weight w at s adds w e^{r s} to q and c w e^{(a s)} to p.
The exponentials belong to the arrivals, so that only crossings need any of their own.
All other networks are replayed by the functions of the event engine.
"""

import math
from collections.abc import Callable

import numpy as np

from queues.jit import by_type, inner_kernel, keep_apart, phase_kernel
from refsim import model as neuron
from refsim.exponentials import convolve2, convolve3
from refsim.types import Scratch
from refsim.window_deliver import port_of
from refsim.window_types import (
    AT,
    BASE,
    DENSE,
    FALL_V,
    FALL_X,
    LACK,
    LAST_SAMPLE,
    REPLAYED,
    REPLAYS,
    ROWS,
    SAMPLES,
    SEARCHES,
    SPIKES,
    TIME,
    WEIGHT,
    Findings,
    Limits,
    OneExp,
)
from refsim.window_visit import keep_awake, load_states, may_fire, store_states

_DONE, _NO_ROOM = True, False


# What both kinds of replay do --------------------------------------------------------------------


@inner_kernel
def _note_gap(out, b, i, distance):
    out.gap[b, i] = min(out.gap[b, i], abs(distance))


@inner_kernel
def _row_of_last(neurons, n):
    """Return the row of the neuron's last spike among those found in this turn, -1 for none."""
    return max(-2 - neurons.last_spike[n], np.int64(-1))


@inner_kernel
def _keep_row_of_last(neurons, n, row):
    if row >= 0:
        neurons.last_spike[n] = -2 - row


@inner_kernel
def _note_release(out, neurons, b, n, own, slope):
    """Note the slope at the end of refractoriness in the row of the spike."""
    if own >= 0:
        out.found.slope_after[b, own] = slope
        return
    row = neurons.last_spike[n] - out.counts[BASE]
    if row >= 0:
        out.tape.slope_after[row] = slope
    else:
        neurons.carried[n] = slope


@inner_kernel
def _write_spike(out, b, n, t, slope):
    """Note a spike of this turn; return its row."""
    row = out.tally[b, ROWS]
    out.found.time[b, row] = t
    out.found.neuron[b, row] = n
    out.found.slope_before[b, row] = slope
    out.found.slope_after[b, row] = 0.0
    out.tally[b, ROWS] = row + 1
    return row


@inner_kernel
def _has_room(out, b):
    return out.tally[b, ROWS] < out.found.time.shape[1]


@inner_kernel
def _is_enough(out, max_spikes, b, before):
    """Return whether the limit comes before the neuron's last spike, whatever the others do."""
    return out.tally[b, ROWS] - before > max_spikes - out.counts[SPIKES]


@inner_kernel
def _finish_replay(model, table, neurons, lists, tally, first, x, b, n):
    """Go on to the next replay, and have the next window visit the neuron if it may fire."""
    lists.flag[n] = 0
    if tally[b, DENSE] == 0 and may_fire(model, table, neurons, x, n):
        keep_awake(first, tally, neurons.awake, b, n)
    tally[b, REPLAYED] += 1


# One exponential port ---------------------------------------------------------------------------


@phase_kernel
def _root(a, r, p, cq, level, low, high, f_low, f_high):
    """Return where p e^{-a s} - cq e^{-r s} reaches ``level`` from below, between two times.

    Halley's method, kept within an interval that always holds the crossing. With n = f/V' and
    m = V''/2V', a step n/(1 - n m) leaves its cube times m^2 - V'''/6V', and terms of higher order:
    once twice that is below the last bit, there is no need to look again.
    """
    keep_apart()
    tiny = 4e-17 * high
    s = low + (level - f_low) / (f_high - f_low) * (high - low)
    for _ in range(100):
        if not low < s < high:
            s = 0.5 * (low + high)
        v, x = p * math.exp(-a * s), cq * math.exp(-r * s)
        f = v - x - level
        slope = r * x - a * v
        if f < 0.0:
            low = s
        else:
            high = s
        if f == 0.0 or high - low <= tiny:
            return s
        if slope <= 0.0:
            s = low
            continue
        step = f / slope
        m = 0.5 * (a * a * v - r * r * x) / slope
        if abs(step * m) < 0.5:
            step /= 1.0 - step * m
        third = (r * r * r * x - a * a * a * v) / slope
        left = 2.0 * abs(step * step * step) * (m * m + abs(third) / 6.0)
        if abs(step) <= tiny or (abs(step * m) < 0.01 and left <= tiny):
            return min(max(s - step, low), high)
        s -= step
    return s


@inner_kernel
def _stays_below(a, r, p, cq, level, s0, fall_v0, fall_x0, s1, fall_v1, fall_x1):
    """Return whether the voltage certainly stays below threshold in [s0, s1], without a search."""
    f0 = p * fall_v0 - cq * fall_x0
    f1 = p * fall_v1 - cq * fall_x1
    slope0 = r * cq * fall_x0 - a * p * fall_v0
    # On its way up to a summit the voltage only becomes flatter.
    return (f0 < level) & (f1 < level) & ((slope0 <= 0.0) | (f0 + slope0 * (s1 - s0) < level))


@phase_kernel
def _crossing(a, r, p, cq, level, s0, fall_v0, fall_x0, s1, fall_v1, fall_x1):
    """Return the first crossing in [s0, s1], inf if there is none; ``level`` is v_th - drive.

    The slope of the voltage changes its sign once at most, so the voltage crosses upwards at most
    once: before the end if it is above threshold there, else before its summit.
    """
    keep_apart()
    f0 = p * fall_v0 - cq * fall_x0
    f1 = p * fall_v1 - cq * fall_x1
    slope0 = r * cq * fall_x0 - a * p * fall_v0
    if f0 >= level:
        # Rounding put the voltage onto the threshold a last bit before or after its crossing.
        return s0 if slope0 > 0.0 else math.inf
    if f1 >= level:
        return _root(a, r, p, cq, level, s0, s1, f0, f1)
    if slope0 <= 0.0 or r * cq * fall_x1 - a * p * fall_v1 >= 0.0:
        return math.inf
    top = min(max(math.log((r * cq) / (a * p)) / (r - a), s0), s1)
    f_top = p * math.exp(-a * top) - cq * math.exp(-r * top)
    if f_top < level:
        return math.inf
    return _root(a, r, p, cq, level, s0, top, f0, f_top)


@inner_kernel
def _replay_one_exp(shape, parameters, neurons, hits, out, limits, b, thread, n, place):
    """Take one neuron through the window; return False if room ran out."""
    i, size = hits.begin[thread, place], hits.begin[thread, place + 1]
    order, arrivals = hits.order[thread], hits.arrival[thread]
    t0, t1 = limits.t0, limits.t1
    a, r, c = shape.rate_v, shape.rate_x, shape.ratio
    drive, v_reset = parameters.drive[n], parameters.v_reset[n]
    level = parameters.v_th[n] - drive
    before, searches = out.tally[b, ROWS], out.tally[b, SEARCHES]
    own = _row_of_last(neurons, n)
    q, p = neurons.x[n], 0.0
    release = neurons.release[n]
    s, fall_v, fall_x = 0.0, 1.0, 1.0
    earliest, last_arrival = t0, -math.inf
    if release < 0.0:
        p = neurons.v[n] - drive + c * q
    while True:
        if release >= 0.0:
            # Held: arrivals change the state alone.
            last = -math.inf
            while i < size and arrivals[order[i], TIME] < release:
                q += arrivals[order[i], WEIGHT] / arrivals[order[i], FALL_X]
                last = arrivals[order[i], TIME]
                i += 1
            if release > t1:
                break
            s = max(release - t0, 0.0)
            fall_v, fall_x = math.exp(-a * s), math.exp(-r * s)
            _note_gap(out, b, 1, release - last)
            if i < size:
                _note_gap(out, b, 1, arrivals[order[i], TIME] - release)
            if release <= limits.t_end:
                _note_release(out, neurons, b, n, own, a * (drive - v_reset + q * fall_x))
            p = (v_reset - drive + c * (q * fall_x)) / fall_v
            earliest = max(earliest, release)
            release = -1.0
        j = np.int64(-1)
        arrival = math.inf
        until, next_v, next_x = limits.length, shape.decay, shape.fade
        if i < size:
            j = np.int64(order[i])
            arrival = arrivals[j, TIME]
            until, next_v, next_x = (
                max(arrival - t0, s),
                arrivals[j, FALL_V],
                arrivals[j, FALL_X],
            )
        crossing, cq = math.inf, c * q
        if not _stays_below(a, r, p, cq, level, s, fall_v, fall_x, until, next_v, next_x):
            crossing = _crossing(a, r, p, cq, level, s, fall_v, fall_x, until, next_v, next_x)
        if crossing < math.inf:
            earliest = max(earliest, np.nextafter(last_arrival, math.inf))
            t = max(min(t0 + crossing, t1), earliest)
            if t > limits.t_end:
                break
            if not _has_room(out, b):
                out.tally[b, ROWS], out.tally[b, SEARCHES] = before, searches
                return _NO_ROOM
            out.tally[b, SEARCHES] += 1
            slope = a * (q * math.exp(-r * crossing) - level)
            own = _write_spike(out, b, n, t, slope)
            _note_gap(out, b, 0, arrival - t)
            if i > hits.begin[thread, place]:
                _note_gap(out, b, 0, t - arrivals[order[i - 1], TIME])
            release = t + parameters.t_ref[n]
            if _is_enough(out, limits.max_spikes, b, before):
                break
            continue
        if j < 0:
            break
        w = arrivals[j, WEIGHT]
        p += c * w / next_v
        q += w / next_x
        s, fall_v, fall_x = until, next_v, next_x
        last_arrival = arrival
        i += 1
    neurons.x[n] = q * shape.fade
    neurons.release[n] = release
    _keep_row_of_last(neurons, n, own)
    if release >= 0.0:
        neurons.v[n] = v_reset
    else:
        neurons.v[n] = drive + p * shape.decay - c * neurons.x[n]
    return _DONE


@phase_kernel
def _replay_all_one_exp(
    shape, model, table, first, neurons, lists, hits, out, limits, x, b, thread
):
    """Replay the marked neurons of block ``b``; return False if room ran out."""
    keep_apart()
    while out.tally[b, REPLAYED] < out.tally[b, REPLAYS]:
        place = out.tally[b, REPLAYED]
        n = lists.replays[first + place]
        if not _replay_one_exp(
            shape, model.neurons, neurons, hits, out, limits, b, thread, n, place
        ):
            return False
        _finish_replay(model, table, neurons, lists, out.tally, first, x, b, n)
    return True


# Any ports --------------------------------------------------------------------------------------


@inner_kernel
def _certainly_below(model, n, v, x, after, dt):
    """Return whether the voltage certainly stays below threshold for ``dt``, to end ``after``.

    With one exponential port the voltage has one extremum at most, and none that is a maximum
    unless it rises at first and falls in the end. In general the response to each state that
    excites is bounded by what it is at the end, since within a window it rises.
    """
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
def _read_samples(model, samples, out, b, n, v, x, time, until, is_held, bend, i, sampled):
    """Read the samples of neuron ``n`` before the time ``until``; return the next sample.

    Return also the time of the last one that was read, ``sampled`` if there is none. The last
    arrival that bent the voltage came at ``bend``.
    """
    while i < out.counts[LAST_SAMPLE] and samples.time[i] < until:
        if samples.neuron[i] == n:
            sampled = samples.time[i]
            if is_held:
                samples.voltage[i] = v
            else:
                dt = max(sampled - time, 0.0)
                samples.voltage[i] = neuron.flow_voltage(model, n, v, x, dt)
                _note_gap(out, b, 2, sampled - bend)
        i += 1
    return i, sampled


@inner_kernel
def _replay_events(
    model, rows, samples, neurons, hits, out, limits, scratch, x, b, thread, n, place
):
    """Take one neuron through the window event by event; return False if room ran out."""
    i, size = hits.begin[thread, place], hits.begin[thread, place + 1]
    order, arrivals = hits.order[thread], hits.arrival[thread]
    t0, t1 = limits.t0, limits.t1
    load_states(neurons.x, n, x)
    v = neurons.v[n]
    time, earliest = t0, t0
    release = neurons.release[n]
    own = _row_of_last(neurons, n)
    before, searches = out.tally[b, ROWS], out.tally[b, SEARCHES]
    sample, sampled = out.counts[SAMPLES], -math.inf
    last, bend = -math.inf, -math.inf  # arrival before, and before that bent the voltage
    while True:
        arrival = math.inf
        if i < size:
            arrival = max(arrivals[order[i], TIME], t0)
        until = min(arrival, t1)
        if release >= 0.0:
            # Held: nothing happens before the arrival or the release.
            free = min(release, until)
            sample, sampled = _read_samples(
                model, samples, out, b, n, v, x, time, free, True, bend, sample, sampled
            )
            if free > time:
                neuron.flow_current(model, x, free - time)
                time = free
            if release <= until:
                _note_gap(out, b, 1, release - last)
                _note_gap(out, b, 1, arrival - release)
                if release <= limits.t_end:
                    _note_release(out, neurons, b, n, own, neuron.slope(model, n, v, x))
                release = -1.0
                earliest = max(earliest, time)
                continue
        else:
            wait = math.inf
            dt = max(until - time, 0.0)
            after = neuron.flow_voltage(model, n, v, x, dt)
            if not _certainly_below(model, n, v, x, after, dt):
                out.tally[b, SEARCHES] += 1
                wait = neuron.next_crossing(model, n, v, x, dt, scratch)
            if wait < math.inf:
                t = max(min(time + wait, until), earliest)
                sample, sampled = _read_samples(
                    model, samples, out, b, n, v, x, time, t, False, bend, sample, sampled
                )
                if t > limits.t_end:
                    break
                if not _has_room(out, b):
                    # Once there is room the replay starts again from the begin of the window.
                    out.tally[b, ROWS], out.tally[b, SEARCHES] = before, searches
                    return _NO_ROOM
                neuron.flow_current(model, x, t - time)
                time = t
                slope = neuron.slope(model, n, model.neurons.v_th[n], x)
                own = _write_spike(out, b, n, t, slope)
                v = model.neurons.v_reset[n]
                release = t + model.neurons.t_ref[n]
                _note_gap(out, b, 0, arrival - t)
                _note_gap(out, b, 0, t - last)
                if _is_enough(out, limits.max_spikes, b, before):
                    break
                continue
            sample, sampled = _read_samples(
                model, samples, out, b, n, v, x, time, until, False, bend, sample, sampled
            )
            v = after
            neuron.flow_current(model, x, dt)
            time = max(time, until)
        if arrival > t1 or i == size:
            break
        j = order[i]
        port = port_of(rows, hits.origin[thread, j, 1])
        neuron.arrive(model, port, arrivals[j, WEIGHT], x)
        if release < 0.0 and model.ports.order[port] == 1:
            bend = arrival
            _note_gap(out, b, 2, arrival - sampled)
        earliest = max(earliest, np.nextafter(time, math.inf))
        last = arrival
        i += 1
    _read_samples(
        model, samples, out, b, n, v, x, time, math.inf, release >= 0.0, bend, sample, sampled
    )
    store_states(neurons.x, n, x)
    neurons.v[n] = v
    neurons.release[n] = release
    _keep_row_of_last(neurons, n, own)
    return _DONE


@phase_kernel
def _replay_all_events(
    model, table, rows, samples, neurons, lists, hits, out, limits, state, roots, b, thread
):
    """Replay the marked neurons of block ``b`` event by event; return False if room ran out."""
    keep_apart()
    x, spare = state[b, 0], state[b, 1]
    scratch = Scratch(
        current=spare, current_tangent=spare, roots=roots[b, 0], roots_next=roots[b, 1]
    )
    first = rows.edge[b]
    while out.tally[b, REPLAYED] < out.tally[b, REPLAYS]:
        place = out.tally[b, REPLAYED]
        n = lists.replays[first + place]
        if not _replay_events(
            model, rows, samples, neurons, hits, out, limits, scratch, x, b, thread, n, place
        ):
            return False
        _finish_replay(model, table, neurons, lists, out.tally, first, x, b, n)
    return True


@by_type
def _replay(shape: type) -> Callable[..., bool]:
    if shape is OneExp:
        return lambda shape, problem, work, out, limits, b, thread: (
            _replay_all_one_exp(
                shape, problem.model, problem.propagator, problem.rows.edge[b], work.neurons,
                work.lists, work.hits, out, limits, work.state[b, 0], b, thread,
            )
            if out.counts[LAST_SAMPLE] == out.counts[SAMPLES]
            else _replay_any(problem, work, out, limits, b, thread)
        )  # fmt: skip
    return lambda shape, problem, work, out, limits, b, thread: _replay_any(
        problem, work, out, limits, b, thread
    )


@inner_kernel
def _replay_any(problem, work, out, limits, b, thread):
    return _replay_all_events(
        problem.model, problem.propagator, problem.rows, problem.samples, work.neurons, work.lists,
        work.hits, out, limits, work.state, work.roots, b, thread,
    )  # fmt: skip


@inner_kernel
def _keep_others(replays, first, tally, b):
    """Have the list of replays begin with those that are still to be done."""
    done = tally[b, REPLAYED]
    for i in range(first + done, first + tally[b, REPLAYS]):
        replays[i - done] = replays[i]
    tally[b, REPLAYS] -= done
    tally[b, REPLAYED] = 0


@inner_kernel
def replay(problem, work, b, thread):
    """Replay the marked neurons of block ``b``; return False if room ran out."""
    out = Findings(
        tape=work.tape, found=work.found, counts=work.counts, tally=work.tally, gap=work.gap
    )
    limits = Limits(
        t0=work.tally[b, AT] * problem.length,
        t1=(work.tally[b, AT] + 1) * problem.length,
        length=problem.length,
        t_end=problem.t_end,
        max_spikes=problem.max_spikes,
    )
    if _replay(problem.shape, problem, work, out, limits, b, thread):
        return True
    work.tally[b, LACK] = -1
    _keep_others(work.lists.replays, problem.rows.edge[b], work.tally, b)
    return False
