"""Arrays of the backward pass by windows. Times in ms; sizes as in refsim.types.

Sizes of its own: B blocks of targets, E emissions, C classes of neurons with one membrane time
constant, W columns of a row, and Q responses to a unit in a state:

    0 LIFT, 1 FIRST, 2 SECOND    what the unit has done to the voltage, its own state and the next
    3 LIFT_A                     derivative of the lift by the rate of the membrane
    4 LIFT_R, 5 FIRST_R, 6 SECOND_R   derivatives by the rate of the filter that it entered
    7 LIFT_S, 8 SECOND_S         derivatives by the rate of the next filter

Without derivatives by rates Q is 3.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.types import Float, Int, NeuronArrays, Rows
from refsim.windows.types import counters, counters_of_blocks

LIFT, FIRST, SECOND, LIFT_A, LIFT_R, FIRST_R, SECOND_R, LIFT_S, SECOND_S = range(9)

# Kinds of the events of a neuron itself, in the order of one time backwards.
SAMPLE, RELEASE, SPIKE = 0, 1, 2


class Tables(NamedTuple):
    """Responses of the model within a window, and over whole windows."""

    kind: Int  # (n,) class of each neuron
    rate: Float  # (C,) 1/tau_m of each class
    first: Int  # (P,) state that arrivals at a port enter
    decay_rate: Float  # (K,) of each state
    gain: Float  # (K,) from the first filter of a cascade to the next; 0 for other states
    poly: Float  # (K, C, Q, D) polynomials of 2 u/length - 1; (K, 0, Q, 1) for direct evaluation
    over: Float  # (K, C, M, Q) responses after m windows
    decay: Float  # (C, M) of the voltage over m windows
    length: float  # of a window
    with_rates: bool  # whether Q is 9
    # One exponential port and one class of neurons: what arrivals do is read in loops of their own.
    # `refsim.windows.types.OneExp` asks more, namely rates whose difference is a fine divisor.
    is_plain: bool


class Windows(NamedTuple):
    """Windows from w length to (w + 1) length; the last ends with the simulation."""

    length: float
    total: int
    t_end: float
    first: int  # of the section at work


class Emissions(NamedTuple):
    """Spikes and input spikes in order of time."""

    time: Float  # (E,)
    source: Int  # (E,)
    of_spike: Int  # (k,) the emission of each row of the tape
    of_input: Int  # (I,) and of each input spike in order of time


class OwnEvents(NamedTuple):
    """Spikes, releases and samples of the neurons.

    By block, then windows from the last, then neuron, then backwards in time.
    """

    start: Int  # (B + 1,) first event of each block
    window: Int  # (A,)
    neuron: Int  # (A,)
    time: Float  # (A,)
    kind: Int  # (A,) SAMPLE, RELEASE or SPIKE
    row: Int  # (A,) of the tape, or of the samples


class Membranes(NamedTuple):
    """The neurons without their ports, as a model for rules of the voltage."""

    neurons: NeuronArrays


class Slopes(NamedTuple):
    """The columns of the tape that rules take."""

    before: Float  # (k,)
    after: Float  # (k,)


class WindowReverse(NamedTuple):
    """What the forward pass has left."""

    model: Membranes
    windows: Windows
    rows: Rows
    tables: Tables
    emissions: Emissions
    own: OwnEvents
    slopes: Slopes
    sample_bar: Float  # (V,) in order of time


class Calendar(NamedTuple):
    """The emissions of each block by the window in which they next arrive, backwards.

    An emission e has the place e & mask, and windows share a ring of lists.
    """

    head: NDArray[np.int32]  # (B, ring) first emission of the list of a window, -1 for none
    link: NDArray[np.int32]  # (B, places) the next one
    end: Int  # (B, places) the synapse after the last that is still to be reached
    bar: Float  # (B, places) dL/d(time) of what has been reached
    mask: Int  # (1,)


class Adjoints(NamedTuple):
    """Adjoint of the neurons, a row each: of the voltage, then of the synaptic states."""

    row: Float  # (n, 1 + K), rounded up to an even number


class AdjointsAndRates(NamedTuple):
    """Rows that go on with what gradients by rates take; see refsim.models.lif.adjoint.

    Columns: v, x (K), rate_v, rate_x (K), own (K), cross (K), and dL/drate of the membrane.
    """

    row: Float  # (n, 3 + 4 K), rounded up to a multiple of 8


# Its columns with one exponential port, behind v and x.
AT_RATE_V, AT_RATE_X, AT_OWN, AT_RATE = np.uint64(2), np.uint64(3), np.uint64(4), np.uint64(6)


class WeightBars(NamedTuple):
    """Gradient by the weights of synapses, in the order of rows."""

    weight: Float  # (S,)


class SynapseBars(NamedTuple):
    """Gradient by weights and delays of synapses, in the order of rows."""

    weight: Float  # (S,)
    delay: Float  # (S,)


class MembraneAdjoint(NamedTuple):
    """Adjoint of the voltages at the last event of each neuron's own; see AdjointState."""

    time: Float  # (n,)
    v: Float  # (n,)
    rate_v: Float  # (n,)
    after: Float  # (n,)
    held: Int  # (n,)


class MembraneBar(NamedTuple):
    """Gradient by the parameters of the membranes; see ModelBar."""

    rate: Float  # (n,)
    drive: Float  # (n,)
    v_th: Float  # (n,)
    v_reset: Float  # (n,)
    t_ref: Float  # (n,)
    v0: Float  # (n,)


