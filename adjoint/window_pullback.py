"""From a finished simulation to the arrays of the backward pass by windows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from adjoint.types import Outcome
from adjoint.window_responses import window_tables
from adjoint.window_reverse import finish_windows, run_windows_back
from adjoint.window_segments import CHUNK
from adjoint.window_types import (
    ENTERED,
    OWN,
    RELEASE,
    SAMPLE,
    SPARSE,
    SPIKE,
    Adjoints,
    AdjointsAndRates,
    Calendar,
    Chunk,
    Emissions,
    Found,
    MembraneAdjoint,
    MembraneBar,
    Membranes,
    Once,
    OwnEvents,
    Pieces,
    Slopes,
    SynapseBars,
    WeightBars,
    WindowReverse,
    Windows,
    WindowWork,
)
from queues.jit import kernel
from refsim.engine import Run
from refsim.lif_vjp import ModelBar
from refsim.network import Network
from refsim.simulation import Simulation
from refsim.status import DONE, RUNNING
from refsim.threads import together
from refsim.trace import emissions
from refsim.types import Float, Int, Rows
from refsim.window_engine import shortest_delay

_SHARE = 2_000_000  # arrivals between two looks at the keyboard: some hundredths of a second
_MOST_WINDOWS = 1e8
_ENOUGH_WINDOWS = 1e6  # for which windows are cut to some time constants
_DECAY = 4.0  # of a window in the shortest time constant, for polynomials of few terms


def number_of_windows(network: Network, duration: float, longest: float = math.inf) -> int:
    """Return the number of windows of a backward pass, or 0 if there would be too many.

    A window is shorter than any delay between neurons, by more than the rounding of times.
    """
    most = shortest_delay(network) - 8.0 * float(np.spacing(duration))
    fastest = max(float(network.model.neurons.rate.max()), float(network.model.ports.rate.max()))
    length = min(most, longest, duration, max(_DECAY / fastest, duration / _ENOUGH_WINDOWS))
    if length <= 0.0 or duration / length > _MOST_WINDOWS:
        return 0
    return math.ceil(duration / length)


class WindowPass:
    """Backward passes by windows over one simulation.

    Windows no longer than ``longest`` and another division of ``rows`` give the same, to rounding.
    """

    def __init__(
        self,
        run: Run,
        simulation: Simulation,
        longest: float = math.inf,
        rows: tuple[Rows, NDArray[np.int32]] | None = None,
    ):
        network = run.network
        self._run = run
        self._rows, self._number = network.rows if rows is None else rows
        self._tape = run.tape()
        self._n_windows = number_of_windows(network, run.duration, longest)
        self._length = run.duration / self._n_windows
        self._emissions = _emissions(simulation)
        self._own = self._own_events()
        self._inverse = np.zeros(0, dtype=np.int32)
        self._bars = np.zeros(0)

    def __call__(
        self, spike_bar: Float, sample_bar: Float, with_delays: bool, with_rates: bool
    ) -> Outcome:
        """Take cotangents of spikes and of samples in order of time back; return what they give."""
        network, rows = self._run.network, self._rows
        tables = window_tables(network.model, self._length, with_rates)
        model = network.model
        problem = WindowReverse(
            model=Membranes(model.neurons),
            windows=Windows(self._length, self._n_windows, self._run.duration),
            rows=rows,
            tables=tables,
            emissions=self._emissions,
            own=self._own,
            slopes=Slopes(self._tape.slope_before, self._tape.slope_after),
            sample_bar=sample_bar,
            is_plain=len(model.ports.rate) == 1 and tables.poly.shape[1] == 1,
        )
        work = self._work(problem, spike_bar, with_delays, with_rates)
        n_threads = min(self._run.threads, len(rows.edge) - 1)
        status = RUNNING
        while status != DONE:
            status = together(run_windows_back, (problem, work, _SHARE), n_threads)
        finish_windows(problem.model, tables, work.adjoints, work.membrane, work.bar, network.v0)
        return self._outcome(problem, work)

    def _work(
        self, problem: WindowReverse, spike_bar: Float, with_delays: bool, with_rates: bool
    ) -> WindowWork:
        n = self._run.network.n_neurons
        n_blocks = len(self._rows.edge) - 1
        n_states, n_classes = len(problem.tables.gain), len(problem.tables.rate)
        n_responses = problem.tables.over.shape[3]
        width = 3 + 4 * n_states if with_rates else 1 + n_states
        width = -(-width // 8) * 8 if with_rates else -(-width // 2) * 2
        few = n_classes if problem.tables.poly.shape[1] else 0
        counts = np.zeros((n_blocks, 8), dtype=np.int64)
        counts[:, ENTERED] = len(self._emissions.time)
        counts[:, OWN] = self._own.start[:-1]
        counts[:, SPARSE] = 1
        row = _aligned_zeros(n, width)
        membrane, bar = self._membranes(n)
        return WindowWork(
            adjoints=AdjointsAndRates(row) if with_rates else Adjoints(row),
            at=np.full(n, self._n_windows, dtype=np.int32),
            membrane=membrane,
            bar=bar,
            bars=self._cleared_bars(with_delays),
            port_rate=np.zeros((n_blocks, max(8, n_states))),
            spike_bar=spike_bar,
            input_bar=np.zeros(len(self._run.problem.inputs.time)),
            calendar=self._calendar(n_blocks),
            pieces=self._pieces(n_blocks, n, width),
            once=Once(
                response=np.zeros((n_blocks, n_states, few, n_responses)),
                known=np.zeros((n_blocks, n_states, few), dtype=np.int64),
                stamp=np.zeros(n_blocks, dtype=np.int64),
                out=np.zeros((n_blocks, n_responses)),
            ),
            chunk=_chunk(n_blocks, n_responses),
            found=self._found(n_blocks),
            counts=counts,
            now=np.array([self._n_windows - 1, len(self._emissions.of_input), 0]),
        )

    def _cleared_bars(self, with_delays: bool) -> SynapseBars | WeightBars:
        """Return zeros; memory is kept for the next pass, since new memory takes longer to get."""
        size = len(self._rows.post) * (2 if with_delays else 1)
        if len(self._bars) == size:
            self._bars[:] = 0.0
        else:
            self._bars = np.zeros(size)
        return SynapseBars(self._bars) if with_delays else WeightBars(self._bars)

    def _found(self, n_blocks: int) -> Found:
        room = CHUNK + max(CHUNK, int(np.diff(self._rows.start).max(initial=0)))
        return Found(
            synapse=np.zeros((n_blocks, room), dtype=np.uint64),
            emitted=np.zeros((n_blocks, room)),
            place=np.zeros((n_blocks, room), dtype=np.uint64),
            piece=np.zeros((n_blocks, CHUNK), dtype=np.uint64),
            since=np.zeros((n_blocks, CHUNK)),
        )

    def _membranes(self, n: int) -> tuple[MembraneAdjoint, MembraneBar]:
        """Return the adjoint of silence after the end, and zeros.

        All of a neuron lies in two lines of the cache: it is visited now and then, by its spikes.
        """
        columns = _aligned_zeros(n, 16)
        time, v, rate_v, after = columns.T[:4]
        membrane = MembraneAdjoint(time, v, rate_v, after, columns.view(np.int64)[:, 4])
        membrane.time[:] = self._run.duration
        membrane.held[self._is_held_at_the_end()] = 1
        return membrane, MembraneBar(*columns.T[5:11])

    def _is_held_at_the_end(self) -> NDArray[np.bool_]:
        tape = self._tape
        t_ref = self._run.network.t_ref
        is_held = np.zeros(len(t_ref), dtype=bool)
        is_held[tape.neuron[tape.time + t_ref[tape.neuron] > self._run.duration]] = True
        return is_held

    def _calendar(self, n_blocks: int) -> Calendar:
        longest = float(self._rows.delay.max(initial=0.0))
        ring = int(min(longest, self._run.duration) / self._length) + 4
        time = self._emissions.time
        together = np.searchsorted(time, time + (ring + 3) * self._length, "right")
        most = int((together - np.arange(len(time))).max(initial=0)) + 1
        places = 1 << most.bit_length()
        return Calendar(
            head=np.full((n_blocks, ring), -1, dtype=np.int32),
            link=np.zeros((n_blocks, places), dtype=np.int32),
            end=np.zeros((n_blocks, places), dtype=np.int64),
            bar=np.zeros((n_blocks, places)),
            mask=np.array([places - 1]),
        )

    def _pieces(self, n_blocks: int, n: int, width: int) -> Pieces:
        own = self._own
        block = np.repeat(np.arange(n_blocks), np.diff(own.start))
        ends = np.flatnonzero((np.diff(own.window) != 0) | (np.diff(block) != 0)) + 1
        lengths = np.diff(np.concatenate([[0], ends, [len(own.window)]]))
        room = 3 * int(lengths.max()) + 2
        return Pieces(
            row=np.zeros((n_blocks, room, width)),
            time=np.zeros((n_blocks, room)),
            below=np.zeros((n_blocks, room)),
            neuron=np.zeros((n_blocks, room), dtype=np.int64),
            first=np.zeros(n, dtype=np.uint32),
            is_special=np.zeros(n, dtype=np.uint8),
        )

    def _own_events(self) -> OwnEvents:
        """Return spikes, releases and samples in the order of OwnEvents."""
        run, tape = self._run, self._tape
        samples = run.problem.samples
        release = tape.time + run.network.t_ref[tape.neuron]
        released = np.flatnonzero(release <= run.duration)
        spikes, read = np.arange(len(tape.time)), np.arange(len(samples.time))
        time = np.concatenate([tape.time, release[released], samples.time])
        target = np.concatenate([tape.neuron, tape.neuron[released], samples.neuron])
        kind = np.repeat([SPIKE, RELEASE, SAMPLE], [len(spikes), len(released), len(read)])
        index = np.concatenate([spikes, released, read])
        # Of one neuron, a release comes between its spike and the next, whatever their rounding.
        sequence = np.concatenate([2 * spikes, 2 * released + 1, read])
        window = self._windows_of(time)
        block = np.searchsorted(self._rows.edge, target, side="right") - 1
        order = np.lexsort((-sequence, kind != SAMPLE, -time, target, -window, block))
        n_blocks = len(self._rows.edge) - 1
        return OwnEvents(
            start=np.searchsorted(block[order], np.arange(n_blocks + 1)),
            window=window[order],
            neuron=target[order],
            time=time[order],
            kind=kind[order],
            row=index[order],
        )

    def _windows_of(self, time: Float) -> Int:
        """Return the windows of times, as `window_of` does."""
        last, length = self._n_windows - 1, self._length
        w = np.minimum((time / length).astype(np.int64), last)
        earlier = (w > 0) & (time < w * length)
        later = ~earlier & (w < last) & (time >= (w + 1) * length)
        return w - earlier + later

    def _outcome(self, problem: WindowReverse, work: WindowWork) -> Outcome:
        ports = self._run.network.model.ports
        bar = ModelBar(
            **{name: column.copy() for name, column in work.bar._asdict().items()},
            port_rate=np.zeros(len(ports.rate)),
            port_gain=np.zeros(len(ports.order)),
        )
        for part in work.port_rate:
            bar.port_rate[:] += part[: len(ports.rate)]
        weight, delay = self._as_given(work.bars)
        cascades = np.flatnonzero(ports.order == 2)
        network = self._run.network
        for p in cascades:
            chosen = network.port == p
            products = network.weight[chosen] * weight[chosen]
            bar.port_gain[p] = products.sum() / ports.gain[p]
        return Outcome(bar, weight, delay, work.spike_bar, work.input_bar)

    def _as_given(self, bars: SynapseBars | WeightBars) -> tuple[Float, Float | None]:
        """Return gradients by weights and delays in the order of the network."""
        size = len(self._rows.post)
        if len(self._number) == 0:  # packed synapses, whose order is that of the rows
            if isinstance(bars, WeightBars):
                return bars.weight.copy(), None
            return bars.both[::2].copy(), bars.both[1::2].copy()
        if len(self._inverse) != size:
            self._inverse = np.empty(size, dtype=np.int32)
            invert(self._number, self._inverse)
        weight = np.empty(size)
        if isinstance(bars, WeightBars):
            take(self._inverse, bars.weight, weight)
            return weight, None
        delay = np.empty(size)
        take_both(self._inverse, bars.both, weight, delay)
        return weight, delay


def _emissions(simulation: Simulation) -> Emissions:
    time, source = emissions(simulation)
    origin = simulation.origin
    order = np.arange(len(origin))
    of_spike = np.zeros(int((origin >= 0).sum()), dtype=np.int64)
    of_spike[origin[origin >= 0]] = order[origin >= 0]
    of_input = np.zeros(int((origin < 0).sum()), dtype=np.int64)
    of_input[-1 - origin[origin < 0]] = order[origin < 0]
    return Emissions(time, source, of_spike, of_input)


def _chunk(n_blocks: int, n_responses: int) -> Chunk:
    shape = (n_blocks, CHUNK)
    return Chunk(
        end=np.zeros(shape, dtype=np.uint64),
        start=np.zeros((n_blocks, CHUNK + 1), dtype=np.uint64),
        emitted=np.zeros(shape),
        place=np.zeros(shape, dtype=np.uint64),
        since=np.zeros(shape),
        scaled=np.zeros(shape),
        response=np.zeros((n_blocks, n_responses, CHUNK)),
    )


def _aligned_zeros(n: int, width: int) -> Float:
    """Return zeros (n, width) from the begin of a cache line."""
    flat = np.zeros(n * width + 7)
    skip = -(flat.ctypes.data // 8) % 8
    return flat[skip : skip + n * width].reshape(n, width)


@kernel
def invert(number, inverse):
    """Write where each synapse of the network is in the rows."""
    for k in range(number.shape[0]):
        inverse[np.uint64(number[k])] = k


@kernel
def take(inverse, values, out):
    """Write values in the order of the network."""
    for s in range(np.uint64(0), np.uint64(inverse.shape[0])):
        out[s] = values[np.uint64(inverse[s])]


@kernel
def take_both(inverse, values, first, second):
    """Write both columns of values in the order of the network."""
    for s in range(np.uint64(0), np.uint64(inverse.shape[0])):
        k = np.uint64(inverse[s])
        first[s] = values[k + k]
        second[s] = values[k + k + np.uint64(1)]
