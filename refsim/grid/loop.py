"""The time-grid engine: release, delivery, samples, flow and crossings, step by step.

The order within a step, and all formulas, are those of docs/grid.md. Tangents go with the values:
they pass through the rounding of times to steps.
"""

from __future__ import annotations

import numpy as np

from queues.compiled.jit import inner_kernel, kernel
from queues.exact.chains import NONE
from refsim.grid.calendar import arrival_step, emission_of, enter, take
from refsim.grid.types import END, EXACT, LINEAR, SURROGATE
from refsim.models import lif as neuron
from refsim.status import DONE, FULL, RUNNING, SPIKE_LIMIT


@inner_kernel
def surrogate(rules, distance):
    """Return the derivative of the soft step at a distance from threshold."""
    root = rules.steepness * abs(distance) + 1.0
    return 1.0 / (root * root)


@inner_kernel
def flowed(problem, n, v, x):
    """Return the voltage of neuron ``n`` after a step from ``v`` and the states ``x[n]``."""
    rise = problem.tables.leak[n] * (problem.model.neurons.drive[n] - v)
    for k in range(x.shape[1]):
        rise += problem.tables.lift[n, k] * x[n, k]
    return v + rise


@inner_kernel
def _flowed_jvp(problem, state, dot, n):
    """Return the tangent of :func:`flowed`."""
    drive = problem.model.neurons.drive[n]
    drive_dot = problem.model_dot.neurons.drive[n]
    tables, tables_dot = problem.tables, problem.tables_dot
    u_dot = tables_dot.decay[n] * (state.v[n] - drive) + tables.decay[n] * (dot.v[n] - drive_dot)
    for k in range(state.x.shape[1]):
        u_dot += tables_dot.lift[n, k] * state.x[n, k] + tables.lift[n, k] * dot.x[n, k]
    return drive_dot + u_dot


@inner_kernel
def _flow_filters(problem, x, n):
    ports, tables = problem.model.ports, problem.tables
    for p in range(ports.first.shape[0]):
        i = ports.first[p]
        if ports.order[p] == 2:
            x[n, i + 1] = tables.fade[i + 1] * x[n, i + 1] + tables.feed[p] * x[n, i]
        x[n, i] = tables.fade[i] * x[n, i]


@inner_kernel
def _flow_filters_jvp(problem, x, x_dot, n):
    ports, tables, dot = problem.model.ports, problem.tables, problem.tables_dot
    for p in range(ports.first.shape[0]):
        i = ports.first[p]
        if ports.order[p] == 2:
            y_dot = tables.fade[i + 1] * x_dot[n, i + 1] + dot.fade[i + 1] * x[n, i + 1]
            x_dot[n, i + 1] = y_dot + tables.feed[p] * x_dot[n, i] + dot.feed[p] * x[n, i]
        x_dot[n, i] = tables.fade[i] * x_dot[n, i] + dot.fade[i] * x[n, i]


@inner_kernel
def _release_all(problem, work, now):
    """Free the neurons whose refractoriness ends with the beginning of this step."""
    state, dot = work.state, work.state_dot
    for n in range(state.v.shape[0]):
        if state.release[n] == now:
            state.release[n] = NONE
            after = neuron.slope(problem.model, n, state.v[n], state.x[n])
            work.tape.slope_after[state.last_spike[n]] = after
            if problem.with_tangent and problem.rules.reset == EXACT:
                dot.v[n] = neuron.release_jvp(problem.model_dot.neurons, n, after, dot.release[n])


@inner_kernel
def _receive(problem, work, k, t_dot):
    """Let a spike arrive over synapse ``k``; ``t_dot`` is the tangent of its emission."""
    wiring, wiring_dot = problem.wiring, problem.wiring_dot
    n, p, weight = wiring.post[k], wiring.port[k], wiring.weight[k]
    if problem.with_tangent:
        dot = work.state_dot
        late = t_dot + wiring_dot.delay[k]
        lost = neuron.arrive_jvp(problem.model, n, p, weight, wiring_dot.weight[k], late, dot.x[n])
        if problem.rules.full and work.state.release[n] == NONE:
            dot.v[n] -= lost
    neuron.arrive(problem.model, p, weight, work.state.x[n])


