"""Simulation by windows: which networks suit it, its tables, and the way back to a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from queues.compiled.barrier import claims
from queues.compiled.polynomials import TERMS
from queues.compiled.vectors import LANES
from refsim.models.lif.datum import start_of
from refsim.models.lif.flow import log_ratio
from refsim.models.lif.response import MOST_CLASSES, Responses, responses
from refsim.network.network import Network
from refsim.results.simulation import Spikes
from refsim.status import DONE, FULL, RUNNING, SPIKE_LIMIT
from refsim.threads import Crew, uninterrupted
from refsim.types import Float, Model, Rows, Tape
from refsim.windows.loop import run_windows, start_windows
from refsim.windows.propagator import propagator
from refsim.windows.state import WindowState, restore, snapshot
from refsim.windows.types import (
    ARRIVALS,
    BASE,
    EVENTS,
    FLIGHTS,
    FOUND,
    INPUTS,
    LACK,
    N_COUNTS,
    NOW,
    PHASE,
    SEARCHES,
    SPIKES,
    WIDTH,
    AnyPorts,
    Flights,
    Hits,
    Lists,
    Neurons,
    OneExp,
    Propagator,
    WindowProblem,
    WindowWork,
)

if TYPE_CHECKING:
    from refsim.engine import Run

_MOST_WINDOWS = 1e8
# Arrivals of a thread between two looks at the keyboard: some hundredths of a second.
_SHARE = 5_000_000
# Synapses from which the window engine is chosen. It is faster from some thousands on, but takes
# twice as long to compile, and below this a simulation is short either way.
_WORTHWHILE = 100_000
# Windows of a turn. What lies between turns weighs a quarter then, and waiting too; more would have
# spikes that have arrived looked at for longer.
_MOST_IN_TURN = 4
_FOREVER = 2**62  # windows
# Rows to begin with, times synapses in 2^13 to 2^18; what is not touched costs no memory.
_ROOM = 1024
_WELL_APART = 0.01  # relative distance of rates from which their difference is a fine divisor
# Share of voltage and state that a window takes at least, so that the roundings of windows do not
# resemble each other: from one to the next what is cut off moves by the square of the share.
_LEAST_CHANGE = 1e-8
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
    length = network.window_tables.length
    if duration / length > _MOST_WINDOWS:
        return f"windows of {length:.3g} ms would be too many"
    return None


def is_large(network: Network) -> bool:
    """Return whether a network has enough synapses for windows with many arrivals."""
    return len(network.synapses) >= _WORTHWHILE


def is_worthwhile(network: Network, duration: float) -> bool:
    """Return whether windows are so few that they have many arrivals, if neurons are active."""
    return duration / network.window_tables.length <= len(network.synapses)


def shortest_delay(network: Network) -> float:
    """Return the shortest delay between neurons in ms, inf if there is none."""
    rows, _ = network.rows
    between = rows.start[network.n_neurons * (len(rows.edge) - 1)]
    if between == 0:
        return np.inf
    if len(rows.group):
        return float(rows.delay[rows.group[:between].min()])
    return float(rows.delay[:between].min())


def window_length(network: Network) -> float:
    """Return the length of a window: responses rise in it, and no spike reaches a neuron."""
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


class Resumed(NamedTuple):
    """What an earlier run has left: its state, and its spikes and voltages in order of time."""

    state: WindowState
    base: int  # number of the first spike below; those before are forgotten
    spikes: Spikes
    voltages: Float


class WindowTables(NamedTuple):
    """What is computed once for a network; see WindowProblem."""

    length: float  # of a window, ms
    turn: int  # windows between two meetings of the blocks
    responses: Responses
    propagator: Propagator
    shape: OneExp | AnyPorts


def window_tables(network: Network) -> WindowTables:
    """Return windows for a network, and what they do."""
    length = window_length(network)
    table = responses(network.model, length)
    step = propagator(network.model, length)
    turn = windows_in_turn(network, length)
    return WindowTables(length, turn, table, step, _shape(network.model, table, step))


def _problem(run: Run) -> WindowProblem:
    network = run.network
    return WindowProblem(
        model=network.model,
        rows=network.rows[0],
        inputs=run.problem.inputs,
        samples=run.problem.samples,
        t_end=run.duration,
        max_spikes=run.max_spikes,
        **network.window_tables._asdict(),
    )


class WindowRun:
    """A run of the window engine, in the place of the event loop of ``run``."""

    def __init__(self, run: Run):
        network = run.network
        self.run = run
        self.problem = _problem(run)
        self.n_threads = min(run.threads, len(self.problem.rows.edge) - 1)
        self.work = _work(self.problem, start_of(network), self.n_threads)
        if run.resumed is None:
            start_windows(self.problem, self.work)
        else:
            self._resume(run.resumed)

    def _resume(self, resumed: Resumed) -> None:
        """Go back to the window where an earlier run has left its state."""
        self.work = restore(self.work, resumed.state)
        self.work.counts[BASE] = resumed.base
        k = resumed.state.n_spikes - resumed.base
        tape = Tape(*(_longer(column, 2 * k + _ROOM) for column in self.work.tape))
        for name, column in resumed.spikes._asdict().items():
            getattr(tape, name)[:k] = column[:k]
        self.work = self.work._replace(tape=tape)

    @property
    def reached(self) -> float:
        """Time in ms up to which the run has come."""
        return min(float(self.work.counts[NOW]) * self.problem.length, self.run.duration)

    def execute(self) -> int:
        """Run to the end and return the status; what was found is in ``run`` then."""
        status = RUNNING
        try:
            if self.run.keep_state:
                whole = int(self.run.duration / self.problem.length)
                status = self.advance(whole)
                if status == DONE:
                    self.run.state = snapshot(self.work)
            if status != SPIKE_LIMIT:
                status = self.advance(_FOREVER)
        except KeyboardInterrupt:
            with uninterrupted():
                status = self.finish_turn()
                # Later ones than the one that is kept lack what arrives after the end.
                if self.run.keep_state and self.run.state is None and status != SPIKE_LIMIT:
                    self.run.state = snapshot(self.work)
            raise
        finally:
            self._hand_over(status == SPIKE_LIMIT)
        return status

    def take(self) -> Spikes:
        """Take the spikes off the tape, and return them.

        The slopes at releases that are still to come will be in ``neurons.carried``.
        """
        counts, tape = self.work.counts, self.work.tape
        rows = slice(int(counts[SPIKES] - counts[BASE]))
        counts[BASE] = counts[SPIKES]
        return Spikes(tape.time, tape.neuron, tape.slope_before, tape.slope_after).part(rows)

    def advance(self, stop: int) -> int:
        """Run up to window ``stop`` or to the end; return DONE or SPIKE_LIMIT."""
        status = RUNNING
        with Crew(self.n_threads) as crew:
            while status not in (DONE, SPIKE_LIMIT):
                if status == FULL:
                    self.work = _grown(self.problem, self.work)
                if self.run.is_stopped():
                    raise KeyboardInterrupt
                status = self._run_share(crew, stop, _SHARE)
                self.run.report(float(self.work.counts[NOW]) * self.problem.length)
        return status

    def finish_turn(self) -> int:
        """Take the turn at work to its end: between turns alone there is a state to keep."""
        status = RUNNING
        with Crew(self.n_threads) as crew:
            while self.work.counts[PHASE] != 0 and status != SPIKE_LIMIT:
                status = self._run_share(crew, _FOREVER, 0)
                if status == FULL:
                    self.work = _grown(self.problem, self.work)
        return status

    def _run_share(self, crew: Crew, stop: int, share: int) -> int:
        """Let all threads work until a share is used up; return a status."""
        arguments = (self.problem, self.work, np.int64(share * self.n_threads), np.int64(stop))
        return crew.run(run_windows, arguments)

    def _hand_over(self, is_cut: bool) -> None:
        """Leave spikes, counts and margins where the event loop leaves them.

        A run that is cut within a window ends with its last spike.
        """
        run, work = self.run, self.work
        spikes, inputs = int(work.counts[SPIKES] - work.counts[BASE]), int(work.counts[INPUTS])
        if is_cut:
            end = work.tape.time[spikes - 1] if spikes else self.reached
            inputs = int(np.searchsorted(run.problem.inputs.time, end))
            run.problem.samples.voltage[run.problem.samples.time > end] = np.nan
        origin = order_of_emissions(work.tape.time[:spikes], run.problem.inputs.time[:inputs])
        if not is_cut:
            run.reached = self.reached
        run.work = run.work._replace(tape=work.tape, origin=origin)
        counts = run.work.counts
        counts.spikes[0] = spikes
        counts.inputs[0] = inputs
        counts.emitted[0] = len(origin)
        counts.arrivals[0] = work.tally[:, ARRIVALS].sum()
        counts.searches[0] = work.tally[:, SEARCHES].sum()
        for margin, gap in zip(run.work.margins, work.gap[:, :3].min(axis=0), strict=True):
            margin[0] = gap


def order_of_emissions(spikes: Float, inputs: Float) -> NDArray[np.int64]:
    """Return for each emission in order of time the row of its spike, or -1 - that of its input.

    Both are in order; spikes come before inputs of equal time.
    """
    row, i = np.arange(len(spikes)), np.arange(len(inputs))
    origin = np.empty(len(spikes) + len(inputs), dtype=np.int64)
    origin[row + np.searchsorted(inputs, spikes, "left")] = row
    origin[i + np.searchsorted(spikes, inputs, "right")] = -1 - i
    return origin


def _ints(size: int) -> NDArray[np.int64]:
    return np.zeros(size, dtype=np.int64)


# Only what is read before it is written is cleared: untouched memory costs nothing.


def _tape(*shape: int) -> Tape:
    return Tape(
        time=np.empty(shape),
        neuron=np.empty(shape, np.int64),
        slope_before=np.empty(shape),
        slope_after=np.empty(shape),
        tangent=np.zeros(0),
    )


def _flights(n_blocks: int, room: int) -> Flights:
    shape = (n_blocks, room)
    return Flights(
        time=np.empty(room),
        source=np.empty(room, np.int64),
        number=np.empty(room, np.int64),
        begin=np.empty(shape, np.int64),
        end=np.empty(shape, np.int64),
    )


def _hits(rows: Rows, n_threads: int, flights: int) -> Hits:
    """Return room for the arrivals of a window, and for some of them at neurons to be replayed."""
    most = int(np.diff(rows.edge).max())
    size = len(rows.post) // (len(rows.edge) - 1)
    room = _ROOM * (1 + (size >> 15))
    return Hits(
        synapse=np.empty((n_threads, _ROOM * (1 + (size >> 13)) + 1), np.int32),
        stop=np.empty((n_threads, flights), np.int64),
        begin=np.empty((n_threads, most + 2), np.int64),
        arrival=np.empty((n_threads, room, 4)),
        origin=np.empty((n_threads, room, 2), np.int32),
        order=np.empty((n_threads, room), np.int32),
        spare=np.empty((n_threads, room), np.int32),
    )


def _work(problem: WindowProblem, v0: Float, n_threads: int) -> WindowWork:
    n, n_states = len(v0), len(problem.model.ports.rate)
    n_blocks = len(problem.rows.edge) - 1
    is_plain = isinstance(problem.shape, OneExp)
    n_sums = 4 if is_plain else problem.shape.n_sums
    room = _ROOM * (1 + (len(problem.rows.post) >> 18))
    return WindowWork(
        neurons=Neurons(
            v=v0.copy(),
            x=np.zeros(n * n_states),
            v_low=np.zeros(0 if is_plain else n),
            x_low=np.zeros(0 if is_plain else n * n_states),
            reached=_ints(n),
            release=np.full(n, -1.0),
            last_spike=np.full(n, -1, np.int64),
            carried=np.zeros(n),
            awake=_ints(n),
        ),
        sums=np.zeros(n * n_sums),
        lists=Lists(
            visited=_ints(n),
            stamp=_ints(n),
            flag=np.zeros(n, np.uint8),
            replays=_ints(n),
            place=np.zeros(n, np.int32),
        ),
        flights=_flights(n_blocks, room),
        hits=_hits(problem.rows, n_threads, room),
        tape=_tape(16 * room),
        found=_tape(n_blocks, room),
        order=np.empty((n_blocks, 2 * room), np.int64),
        counts=_ints(N_COUNTS),
        tally=np.zeros((n_blocks, WIDTH), np.int64),
        gap=np.full((n_blocks, 8), np.inf),
        state=np.zeros((n_blocks, 2, n_states)),
        roots=np.zeros((n_blocks, 2, n_states + 2)),
        response=np.zeros((n_blocks, 4, LANES)),
        claims=claims(n_blocks),
    )


def _longer(column: NDArray[Any], room: int) -> NDArray[Any]:
    if len(column) == 0 or room <= len(column):
        return column
    return np.concatenate([column, np.zeros(room - len(column), column.dtype)])


def _wider(table: NDArray[Any], room: int) -> NDArray[Any]:
    if len(table) == 0 or room <= table.shape[1]:
        return table
    shape = (len(table), room - table.shape[1], *table.shape[2:])
    return np.concatenate([table, np.zeros(shape, table.dtype)], axis=1)


def _wider_anew(table: NDArray[Any], room: int) -> NDArray[Any]:
    """Return a table as wide, whose contents are of no use any more."""
    if room <= table.shape[1]:
        return table
    return np.empty((len(table), room, *table.shape[2:]), table.dtype)


def _grown(problem: WindowProblem, work: WindowWork) -> WindowWork:
    """Return ``work`` with more room than this window has asked for."""
    counts, hits = work.counts, work.hits
    events = int(work.tally[:, EVENTS].max())
    lack = int(work.tally[:, LACK].max())
    found = work.found.time.shape[1]
    if work.tally[:, LACK].min() < 0:
        found *= 2
    flights = int(counts[FLIGHTS] + counts[FOUND])
    if flights > len(work.flights.time):
        flights *= 2
    room = 2 * lack if lack > hits.arrival.shape[1] else 0
    hits = Hits(
        synapse=_wider_anew(hits.synapse, 2 * events if events >= hits.synapse.shape[1] else 0),
        stop=_wider_anew(hits.stop, max(flights, len(work.flights.time))),
        begin=hits.begin,
        arrival=_wider_anew(hits.arrival, room),
        origin=_wider_anew(hits.origin, room),
        order=_wider_anew(hits.order, room),
        spare=_wider_anew(hits.spare, room),
    )
    rows = 2 * int(counts[SPIKES] - counts[BASE]) + 2 * int(counts[FOUND])
    return work._replace(
        tape=Tape(*(_longer(column, rows) for column in work.tape)),
        found=Tape(*(_wider(table, found) for table in work.found)),
        order=_wider(work.order, 2 * found),
        hits=hits,
        flights=Flights(
            *(_longer(column, flights) for column in work.flights[:3]),
            *(_wider(table, flights) for table in work.flights[3:]),
        ),
    )
