"""Windows for a network: which networks suit them, how long they are, and what one does."""

from __future__ import annotations

import math
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from queues.compiled.jit import kernel
from queues.compiled.vector.polynomials import TERMS
from refsim.models import lif as neuron
from refsim.models.lif.exponentials import convolve2
from refsim.models.lif.flow import log_ratio
from refsim.models.lif.response import MOST_CLASSES, Responses, fill_lifts, responses
from refsim.network.network import Network
from refsim.types import Float, Model
from refsim.windows.types import AnyPorts, OneExp, Propagator

_MOST_WINDOWS = 1e8
# Synapses from which the window engine is chosen. It is faster from some thousands on, but takes
# twice as long to compile, and below this a simulation is short either way.
_WORTHWHILE = 100_000
# Windows of a turn. What lies between turns weighs a quarter then, and waiting too; more would have
# spikes that have arrived looked at for longer.
_MOST_IN_TURN = 4
_WELL_APART = 0.01  # relative distance of rates from which their difference is a fine divisor
# Share of voltage and state that a window takes at least, so that the roundings of windows do not
# resemble each other: from one to the next what is cut off moves by the square of the share.
_LEAST_CHANGE = 1e-8
_MOST_SLEPT = 255  # windows over which a sleeping neuron is advanced by a table
# Share of the shortest synaptic time constant. In longer windows more neurons may fire, as far as
# the bound tells, and responses take more terms; in shorter ones sweeps cost more.
_PREFERRED = 0.375
# Where a spike has many targets at one time, sweeps are cheap beside arrivals, and replays dear.
_PREFERRED_DENSE, _DENSE = 0.25, 500  # from so many synapses a neuron on


def obstacle(network: Network, duration: float) -> str | None:
    """Return why a network cannot be simulated by windows, or None if it can."""
    shortest = network.shortest_delay
    if shortest == 0.0:
        return "a delay between neurons is 0"
    length = window_tables(network).length
    if duration / length > _MOST_WINDOWS:
        return f"windows of {length:.3g} ms would be too many"
    return None


def is_large(network: Network) -> bool:
    """Return whether a network has enough synapses for windows with many arrivals."""
    return len(network.synapses) >= _WORTHWHILE


def is_worthwhile(network: Network, duration: float) -> bool:
    """Return whether windows are so few that they have many arrivals, if neurons are active."""
    return duration / window_tables(network).length <= len(network.synapses)


def window_length(network: Network) -> float:
    """Return the length of a window: responses rise in it, and no spike reaches a neuron.

    Derivatives need the latter alone; their windows are those of `adjoint.windows.run`.
    """
    kernels = network.model
    longest = network.shortest_delay
    for rate in np.unique(kernels.neurons.rate):
        for i in range(len(kernels.ports.rate)):
            longest = min(longest, time_to_peak(float(rate), float(kernels.ports.rate[i])))
    preferred = _PREFERRED_DENSE if _is_dense(network) else _PREFERRED
    preferred /= float(kernels.ports.rate.max())
    return longest / max(1, math.ceil(longest / preferred - 1e-9))


def windows_in_turn(network: Network, length: float) -> int:
    """Return how many windows fit into the shortest delay, or a few if that is long."""
    fitting = network.shortest_delay / length * (1.0 + 1e-15)  # where it is a whole number
    return int(min(max(fitting, 1.0), _MOST_IN_TURN))


def _is_dense(network: Network) -> bool:
    """Return whether a spike has many targets at one time."""
    rows, _ = network.rows
    few_delays = len(rows.group) > 0 or len(rows.delay) <= 1
    return few_delays and len(network.synapses) >= _DENSE * network.n_neurons


def time_to_peak(a: float, r: float) -> float:
    """Return when the voltage of rate ``a`` peaks in response to a filter of rate ``r``.

    log(a/r)/(a - r), or 1/r where the rates are equal; a little less, to be certain.
    """
    peak = log_ratio(a, r) / (a - r) if a != r else 1.0 / r
    return peak * (1.0 - 1e-12)


