"""Networks whose synapses form no cycle: in which order their neurons are taken, and why not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from refsim.network.network import Network
from refsim.types import Int, Wiring

_MOST_NAMED = 6  # neurons of a cycle that a message names


class Into(NamedTuple):
    """Synapses by target, and within a target by source, delay and number."""

    start: Int  # (n + 1,) first place of each target
    synapse: Int  # (S,) place in the Wiring
    source: Int  # (S,)


class Plan(NamedTuple):
    """The order in which neurons are taken; every source comes before its targets."""

    order: Int  # (n,) neurons, by level
    level: Int  # (n,) of each neuron: synapses on the longest way to it from one without sources
    into: Into


def levels(network: Network) -> Int:
    """Return the level of each neuron (n,), -1 of those on a cycle or behind one."""
    n = network.n_neurons
    between = network.pre < n
    pre, post = network.pre[between], network.post[between]
    level = np.zeros(n, dtype=np.int64)
    waiting = np.bincount(post, minlength=n)
    ready = waiting == 0
    placed = ready.copy()
    depth = 0
    while ready.any():
        level[ready] = depth
        depth += 1
        leaving = ready[pre]
        waiting = waiting - np.bincount(post[leaving], minlength=n)
        ready = (waiting == 0) & ~placed
        placed |= ready
        pre, post = pre[~leaving], post[~leaving]
    level[~placed] = -1
    return level


def cycle_of(network: Network, level: Int) -> list[int]:
    """Return neurons that form a cycle, each followed by one of its targets."""
    lost = level < 0
    source = np.full(network.n_neurons, -1)
    inner = network.pre < network.n_neurons
    pre, post = network.pre[inner], network.post[inner]
    inside = lost[pre] & lost[post]
    source[post[inside]] = pre[inside]
    n = int(np.flatnonzero(lost)[0])
    way: list[int] = []
    while n not in way:
        way.append(n)
        n = int(source[n])
    return way[way.index(n) :][::-1]


def obstacle(network: Network, duration: float) -> str | None:
    """Return why a network cannot be simulated layer by layer, or None if it can.

    Parameters
    ----------
    network : Network
        The network.
    duration : float
        Of the simulation in ms; any will do.
    """
    level = levels(network)
    if (level >= 0).all():
        return None
    way = cycle_of(network, level)
    if len(way) == 1:
        return f"neuron {way[0]} has a synapse to itself"
    named = " -> ".join(map(str, [*way[:_MOST_NAMED], *(["..."] if way[_MOST_NAMED:] else [])]))
    return f"synapses form a cycle: {named} -> {way[0]}"


def has_cycles(network: Network) -> bool:
    """Return whether synapses form a cycle."""
    return bool((levels(network) < 0).any())


def plan_of(network: Network) -> Plan:
    """Return the plan for a network without a cycle."""
    level = levels(network)
    # Not read-only: for Numba that is another type, and copies of it are not.
    return Plan(np.argsort(level, kind="stable"), level, _into(network.wiring, len(level)))


def _into(wiring: Wiring, n: int) -> Into:
    source = np.repeat(np.arange(len(wiring.start) - 1), np.diff(wiring.start))
    synapse = np.argsort(wiring.post, kind="stable")
    start = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(np.bincount(wiring.post, minlength=n), out=start[1:])
    return Into(start, synapse, source[synapse])
