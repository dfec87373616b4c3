"""The state of the window engine between two windows: enough to go on to the last bit."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.types import Float, Int
from refsim.window_types import (
    AWAKE,
    BASE,
    DENSE,
    FLIGHTS,
    INPUTS,
    N_COUNTS,
    NOW,
    PHASE,
    SAMPLES,
    SPIKES,
    WIDTH,
    Flights,
    OneExp,
    WindowWork,
)

if TYPE_CHECKING:
    from refsim.network import Network

_FLOATS = ("v", "x", "v_low", "x_low", "release", "time", "gap")
_LONGEST = 2**16  # more windows than a block stays dense before it is looked at again


class WindowState(NamedTuple):
    """What a run has reached at the beginning of a window; sizes as in window_types."""

    v: Float
    x: Float
    v_low: Float
    x_low: Float
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

    def __repr__(self) -> str:
        return f"<WindowState: {self.n_spikes} spikes so far, {len(self.time)} under way>"

    @property
    def n_spikes(self) -> int:
        """Number of spikes so far."""
        return int(self.counts[SPIKES])

    @property
    def n_windows(self) -> int:
        """Number of windows so far."""
        return int(self.counts[NOW])

    @property
    def n_samples(self) -> int:
        """Number of voltages read so far."""
        return int(self.counts[SAMPLES])

    @property
    def n_inputs(self) -> int:
        """Number of input spikes so far that have been sent, in order of time."""
        return int(self.counts[INPUTS])

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
        v_low=neurons.v_low.copy(),
        x_low=neurons.x_low.copy(),
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
    for name in ("v", "x", "v_low", "x_low", "reached", "release", "last_spike", "awake"):
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


def without_past(state: WindowState) -> WindowState:
    """Return a state whose input spikes and samples so far are forgotten, those under way kept."""
    counts, number = state.counts.copy(), state.number.copy()
    counts[[INPUTS, SAMPLES, BASE]] = 0
    is_input = number < 0
    rank = np.unique(number[is_input], return_inverse=True)[1]  # ascending, the last input first
    number[is_input] = rank - rank.max(initial=-1) - 1
    return state._replace(counts=counts, number=number)


def checked_state(
    arrays: dict[str, NDArray[Any]], network: Network, n_spikes: int, n_inputs: int, n_samples: int
) -> WindowState:
    """Return the state that a file holds, or raise ValueError with the name of what is not one.

    Kernels take it as it is, so that every number that says where something lies is looked at.
    """
    state = WindowState(**{name: arrays[name] for name in WindowState._fields})
    rows = network.rows[0]
    n, n_blocks, flights = network.n_neurons, len(rows.edge) - 1, len(np.atleast_1d(state.time))
    n_states = len(network.model.ports.rate)
    kept = 0 if isinstance(network.window_tables.shape, OneExp) else 1
    shapes: dict[str, tuple[int, ...]] = {"v_low": (kept * n,), "x_low": (kept * n * n_states,)}
    shapes |= {"x": (n * n_states,), "counts": (N_COUNTS,), "tally": (n_blocks, WIDTH)}
    shapes |= {"gap": (n_blocks, 8), "end": (n_blocks, flights)}
    shapes |= dict.fromkeys(("time", "source", "number"), (flights,))
    for name, column in state._asdict().items():
        kind = np.float64 if name in _FLOATS else np.int64
        if column.dtype != kind or column.shape != shapes.get(name, (n,)):
            raise ValueError(name)
    for name in ("v", "x", "v_low", "x_low", "release", "time"):
        if not np.isfinite(getattr(state, name)).all():
            raise ValueError(name)
    _check_counts(state, n_spikes, n_inputs, n_samples)
    _check_places(state, network, n_inputs)
    return state


def _within(values: NDArray[Any], low: Any, high: Any) -> bool:
    return bool(np.all((values >= low) & (values <= high)))


def _check_counts(state: WindowState, n_spikes: int, n_inputs: int, n_samples: int) -> None:
    """Refuse counts that do not fit the rest."""
    counts, flights = state.counts, len(state.time)
    if counts[FLIGHTS] != flights or counts[BASE] != 0 or counts[PHASE] != 0 or counts[NOW] < 0:
        raise ValueError("counts")
    if not _within(counts[[SPIKES, INPUTS, SAMPLES]], 0, [n_spikes, n_inputs, n_samples]):
        raise ValueError("counts")


def _check_places(state: WindowState, network: Network, n_inputs: int) -> None:
    """Refuse numbers of neurons, spikes and synapses that do not exist."""
    rows, now = network.rows[0], state.counts[NOW]
    size = np.diff(rows.edge)
    if not _within(state.tally[:, [AWAKE, DENSE]], 0, np.stack([size, size + _LONGEST], 1)):
        raise ValueError("tally")
    for b, (low, high) in enumerate(itertools.pairwise(rows.edge)):
        if not _within(state.awake[low : low + state.tally[b, AWAKE]], low, high - 1):
            raise ValueError("awake")
    if not _within(state.reached, 0, now):
        raise ValueError("reached")
    if not _within(state.last_spike, -1, state.n_spikes - 1):
        raise ValueError("last_spike")
    if not _within(state.source, 0, network.n_neurons + network.n_inputs - 1):
        raise ValueError("source")
    if not _within(state.number, -n_inputs - len(state.time), state.n_spikes - 1):
        raise ValueError("number")
    first = state.source * len(size) + np.arange(len(size))[:, None]
    if not _within(state.end, rows.start[first], rows.start[first + 1]):
        raise ValueError("end")
