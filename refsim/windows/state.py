"""The state of the window engine between two windows: enough to go on to the last bit."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.files.saved_columns import check, check_columns, check_finite, check_within, copies
from refsim.types import Float, Int
from refsim.validate import LARGEST_INT, LONGEST
from refsim.windows.plan import window_tables
from refsim.windows.types import (
    COUNTS,
    TALLY,
    Flights,
    OneExp,
    WindowWork,
    numbers,
    records,
    width,
)

if TYPE_CHECKING:
    from refsim.network.network import Network

_FLOATS = ("v", "x", "v_low", "x_low", "release", "time", "gap")
_OF_NEURONS = ("v", "x", "v_low", "x_low", "reached", "release", "last_spike", "awake")
_ROUNDING = 1e-9  # of times, and of voltages, which errors of millions of windows do not reach
_LONGEST = 2**16  # more windows than a block stays dense before it is looked at again


class WindowState(NamedTuple):
    """What a run has reached at the beginning of a window; sizes as in refsim.windows.types."""

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
    counts: Int  # (12,) as COUNTS
    tally: Int  # (B, 16) as TALLY
    gap: Float

    def __repr__(self) -> str:
        return f"<WindowState: {self.n_spikes} spikes so far, {len(self.time)} under way>"

    @property
    def _counts(self) -> Any:
        return records(self.counts, COUNTS)

    @property
    def n_spikes(self) -> int:
        """Number of spikes so far."""
        return int(self._counts[0].spikes)

    @property
    def n_windows(self) -> int:
        """Number of windows so far."""
        return int(self._counts[0].now)

    @property
    def n_samples(self) -> int:
        """Number of voltages read so far."""
        return int(self._counts[0].samples)

    @property
    def n_inputs(self) -> int:
        """Number of input spikes so far that have been sent, in order of time."""
        return int(self._counts[0].inputs)

    @property
    def nbytes(self) -> int:
        """Memory that the state takes, in bytes."""
        return sum(column.nbytes for column in self)


def snapshot(work: WindowWork) -> WindowState:
    """Copy the state of a run that is between two windows."""
    flights = int(work.counts[0].flights)
    neurons, under_way = work.neurons, work.flights
    return WindowState(
        **copies(neurons, _OF_NEURONS),
        time=under_way.time[:flights].copy(),
        source=under_way.source[:flights].copy(),
        number=under_way.number[:flights].copy(),
        end=under_way.end[:, :flights].copy(),
        counts=numbers(work.counts)[0].copy(),
        tally=numbers(work.tally).copy(),
        gap=work.gap.copy(),
    )


def restore(work: WindowWork, state: WindowState) -> WindowWork:
    """Put a run back to where a snapshot was taken; return it with room for what is under way."""
    neurons = work.neurons
    for name in _OF_NEURONS:
        getattr(neurons, name)[:] = getattr(state, name)
    numbers(work.counts)[0] = state.counts
    numbers(work.tally)[:] = state.tally
    work.gap[:] = state.gap
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
    forgotten = records(counts, COUNTS)[0]
    forgotten.inputs = forgotten.samples = forgotten.first = 0
    is_input = number < 0
    rank = np.unique(number[is_input], return_inverse=True)[1]  # ascending, the last input first
    number[is_input] = rank - rank.max(initial=-1) - 1
    return state._replace(counts=counts, number=number)


def checked_state(
    arrays: dict[str, NDArray[Any]],
    network: Network,
    duration: float,
    n_spikes: int,
    n_inputs: int,
    n_samples: int,
) -> WindowState:
    """Return the state that a file holds, or raise ValueError that says what is not one.

    Kernels take it as it is, so that every number that says where something lies is looked at.
    """
    state = WindowState(**{name: arrays[name] for name in WindowState._fields})
    rows = network.rows[0]
    n, n_blocks, flights = network.n_neurons, len(rows.edge) - 1, len(np.atleast_1d(state.time))
    n_states = len(network.model.ports.rate)
    kept = 0 if isinstance(window_tables(network).shape, OneExp) else 1
    shapes: dict[str, tuple[int, ...]] = {"v_low": (kept * n,), "x_low": (kept * n * n_states,)}
    shapes |= {"x": (n * n_states,), "counts": (width(COUNTS),), "tally": (n_blocks, width(TALLY))}
    shapes |= {"gap": (n_blocks, 8), "end": (n_blocks, flights)}
    shapes |= dict.fromkeys(("time", "source", "number"), (flights,))
    check_columns(state, shapes, (n,), _FLOATS)
    check_finite(state, ("v", "x", "v_low", "x_low", "release", "time"))
    _check_counts(state, n_spikes, n_inputs, n_samples)
    windows = duration / window_tables(network).length  # of which the last may be a part
    if not -1e-9 * windows <= windows - state.n_windows < 1.0:
        raise ValueError(
            f"counts[0] is {state.n_windows}; expected {int(windows)} windows in {duration} ms"
        )
    _check_places(state, network, n_inputs)
    _check_times(state, network)
    return state


def _check_counts(state: WindowState, n_spikes: int, n_inputs: int, n_samples: int) -> None:
    """Refuse counts that do not fit the rest."""
    limits = np.zeros((2, width(COUNTS)), np.int64)
    limits[1] = LARGEST_INT
    low, high = records(limits, COUNTS)
    low.flights = high.flights = len(state.time)
    high.first = high.phase = 0
    high.spikes, high.inputs, high.samples = n_spikes, n_inputs, n_samples
    low.status = low.last_sample = -LARGEST_INT
    check_within("counts", state.counts, *limits)


def _check_places(state: WindowState, network: Network, n_inputs: int) -> None:
    """Refuse numbers of neurons, spikes and synapses that do not exist."""
    rows = network.rows[0]
    size = np.diff(rows.edge)
    tally = records(np.ascontiguousarray(state.tally), TALLY)
    check_within("tally.awake", tally.awake, 0, size)
    check_within("tally.dense", tally.dense, 0, size + _LONGEST)
    for b, (low, high) in enumerate(itertools.pairwise(rows.edge)):
        check_within("awake", state.awake[low : low + tally[b].awake], low, high - 1)
    check_within("reached", state.reached, 0, state.n_windows)
    check_within("last_spike", state.last_spike, -1, state.n_spikes - 1)
    check_within("source", state.source, 0, network.n_neurons + network.n_inputs - 1)
    check_within("number", state.number, -n_inputs - len(state.time), state.n_spikes - 1)
    first = state.source * len(size) + np.arange(len(size))[:, None]
    check_within("end", state.end, rows.start[first], rows.start[first + 1])


def _check_times(state: WindowState, network: Network) -> None:
    """Refuse what would have been due, but for rounding, before the window that comes next."""
    begin = state.n_windows * window_tables(network).length
    check_within("time", state.time, 0.0, begin * (1.0 + _ROUNDING))
    held = (state.last_spike >= 0) & (state.release >= begin * (1.0 - _ROUNDING))
    is_right = (state.release == -1.0) | (held & (state.release <= begin + 2.0 * LONGEST))
    check("release", state.release, is_right, f"-1, or {begin} or later for one that spiked")
    neurons = network.model.neurons
    highest = neurons.v_th + _ROUNDING * (neurons.v_th - neurons.v_reset)
    low = state.v_low if len(state.v_low) else 0.0
    check("v", state.v, state.v + low <= highest, "at most the threshold")
    check("gap", state.gap, ~np.isnan(state.gap), "a distance")
