"""Simulation by windows: which networks suit it, its tables, and the way back to a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from refsim import model
from refsim.lif import log_ratio
from refsim.network import Network
from refsim.status import DONE, FULL, RUNNING, SPIKE_LIMIT
from refsim.types import Float, Model, Tape
from refsim.window_loop import (
    N_COUNTS,
    Flights,
    Gathered,
    WindowProblem,
    WindowTables,
    WindowWork,
    fill_tables,
    responses,
    run_windows,
    start_windows,
    totals,
)

if TYPE_CHECKING:
    from refsim.engine import Run

_MOST_POLYNOMIALS = 16  # membrane time constants; with more of them responses are not tabulated
_MOST_WINDOWS = 1e8
_TABLE = 33  # windows over which a sleeping neuron is advanced by a table
_SHARE = 2_000_000  # arrivals between two looks at the keyboard: some hundredths of a second
_WORTHWHILE = 1_000_000  # synapses from which the window engine is chosen
_POINTS = 60  # at which a polynomial is fitted
_DEGREES = (6, 8, 10, 12, 14, 17, 20, 24, 28)  # of polynomials, tried in turn
_ROOM = 1024  # rows, to begin with


def obstacle(network: Network, duration: float) -> str | None:
    """Return why a network cannot be simulated by windows, or None if it can."""
    shortest = shortest_delay(network)
    if shortest == 0.0:
        return "a delay between neurons is 0"
    length = window_length(network, duration)
    if duration / length > _MOST_WINDOWS:
        return f"windows of {length:.3g} ms would be too many"
    return None


def is_worthwhile(network: Network, duration: float) -> bool:
    """Return whether a network is large enough for windows to have many arrivals."""
    size = len(network.synapses)
    return size >= _WORTHWHILE and duration / window_length(network, duration) <= size


def shortest_delay(network: Network) -> float:
    """Return the shortest delay between neurons in ms, inf if there is none."""
    wiring = network.wiring
    return float(wiring.delay[: wiring.start[network.n_neurons]].min(initial=np.inf))


def window_length(network: Network, duration: float) -> float:
    """Return the length of a window: responses rise in it, and no spike reaches a neuron."""
    kernels = network.model
    longest = min(shortest_delay(network), duration)
    for rate in np.unique(kernels.neurons.rate):
        for i in range(len(kernels.ports.rate)):
            longest = min(longest, _time_to_peak(float(rate), float(kernels.ports.rate[i])))
    return longest


def _time_to_peak(a: float, r: float) -> float:
    """Return when the voltage of rate ``a`` peaks in response to a filter of rate ``r``.

    log(a/r)/(a - r), or 1/r where the rates are equal; a little less, to be certain.
    """
    peak = log_ratio(a, r) / (a - r) if a != r else 1.0 / r
    return peak * (1.0 - 1e-12)


def tables(network: Network, length: float) -> WindowTables:
    """Return what a window does to states."""
    kernels = network.model
    rate, members, kind = np.unique(kernels.neurons.rate, return_index=True, return_inverse=True)
    n_ports, n_states = len(kernels.ports.order), len(kernels.ports.rate)
    decay = np.zeros((len(rate), _TABLE))
    lift = np.zeros((len(rate), _TABLE, n_states))
    fade = np.zeros((_TABLE, n_states))
    feed = np.zeros((_TABLE, n_states))
    fill_tables(kernels, members.astype(np.int64), length, decay, lift, fade, feed)
    out = np.zeros(3)

    def response(rate: float, p: int, i: int) -> Callable[[Float], Float]:
        def at(z: Float) -> Float:
            values = np.zeros(len(z))
            for k, u in enumerate(0.5 * length * (z + 1.0)):
                responses(kernels, rate, p, float(u), out)
                values[k] = out[i]
            return values

        return at

    fitted = rate if len(rate) <= _MOST_POLYNOMIALS else rate[:0]
    to_voltage = [[polynomial(response(float(a), p, 0)) for a in fitted] for p in range(n_ports)]
    to_states = [
        [polynomial(response(float(rate[0]), p, i)) for i in (1, 2)] for p in range(n_ports)
    ]
    return WindowTables(
        kind=kind.astype(np.int64),
        rate=rate,
        decay=decay,
        lift=lift,
        fade=fade,
        feed=feed,
        poly_v=_stacked(to_voltage),
        poly_x=_stacked(to_states),
    )


def polynomial(function: Callable[[Float], Float]) -> Float:
    """Return the coefficients of a polynomial on [-1, 1] that is a function to the last bits.

    More terms than it takes would add their rounding, so the degree goes up until the error is that
    of rounding, or no longer falls.
    """
    points = chebyshev.chebpts1(_POINTS)
    values = function(points)
    best: NDArray[Any] = np.zeros(1)
    error = float(np.abs(values).max())
    enough = 4e-16 * error
    for degree in _DEGREES:
        if error <= enough:
            break
        terms = np.asarray(chebyshev.cheb2poly(chebyshev.chebfit(points, values, degree)))
        found = float(np.abs(np.polynomial.polynomial.polyval(points, terms) - values).max())
        if found < error:
            best, error = terms, found
    return best


def _stacked(rows: list[list[Float]]) -> Float:
    """Return polynomials as an array, with zeros for the terms that some do not have."""
    terms = max((len(coefficients) for row in rows for coefficients in row), default=1)
    stacked = np.zeros((len(rows), len(rows[0]), terms))
    for i, row in enumerate(rows):
        for j, coefficients in enumerate(row):
            stacked[i, j, : len(coefficients)] = coefficients
    return stacked


class WindowRun:
    """A run of the window engine, in the place of the event loop of ``run``."""

    def __init__(self, run: Run):
        network = run.network
        self.run = run
        length = window_length(network, run.duration)
        self.problem = WindowProblem(
            model=network.model,
            wiring=network.wiring,
            post=network.wiring.post.astype(np.int32),
            inputs=run.problem.inputs,
            samples=run.problem.samples,
            tables=tables(network, length),
            length=length,
            t_end=run.duration,
            max_spikes=run.max_spikes,
        )
        self.work = _work(network.model, network.v0, network.n_neurons)

    def execute(self) -> int:
        """Run to the end and return the status; what was found is in ``run`` then."""
        status = RUNNING
        start_windows(self.problem, self.work)
        try:
            while status not in (DONE, SPIKE_LIMIT):
                if status == FULL:
                    self.work = _grown(self.problem, self.work)
                status = run_windows(self.problem, self.work, _SHARE)
        finally:
            self._hand_over(status == SPIKE_LIMIT)
        return status

    def _hand_over(self, is_cut: bool) -> None:
        """Leave spikes, counts and margins where the event loop leaves them.

        A run that is cut within a window ends with its last spike.
        """
        run, work = self.run, self.work
        done = totals(work)
        if is_cut:
            end = work.tape.time[done.spikes - 1]
            done = done._replace(inputs=int(np.searchsorted(run.problem.inputs.time, end)))
            run.problem.samples.voltage[run.problem.samples.time > end] = np.nan
        origin = _origin(work.tape.time[: done.spikes], run.problem.inputs.time[: done.inputs])
        run.work = run.work._replace(tape=work.tape, origin=origin)
        counts = run.work.counts
        counts.spikes[0] = done.spikes
        counts.inputs[0] = done.inputs
        counts.emitted[0] = len(origin)
        counts.arrivals[0] = done.arrivals
        counts.searches[0] = done.searches
        run.work.margins.gap[0], run.work.margins.release_gap[0] = work.gap


def _origin(spikes: Float, inputs: Float) -> NDArray[np.int64]:
    """Return the source of each emission in order; spikes come before inputs of equal time."""
    rows = np.concatenate([np.arange(len(spikes)), -1 - np.arange(len(inputs))])
    kind = np.repeat([0, 1], [len(spikes), len(inputs)])
    index = np.concatenate([np.arange(len(spikes)), np.arange(len(inputs))])
    order = np.lexsort((index, kind, np.concatenate([spikes, inputs])))
    return np.ascontiguousarray(rows[order], dtype=np.int64)


def _ints(size: int, value: int = 0) -> NDArray[np.int64]:
    return np.full(size, value, dtype=np.int64)


def _tape(room: int) -> Tape:
    return Tape(np.zeros(room), _ints(room), np.zeros(room), np.zeros(room), np.zeros(0))


def _work(kernels: Model, v0: Float, n: int) -> WindowWork:
    n_states = len(kernels.ports.rate)
    room = _ROOM
    return WindowWork(
        v=v0.copy(),
        x=np.zeros((n, n_states)),
        reached=_ints(n),
        release=np.full(n, -1.0),
        last_spike=_ints(n, -1),
        sums=np.zeros((n, 3 + n_states)),
        visited=_ints(n),
        awake=_ints(n),
        place=_ints(n, -1),
        replays=_ints(n),
        flights=Flights(np.zeros(room), _ints(room), _ints(room), _ints(room), _ints(room)),
        gathered=_gathered(n, room),
        tape=_tape(room),
        found=_tape(room),
        sequence=_ints(2 * room),
        counts=_ints(N_COUNTS),
        gap=np.full(2, np.inf),
        scratch=model.scratch(n_states),
        state=np.zeros(n_states),
        skim=np.zeros(3),
    )


def _gathered(n: int, room: int) -> Gathered:
    return Gathered(
        time=np.zeros(room),
        fall_v=np.zeros(room),
        fall_x=np.zeros(room),
        flight=_ints(room),
        synapse=_ints(room),
        link=_ints(room),
        first=_ints(n, -1),
        last=_ints(n),
        size=_ints(n),
        order=_ints(room),
    )


def _longer(column: NDArray[Any], room: int) -> NDArray[Any]:
    if len(column) == 0 or room <= len(column):
        return column
    return np.concatenate([column, np.zeros(room - len(column), column.dtype)])


def _grown(problem: WindowProblem, work: WindowWork) -> WindowWork:
    """Return ``work`` with more room than this window has asked for."""
    done = totals(work)
    gathered = work.gathered
    if len(gathered.time) < done.events:
        gathered = _gathered(len(work.v), 2 * done.events)
    # Which room has run out is not told; spikes of one window are few, so they always get more.
    found = 2 * len(work.found.time)
    t1 = (done.windows + 1) * problem.length
    coming = int(np.searchsorted(problem.inputs.time, t1)) - done.inputs
    flights = 2 * (done.flights + coming + found)
    tape = done.spikes + found
    if tape > len(work.tape.time):
        tape *= 2
    return work._replace(
        tape=Tape(*(_longer(column, tape) for column in work.tape)),
        found=Tape(*(_longer(column, found) for column in work.found)),
        sequence=_ints(2 * found),
        gathered=gathered,
        flights=Flights(*(_longer(column, flights) for column in work.flights)),
    )
