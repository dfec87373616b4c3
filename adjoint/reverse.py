"""The backward pass: arrivals, samples and spikes in decreasing order of time.

An arrival reads the adjoint of its target and adds to the cotangent of its source spike; only the
neuron's own spikes and samples change its adjoint. Each emission enters a queue with the last of
its arrivals and goes back with the one before, as in the forward pass turned round: the key is
minus the time of arrival, then minus the order of emission.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from queues import heap
from queues.jit import inner_kernel, jit
from queues.types import HeapArrays
from refsim import model as neuron
from refsim.event_loop import emission
from refsim.lif_vjp import AdjointState, ModelBar
from refsim.status import DONE, FULL, RUNNING
from refsim.types import Float, InputArrays, Int, Model, SampleArrays, Tape, Wiring


class WiringBar(NamedTuple):
    """Gradient by the synapses, in the order of Wiring."""

    weight: Float  # (S,)
    delay: Float  # (S,)


class Pending(NamedTuple):
    """Emissions with an arrival before the end, the latest last arrival first."""

    time: Float  # (e,) ms, of the last arrival
    order: Int  # (e,) order of emission
    synapse: Int  # (e,) last synapse that delivers


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
    pending: Pending


class ReverseWork(NamedTuple):
    """What the backward pass changes."""

    adjoint: AdjointState
    model_bar: ModelBar
    wiring_bar: WiringBar
    spike_bar: Float  # (k,) dL/d(spike time), complete once the spike is reached
    input_bar: Float  # (I,) dL/d(input time), in order of time
    queue: HeapArrays
    spikes: Int  # (1,) spikes not yet reached
    samples: Int  # (1,) samples not yet reached
    pending: Int  # (1,) emissions entered


@jit
def last_arrivals(wiring, inputs, tape, origin, t_end, time, synapse):
    """Write time and synapse of the last arrival of each emission up to ``t_end``, or -inf."""
    for order in range(origin.shape[0]):
        emitted, source = emission(wiring, inputs, tape, origin[order])
        time[order] = -np.inf
        for k in range(wiring.start[source + 1] - 1, wiring.start[source] - 1, -1):
            arrival = emitted + wiring.delay[k]
            if arrival <= t_end:
                time[order] = arrival
                synapse[order] = k
                break


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
def _deliver_vjp(problem, work):
    """Read the adjoint at the latest arrivals in the queue and return how many there were."""
    wiring = problem.wiring
    queue = work.queue
    t = -queue.time[0]
    order = -queue.order[0]
    k = queue.payload[0]
    origin = problem.origin[order]
    emitted, source = emission(wiring, problem.inputs, problem.tape, origin)
    delay = wiring.delay[k]
    start = wiring.start[source]
    last = k
    total = 0.0
    while k >= start and wiring.delay[k] == delay:
        n = wiring.post[k]
        back_to(problem, work, n, t)
        weight_bar, time_bar = neuron.arrive_vjp(
            problem.model, work.adjoint, work.model_bar, n, wiring.port[k], wiring.weight[k], t
        )
        work.wiring_bar.weight[k] += weight_bar
        work.wiring_bar.delay[k] += time_bar
        total += time_bar
        k -= 1
    if origin >= 0:
        work.spike_bar[origin] += total
    else:
        work.input_bar[-1 - origin] += total
    if k >= start:
        heap.replace_top(queue, -(emitted + wiring.delay[k]), -order, k, 0.0)
    else:
        heap.pop(queue)
    return last - k


@inner_kernel
def _fire_vjp(problem, work):
    """Cross the latest spike not yet reached."""
    work.spikes[0] -= 1
    k = work.spikes[0]
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
    i = work.samples[0]
    n = problem.samples.neuron[i]
    t = problem.samples.time[i]
    back_to(problem, work, n, t)
    neuron.flow_vjp(problem.model, work.adjoint, work.model_bar, n, t)
    neuron.sample_vjp(work.adjoint, work.model_bar, n, problem.sample_bar[i])


@inner_kernel
def _run_back(problem, work, share):
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
        if work.queue.size[0] > 0:
            arrival = -work.queue.time[0]
        i = work.pending[0]
        if i < pending.time.shape[0] and pending.time[i] >= max(spike, sample, arrival):
            if work.queue.size[0] == work.queue.time.size:
                return FULL
            work.pending[0] += 1
            heap.add(work.queue, -pending.time[i], -pending.order[i], pending.synapse[i], 0.0)
            continue
        if sample > -np.inf and sample >= arrival and sample >= spike:
            _sample_vjp(problem, work)
            used += 1
        elif arrival > -np.inf and arrival >= spike:
            used += _deliver_vjp(problem, work)
        elif spike > -np.inf:
            _fire_vjp(problem, work)
            used += 1
        else:
            return DONE
    return RUNNING


@jit
def run_back(problem, work, share):
    """Process about ``share`` events and return a status.

    At equal times samples come first, then arrivals by decreasing order of emission, then spikes.
    """
    return _run_back(problem, work, share)


@inner_kernel
def _finish_back(problem, work, v0):
    for n in range(v0.shape[0]):
        neuron.flow_vjp(problem.model, work.adjoint, work.model_bar, n, 0.0)
        neuron.start_vjp(problem.model, work.adjoint, work.model_bar, n, v0[n])


@jit
def finish_back(problem, work, v0):
    """Take every neuron back to time 0."""
    _finish_back(problem, work, v0)
