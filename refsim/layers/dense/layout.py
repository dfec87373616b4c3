"""Which networks have full layers, and how these lie in memory."""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from refsim.layers.dense.rise import tangents
from refsim.layers.dense.types import WIDTH, Groups, Layers
from refsim.layers.plan import Plan
from refsim.network.network import Network
from refsim.network.voltages import start_of
from refsim.types import Float, Int, Wiring

_WELL_APART = 0.02  # relative distance of rates from which their difference is a fine divisor
_MOST_LINES = 2**20  # lines and places to look for them


class Dense(NamedTuple):
    """A network of full layers."""

    groups: Groups
    layers: Layers


def dense_of(network: Network, plan: Plan) -> Dense | None:
    """Return the layers of a network that has full ones, or None."""
    if why_not_dense(network):
        return None
    groups = _known_groups(network, plan)
    return None if groups is None else Dense(groups, layers_of(network, groups))


class _Known(NamedTuple):
    """The groups that were made last, and of what."""

    synapses: list[ref[NDArray[Any]]]
    sizes: tuple[int, int]
    rate: Float
    groups: Groups | None


_last: list[_Known] = []


def _known_groups(network: Network, plan: Plan) -> Groups | None:
    """Return the groups of a network; steps of training change its weights alone."""
    synapses = network.synapses
    columns = [synapses.pre, synapses.post, synapses.delay]
    sizes, rate = (network.n_neurons, network.n_inputs), network.model.neurons.rate
    for known in _last:
        same = all(one() is other for one, other in zip(known.synapses, columns, strict=True))
        if same and known.sizes == sizes and np.array_equal(known.rate, rate):
            return known.groups
    made = groups_of(network, plan) or singles_of(network, plan)
    _last[:] = [_Known([ref(column) for column in columns], sizes, rate, made)]
    return made


def why_not_dense(network: Network) -> str:
    """Return why the neurons of a network cannot be taken in vectors, or "" if they may be.

    Where the drive is above the threshold the voltage is not a difference of two exponentials; the
    others lose no digits to their drive, see `refsim.models.lif.datum`.
    """
    neurons, ports = network.model.neurons, network.model.ports
    if len(ports.rate) != 1:
        return "there are several ports, or exponentials"
    if neurons.t_ref.any():
        return "neurons are refractory"
    if neurons.drive.any():
        return "a drive is above the threshold"
    a, r = neurons.rate, float(ports.rate[0])
    if (np.abs(a - r) < _WELL_APART * (a + r)).any():
        return "time constants are close to each other"
    return ""


def groups_of(network: Network, plan: Plan) -> Groups | None:
    """Return the groups of a network, or None if some of its synapses are missing."""
    wiring, n = network.wiring, network.n_neurons
    n_sources = n + network.n_inputs
    kind = np.unique(network.model.neurons.rate, return_inverse=True)[1]
    group = np.unique(np.stack([plan.level, kind]), axis=1, return_inverse=True)[1].reshape(n)
    size = np.bincount(group)
    padded = -(-size // WIDTH) * WIDTH
    start = np.concatenate([[0], np.cumsum(padded)])
    order = np.argsort(group, kind="stable")
    place = np.empty(n, dtype=np.int64)
    before = np.concatenate([[0], np.cumsum(size)])
    place[order] = start[group[order]] + np.arange(n) - before[group[order]]
    neuron = np.full(start[-1], -1)
    neuron[place] = np.arange(n)
    if int(group.max() + 1) * (n_sources + 1) > _MOST_LINES:
        return None
    line, first, delay, of_group = _lines(wiring, group, n_sources)
    cell = np.concatenate([[0], np.cumsum(padded[of_group])])
    inner = place[wiring.post] - start[group[wiring.post]]
    cell_of = cell[line] + inner
    filled = np.bincount(line[np.unique(cell_of, return_index=True)[1]], minlength=len(delay))
    if (filled != size[of_group]).any() or len(np.unique(cell_of)) != len(cell_of):
        return None
    level = plan.level[neuron[start[:-1]]]
    return Groups(start, size, level, neuron, place, group, first, delay, cell, cell_of)


def singles_of(network: Network, plan: Plan) -> Groups | None:
    """Return groups of one neuron each, or None if there are too many; a line is a synapse."""
    wiring, n = network.wiring, network.n_neurons
    n_sources = n + network.n_inputs
    if n * (n_sources + 1) > _MOST_LINES:
        return None
    place = np.empty(n, dtype=np.int64)
    place[plan.order] = np.arange(n)
    source = np.repeat(np.arange(n_sources), np.diff(wiring.start))
    row = place[wiring.post] * n_sources + source
    order = np.argsort(row, kind="stable")
    cell_of = np.empty(len(order), dtype=np.int64)
    cell_of[order] = np.arange(len(order))
    return Groups(
        start=np.arange(n + 1),
        size=np.ones(n, dtype=np.int64),
        level=plan.level[plan.order],
        neuron=plan.order.copy(),
        place=place,
        group=place.copy(),
        first=_first_lines(row[order], n, n_sources),
        delay=wiring.delay[order],
        cell=np.arange(len(order) + 1),
        cell_of=cell_of,
    )


def _first_lines(row: Int, n_groups: int, n_sources: int) -> Int:
    """Return the first line of each group and source, of rows group * sources + source in order."""
    every = np.arange(n_groups)[:, None] * n_sources + np.arange(n_sources + 1)
    return np.searchsorted(row, every).astype(np.int64)


def _lines(wiring: Wiring, group: Int, n_sources: int) -> tuple[Int, Int, Float, Int]:
    """Return the line of each synapse, the first of each group and source, delays and groups."""
    source = np.repeat(np.arange(n_sources), np.diff(wiring.start))
    row = group[wiring.post] * n_sources + source
    order = np.lexsort((wiring.delay, row))
    sorted_row, sorted_delay = row[order], wiring.delay[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (sorted_row[1:] != sorted_row[:-1]) | (sorted_delay[1:] != sorted_delay[:-1])
    line = np.empty(len(order), dtype=np.int64)
    line[order] = np.cumsum(begins) - 1
    begun = sorted_row[begins]
    first = _first_lines(begun, int(group.max()) + 1, n_sources)
    return line, first, sorted_delay[begins], begun // n_sources


def layers_of(network: Network, groups: Groups) -> Layers:
    """Return the parameters of a network at the places of the groups."""
    model = network.model
    used = groups.neuron >= 0
    neuron = groups.neuron[used]

    def spread(values: Float, rest: float) -> Float:
        out = np.full(len(used), rest)
        out[used] = values[neuron]
        return out

    a = model.neurons.rate[groups.neuron[groups.start[:-1]]]
    r = np.full(len(a), model.ports.rate[0])
    weight = np.zeros(int(groups.cell[-1]))
    weight[groups.cell_of] = network.wiring.weight
    p, q = np.minimum(a, r), np.maximum(a, r)
    # Where neurons are single and alike, what they share is the exponentials of spikes and delays.
    alike = len(groups.neuron) == network.n_neurons and bool((a == a[0]).all())
    delay = groups.delay if alike else groups.delay[:0]
    return Layers(
        slow=p,
        fast=q,
        scale=a / np.abs(r - a),
        leak=a,
        line=tangents(p, q),
        level=spread(model.neurons.v_th, np.finfo(float).max),
        reset=spread(model.neurons.v_reset, 0.0),
        v0=spread(start_of(network), 0.0),
        weight=weight,
        fade_slow=np.exp(-p[0] * delay),
        fade_fast=np.exp(-q[0] * delay),
    )
