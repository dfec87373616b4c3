"""Arrays of full layers.

A group is neurons of one level and one membrane time constant. A line is all synapses of one source
and one delay to a group, one weight for each of its neurons, which have places next to each other.
The places of a group are a multiple of WIDTH, so that loops over them are done in vectors only;
those beyond its neurons have no weights and a threshold that is never reached.

Where layers are not full, or their delays differ, each neuron is a group of its own with one place.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.types import Float, Int

WIDTH = 8
FLAGS = 64  # that are looked at together


class Groups(NamedTuple):
    """Groups of neurons in topological order, and what does not change with the parameters."""

    start: Int  # (G + 1,) first place of each group
    size: Int  # (G,) neurons of each group
    level: Int  # (G,) of each group
    neuron: Int  # (places,) neuron at each place, -1 for none
    place: Int  # (n,) place of each neuron
    group: Int  # (n,) group of each neuron
    first: Int  # (G, n + m + 1) first line of each source in a group
    delay: Float  # (L,) ms, of each line
    cell: Int  # (L + 1,) first cell of each line
    cell_of: Int  # (S,) cell of each synapse of the Wiring


class Layers(NamedTuple):
    """Parameters of the groups, and of the neurons at their places.

    The voltage is that of the slower exponential minus that of the faster one. An arrival of weight
    w adds ``scale`` w to both of them, and a reset changes that of the membrane.
    """

    slow: Float  # (G,) 1/ms, the lower of the rates of membrane and port
    fast: Float  # (G,)
    scale: Float  # (G,) rate of the membrane over the distance of the rates
    leak: Float  # (G,) rate of the membrane
    line: Float  # (G, 4) two lines of the safe test, see `rise.tangents`
    level: Float  # (places,) threshold above the drive
    reset: Float  # (places,) reset above the drive
    v0: Float  # (places,) voltage at time 0 above the drive
    weight: Float  # (cells,)
    fade_slow: Float  # (L,) e^{-slow delay} of each line, or empty
    fade_fast: Float  # (L,)


class Arrivals(NamedTuple):
    """Arrivals at a group in order of time.

    Exponentials are measured from times of reference, so that none of them overflows.
    """

    time: Float  # (R,) ms
    line: Int  # (R,)
    emission: Int  # (R,) place of the emission among all of the sample
    order: Int  # (R,) room to sort
    spare_time: Float
    spare_order: Int
    spare: Int
    start_slow: Float  # (R,) e^{-slow (t - reference)}
    start_fast: Float
    end_slow: Float  # (R,) the same at the next arrival
    end_fast: Float
    moved: Int  # (R,) 1 where the next arrival has another reference: its own time


class Emissions(NamedTuple):
    """Spikes of one sample as they are found, behind its input spikes."""

    time: Float  # (R,) ms
    source: Int  # (R,)
    slope_before: Float  # (R,)
    slope_after: Float  # (R,)
    slow: Float  # (R,) e^{-slow time}, where these are what exponentials are made of
    fast: Float  # (R,)


class Candidates(NamedTuple):
    """Neurons that cross between two arrivals: v = slow e^{-s} - fast e^{-s}, with their rates."""

    place: Int  # (places + WIDTH,)
    since: Float  # ms, from the arrival to where the search begins
    slow: Float  # both exponentials where the search begins
    fast: Float
    level: Float
    until: Float  # ms, the end of the search
    wait: Float  # ms, from there to the crossing
    left: Float  # bound of what the crossing may be off, as a share of its time
    faded_slow: Float  # what has become of both exponentials at the crossing
    faded_fast: Float
    loss_slow: Float  # what has become of e^0 from the reference to where the search begins
    loss_fast: Float


class DenseRoom(NamedTuple):
    """Where a thread holds what belongs to one sample."""

    slow: Float  # (places,) the exponentials of each neuron, at the time of reference
    fast: Float
    flag: NDArray[np.uint8]  # (places + FLAGS,)
    arrivals: Arrivals
    emissions: Emissions
    candidates: Candidates


# Columns of whole numbers.
_WHOLE = {"line", "emission", "order", "spare_order", "spare", "moved", "source", "place"}


def _columns(kind: Any, rows: int) -> Any:
    return kind(
        *(np.zeros(rows, np.int64 if name in _WHOLE else np.float64) for name in kind._fields)
    )


def empty_arrivals(rows: int) -> Arrivals:
    """Return room for so many arrivals at a group."""
    made: Arrivals = _columns(Arrivals, rows)
    return made


def empty_emissions(rows: int) -> Emissions:
    """Return room for so many emissions of a sample."""
    made: Emissions = _columns(Emissions, rows)
    return made


def empty_dense_room(places: int, rows: int) -> DenseRoom:
    """Return room for samples of so many emissions, and arrivals at a group."""
    return DenseRoom(
        np.zeros(places),
        np.zeros(places),
        np.zeros(places + FLAGS, dtype=np.uint8),
        empty_arrivals(rows),
        empty_emissions(rows),
        _columns(Candidates, places + WIDTH),
    )