class Pieces(NamedTuple):
    """Adjoints of neurons with events of their own, between these, in one window of each block.

    The first event of the neuron, backwards, ends its first piece; the last piece holds at the
    begin of the window and is read by no arrival.
    """

    row: Float  # (B, R, W) adjoint at the end of the piece
    time: Float  # (B, R) the end of the piece
    below: Float  # (B, R) arrivals before this time belong to the next piece
    neuron: Int  # (B, R)
    first: NDArray[np.uint32]  # (n,) first piece of the neuron
    is_special: NDArray[np.uint8]  # (n,) 1 for a neuron with events of its own in this window


class Once(NamedTuple):
    """Responses for arrivals of one time, as they are first needed; a row a block."""

    response: Float  # (B, K, C, Q); (B, K, 0, Q) for many classes
    known: Int  # (B, K, C) number of the time for which they hold
    stamp: Int  # (B,) number of the time
    out: Float  # (B, Q) of one arrival


class Chunk(NamedTuple):
    """Arrivals that are read together, segment by segment, and their responses; a row a block.

    A segment is the synapses of one emission that are reached in the window, the last first.
    """

    end: NDArray[np.uint64]  # (B, chunk) the synapse after the last of a segment
    start: NDArray[np.uint64]  # (B, chunk + 1) first arrival of a segment, and the end of the last
    emitted: Float  # (B, chunk) time of emission
    place: NDArray[np.uint64]  # (B, chunk) of the emission in the calendar
    since: Float  # (B, chunk) of each arrival, the time to the end of the window
    scaled: Float  # (B, chunk) the same from -1 to 1
    response: Float  # (B, Q, chunk)


class Found(NamedTuple):
    """Arrivals at neurons with events of their own; a row for each block."""

    synapse: NDArray[np.uint64]  # (B, room)
    emitted: Float  # (B, room) time of the spike
    place: NDArray[np.uint64]  # (B, room) of the emission in the calendar
    piece: NDArray[np.uint64]  # (B, chunk) from which it is read
    since: Float  # (B, chunk) time from the arrival to the end of the piece


class WindowWork(NamedTuple):
    """What the pass changes; block b owns its rows of it and the neurons of its range."""

    adjoints: Any  # Adjoints or AdjointsAndRates, a row a neuron
    at: NDArray[np.int32]  # (n,) window at whose begin the row holds; if the block is sparse
    membrane: MembraneAdjoint
    bar: MembraneBar
    bars: Any  # WeightBars or SynapseBars
    port_rate: Float  # (B, K) dL/drate of the filters
    spike_bar: Float  # (k,) dL/d(spike time), complete once its window is reached
    input_bar: Float  # (I,) in order of time
    calendar: Calendar
    pieces: Pieces
    once: Once
    chunk: Chunk
    found: Found
    counts: Any  # (B,) of COUNTS
    now: Any  # (1,) of PROGRESS
    injected: Float  # (B, 8) size of all that own events have written to rows, in the first column
    claims: Int  # blocks that threads have taken on in this window


# The counters of a block.
COUNTS = counters_of_blocks(
    "entered",  # emissions that have not entered yet
    "own",  # number of the next event of a neuron's own
    "pending",  # emissions under way
    "events",  # arrivals of the last window
    "sparse",  # 1 where each row holds at a window of its own
    "n_pieces",
)

# Where the pass is.
PROGRESS = counters(
    "window",  # -1 at the end
    "inputs",  # input spikes whose cotangents have not been collected
    "status",
    "done",  # last window that is done
)

NEXT = -2  # in place of the window: the next in which something happens, before the last done

CHUNK = 512  # arrivals whose responses are computed together; a multiple of SEVERAL


# Room in which passes work -----------------------------------------------------------------------


def room_for_pieces(n_blocks: int, n: int, width: int, room: int) -> Pieces:
    """Return room for the pieces of neurons with events of their own in one window."""
    return Pieces(
        row=np.zeros((n_blocks, room, width)),
        time=np.zeros((n_blocks, room)),
        below=np.zeros((n_blocks, room)),
        neuron=np.zeros((n_blocks, room), dtype=np.int64),
        first=np.zeros(n, dtype=np.uint32),
        is_special=np.zeros(n, dtype=np.uint8),
    )


def room_for_chunk(n_blocks: int, n_responses: int) -> Chunk:
    """Return room for arrivals that are read together."""
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


def aligned_zeros(n: int, width: int) -> Float:
    """Return zeros (n, width) from the begin of a cache line."""
    flat = np.zeros(n * width + 7)
    skip = -(flat.ctypes.data // 8) % 8
    return flat[skip : skip + n * width].reshape(n, width)


def room_for_found(n_blocks: int, rows: Rows) -> Found:
    """Return room for the synapses of a chunk, and of the longest row."""
    room = CHUNK + max(CHUNK, int(np.diff(rows.start).max(initial=0)))
    return Found(
        synapse=np.zeros((n_blocks, room), dtype=np.uint64),
        emitted=np.zeros((n_blocks, room)),
        place=np.zeros((n_blocks, room), dtype=np.uint64),
        piece=np.zeros((n_blocks, CHUNK), dtype=np.uint64),
        since=np.zeros((n_blocks, CHUNK)),
    )
