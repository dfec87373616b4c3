"""The backward pass over a time grid: the transpose of every step's tangents, the last step first.

States are read from a record of the forward pass; sums that parameters enter through the
coefficients of a step are collected for these, and led on to rates at the end.
"""

from __future__ import annotations

import numpy as np

from queues.compiled.jit import inner_kernel, kernel
from queues.exact.chains import NONE
from refsim.grid.calendar import arrival_step, emission_of, enter, take
from refsim.grid.loop import flowed, surrogate
from refsim.grid.types import EXACT, SURROGATE
from refsim.models import lif as neuron


@kernel
def last_arrivals(problem, tape, origin, last, cursor):
    """Write the step and the synapse of the last arrival in time of each emission, or -1."""
    wiring = problem.wiring
    for entry in range(last.shape[0]):
        emitted, source, earliest = emission_of(wiring, problem.inputs, tape, origin[entry])
        last[entry] = NONE
        k = wiring.start[source + 1] - 1
        while k >= wiring.start[source]:
            delay = wiring.delay[k]
            step = arrival_step(problem.rules, emitted, delay, earliest, problem.n_steps)
            if step <= problem.n_steps:
                last[entry] = step
                cursor[entry] = k
                break
            k -= 1


@kernel
def note_spike(problem, tape, adj, n, row):
    """Make the spike in ``row``, if any, the last one of neuron ``n``."""
    adj.spike[n] = row
    adj.fired[n] = NONE
    adj.free[n] = 0
    if row != NONE:
        adj.fired[n] = tape.step[row]
        adj.free[n] = tape.step[row] + 1 + problem.rules.hold + problem.t_ref[n]


@kernel
def note_last_spikes(problem, tape, adj, last):
    """Begin with the last spikes of all neurons, in the rows ``last``."""
    for n in range(last.shape[0]):
        note_spike(problem, tape, adj, n, last[n])


@inner_kernel
def _receive_vjp(problem, work, k, now):
    """Read the adjoint at an arrival over synapse ``k``; return dL/d(its time)."""
    wiring, ports, adj = problem.wiring, problem.model.ports, work.adjoint
    n, p = wiring.post[k], wiring.port[k]
    i = ports.first[p]
    driven = 0.0
    if ports.order[p] == 2:
        driven = ports.gain[p] * adj.x[n, i + 1]
    elif problem.rules.full and now >= adj.free[n]:
        driven = problem.model.neurons.rate[n] * adj.v[n]
    late = neuron.late_vjp(problem.model, p, wiring.weight[k], adj.x[n, i], driven)
    work.bar.weight[k] += adj.x[n, i]
    work.bar.delay[k] += late
    return late


@inner_kernel
def _deliver_entry_vjp(problem, tape, work, entry, now):
    """Go back over the arrivals of a spike in this step, and enter it for the step before."""
    wiring, calendar = problem.wiring, work.calendar
    origin = calendar.origin[entry]
    emitted, source, earliest = emission_of(wiring, problem.inputs, tape, origin)
    k = calendar.cursor[entry]
    last = k
    delay = wiring.delay[k]
    step = now
    total = 0.0
    while k >= wiring.start[source]:
        if wiring.delay[k] != delay:
            delay = wiring.delay[k]
            step = arrival_step(problem.rules, emitted, delay, earliest, problem.n_steps)
            if step != now:
                break
        total += _receive_vjp(problem, work, k, now)
        k -= 1
    if origin >= 0:
        work.spike_bar[origin] += total
    else:
        work.input_bar[-1 - origin] += total
    if step != now:
        calendar.cursor[entry] = k
        enter(calendar, entry, step)
    return last - k


@inner_kernel
def _deliver_all_vjp(problem, tape, reverse, work, now):
    """Go back over the arrivals of this step and return how many there were."""
    pending = reverse.pending
    while work.entered[0] < pending.shape[0]:
        entry = pending[work.entered[0]]
        if reverse.last[entry] != now:
            break
        work.entered[0] += 1
        enter(work.calendar, entry, now)
    delivered = np.int64(0)
    entry = take(work.calendar, now)
    while entry != NONE:
        following = work.calendar.link[entry]
        delivered += _deliver_entry_vjp(problem, tape, work, entry, now)
        entry = following
    return delivered


@inner_kernel
def _sample_vjp(problem, reverse, work, now):
    samples = problem.samples
    while work.samples[0] > 0 and samples.step[work.samples[0] - 1] == now:
        work.samples[0] -= 1
        i = work.samples[0]
        work.adjoint.v[samples.neuron[i]] += reverse.sample_bar[i]


@inner_kernel
def _release_all_vjp(problem, tape, work, now):
    """Enter the refractoriness that ends with the beginning of this step."""
    if problem.rules.reset != EXACT:
        return
    adj, bar = work.adjoint, work.bar
    for n in range(adj.v.shape[0]):
        if adj.spike[n] != NONE and adj.free[n] == now:
            after = tape.slope_after[adj.spike[n]]
            work.spike_bar[adj.spike[n]] -= neuron.reset_vjp(bar, n, adj.v[n], after)
            adj.v[n] = 0.0