def _shape(kernels: Model, table: Responses, step: Propagator) -> OneExp | AnyPorts:
    """Return what chooses the kernels: those of one exponential port, or those of any."""
    n_states = len(kernels.ports.rate)
    a, r = table.rate[0], kernels.ports.rate[0]
    is_apart = abs(r - a) > _WELL_APART * (r + a)
    changes = min(step.leak[0, 1], step.loss[0]) > _LEAST_CHANGE
    if len(table.rate) == 1 and n_states == 1 and is_apart and changes:
        return OneExp(
            rate_v=float(a),
            rate_x=float(r),
            ratio=float(a / (r - a)),
            # The peak of the response, (a/r)^(r/(r - a)); a little more, to be certain.
            reach=math.exp(float(r) * log_ratio(float(a), float(r)) / float(r - a)) * (1.0 + 1e-12),
            leak=float(step.leak[0, 1]),
            loss=float(step.loss[0]),
            lift=float(step.lift[0, 1, 0]),
            lift_terms=_padded(table.lift[0, 0]),
            fade_terms=_padded(table.first[0]),
        )
    return AnyPorts(
        n_states=n_states, n_sums=2 + n_states, has_kinds=bool(len(table.rate) <= MOST_CLASSES)
    )


def _padded(terms: Float) -> Float:
    return np.concatenate([terms, np.zeros(max(0, TERMS - len(terms)))])


def propagator(model: Model, length: float) -> Propagator:
    """Return what 0, 1, 2, ... windows of ``length`` ms do to a neuron of each class."""
    rate, members, kind = np.unique(model.neurons.rate, return_index=True, return_inverse=True)
    size = 1 + (_MOST_SLEPT if len(rate) <= MOST_CLASSES else 1)
    n_states = len(model.ports.rate)
    table = Propagator(
        kind=kind.astype(np.int64),
        decay=np.zeros((len(rate), size)),
        leak=np.zeros((len(rate), size)),
        lift=np.zeros((len(rate), size, n_states)),
        fade=np.zeros((size, n_states)),
        loss=-np.expm1(-model.ports.rate * length),
        feed=np.zeros((size, n_states)),
        reach=_reach(model, rate),
    )
    _fill(model, members.astype(np.int64), length, table, np.zeros(n_states))
    return table


def _reach(model: Model, rate: Float) -> Float:
    """Return a bound of the voltage for a state of 1, by class."""
    ports = model.ports
    last = np.arange(len(ports.rate))
    factor = np.ones(len(ports.rate))
    for p in np.flatnonzero(ports.order == 2):
        i = ports.first[p]
        last[i] = i + 1
        factor[i] = ports.gain[p] / ports.rate[i]
    return factor * np.minimum(1.0, rate[:, None] / ports.rate[last])


@kernel
def _fill(model, members, length, table, x):
    """Write the tables; ``members`` has a neuron of each class, ``x`` is a state of zeros."""
    for m in range(table.fade.shape[0]):
        dt = m * length
        for c in range(members.shape[0]):
            table.decay[c, m] = neuron.flow_excursion(model, members[c], 1.0, x, dt)
            table.leak[c, m] = -math.expm1(-model.neurons.rate[members[c]] * dt)
            fill_lifts(model, members[c], dt, x, table.lift[c, m])
        for p in range(model.ports.first.shape[0]):
            i = model.ports.first[p]
            for k in range(i, i + model.ports.order[p]):
                table.fade[m, k] = math.exp(-model.ports.rate[k] * dt)
            if model.ports.order[p] == 2 and m > 0:
                r, s = model.ports.rate[i], model.ports.rate[i + 1]
                table.feed[m, i] = model.ports.gain[p] * convolve2(r, s, dt)


class WindowTables(NamedTuple):
    """What is computed once for a network; see WindowProblem."""

    length: float  # of a window, ms
    turn: int  # windows between two meetings of the blocks
    responses: Responses
    propagator: Propagator
    shape: OneExp | AnyPorts


_tables: WeakKeyDictionary[Network, WindowTables] = WeakKeyDictionary()


def window_tables(network: Network) -> WindowTables:
    """Return windows for a network, and what they do; computed once for each."""
    if network not in _tables:
        _tables[network] = _made_tables(network)
    return _tables[network]


def _made_tables(network: Network) -> WindowTables:
    length = window_length(network)
    table = responses(network.model, length)
    step = propagator(network.model, length)
    turn = windows_in_turn(network, length)
    return WindowTables(length, turn, table, step, _shape(network.model, table, step))