@inner_kernel
def _deliver_entry(problem, work, entry, now):
    """Deliver a spike where it arrives in this step, and enter it for the next of its steps."""
    wiring, calendar = problem.wiring, work.calendar
    origin = calendar.origin[entry]
    emitted, source, earliest = emission_of(wiring, problem.inputs, work.tape, origin)
    t_dot = 0.0
    if problem.with_tangent:
        t_dot = work.tape.tangent[origin] if origin >= 0 else problem.inputs.tangent[-1 - origin]
    k = calendar.cursor[entry]
    first = k
    delay = wiring.delay[k]
    step = now
    while k < wiring.start[source + 1]:
        if wiring.delay[k] != delay:
            delay = wiring.delay[k]
            step = arrival_step(problem.rules, emitted, delay, earliest, problem.n_steps)
            if step != now:
                break
        _receive(problem, work, k, t_dot)
        k += 1
    work.counts.arrivals[0] += k - first
    if step != now and step <= problem.n_steps:
        calendar.cursor[entry] = k
        enter(calendar, entry, step)
    return k - first


@inner_kernel
def _deliver_all(problem, work, now):
    """Deliver what arrives in this step and return how many synaptic events that were."""
    delivered = np.int64(0)
    entry = take(work.calendar, now)
    while entry != NONE:
        following = work.calendar.link[entry]
        delivered += _deliver_entry(problem, work, entry, now)
        entry = following
    return delivered


@inner_kernel
def _emit(problem, work, origin):
    """Enter a spike in the calendar for the first of its arrivals, if it has one in time."""
    entry = work.counts.emitted[0]
    work.counts.emitted[0] += 1
    wiring, calendar = problem.wiring, work.calendar
    calendar.origin[entry] = origin
    emitted, source, earliest = emission_of(wiring, problem.inputs, work.tape, origin)
    k = wiring.start[source]
    if k == wiring.start[source + 1]:
        return
    step = arrival_step(problem.rules, emitted, wiring.delay[k], earliest, problem.n_steps)
    if step <= problem.n_steps:
        calendar.cursor[entry] = k
        enter(calendar, entry, step)


@inner_kernel
def _emit_inputs(problem, work, now):
    """Emit the input spikes whose time is before the end of this step."""
    counts, time = work.counts, problem.inputs.time
    while counts.inputs[0] < time.shape[0]:
        i = counts.inputs[0]
        if time[i] / problem.rules.dt >= float(now + 1):
            return
        counts.inputs[0] += 1
        _emit(problem, work, -1 - i)


@inner_kernel
def _sample(problem, work, now):
    """Read the voltages of this step."""
    samples, counts = problem.samples, work.counts
    while counts.samples[0] < samples.step.shape[0] and samples.step[counts.samples[0]] == now:
        i = counts.samples[0]
        counts.samples[0] += 1
        samples.voltage[i] = work.state.v[samples.neuron[i]]
        if problem.with_tangent:
            samples.tangent[i] = work.state_dot.v[samples.neuron[i]]


@inner_kernel
def _record(work, now):
    """Keep the state at the beginning of the flow, if it was asked for."""
    recorder, state = work.recorder, work.state
    row = now - recorder.first[0]
    if row < 0 or row >= recorder.v.shape[0]:
        return
    for n in range(state.v.shape[0]):
        recorder.v[row, n] = state.v[n]
    if row < recorder.x.shape[0]:
        for n in range(state.x.shape[0]):
            for k in range(state.x.shape[1]):
                recorder.x[row, n, k] = state.x[n, k]


@inner_kernel
def _time_of(rules, now, theta):
    if rules.spike_time == END:
        return float(now + 1) * rules.dt
    if rules.spike_time == LINEAR:
        return float(now) * rules.dt + rules.dt * theta
    return float(now) * rules.dt


