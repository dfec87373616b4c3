"""From a finished simulation to the arrays of the backward pass by windows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from adjoint.types import Outcome
from adjoint.windows.loop import finish_windows, run_windows_back
from adjoint.windows.responses import window_tables
from adjoint.windows.section import (
    Before,
    Section,
    most_together,
    room_of_pieces,
    section_of,
)
from adjoint.windows.types import (
    COUNTS,
    NEXT,
    PROGRESS,
    Adjoints,
    AdjointsAndRates,
    Calendar,
    MembraneAdjoint,
    MembraneBar,
    Membranes,
    Once,
    SynapseBars,
    Tables,
    WeightBars,
    WindowReverse,
    Windows,
    WindowWork,
    aligned_zeros,
    room_for_chunk,
    room_for_found,
    room_for_pieces,
)
from queues.compiled.barrier import claims
from queues.compiled.jit import kernel
from refsim.models.lif.adjoint import ModelBar
from refsim.network.network import Network
from refsim.network.voltages import start_of
from refsim.question import Question
from refsim.results.result import Spikes
from refsim.status import DONE, RUNNING
from refsim.threads import Crew
from refsim.types import Float, Rows
from refsim.validate import LARGEST
from refsim.windows.types import cleared

# Arrivals of a thread between two looks at the keyboard: some hundredths of a second.
_SHARE = 3_000_000
_MOST_WINDOWS = 1e8
_ENOUGH_WINDOWS = 1e6  # for which windows are cut to some time constants
_DECAY = 4.0  # of a window in the shortest time constant, for polynomials of few terms


def number_of_windows(network: Network, duration: float, longest: float = math.inf) -> int:
    """Return the number of windows of a pass over spikes that are known, or 0 for too many.

    A window is shorter than any delay between neurons, by more than the rounding of times. So far
    it is as `refsim.windows.plan.window_length` has it; but no bound asks for responses that rise
    in it, and windows are longer for that. What limits them is the length of polynomials.
    """
    most = network.shortest_delay - 8.0 * float(np.spacing(duration))
    fastest = max(float(network.model.neurons.rate.max()), float(network.model.ports.rate.max()))
    length = min(most, longest, duration, max(_DECAY / fastest, duration / _ENOUGH_WINDOWS))
    if length <= 0.0 or duration / length > _MOST_WINDOWS:
        return 0
    return math.ceil(duration / length)


class WindowPass:
    """Backward passes by windows over one simulation; without its spikes, piece by piece.

    Windows no longer than ``longest`` and another division of ``rows`` give the same, to rounding.
    """

    def __init__(
        self,
        question: Question,
        spikes: Spikes | None = None,
        longest: float = math.inf,
        rows: tuple[Rows, NDArray[np.int32]] | None = None,
    ):
        network, duration = question.network, question.duration
        self.question = question
        self._spikes = spikes
        self.rows, self.number = network.rows if rows is None else rows
        total = number_of_windows(network, duration, longest)
        self.windows = Windows(duration / total, total, duration, 0)
        longest_delay = float(self.rows.delay.max(initial=0.0))
        self.ring = int(min(longest_delay, duration) / self.windows.length) + 4
        self._whole: Section | None = None
        self._tables: dict[bool, Tables] = {}
        self._inverse = np.zeros(0, dtype=np.int32)

    def __call__(
        self, spike_bar: Float, sample_bar: Float, with_delays: bool, with_rates: bool
    ) -> Outcome:
        """Take cotangents of all spikes and samples back in order of time.

        ``spike_bar`` is completed on the way. Return what they give.
        """
        if self._whole is None:
            span = (0, self.windows.total)
            assert self._spikes is not None
            # A copy, for kernels are compiled for what is not read-only.
            spikes = self._spikes.part(slice(None))
            edge, before = self.rows.edge, Before()
            self._whole = section_of(self.question, self.windows, edge, span, spikes, before)
        way = WayBack(self, with_delays, with_rates)
        way.go(self._whole, spike_bar, sample_bar)
        return way.outcome(spike_bar)

    def tables(self, with_rates: bool) -> Tables:
        """Return the responses of the model, computed once."""
        if with_rates not in self._tables:
            model = self.question.network.model
            self._tables[with_rates] = window_tables(model, self.windows.length, with_rates)
        return self._tables[with_rates]

    def cleared_bars(self, with_delays: bool) -> SynapseBars | WeightBars:
        """Return zeros for the gradients of synapses."""
        size = len(self.rows.post)
        if with_delays:
            return SynapseBars(np.zeros(size), np.zeros(size))
        return WeightBars(np.zeros(size))

    def as_given(self, bars: SynapseBars | WeightBars) -> tuple[Float, Float | None]:
        """Return gradients by weights and delays in the order of the network."""
        weight = self._in_order(bars.weight)
        return weight, self._in_order(bars.delay) if isinstance(bars, SynapseBars) else None

    def _in_order(self, values: Float) -> Float:
        if len(self.number) == 0:  # packed synapses, whose order is that of the rows
            return values
        if len(self._inverse) != len(values):
            self._inverse = np.empty(len(values), dtype=np.int32)
            invert(self.number, self._inverse)
        out = np.empty(len(values))
        take(self._inverse, values, out)
        return out


class WayBack:
    """One backward pass, section by section from the last."""

    def __init__(self, windows: WindowPass, with_delays: bool, with_rates: bool):
        self._pass = windows
        self._tables = windows.tables(with_rates)
        self._bars = windows.cleared_bars(with_delays)
        self._input_bar = np.zeros(len(windows.question.input_arrays.time))
        self._work: WindowWork | None = None
        self._number = self._first_input = 0  # of the section before

    def go(self, section: Section, spike_bar: Float, sample_bar: Float) -> None:
        """Go back over a section.

        Parameters
        ----------
        section : Section
            The windows before those of the section before.
        spike_bar : (k,) float
            Cotangents of its spikes; completed on the way.
        sample_bar : (V,) float
            Cotangents of all samples in order of time; those of the section are read.
        """
        windows, model = self._pass, self._pass.question.network.model
        tables = self._tables
        problem = WindowReverse(
            model=Membranes(model.neurons),
            windows=windows.windows._replace(first=section.first),
            rows=windows.rows,
            tables=tables,
            emissions=section.emissions,
            own=section.own,
            slopes=section.slopes,
            sample_bar=sample_bar,
        )
        if self._work is None:
            self._work = self._begun(section, spike_bar)
        else:
            self._work = self._moved_on(self._work, section, spike_bar)
        self._number, self._first_input = section.number, section.first_input
        status = RUNNING
        with Crew(min(windows.question.threads, len(windows.rows.edge) - 1)) as crew:
            arguments = (problem, self._work, np.int64(_SHARE * crew.size))
            while status != DONE:
                status = crew.run(run_windows_back, arguments)

    def outcome(self, spike_bar: Float) -> Outcome:
        """Return what the pass has found, which has come to time 0; ``spike_bar`` is handed on."""
        windows, work, network = self._pass, self._work, self._pass.question.network
        assert work is not None
        model = Membranes(network.model.neurons)
        start = start_of(network)
        finish_windows(model, self._tables, work.adjoints, work.membrane, work.bar, start)
        ports = network.model.ports
        bar = ModelBar(
            **{name: column.copy() for name, column in work.bar._asdict().items()},
            port_rate=np.zeros(len(ports.rate)),
            port_gain=np.zeros(len(ports.order)),
        )
        for part in work.port_rate:
            bar.port_rate[:] += part[: len(ports.rate)]
        weight, delay = windows.as_given(work.bars)
        for p in np.flatnonzero(ports.order == 2):
            chosen = network.port == p
            products = network.weight[chosen] * weight[chosen]
            bar.port_gain[p] = products.sum() / ports.gain[p]
        terms = len(spike_bar) + len(self._input_bar)
        bound = terms * largest_term(self._tables, float(work.injected[:, 0].sum()))
        return Outcome(bar, weight, delay, spike_bar, self._input_bar, bound=bound)

    def _begun(self, section: Section, spike_bar: Float) -> WindowWork:
        """Return the adjoint of silence after the end."""
        windows, tables = self._pass, self._tables
        n = windows.question.network.n_neurons
        n_blocks = len(windows.rows.edge) - 1
        n_states, n_classes = len(tables.gain), len(tables.rate)
        n_responses = tables.over.shape[3]
        with_rates = tables.with_rates
        width = 3 + 4 * n_states if with_rates else 1 + n_states
        width = -(-width // 8) * 8 if with_rates else -(-width // 2) * 2
        few = n_classes if tables.poly.shape[1] else 0
        counts, now = cleared(COUNTS, n_blocks), cleared(PROGRESS, 1)
        counts.entered = len(section.emissions.time)
        counts.own = section.own.start[:-1]
        counts.sparse = 1
        row = aligned_zeros(n, width)
        membrane, bar = _membranes(n, windows.question.duration)
        membrane.held[section.held] = 1
        total = windows.windows.total
        now.window, now.inputs, now.done = total - 1, len(section.emissions.of_input), total
        return WindowWork(
            adjoints=AdjointsAndRates(row) if with_rates else Adjoints(row),
            at=np.full(n, total, dtype=np.int32),
            membrane=membrane,
            bar=bar,
            bars=self._bars,
            port_rate=np.zeros((n_blocks, max(8, n_states))),
            spike_bar=spike_bar,
            input_bar=self._input_bar[section.first_input :],
            calendar=self._calendar(section),
            pieces=room_for_pieces(n_blocks, n, width, room_of_pieces(section.own)),
            once=Once(
                response=np.zeros((n_blocks, n_states, few, n_responses)),
                known=np.zeros((n_blocks, n_states, few), dtype=np.int64),
                stamp=np.zeros(n_blocks, dtype=np.int64),
                out=np.zeros((n_blocks, n_responses)),
            ),
            chunk=room_for_chunk(n_blocks, n_responses),
            found=room_for_found(n_blocks, windows.rows),
            counts=counts,
            now=now,
            injected=np.zeros((n_blocks, 8)),
            claims=claims(n_blocks),
        )

    def _moved_on(self, work: WindowWork, section: Section, spike_bar: Float) -> WindowWork:
        """Return what the last section has left, with the numbers of this one."""
        n_blocks = len(work.counts)
        shift = self._number - section.number
        work.now.window = NEXT
        work.now.inputs += self._first_input - section.first_input
        calendar = self._calendar(section)
        _hand_on(work.calendar, calendar, int(work.counts[0].entered), shift)
        work.counts.entered += shift
        work.counts.own = section.own.start[:-1]
        room, pieces = room_of_pieces(section.own), work.pieces
        if room > pieces.time.shape[1]:
            pieces = room_for_pieces(n_blocks, len(work.at), pieces.row.shape[2], room)
        return work._replace(
            spike_bar=spike_bar,
            input_bar=self._input_bar[section.first_input :],
            calendar=calendar,
            pieces=pieces,
        )

    def _calendar(self, section: Section) -> Calendar:
        n_blocks = len(self._pass.rows.edge) - 1
        span = (self._pass.ring + 3) * self._pass.windows.length
        most = most_together(section.emissions.time, span) + 1
        places = 1 << most.bit_length()
        return Calendar(
            head=np.full((n_blocks, self._pass.ring), -1, dtype=np.int32),
            link=np.zeros((n_blocks, places), dtype=np.int32),
            end=np.zeros((n_blocks, places), dtype=np.int64),
            bar=np.zeros((n_blocks, places)),
            mask=np.array([places - 1]),
        )


def largest_term(tables: Tables, injected: float) -> float:
    """Return a bound of what one arrival adds to the gradient by its weight or its delay.

    The adjoint of the voltage is what events of the neuron make it, and decays backwards: it is
    never larger than all that they made it together. The adjoint of a state is fed from it, or from
    the next state, and decays at its own rate: it is larger by a ratio of rates at most. Responses
    are sums of products of such ratios, and six terms of one adjoint, one response, a rate and a
    weight make an arrival.
    """
    factors = [tables.rate, 1.0 / tables.rate, tables.decay_rate, 1.0 / tables.decay_rate]
    ratio = max(1.0, *(float(values.max()) for values in (*factors, tables.gain)))
    square = ratio * ratio  # products become inf where powers would raise
    return 100.0 * (square * square) * (square * square) * LARGEST * injected


def _hand_on(old: Calendar, new: Calendar, entered: int, shift: int) -> None:
    """Copy the emissions under way, from number ``entered`` on; each number grows by ``shift``."""
    emission = np.arange(entered, entered + len(old.bar[0]))
    place, new_place = emission & old.mask[0], (emission + shift) & new.mask[0]
    if len(new.bar[0]) < len(place):
        place, new_place = place[: len(new.bar[0])], new_place[: len(new.bar[0])]
    new.end[:, new_place] = old.end[:, place]
    new.bar[:, new_place] = old.bar[:, place]
    link = old.link[:, place]
    new.link[:, new_place] = np.where(link < 0, -1, link + shift)
    new.head[:] = np.where(old.head < 0, -1, old.head + shift)


def _membranes(n: int, duration: float) -> tuple[MembraneAdjoint, MembraneBar]:
    """Return the adjoint of silence after the end, and zeros.

    All of a neuron lies in two lines of the cache: it is visited now and then, by its spikes.
    """
    columns = aligned_zeros(n, 16)
    time, v, rate_v, after = columns.T[:4]
    membrane = MembraneAdjoint(time, v, rate_v, after, columns.view(np.int64)[:, 4])
    membrane.time[:] = duration
    return membrane, MembraneBar(*columns.T[5:11])


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
