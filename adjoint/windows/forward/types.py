"""Arrays of the tangent pass by windows. Times in ms; sizes as in adjoint.windows.types.

The row of a neuron holds tangents at one time: of the excursion V - drive, then of the synaptic
states (K). Where a time constant has a tangent the primal excursion and states (1 + K) follow, of
which their tangents then take.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adjoint.windows.types import (
    Chunk,
    Emissions,
    Found,
    OwnEvents,
    Pieces,
    Slopes,
    Tables,
    Windows,
)
from refsim.types import Float, Int, NeuronArrays, Rows
from refsim.windows.types import counters, counters_of_blocks


class Direction(NamedTuple):
    """Tangents of the parameters, in the layout of the kernels."""

    neurons: NeuronArrays  # of the parameters of the neurons
    port_rate: Float  # (K,) of the rates of the filters
    gain: Float  # (K,) of the gain of a cascade, relative to it, at its first state; else 0
    weight: Float  # (S,) in the order of rows
    delay: Float  # (S,)


class WindowForward(NamedTuple):
    """What a simulation has left, and the direction."""

    neurons: NeuronArrays
    direction: Direction
    windows: Windows
    rows: Rows
    tables: Tables
    emissions: Emissions
    own: OwnEvents  # to be read from the last of a block to the first
    slopes: Slopes


class Departures(NamedTuple):
    """The emissions of each block by the window in which they next arrive.

    An emission e has the place e & mask, and windows share a ring of lists.
    """

    head: NDArray[np.int32]  # (B, ring) first emission of the list of a window, -1 for none
    link: NDArray[np.int32]  # (B, places) the next one
    begin: Int  # (B, places) the first synapse that is still to be reached
    mask: Int  # (1,)


class TangentWork(NamedTuple):
    """What the pass changes; block b owns its rows of it and the neurons of its range."""

    row: Float  # (n, W) tangents of each neuron
    at: NDArray[np.int32]  # (n,) window at whose begin the row holds
    release_dot: Float  # (n,) tangent of the next release
    held: NDArray[np.uint8]  # (n,) 1 while refractory
    emission_dot: Float  # (E,) tangent of the time of each emission
    spike_dot: Float  # (k,) of each row of the tape
    sample_dot: Float  # (V,) of each sample, in order of time
    departures: Departures
    pieces: Pieces
    chunk: Chunk
    found: Found
    out: Float  # (B, Q) responses of one arrival
    counts: Any  # (B,) of COUNTS
    now: Any  # (1,) of PROGRESS
    claims: Int  # blocks that threads have taken on in this window


# The counters of a block.
COUNTS = counters_of_blocks(
    "entered",  # emissions that have entered
    "own",  # one more than the number of the next event of a neuron's own
    "pending",  # emissions under way
    "events",  # arrivals of the last window
    "n_pieces",
)

# Where the pass is.
PROGRESS = counters("window", "status", "done")  # the last is the last window that is done
