"""The backward pass: arrivals, samples and spikes in decreasing order of time.

An arrival reads the adjoint of its target and adds to the cotangent of its source spike; only the
neuron's own spikes and samples change its adjoint. Each emission enters a queue with the last of
its arrivals and goes back with the one before, as in the forward pass turned round: the key is
minus the time of arrival, then minus the order of emission. The structure of this queue need not be
that of the forward pass. Instead, all arrivals can be sorted before the pass begins; then no entry
goes back, and the queue holds one at most.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from adjoint.events import keep
from queues.compiled.jit import inner_kernel, kernel
from queues.exact import dispatch
from refsim.events.loop import emission
from refsim.models import lif as neuron
from refsim.models.lif.adjoint import AdjointState, ModelBar
from refsim.status import DONE, FULL, RUNNING
from refsim.transit import lossy
from refsim.transit.arrivals import arrival_time
from refsim.types import Float, InputArrays, Int, Model, SampleArrays, Tape, Wiring


class WiringBar(NamedTuple):
    """Gradient by the synapses, in the order of Wiring."""

    weight: Float  # (S,)
    delay: Float  # (S,)


class Pending(NamedTuple):
    """Arrivals that enter the queue by themselves, the latest first: each emission's last, or all.

    An arrival here is that of a spike at all its synapses of one delay.
    """

    time: Float  # (e,) ms
    order: Int  # (e,) order of emission
    synapse: Int  # (e,) last synapse of the delay


class ReverseProblem(NamedTuple):
    """What the forward pass has left."""

    model: Model
    wiring: Wiring
    inputs: InputArrays
    samples: SampleArrays
    sample_bar: Float  # (V,) in order of time
    tape: Tape
    before: Int  # (k,) row of the same neuron's spike before, -1 for none
    origin: Int
    dt: float  # step of the grid of arrivals in ms, 0 for none
    pending: Pending
    walks: bool  # whether an entry goes back with the arrival before; else all are pending


class ReverseTransit(NamedTuple):
    """Cotangents under way backwards in time; its type is that of the queues."""

    queue: Any  # arrays of a structure in queues.exact.dispatch
    losses: Any  # of refsim.transit.lossy: what was lost on the way forwards
    kept: Any  # of adjoint.events.keep: cotangents that bounded queues hold


class ReverseWork(NamedTuple):
    """What the backward pass changes."""

    adjoint: AdjointState
    model_bar: ModelBar
    wiring_bar: WiringBar
    spike_bar: Float  # (k,) dL/d(spike time), complete once the spike is reached
    input_bar: Float  # (I,) dL/d(input time), in order of time
    spikes: Int  # (1,) spikes not yet reached
    samples: Int  # (1,) samples not yet reached
    pending: Int  # (1,) emissions entered


@kernel
def link_spikes(neurons, before, last):
    """Write for each spike the row of the same neuron's spike before, and each neuron's last row.

    ``last`` begins as -1 for every neuron.
    """
    for row in range(neurons.shape[0]):
        before[row] = last[neurons[row]]
        last[neurons[row]] = row


@kernel
def arrivals_up_to(wiring, inputs, tape, origin, dt, t_end, last_only, pending):
    """Write arrivals up to ``t_end``, of each emission the last or all; return their number."""
    used = np.int64(0)
    for order in range(origin.shape[0]):
        emitted, source = emission(wiring, inputs, tape, origin[order])
        start = wiring.start[source]
        k = wiring.start[source + 1] - 1
        while k >= start:
            delay = wiring.delay[k]
            arrival = arrival_time(dt, emitted, delay)
            if arrival <= t_end:
                pending.time[used] = arrival
                pending.order[used] = order
                pending.synapse[used] = k
                used += 1
                if last_only:
                    break
            while k >= start and wiring.delay[k] == delay:
                k -= 1
    return used


@inner_kernel
def back_to(problem, work, n, t):
    """Make the adjoint of neuron ``n`` readable at ``t``: enter refractoriness if it lies there."""
    adj = work.adjoint
    k = adj.spike[n]
    if k < 0 or adj.held[n] == 1:
        return
    release = problem.tape.time[k] + problem.model.neurons.t_ref[n]
    if t < release:
        enter_hold(problem, work, n, release)


@inner_kernel
def enter_hold(problem, work, n, release):
    """Take the adjoint of neuron ``n`` back over the end of its refractoriness."""
    adj = work.adjoint
    if release < adj.time[n]:
        neuron.flow_vjp(problem.model, adj, work.model_bar, n, release)
    neuron.release_vjp(problem.model, adj, work.model_bar, n)


@inner_kernel
def receive_vjp(problem, work, k, t):
    """Read the adjoint at an arrival over synapse ``k``; return dL/d(its time)."""
    wiring = problem.wiring
    n = wiring.post[k]
    back_to(problem, work, n, t)
    weight_bar, time_bar = neuron.arrive_vjp(
        problem.model, work.adjoint, work.model_bar, n, wiring.port[k], wiring.weight[k], t
    )
    work.wiring_bar.weight[k] += weight_bar
    return time_bar


@inner_kernel
def _deliver_vjp(problem, work, transit):
    """Read the adjoint at the latest arrivals in the queue and return how many there were."""
    wiring = problem.wiring
    queue = transit.queue
    top = dispatch.top(queue)
    t = -queue.time[top]
    order = -queue.order[top]
    k = queue.payload[top]
    origin = problem.origin[order]
    emitted, source = emission(wiring, problem.inputs, problem.tape, origin)
    delay = wiring.delay[k]
    start = wiring.start[source]
    last = k
    total = 0.0
    while k >= start and wiring.delay[k] == delay:
        if not lossy.is_lost(transit.losses, order, k - start):
            time_bar = receive_vjp(problem, work, k, t)
            total += keep.deposit(transit.kept, problem, work, k, order, t, time_bar)
        k -= 1
    if origin >= 0:
        work.spike_bar[origin] += total
    else:
        work.input_bar[-1 - origin] += total
    if problem.walks and k >= start:
        before = arrival_time(problem.dt, emitted, wiring.delay[k])
        dispatch.replace_top(queue, -before, -order, k, 0.0, np.int64(0))
    else:
        dispatch.pop(queue)
    return last - k


@inner_kernel
def _fire_vjp(problem, work, transit):
    """Cross the latest spike not yet reached."""
    work.spikes[0] -= 1
    k = work.spikes[0]
    keep.collect(transit.kept, problem, work, k)
    fire_vjp(problem, work, k)


@inner_kernel
def fire_vjp(problem, work, k):
    """Cross spike ``k``, all of whose effects have been met."""
    tape = problem.tape
    adj = work.adjoint
    n = tape.neuron[k]
    t = tape.time[k]
    if adj.held[n] == 0:
        enter_hold(problem, work, n, t + problem.model.neurons.t_ref[n])
    neuron.flow_vjp(problem.model, adj, work.model_bar, n, t)
    neuron.fire_vjp(
        adj, work.model_bar, n, tape.slope_before[k], tape.slope_after[k], work.spike_bar[k]
    )
    adj.spike[n] = problem.before[k]


@inner_kernel
def _sample_vjp(problem, work):
    """Add the cotangent of the latest sample not yet reached."""
    work.samples[0] -= 1
    sample_vjp(problem, work, work.samples[0])


@inner_kernel
def sample_vjp(problem, work, i):
    """Add the cotangent of sample ``i``."""
    n = problem.samples.neuron[i]
    t = problem.samples.time[i]
    back_to(problem, work, n, t)
    neuron.flow_vjp(problem.model, work.adjoint, work.model_bar, n, t)
    neuron.sample_vjp(work.adjoint, work.model_bar, n, problem.sample_bar[i])


@kernel
def run_back(problem, work, transit, share):
    """Process about ``share`` events and return a status.

    At equal times samples come first, then arrivals by decreasing order of emission, then spikes.
    """
    used = np.int64(0)
    pending = problem.pending
    while used < share:
        spike = -np.inf
        if work.spikes[0] > 0:
            spike = problem.tape.time[work.spikes[0] - 1]
        sample = -np.inf
        if work.samples[0] > 0:
            sample = problem.samples.time[work.samples[0] - 1]
        arrival = -np.inf
        if transit.queue.size[0] > 0:
            arrival = -transit.queue.time[dispatch.top(transit.queue)]
        i = work.pending[0]
        if i < pending.time.shape[0] and pending.time[i] >= max(spike, sample, arrival):
            if transit.queue.size[0] == transit.queue.time.size:
                return FULL
            work.pending[0] += 1
            dispatch.add(
                transit.queue,
                -pending.time[i],
                -pending.order[i],
                pending.synapse[i],
                0.0,
                np.int64(0),
            )
            continue
        if sample > -np.inf and sample >= arrival and sample >= spike:
            _sample_vjp(problem, work)
            used += 1
        elif arrival > -np.inf and arrival >= spike:
            used += _deliver_vjp(problem, work, transit)
        elif spike > -np.inf:
            _fire_vjp(problem, work, transit)
            used += 1
        else:
            keep.collect_rest(transit.kept, problem, work)
            return DONE
    return RUNNING


@inner_kernel
def finish_neuron_back(problem, work, n, v0):
    """Take neuron ``n`` back to time 0, where its voltage is ``v0``."""
    neuron.flow_vjp(problem.model, work.adjoint, work.model_bar, n, 0.0)
    neuron.start_vjp(problem.model, work.adjoint, work.model_bar, n, v0)


@kernel
def finish_back(problem, work, v0):
    """Take every neuron back to time 0."""
    for n in range(v0.shape[0]):
        finish_neuron_back(problem, work, n, v0[n])
