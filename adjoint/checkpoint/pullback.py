"""Gradients of simulations whose tape would be too long: from snapshots, piece by piece."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.checkpoint.pieces import PieceRun, PieceTape
from adjoint.checkpoint.schedule import Checkpoint
from adjoint.names import Wrt
from adjoint.pullback import check_slopes, checked_names, finished, parts_of
from adjoint.types import Cotangents, Parameters, as_cotangents
from adjoint.windows.run import WayBack, WindowPass, number_of_windows
from adjoint.windows.section import samples_of, section_of, window_edge, windows_of
from refsim.errors import InvalidValueError
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.network.voltages import voltages_of
from refsim.question import Question
from refsim.results.result import Conditioning, EventCounts, Spikes
from refsim.status import SPIKE_LIMIT
from refsim.types import Float
from refsim.validate import ReadOnlyArrays, freeze_all, vector
from refsim.windows.options import Windows


@dataclass(frozen=True, eq=False, repr=False)
class Piece(ReadOnlyArrays):
    """The spikes and voltages of a part of a simulation.

    Attributes
    ----------
    network : Network
        What was simulated.
    begin, end : float
        Times in ms between which the piece lies.
    first_spike : int
        Number of spikes before these.
    spikes : Spikes
        Spikes of the piece, sorted by (time, neuron).
    sample_number : (V,) int
        Which of the samples given to the simulation lie in the piece, in order of time.
    voltages : (V,) float
        Their voltages.
    """

    network: Network
    begin: float
    end: float
    first_spike: int
    spikes: Spikes
    sample_number: NDArray[np.int64]
    voltages: Float

    def __post_init__(self) -> None:
        freeze_all((self.spikes, self.voltages, self.sample_number))

    def __repr__(self) -> str:
        return f"<Piece: {len(self.spikes.time)} spikes, {self.begin:g} to {self.end:g} ms>"


class Checkpointed:
    """A simulation of which snapshots were kept, and no spikes.

    Attributes
    ----------
    network, inputs, duration, samples
        What was simulated.
    n_spikes : int
        Number of spikes.
    voltages : (V,) float
        Voltages at the samples, in the order given.
    conditioning : Conditioning
        Distance from the next change of the spike pattern.
    counts : EventCounts
        Numbers of events.
    engine : str
        "windows".
    n_pieces : int
        Number of pieces.
    """

    engine = "windows"

    def __init__(self, question: Question, pieces: PieceRun, windows: WindowPass, duration: float):
        self.network: Network = question.network
        self.inputs: SpikeTrain = question.inputs
        self.samples: Samples = question.samples
        self.duration = duration
        self.n_spikes = pieces.n_spikes
        self.voltages = np.full(len(question.samples), np.nan)
        read = pieces.samples
        self.voltages[question.sample_order] = voltages_of(
            question.network, read.voltage, read.neuron
        )
        self.conditioning: Conditioning = pieces.conditioning
        self.counts = EventCounts(
            self.n_spikes, len(question.input_arrays.time), pieces.n_arrivals, pieces.n_searches, 0
        )
        self.n_pieces = pieces.n_pieces
        self._question = question
        self._pieces = pieces
        self._pass = windows
        self._first = _first_windows(pieces, windows)
        self._lock = threading.RLock()  # pieces are simulated again in one place
        freeze_all((self.voltages,))

    def __repr__(self) -> str:
        return (
            f"<Checkpointed: {self.n_spikes} spikes of {self.network.n_neurons} neurons in "
            f"{self.duration:g} ms, {self.n_pieces} pieces, {self.n_snapshots} snapshots>"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.RLock())

    @property
    def n_snapshots(self) -> int:
        """Number of snapshots that are kept now."""
        return len(self._pieces.snapshots.pieces)

    @property
    def snapshot_bytes(self) -> int:
        """Bytes of the snapshots that are kept now, in memory or in files."""
        return self._pieces.snapshots.nbytes

    @property
    def repeated(self) -> int:
        """Number of pieces that have been simulated again so far."""
        return self._pieces.repeated

    def pieces(self) -> Iterator[Piece]:
        """Simulate again, and iterate over the pieces in order of time.

        ``spikes.slope_after`` is 0 where the neuron is released after the end of the piece.
        """
        for number in range(self.n_pieces):
            with self._lock:
                tape = self._tape_of(number)
                piece = self._piece(number, tape, self._rows(number, tape), self._read(number))
            yield piece

    def _span(self, number: int) -> tuple[int, int]:
        """Return the windows of the pass that belong to a piece."""
        return self._first[number], self._first[number + 1]

    def _edge(self, window: int) -> float:
        """Return where a piece begins or ends, which Ctrl-C may have brought."""
        edge = window_edge(self._pass.windows, window)
        return min(edge, self.duration) if self._pieces.is_interrupted else edge

    def _tape_of(self, number: int) -> PieceTape:
        return self._pieces.tape_of(number, window_edge(self._pass.windows, self._span(number)[1]))

    def _rows(self, number: int, tape: PieceTape) -> slice:
        """Return which rows of the tape belong to a piece."""
        windows, (first, end) = self._pass.windows, self._span(number)
        time = tape.spikes.time
        low = int(np.searchsorted(time, window_edge(windows, first), "left"))
        high = len(time)
        if end < windows.total:
            high = int(np.searchsorted(time, window_edge(windows, end), "left"))
        if self._pieces.is_interrupted:  # perhaps before a window of the pass ends
            high = min(high, self.n_spikes - _first_of(tape))
        return slice(min(low, high), high)

    def _read(self, number: int) -> NDArray[np.int64]:
        """Return the samples, in order of time, that belong to a piece."""
        read = samples_of(self._question, self._pass.windows, self._span(number))
        if self._pieces.is_interrupted:
            read = read[self._question.sample_arrays.time[read] < self.duration]
        return read

    def _piece(self, number: int, tape: PieceTape, rows: slice, read: NDArray[np.int64]) -> Piece:
        """Return a piece, which has these rows of its tape, and these samples."""
        span, given = self._span(number), self._question.sample_order[read]
        return Piece(
            network=self.network,
            begin=self._edge(span[0]),
            end=self._edge(span[1]),
            first_spike=_first_of(tape) + rows.start,
            spikes=tape.spikes.part(rows),
            sample_number=given,
            voltages=self.voltages[given],
        )


def _first_of(tape: PieceTape) -> int:
    """Return the number of the first spike on a tape."""
    return tape.before.number + len(tape.before.time)


def _first_windows(pieces: PieceRun, windows: WindowPass) -> list[int]:
    """Return the first window of the pass in each piece, and at last their number.

    A window belongs to the piece in which it begins.
    """
    time = np.array(pieces.starts[:-1]) * pieces.length
    within = windows_of(windows.windows, time)
    first = within + (within * windows.windows.length < time)
    return [*first.tolist(), windows.windows.total]


Bars = Callable[[Piece], Any]


class CheckpointedPullback:
    """Vector-Jacobian product of a simulation of which snapshots were kept."""

    def __init__(self, simulation: Checkpointed):
        self._simulation = simulation

    def __repr__(self) -> str:
        return f"<Pullback of {self._simulation!r}>"

    def __call__(
        self,
        time_bar: ArrayLike | Bars | None = None,
        voltage_bar: ArrayLike | None = None,
        wrt: Wrt | None = None,
    ) -> Parameters:
        """Return the gradient of a loss with these cotangents, to the last bit as without pieces.

        Parameters
        ----------
        time_bar : (k,) float, or callable, optional
            dL/d(spike time) of all spikes; or a function that takes a :class:`Piece` and returns
            its cotangents: Cotangents, a pair (dL/d spike times, dL/d voltages), or dL/d(spike
            times) alone. It is called for the last piece first.
        voltage_bar : (V,) float, optional
            dL/d(sampled voltage), in the order of the samples; not with a function.
        wrt : str or sequence of str, optional
            Names of the parameters wanted, as in :class:`Pullback`.
        """
        simulation = self._simulation
        bars = time_bar
        if not callable(time_bar):
            time = vector("time_bar", 0.0 if time_bar is None else time_bar, simulation.n_spikes)
            voltage = vector(
                "voltage_bar", 0.0 if voltage_bar is None else voltage_bar, len(simulation.samples)
            )

            def bars(piece: Piece) -> Cotangents:
                end = piece.first_spike + len(piece.spikes.time)
                return Cotangents(time[piece.first_spike : end], voltage[piece.sample_number])

        elif voltage_bar is not None:
            raise InvalidValueError(
                "voltage_bar is given and time_bar is a function; expected the cotangents of "
                "voltages from the function"
            )
        wanted = checked_names(wrt)
        with simulation._lock:
            return self._backward(bars, wanted)

    def _backward(self, bars: Any, wanted: set[str]) -> Parameters:
        simulation, question = self._simulation, self._simulation._question
        windows = simulation._pass
        way = WayBack(windows, *parts_of(wanted))
        sample_bar = np.zeros(len(simulation.samples))
        slope_after = np.zeros(simulation.network.n_neurons)
        for number in reversed(range(simulation.n_pieces)):
            span = simulation._span(number)
            if span[0] == span[1]:
                continue
            tape = simulation._tape_of(number)
            rows, read = simulation._rows(number, tape), simulation._read(number)
            slope_after = self._complete(tape, rows.start, slope_after)
            piece = simulation._piece(number, tape, rows, read)
            given = as_cotangents(bars(piece))
            spike_bar = np.zeros(len(tape.spikes.time))
            spike_bar[rows] = _of_piece("time", given.time, len(piece.spikes.time))
            sample_bar[read] = _of_piece("voltage", given.voltage, len(read))
            section = section_of(
                question, windows.windows, windows.rows.edge, span, tape.spikes, tape.before
            )
            way.go(section, spike_bar, sample_bar)
            check_slopes(piece.spikes, spike_bar[rows])
        return finished(question, way.outcome(np.zeros(0)), wanted)

    def _complete(self, tape: PieceTape, first: int, later: Float) -> Float:
        """Write the slopes at releases that come after what was run again.

        Parameters
        ----------
        tape : PieceTape
            Tape of a piece, whose slopes are completed.
        first : int
            Row of the tape with which the piece begins.
        later : (n,) float
            For each neuron that is refractory at the end, the slope at its release.

        Returns
        -------
        (n,) float
            The same for the piece before.
        """
        spikes, before = tape.spikes, tape.before
        t_ref = self._simulation.network.t_ref
        open_ = np.flatnonzero(spikes.time + t_ref[spikes.neuron] > tape.end)
        spikes.slope_after[open_] = later[spikes.neuron[open_]]
        earlier = later.copy()
        done = before.released[before.release <= tape.end]
        earlier[done] = tape.carried[done]
        earlier[spikes.neuron[:first]] = spikes.slope_after[:first]
        return earlier


def _of_piece(kind: str, given: Any, size: int) -> Float:
    """Return the cotangents of a piece, which must be as many."""
    return vector(f"dL/d({kind}) of a piece", 0.0 if given is None else given, size)


def vjp_in_pieces(
    question: Question, plan: Checkpoint, by_windows: Windows
) -> tuple[Checkpointed, CheckpointedPullback]:
    """Simulate and keep snapshots; return the result and its vector-Jacobian product."""
    if number_of_windows(question.network, question.duration) == 0:
        raise InvalidValueError(
            "checkpoint is given, and windows shorter than the shortest delay would be too many; "
            "expected longer delays, or no checkpoint"
        )
    windows = WindowPass(question)
    reach = (windows.ring + 2) * windows.windows.length
    pieces = PieceRun(question, plan, reach, by_windows)

    def result(duration: float) -> Checkpointed:
        return Checkpointed(question, pieces, windows, duration)

    try:
        status = pieces.forwards()
    except KeyboardInterrupt:
        raise question.interrupted(result(pieces.reached), "counts") from None
    if status == SPIKE_LIMIT:
        raise question.has_too_many_spikes(result(pieces.reached), "counts")
    simulation = result(question.duration)
    return simulation, CheckpointedPullback(simulation)