@inner_kernel
def _flow_filters_vjp(problem, bar, x_bar, x, n):
    """Take the adjoint of the filters back, where they were ``x`` before the step."""
    ports, tables = problem.model.ports, problem.tables
    for p in range(ports.first.shape[0]):
        i = ports.first[p]
        bar.fade[i] += x_bar[n, i] * x[n, i]
        x_bar[n, i] = tables.fade[i] * x_bar[n, i]
        if ports.order[p] == 2:
            bar.fade[i + 1] += x_bar[n, i + 1] * x[n, i + 1]
            bar.feed[p] += x_bar[n, i + 1] * x[n, i]
            x_bar[n, i] += tables.feed[p] * x_bar[n, i + 1]
            x_bar[n, i + 1] = tables.fade[i + 1] * x_bar[n, i + 1]


@inner_kernel
def _flowed_vjp(problem, work, v, x, n, v_bar):
    """Return dL/dV before a step, given that after it."""
    tables, bar, adj = problem.tables, work.bar, work.adjoint
    bar.drive[n] += v_bar * tables.leak[n]
    bar.decay[n] += v_bar * (v - problem.model.neurons.drive[n])
    for k in range(x.shape[1]):
        bar.lift[n, k] += v_bar * x[n, k]
        adj.x[n, k] += tables.lift[n, k] * v_bar
    return tables.decay[n] * v_bar


@inner_kernel
def _softened_vjp(problem, work, n, v, v_next, v_bar):
    """Return dL/d(the voltage at which a surrogate looks, ``v``)."""
    neurons = problem.model.neurons
    slope = surrogate(problem.rules, v - neurons.v_th[n])
    seen = v_bar * (v_next - neurons.v_reset[n]) * slope
    work.bar.v_th[n] += seen
    return -seen


@inner_kernel
def _flow_free_vjp(problem, tape, work, v, x, n, row):
    """Take the voltage of a free neuron back over a step, and over the spike in ``row`` if any."""
    rules, adj, bar = problem.rules, work.adjoint, work.bar
    spikes = row != NONE
    v_next_bar = adj.v[n]
    v_bar = 0.0
    if spikes and rules.hold == 0:
        bar.v_reset[n] += adj.v[n]
        v_next_bar = 0.0
    if rules.reset == SURROGATE:
        v_next = flowed(problem, n, v, x)
        if rules.hold == 1:
            v_bar += _softened_vjp(problem, work, n, v, v_next, adj.v[n])
        else:
            v_next_bar += _softened_vjp(problem, work, n, v_next, v_next, adj.v[n])
    if spikes:
        q = neuron.later_by(work.spike_bar[row], tape.slope[row])
        bar.v_th[n] += q
        v_next_bar -= tape.theta[row] * q
        v_bar -= (1.0 - tape.theta[row]) * q
    if v_next_bar != 0.0:
        v_bar += _flowed_vjp(problem, work, v, x, n, v_next_bar)
    adj.v[n] = v_bar


@inner_kernel
def _end_hold_vjp(problem, work, v, x, n):
    """Go back over the reset of a neuron that has been above threshold for one step."""
    adj = work.adjoint
    after = adj.v[n]
    work.bar.v_reset[n] += after
    adj.v[n] = 0.0
    if problem.rules.reset == SURROGATE:
        v_next = flowed(problem, n, v, x)
        adj.v[n] = _softened_vjp(problem, work, n, v, v_next, after)


@inner_kernel
def _flow_all_vjp(problem, tape, reverse, record, work, now):
    """Take all neurons back over the flow of a step."""
    adj = work.adjoint
    row = now - record.first[0]
    x = record.x[row]
    for n in range(adj.v.shape[0]):
        v = record.v[row, n]
        _flow_filters_vjp(problem, work.bar, adj.x, x, n)
        if adj.fired[n] == now:
            _flow_free_vjp(problem, tape, work, v, x, n, adj.spike[n])
            note_spike(problem, tape, adj, n, reverse.before[adj.spike[n]])
        elif now >= adj.free[n]:
            _flow_free_vjp(problem, tape, work, v, x, n, NONE)
        elif problem.rules.hold == 1 and adj.fired[n] + 1 == now:
            _end_hold_vjp(problem, work, v, x, n)


@kernel
def run_back(problem, tape, reverse, record, work, now, stop, share):
    """Go back from the end of step ``now`` to the beginning of step ``stop``, or a part of it.

    Return the step that is to be left next, ``stop`` - 1 when there is none. The flow of steps has
    to be on record.
    """
    used = np.int64(0)
    size = work.adjoint.v.shape[0]
    while now >= stop and used < share:
        if now < problem.n_steps:
            _flow_all_vjp(problem, tape, reverse, record, work, now)
        _sample_vjp(problem, reverse, work, now)
        used += size + _deliver_all_vjp(problem, tape, reverse, work, now)
        _release_all_vjp(problem, tape, work, now)
        now -= 1
    return now
