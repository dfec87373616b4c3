"""The state of the window engine between two windows: enough to go on to the last bit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.types import Float, Int
from refsim.window_types import FLIGHTS, N_COUNTS, SPIKES, Flights, WindowWork


class WindowState(NamedTuple):
    """What a run has reached at the beginning of a window; sizes as in window_types."""

    v: Float
    x: Float
    reached: Int
    release: Float
    last_spike: Int
    awake: Int
    time: Float  # of emission, of the spikes under way
    source: Int
    number: Int
    end: Int  # of each block
    counts: Int
    tally: Int
    gap: Float

    @property
    def n_spikes(self) -> int:
        """Number of spikes so far."""
        return int(self.counts[SPIKES])

    @property
    def nbytes(self) -> int:
        """Memory that the state takes, in bytes."""
        return sum(column.nbytes for column in self)


def snapshot(work: WindowWork) -> WindowState:
    """Copy the state of a run that is between two windows."""
    flights = int(work.counts[FLIGHTS])
    neurons, under_way = work.neurons, work.flights
    return WindowState(
        v=neurons.v.copy(),
        x=neurons.x.copy(),
        reached=neurons.reached.copy(),
        release=neurons.release.copy(),
        last_spike=neurons.last_spike.copy(),
        awake=neurons.awake.copy(),
        time=under_way.time[:flights].copy(),
        source=under_way.source[:flights].copy(),
        number=under_way.number[:flights].copy(),
        end=under_way.end[:, :flights].copy(),
        counts=work.counts.copy(),
        tally=work.tally.copy(),
        gap=work.gap.copy(),
    )


def restore(work: WindowWork, state: WindowState) -> WindowWork:
    """Put a run back to where a snapshot was taken; return it with room for what is under way."""
    neurons = work.neurons
    for name in ("v", "x", "reached", "release", "last_spike", "awake"):
        getattr(neurons, name)[:] = getattr(state, name)
    for name in ("counts", "tally", "gap"):
        getattr(work, name)[:] = getattr(state, name)
    work.lists.stamp[:] = 0
    work.lists.flag[:] = 0
    work.sums[:] = 0.0
    neurons.carried[:] = 0.0
    room = max(len(work.flights.time), len(state.time))
    flights = Flights(
        time=_at_least(work.flights.time, room, state.time),
        source=_at_least(work.flights.source, room, state.source),
        number=_at_least(work.flights.number, room, state.number),
        begin=_at_least(work.flights.begin, room, state.end),
        end=_at_least(work.flights.end, room, state.end),
    )
    stop = np.zeros((len(work.hits.stop), room), np.int64)
    return work._replace(flights=flights, hits=work.hits._replace(stop=stop))


def _at_least(column: NDArray[Any], room: int, begin: NDArray[Any]) -> NDArray[Any]:
    """Return a column, or one of each block, with that much room which begins with given values."""
    if column.shape[-1] < room:
        column = np.zeros((*column.shape[:-1], room), column.dtype)
    column[..., : begin.shape[-1]] = begin
    return column


def checked_state(arrays: dict[str, NDArray[Any]]) -> WindowState:
    """Return the state that a file holds; the caller has checked that it is of its network."""
    state = WindowState(**{name: arrays[name] for name in WindowState._fields})
    if state.counts.shape != (N_COUNTS,):
        raise ValueError("counts")
    if state.end.shape != (len(state.tally), len(state.time)):
        raise ValueError("end")
    return state
