"""Arrays of the engine of acyclic networks; sizes as in refsim.types."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from refsim.types import Float, Int

HITS, TAPE, OUT, ROOM = range(4)  # what may be too short


class Emitted(NamedTuple):
    """What sources have sent in one sample: of each in order of time, one behind the other."""

    first: Int  # (n + m,) first place of each source, neurons, then input channels
    stop: Int  # (n + m,)
    time: Float  # (E,) ms
    row: Int  # (E,) row of the tape, or -1 - row of the inputs


class Hits(NamedTuple):
    """Arrivals at one neuron, in order of time."""

    time: Float  # (H,) ms
    order: Int  # (H,) which of the hits below comes first, second ...
    place: Int  # (H,) place of the emission in Emitted
    synapse: Int  # (H,) place in the Wiring
    spare_time: Float  # (H,) room to sort
    spare_order: Int  # (H,)


class Reads(NamedTuple):
    """Voltage samples of each neuron in order of time."""

    first: Int  # (n,)
    stop: Int  # (n,)
    row: Int  # (V,) row of the samples


class Room(NamedTuple):
    """Where a thread holds what belongs to one sample."""

    emitted: Emitted
    hits: Hits
    reads: Reads


class Cursor(NamedTuple):
    """How far a task has come, arrays of one element."""

    sample: Int  # sample under way
    stop: Int  # sample after the last one of the task
    begun: Int  # 1 once the sample has begun
    position: Int  # neurons of the sample that are done, in the order of the plan
    spikes: Int  # spikes of the samples before
    emitted: Int  # emissions of the samples before
    short: Int  # what has too little room: HITS, TAPE or OUT
    need: Int  # rows that it has to have


def empty_hits(size: int) -> Hits:
    """Return room for so many arrivals at a neuron."""
    times, ints = np.zeros((2, size)), np.zeros((4, size), dtype=np.int64)
    return Hits(times[0], ints[0], ints[1], ints[2], times[1], ints[3])


def empty_room(n: int, sources: int, emissions: int, hits: int, reads: int) -> Room:
    """Return room for samples of so many emissions, arrivals at a neuron, and voltages read."""

    def ints(size: int) -> Int:
        return np.zeros(size, dtype=np.int64)

    return Room(
        Emitted(ints(sources), ints(sources), np.zeros(emissions), ints(emissions)),
        empty_hits(hits),
        Reads(ints(n), ints(n), ints(reads)),
    )


def cursor() -> Cursor:
    """Return a cursor before its first task."""
    return Cursor(*(np.zeros(1, dtype=np.int64) for _ in Cursor._fields))
