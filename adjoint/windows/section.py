"""What the forward pass has left of some windows, in the order of the way back.

A simulation whose tape was kept is one section. Of one that was not, each piece that is simulated
again gives a section; emissions are numbered from the first that may still arrive in it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from adjoint.windows.types import (
    RELEASE,
    SAMPLE,
    SPIKE,
    Emissions,
    OwnEvents,
    Slopes,
    Windows,
)
from refsim.question import Question
from refsim.results.result import Spikes
from refsim.types import Float, Int, Tape
from refsim.windows.run import order_of_emissions

_NO_TIMES = np.zeros(0)
_NO_INTS = np.zeros(0, dtype=np.int64)


class Before(NamedTuple):
    """What the beginning of a piece knows of the time before; nothing at time 0."""

    number: int = 0  # of spikes before the first of these, in the whole simulation
    time: Float = _NO_TIMES  # (r,) ms, of spikes that may still arrive in the piece
    neuron: Int = _NO_INTS  # (r,)
    since: float = -np.inf  # ms, from when on spikes are among these
    released: Int = _NO_INTS  # (h,) neurons that are refractory at the beginning
    release: Float = _NO_TIMES  # (h,) ms, the ends of that


class Section(NamedTuple):
    """Windows from ``first`` to ``end``, what happens in them, and what arrives."""

    first: int
    end: int
    emissions: Emissions
    number: int  # of emissions before these, in the whole simulation
    first_input: int  # of the input spikes that are among these
    own: OwnEvents
    slopes: Slopes
    held: Int  # (h,) neurons that are refractory at the end of the simulation; of the last section


def window_edge(windows: Windows, w: int) -> float:
    """Return the begin of window ``w``, as kernels do."""
    return windows.t_end if w >= windows.total else w * windows.length


def windows_of(windows: Windows, time: Float) -> Int:
    """Return the windows of times, as kernels do."""
    last, length = windows.total - 1, windows.length
    w = np.minimum((time / length).astype(np.int64), last)
    earlier = (w > 0) & (time < w * length)
    later = ~earlier & (w < last) & (time >= (w + 1) * length)
    return w - earlier + later


def section_of(
    question: Question,
    windows: Windows,
    edge: Int,
    span: tuple[int, int],
    spikes: Tape | Spikes,
    before: Before,
) -> Section:
    """Return the windows of a span, of which a piece has left all spikes, and perhaps later ones.

    Parameters
    ----------
    question : Question
        What was simulated.
    windows : Windows
        Division of the whole simulation.
    edge : (B + 1,) int
        Division of the neurons.
    span : (int, int)
        First window, and the one after the last.
    spikes : Tape or Spikes
        From the beginning of the piece to the end of the span, or later.
    before : Before
        What the beginning knows.
    """
    given = question.input_arrays
    end = np.inf if span[1] >= windows.total else window_edge(windows, span[1])
    if len(spikes.time):
        end = max(end, np.nextafter(spikes.time[-1], np.inf))
    first, last = np.searchsorted(given.time, [before.since, end], "left")
    time = np.concatenate([before.time, spikes.time])
    origin = order_of_emissions(time, given.time[first:last])
    return Section(
        first=span[0],
        end=span[1],
        emissions=_emissions(
            np.concatenate([time, given.time[first:last]]),
            np.concatenate([before.neuron, spikes.neuron, given.source[first:last]]),
            origin,
            len(before.time),
        ),
        number=before.number + int(first),
        first_input=int(first),
        own=_own_events(question, windows, edge, span, spikes, before),
        slopes=Slopes(spikes.slope_before, spikes.slope_after),
        held=_held_after(question, spikes, before),
    )


def _held_after(question: Question, spikes: Tape | Spikes, before: Before) -> Int:
    """Return the neurons that are refractory at the end of the simulation, by these spikes."""
    last = spikes.time + question.network.t_ref[spikes.neuron] > question.duration
    return np.concatenate(
        [spikes.neuron[last], before.released[before.release > question.duration]]
    )


def _emissions(time: Float, source: Int, origin: Int, earlier: int) -> Emissions:
    """Return emissions of spikes, of which ``earlier`` ones come before the tape, and of inputs.

    Times and sources are those of all spikes and then of all inputs; ``origin`` orders them.
    """
    is_spike = origin >= 0
    n_spikes = int(is_spike.sum())
    row = np.where(is_spike, origin, n_spikes - 1 - origin)
    number = np.empty(len(origin), dtype=np.int64)
    number[row] = np.arange(len(origin))
    return Emissions(time[row], source[row], number[earlier:n_spikes], number[n_spikes:])


def _own_events(
    question: Question,
    windows: Windows,
    edge: Int,
    span: tuple[int, int],
    spikes: Tape | Spikes,
    before: Before,
) -> OwnEvents:
    """Return spikes, releases and samples in the order of OwnEvents."""
    samples, n_spikes, n_held = question.sample_arrays, len(spikes.time), len(before.release)
    read = samples_of(question, windows, span)
    n_samples = len(read)
    release = spikes.time + question.network.t_ref[spikes.neuron]
    row = np.arange(n_spikes)
    sizes = [n_spikes, n_spikes, n_held, n_samples]
    time = np.concatenate([spikes.time, release, before.release, samples.time[read]])
    target = np.concatenate([spikes.neuron, spikes.neuron, before.released, samples.neuron[read]])
    kind = np.repeat([SPIKE, RELEASE, RELEASE, SAMPLE], sizes)
    index = np.concatenate([row, row, np.zeros(n_held, np.int64), read])
    # Of one neuron, a release comes between its spike and the next, whatever their rounding.
    sequence = np.concatenate([2 * row, 2 * row + 1, np.full(n_held, -1), read])
    window = windows_of(windows, np.minimum(time, question.duration))
    here = (window >= span[0]) & (window < span[1]) & (time <= question.duration)
    block = np.searchsorted(edge, target, side="right") - 1
    chosen = np.flatnonzero(here)
    keys = (-sequence, kind != SAMPLE, -time, target, -window, block)
    order = chosen[np.lexsort([key[chosen] for key in keys])]
    n_blocks = len(edge) - 1
    return OwnEvents(
        start=np.searchsorted(block[order], np.arange(n_blocks + 1)),
        window=window[order],
        neuron=target[order],
        time=time[order],
        kind=kind[order],
        row=index[order],
    )


def samples_of(question: Question, windows: Windows, span: tuple[int, int]) -> Int:
    """Return the samples, in order of time, that are read in the windows of a span."""
    time = question.sample_arrays.time
    first = np.searchsorted(time, window_edge(windows, span[0]), "left")
    last = span[1] == windows.total
    end = len(time) if last else np.searchsorted(time, window_edge(windows, span[1]), "left")
    return np.arange(first, end)


def room_of_pieces(own: OwnEvents) -> int:
    """Return room for the pieces of one block in one window: up to three for an event."""
    block = np.repeat(np.arange(len(own.start) - 1), np.diff(own.start))
    ends = np.flatnonzero((np.diff(own.window) != 0) | (np.diff(block) != 0)) + 1
    return 3 * int(np.diff(np.concatenate([[0], ends, [len(own.window)]])).max()) + 2


def most_together(time: Float, span: float) -> int:
    """Return the most of the ascending times that lie within a span."""
    together = np.searchsorted(time, time + span, "right")
    return int((together - np.arange(len(time))).max(initial=0))
