"""Every spike of an answer as a problem of its own, which the exact engine solves.

What is known of spike k of neuron n, if an answer is believed up to there: when n spiked before, so
when it was released, and when all that reaches it arrives, be it from inputs or from spikes of the
answer. The exact spike that follows is that of one neuron, from one release to one crossing.
Whatever an answer does differently shows in the time between the two, and in nothing that comes
later: errors do not add up along chains and loops, and one sees what one step from spike to spike
does.

All of these neurons, a copy for each spike, are simulated together: they have no synapses between
them. A copy that begins after a spike is made to spike at the beginning of time, by a current that
is gone at once, and is then refractory until the release.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adjoint.api import jvp, vjp
from adjoint.events.loop import link_spikes
from refsim.cases import Case
from refsim.errors import IllConditionedWarning, RefsimError
from refsim.events.options import Events
from refsim.network.connect import connect
from refsim.network.inputs import SpikeTrain
from refsim.network.network import Network
from refsim.network.ports import DoubleExpPort, ExpPort
from validation.comparison.answers import CheckedAnswer
from validation.comparison.backend import nth_of_neuron
from validation.tolerances import slope_condition

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

MOST_COPIES = 200  # spikes of an answer that are looked at, spread over its time
MOST_ARRIVALS = 50_000
KICK = 1e-4  # ms, time constant of the current that makes a copy spike at the beginning
GONE = 60.0  # time constants after which a current is nothing
NEAR = 1e-9  # of the way from reset to threshold, from which a kick starts
PUSH = 1e3  # times as much current as would reach the threshold at last
LATEST = 30.0  # steps by which a spike may be late


class Intervals(NamedTuple):
    """Spikes of an answer beside those that exactly follow from what came before them."""

    late: Vector  # (m,) ms
    condition: Vector  # (m,) condition number of the slope at the exact crossing
    shortest: float  # ms, the shortest time constant
    release: Vector  # (m,) d(spike time)/d(time of the release before), 0 for first spikes
    tau_m: Vector  # (m,) d(spike time)/d(tau_m)
    tau: Vector  # (m,) d(spike time)/d(time constants of all ports)
    # Arrivals, of all spikes that are looked at:
    spike: Rows  # (a,) which of the m spikes it may have part in
    arrival: Vector  # (a,) ms
    of_input: NDArray[np.bool_]  # (a,)
    smooth: NDArray[np.bool_]  # (a,) whether its response begins with a slope of zero
    by_arrival: Vector  # (a,) d(spike time)/d(time of the arrival)
    # (a,) d(spike time)/d(log weight), over the time constant of the port, and over tau_m
    by_weight: Vector
    by_weight_m: Vector


class _Copies(NamedTuple):
    """Neurons without synapses between them, one for each spike."""

    network: Network
    inputs: SpikeTrain
    row: Rows  # (m,) of the spike in the answer
    kicked: NDArray[np.bool_]  # (m,) whether it begins after a spike
    spike: Rows  # (a,) copy of each arrival
    synapse: Rows  # (a,) of the case
    arrival: Vector  # (a,) ms
    of_input: NDArray[np.bool_]  # (a,)


class _Events(NamedTuple):
    """Everything that arrives at a neuron if an answer is believed."""

    emission: Rows  # which of the inputs, then of the spikes
    synapse: Rows
    time: Vector  # ms, of the arrival


def intervals(case: Case, dt: float, answer: CheckedAnswer) -> Intervals | None:
    """Return the spikes of an answer one by one, None where there is nothing to compare."""
    if not len(answer.time) or answer.time[0] < 0.0:
        return None
    try:
        copies = _copies(case, dt, answer)
        with warnings.catch_warnings(action="ignore", category=IllConditionedWarning):
            return None if copies is None else _compared(copies, dt, answer)
    except RefsimError:  # numbers that are no network's, or endless spikes
        return None


def _copies(case: Case, dt: float, answer: CheckedAnswer) -> _Copies | None:
    net, time, neuron = case.network, answer.time, answer.neuron
    row = np.unique(np.linspace(0, len(time) - 1, MOST_COPIES).astype(np.int64))
    before = np.empty(len(neuron), dtype=np.int64)
    link_spikes(neuron, before, np.full(net.n_neurons, -1))
    before = before[row]
    kicked = before >= 0
    release = np.where(kicked, time[before] + net.t_ref[neuron[row]], 0.0)
    usable = (time[row] > release) & (~kicked | (release > GONE * KICK))
    row, kicked, release = row[usable], kicked[usable], release[usable]
    events = _events(case, answer)
    if events is None or not len(row):
        return None
    oldest = GONE * float(net.tau.max(initial=0.0))
    parts: list[tuple[Rows, _Events]] = []
    for copy, (k, begin) in enumerate(zip(row, release, strict=True)):
        of_neuron = events[int(neuron[k])]
        emitted = np.concatenate([case.inputs.times, time])[of_neuron.emission]
        near = (of_neuron.time > begin - oldest) & (of_neuron.time < time[k] + LATEST * dt)
        chosen = np.flatnonzero(near & (emitted < time[k]))
        part = _Events(
            of_neuron.emission[chosen], of_neuron.synapse[chosen], of_neuron.time[chosen]
        )
        parts.append((np.full(len(chosen), copy, dtype=np.int64), part))
        if sum(len(each) for each, _ in parts) > MOST_ARRIVALS:
            return None
    spike = np.concatenate([each for each, _ in parts])
    emission, synapse, arrival = (np.concatenate([part[i] for _, part in parts]) for i in range(3))
    network, inputs = _network_of(case, answer, row, release, kicked, spike, emission, synapse)
    of_input = emission < len(case.inputs.times)
    return _Copies(network, inputs, row, kicked, spike, synapse, arrival, of_input)


def _events(case: Case, answer: CheckedAnswer) -> list[_Events] | None:
    """Return all arrivals by neuron, None where there are too many."""
    net = case.network
    n_sources = net.n_neurons + net.n_inputs
    source = np.concatenate([net.n_neurons + case.inputs.sources, answer.neuron]).astype(np.int64)
    time = np.concatenate([case.inputs.times, answer.time])
    by_source = np.argsort(source, kind="stable")
    first = np.searchsorted(source[by_source], np.arange(n_sources + 1))
    count = np.diff(first)[net.pre]
    if count.sum() > MOST_ARRIVALS:
        return None
    synapse = np.repeat(np.arange(len(net.pre)), count)
    within = np.arange(len(synapse)) - np.repeat(np.cumsum(count) - count, count)
    emission = by_source[first[net.pre[synapse]] + within] if len(synapse) else synapse
    arrival = time[emission] + net.delay[synapse]
    rows = [np.flatnonzero(net.post[synapse] == n) for n in range(net.n_neurons)]
    return [_Events(emission[at], synapse[at], arrival[at]) for at in rows]


def _network_of(
    case: Case,
    answer: CheckedAnswer,
    row: Rows,
    release: Vector,
    kicked: NDArray[np.bool_],
    spike: Rows,
    emission: Rows,
    synapse: Rows,
) -> tuple[Network, SpikeTrain]:
    """Return the network of all copies: an input channel for each emission, and one for kicks."""
    net = case.network
    n = answer.neuron[row]
    used, channel = np.unique(emission, return_inverse=True)
    pushed = np.flatnonzero(kicked)
    span = np.abs(net.v_th - net.v_reset)[n]
    drive = (net.v_rest + net.i_ext)[n]
    push = PUSH * (span + np.abs(net.v_th[n] - drive))
    wiring = connect(
        len(row) + np.append(channel, np.full(len(pushed), len(used))),
        np.append(spike, pushed),
        np.append(net.weight[synapse], push[pushed]),
        np.append(net.delay[synapse], np.zeros(len(pushed))),
        np.append(net.port[synapse], np.full(len(pushed), len(net.ports))),
    )
    network = Network(
        len(row),
        wiring,
        n_inputs=len(used) + 1,
        ports=(*net.ports, ExpPort(KICK)),
        tau_m=net.tau_m[n],
        v_th=net.v_th[n],
        v_reset=net.v_reset[n],
        v_rest=net.v_rest[n],
        i_ext=net.i_ext[n],
        t_ref=np.where(kicked, release, net.t_ref[n]),
        v0=np.where(kicked, net.v_th[n] - NEAR * span, net.v0[n]),
    )
    times = np.concatenate([case.inputs.times, answer.time])[used]
    channels = np.arange(len(used) + 1)
    return network, SpikeTrain(np.append(times, 0.0), channels, len(used) + 1)


def _compared(copies: _Copies, dt: float, answer: CheckedAnswer) -> Intervals | None:
    """Simulate the copies, and differentiate the spike that each of them is there for."""
    net, m, a = copies.network, len(copies.row), len(copies.spike)
    until = float(answer.time[copies.row].max()) + LATEST * dt
    most = 100 * m + 10_000
    run, pullback = vjp(net, copies.inputs, until, max_spikes=most, engine=Events())
    constants = np.append(np.ones(len(net.tau) - 1), 0.0)  # not that of the kick
    _, dot = jvp(net, copies.inputs, until, {"tau": constants}, max_spikes=most, engine=Events())
    spikes = run.spikes
    wanted = np.flatnonzero(nth_of_neuron(spikes.neuron) == copies.kicked[spikes.neuron])
    copy = spikes.neuron[wanted]
    bar = np.zeros(len(spikes.time))
    bar[wanted] = 1.0
    gradient = pullback(bar)  # copies know nothing of each other: of each its own
    place = np.full(m, -1, dtype=np.int64)
    place[copy] = np.arange(len(copy))
    kept = place[copies.spike] >= 0
    port, target = net.port[:a][kept], net.post[:a][kept]
    by_log_weight = (gradient.weight[:a] * net.weight[:a])[kept]
    decay = np.array([max(each.time_constants) for each in net.ports])
    smooth = np.array([isinstance(each, DoubleExpPort) for each in net.ports])
    return Intervals(
        late=answer.time[copies.row[copy]] - spikes.time[wanted],
        condition=slope_condition(run)[wanted],
        shortest=float(min(net.tau_m.min(), net.tau[:-1].min(initial=np.inf))),
        release=np.where(copies.kicked, gradient.t_ref, 0.0)[copy],
        tau_m=gradient.tau_m[copy],
        tau=dot.time[wanted],
        spike=place[copies.spike[kept]],
        arrival=copies.arrival[kept],
        of_input=copies.of_input[kept],
        smooth=smooth[port],
        by_arrival=gradient.delay[:a][kept],
        by_weight=by_log_weight / decay[port],
        by_weight_m=by_log_weight / net.tau_m[target],
    )
