"""A simulation in pieces, of which the tape of one is in memory at a time."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

from adjoint.checkpoint.schedule import Checkpoint, first_descent, split
from adjoint.checkpoint.snapshots import Snapshot, Snapshots
from adjoint.windows.section import Before
from refsim.errors import InvalidValueError
from refsim.network.network import Network
from refsim.question import Question
from refsim.results.outcome import gap_to_own_events
from refsim.results.result import Conditioning, Spikes
from refsim.status import DONE
from refsim.threads import uninterrupted
from refsim.types import Float, SampleArrays
from refsim.windows.options import Windows
from refsim.windows.run import WindowRun
from refsim.windows.state import restore, snapshot

# Bytes that a spike takes on the way back: two rows of a growing tape, and the section's arrays.
_BYTES_PER_SPIKE = 600
_FEWEST = 64  # spikes of a piece, whatever the memory
_ALL = 2**62  # windows


class PieceTape(NamedTuple):
    """What a piece has left."""

    spikes: Spikes  # of the piece, and perhaps later ones
    before: Before
    carried: Float  # (n,) slopes at releases in the piece, for those from spikes before it
    end: float  # ms, up to which these are known


class PieceRun:
    """A run that goes from piece to piece, forwards, and again from where there is a snapshot.

    Attributes
    ----------
    starts : list of int
        First window of the engine of each piece, and at last the end of the run.
    snapshots : Snapshots
        What is kept.
    conditioning : Conditioning
        Of the whole run.
    repeated : int
        Pieces that have been run again.
    """

    def __init__(self, question: Question, plan: Checkpoint, reach: float, windows: Windows):
        _check_memory(plan, question.network)
        self.question = question
        self.snapshots = Snapshots(plan.folder)
        self._plan = plan
        self._reach = reach  # ms, for how long a spike may matter after its emission
        self._windows = WindowRun(question, windows)
        self.length = self._windows.problem.length
        self.starts = [0]
        self.repeated = 0
        self.conditioning = Conditioning(math.inf, -1, math.inf, math.inf, math.inf)
        self._before = Before()
        self._stride = 1  # of pieces with snapshots, where their number was not known beforehand
        self._last: PieceTape | None = None
        self.is_interrupted = False  # then the last piece ends where Ctrl-C came

    @property
    def n_pieces(self) -> int:
        """Number of pieces."""
        return len(self.starts) - 1

    @property
    def n_spikes(self) -> int:
        """Number of spikes so far."""
        return int(self._windows.work.counts[0].spikes)

    @property
    def reached(self) -> float:
        """Time in ms up to which the run has come."""
        return self._windows.reached

    @property
    def samples(self) -> SampleArrays:
        """Samples in order of time, with the voltages read so far."""
        return self._windows.problem.samples

    @property
    def n_arrivals(self) -> int:
        """Number of synaptic events so far."""
        return int(self._windows.work.tally.arrivals.sum())

    @property
    def n_searches(self) -> int:
        """Number of searches for a threshold crossing so far."""
        return int(self._windows.work.tally.searches.sum())

    def forwards(self) -> int:
        """Run through all pieces and keep snapshots; return DONE or SPIKE_LIMIT."""
        try:
            return self._forwards()
        except KeyboardInterrupt:
            with uninterrupted():
                self._end_here()
            raise

    def _end_here(self) -> None:
        """Let the last piece end with the turn at work."""
        self.is_interrupted = True
        self._windows.finish_turn()
        self._note_conditioning()
        now = int(self._windows.work.counts[0].now)
        if now > self.starts[-1]:
            self.starts.append(now)

    def _forwards(self) -> int:
        n_pieces = self._plan.pieces or self._plan.snapshots
        places = first_descent(n_pieces, self._plan.snapshots or 1) if n_pieces else []
        total = int(self.question.duration / self.length) + 1
        for piece in itertools.count():
            if not n_pieces:
                self._keep_some(piece)
            elif piece in places:
                self._keep(piece)
            if n_pieces:
                status = self._windows.advance(-(-(piece + 1) * total // n_pieces))
            else:
                status = self._advance_by_spikes(total)
            self.starts.append(int(self._windows.work.counts[0].now))
            is_last = self.starts[-1] >= total or (n_pieces is not None and piece + 1 == n_pieces)
            if is_last and status == DONE:
                status = self._windows.advance(_ALL)
            self._note_conditioning()
            if is_last or status != DONE:
                break
            self._finish_piece()
        if status == DONE:
            self._last = self._take(self._before)
        return status

    def tape_of(self, piece: int, end: float) -> PieceTape:
        """Return what a piece has left, with later spikes up to a time in ms at least.

        The last piece is there from the first run, until another is asked for.
        """
        is_last = piece == self.n_pieces - 1
        if is_last and self._last is not None:
            return self._last
        self._last = None
        self._go_to(piece)
        before = self._before
        stop = max(self.starts[piece + 1], math.ceil(end / self.length) + 1)
        if is_last:
            stop = self.starts[-1] if self.is_interrupted else _ALL
        self._repeat(stop)
        return self._take(before)

    def _repeat(self, stop: int) -> None:
        """Run on to a window."""
        self._windows.advance(stop)
        self.repeated += 1

    def _take(self, before: Before) -> PieceTape:
        spikes = self._windows.take()
        now = float(self._windows.work.counts[0].now) * self.length
        end = math.inf if now > self.question.duration else now
        return PieceTape(spikes, before, self._windows.work.neurons.carried.copy(), end)

    def _go_to(self, piece: int) -> None:
        """Bring the run to the beginning of a piece, and take snapshots on the way.

        It begins from a snapshot wherever the run is, which Ctrl-C may have stopped.
        """
        kept = [place for place in self.snapshots.pieces if place <= piece]
        found = self.snapshots.get(kept[-1])
        self._windows.work = restore(self._windows.work, found.state)
        self._before = found.before
        at, used = kept[-1], len(kept)
        while at < piece:
            free = self._most() - used
            target = piece
            if free > 0:
                target = at + split(piece + 1 - at, free)
            while at < target:
                at += 1
                self._repeat(self.starts[at])
                self._finish_piece()
            if target < piece:
                self._keep(target)
                used += 1

    def _most(self) -> int:
        """Return the most snapshots."""
        if self._plan.snapshots is not None:
            return self._plan.snapshots
        assert self._plan.memory is not None
        return max(2, self._plan.memory // 2 // max(1, self.snapshots.largest))

    def _keep(self, piece: int) -> None:
        """Take a snapshot at the beginning of a piece, in place of the last if there is no room."""
        kept = self.snapshots.pieces
        if len(kept) >= self._most():
            self.snapshots.drop(kept[-1])
        self._take_snapshot(piece)

    def _take_snapshot(self, piece: int) -> None:
        self.snapshots.keep(piece, Snapshot(snapshot(self._windows.work), self._before))

    def _keep_some(self, piece: int) -> None:
        """Keep the snapshot of every so many pieces, and fewer once they are too many."""
        if piece % self._stride:
            return
        self._take_snapshot(piece)
        most = self._most()
        while len(self.snapshots.pieces) > (most if self._stride == 1 else max(1, most // 2)):
            self._stride *= 2
            for place in self.snapshots.pieces:
                if place % self._stride:
                    self.snapshots.drop(place)

    def _finish_piece(self) -> None:
        """Take the spikes off the tape; those that may still arrive are remembered."""
        since = float(self._windows.work.counts[0].now) * self.length - self._reach
        spikes, before = self._windows.take(), self._before
        time = np.concatenate([before.time, spikes.time])
        neuron = np.concatenate([before.neuron, spikes.neuron])
        first = int(np.searchsorted(time, since, "left"))
        release = self._windows.work.neurons.release
        held = np.flatnonzero(release >= 0.0)
        self._before = Before(
            number=self.n_spikes - (len(time) - first),
            time=time[first:],
            neuron=neuron[first:],
            since=since,
            released=held,
            release=release[held],
        )

    def _note_conditioning(self) -> None:
        """Take the spikes on the tape into account."""
        counts, tape = self._windows.work.counts, self._windows.work.tape
        slope, k = self.conditioning[:2]
        slopes = tape.slope_before[: int(counts[0].spikes - counts[0].first)]
        if len(slopes) and slopes.min() < slope:
            row = int(np.argmin(slopes))
            slope, k = float(slopes[row]), int(counts[0].first) + row
        gap, release_gap, sample_gap = map(float, self._windows.work.gap[:, :3].min(axis=0))
        rows = slice(len(slopes))
        of_samples = gap_to_own_events(
            Spikes(tape.time, tape.neuron, tape.slope_before, tape.slope_after).part(rows),
            self.question.network.t_ref,
            self.question.sample_arrays,
        )
        sample_gap = min(sample_gap, of_samples, self.conditioning.min_sample_gap)
        self.conditioning = Conditioning(slope, k, gap, release_gap, sample_gap)

    def _advance_by_spikes(self, total: int) -> int:
        """Run until a piece has its spikes; return the status."""
        assert self._plan.memory is not None
        counts = self._windows.work.counts
        most = max(_FEWEST, self._plan.memory // 2 // _BYTES_PER_SPIKE)
        begin, step = int(counts[0].now), 1
        while True:
            status = self._windows.advance(min(int(counts[0].now) + step, total))
            rows, windows = int(counts[0].spikes - counts[0].first), int(counts[0].now) - begin
            if status != DONE or counts[0].now >= total or rows >= most:
                return status
            step = min(2 * step, max(1, (most - rows) * windows // (2 * max(1, rows))))


def _check_memory(plan: Checkpoint, network: Network) -> None:
    """Refuse a budget that holds no two snapshots and no piece."""
    if plan.memory is None:
        return
    n = network.n_neurons
    state = n * (40 + 8 * len(network.model.ports.rate))
    least = 2 * max(2 * state, _FEWEST * _BYTES_PER_SPIKE)
    if plan.memory < least:
        raise InvalidValueError(
            f"memory is {plan.memory} bytes; expected at least {least}, for two snapshots of "
            f"{n} neurons and some spikes"
        )