@inner_kernel
def _fire(problem, work, n, now, v_next, v_next_dot):
    """Write a spike of neuron ``n``, and enter it in the calendar."""
    rules, state, tape = problem.rules, work.state, work.tape
    row = work.counts.spikes[0]
    work.counts.spikes[0] += 1
    v_th = problem.model.neurons.v_th[n]
    theta = (v_th - state.v[n]) / (v_next - state.v[n])
    tape.time[row] = _time_of(rules, now, theta)
    tape.neuron[row] = n
    tape.step[row] = now
    tape.theta[row] = theta if rules.spike_time == LINEAR else 0.0
    tape.slope[row] = (v_next - state.v[n]) / rules.dt
    tape.slope_after[row] = 0.0
    if tape.time[row] <= problem.t_last:
        work.counts.reported[0] += 1
    if problem.with_tangent:
        dot = work.state_dot
        short = problem.model_dot.neurons.v_th[n] - dot.v[n]
        short -= tape.theta[row] * (v_next_dot - dot.v[n])
        tape.tangent[row] = neuron.later_by(short, tape.slope[row])
        dot.release[n] = tape.tangent[row] + problem.model_dot.neurons.t_ref[n]
    state.last_spike[n] = row
    state.release[n] = now + 1 + rules.hold + problem.t_ref[n]
    _emit(problem, work, row)


@inner_kernel
def _softened(problem, work, n, v, v_dot, v_next):
    """Return the part of a surrogate in the tangent of a voltage that is or is not reset."""
    neurons = problem.model.neurons
    beyond_dot = v_dot - problem.model_dot.neurons.v_th[n]
    slope = surrogate(problem.rules, v - neurons.v_th[n])
    return (v_next - neurons.v_reset[n]) * slope * beyond_dot


@inner_kernel
def _flow_free(problem, work, n, now):
    """Take the free neuron ``n`` through a step, and over the threshold if it crosses."""
    rules, state, dot = problem.rules, work.state, work.state_dot
    neurons = problem.model.neurons
    v = state.v[n]
    v_next = flowed(problem, n, v, state.x)
    spikes = v_next >= neurons.v_th[n]
    v_next_dot = _flowed_jvp(problem, state, dot, n) if problem.with_tangent else 0.0
    if spikes:
        _fire(problem, work, n, now, v_next, v_next_dot)
    is_reset = spikes and rules.hold == 0
    if problem.with_tangent:
        softened = 0.0
        if rules.reset == SURROGATE and rules.hold == 1:
            softened = _softened(problem, work, n, v, dot.v[n], v_next)
        elif rules.reset == SURROGATE:
            softened = _softened(problem, work, n, v_next, v_next_dot, v_next)
        kept_dot = problem.model_dot.neurons.v_reset[n] if is_reset else v_next_dot
        dot.v[n] = kept_dot - softened
    state.v[n] = neurons.v_reset[n] if is_reset else v_next


@inner_kernel
def _end_hold(problem, work, n):
    """Reset a neuron that has been above threshold for one step."""
    state, dot = work.state, work.state_dot
    if problem.with_tangent:
        v_next = flowed(problem, n, state.v[n], state.x)
        softened = 0.0
        if problem.rules.reset == SURROGATE:
            softened = _softened(problem, work, n, state.v[n], dot.v[n], v_next)
        dot.v[n] = problem.model_dot.neurons.v_reset[n] - softened
    state.v[n] = problem.model.neurons.v_reset[n]


@inner_kernel
def _flow_all(problem, work, now):
    state = work.state
    for n in range(state.v.shape[0]):
        if state.release[n] == NONE:
            _flow_free(problem, work, n, now)
        elif problem.rules.hold == 1 and work.tape.step[state.last_spike[n]] + 1 == now:
            _end_hold(problem, work, n)
        if problem.with_tangent:
            _flow_filters_jvp(problem, state.x, work.state_dot.x, n)
        _flow_filters(problem, state.x, n)


@kernel
def run(problem, work, stop, share):
    """Take about ``share`` neurons and arrivals through steps before ``stop``; return a status.

    Step ``n_steps`` is only begun: it has releases, arrivals and samples, but no flow.
    """
    used = np.int64(0)
    counts = work.counts
    size = work.state.v.shape[0]
    while used < share and counts.now[0] < stop:
        if counts.spikes[0] + size > work.tape.time.shape[0]:
            return FULL
        now = counts.now[0]
        _emit_inputs(problem, work, now)
        _release_all(problem, work, now)
        used += size + _deliver_all(problem, work, now)
        _sample(problem, work, now)
        _record(work, now)
        if now < problem.n_steps:
            _flow_all(problem, work, now)
        counts.now[0] += 1
        if counts.reported[0] > problem.max_spikes:
            return SPIKE_LIMIT
    return DONE if counts.now[0] == stop else RUNNING
