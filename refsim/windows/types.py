"""Arrays of the window engine.

Sizes: n neurons, K synaptic states, B blocks of targets. Each block belongs to one thread at a
time, and everything that a thread writes while others work lies in the part of its block. Arrays
over neurons are flat: entry k of neuron i of a table with K columns is K i + k.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.models.lif.response import Responses
from refsim.types import Float, InputArrays, Int, Model, Rows, SampleArrays, Tape


class Propagator(NamedTuple):
    """What m windows without events do to a neuron; class c is that of one time constant tau_m.

    Over one window v becomes v + leak (drive - v): the rounding of a factor ``decay`` is the same
    in every window, and over millions of them it would add up.
    """

    kind: Int  # (n,) class of each neuron
    decay: Float  # (C, M) of the voltage
    leak: Float  # (C, M) 1 - decay
    lift: Float  # (C, M, K) voltage for synaptic states of 1
    fade: Float  # (M, K) of the synaptic states
    loss: Float  # (K,) 1 - fade of one window
    feed: Float  # (M, K) of the first state of a cascade into the next
    reach: Float  # (C, K) most of the voltage that states of 1 bring about


class OneExp(NamedTuple):
    """Networks with one exponential port, one tau_m, and time constants that are well apart.

    Neither is so long that next to nothing happens in a window.
    """

    rate_v: float  # 1/tau_m
    rate_x: float  # 1/tau of the port
    ratio: float  # rate_v / (rate_x - rate_v)
    reach: float  # most of the voltage that a state of 1 brings about
    leak: float  # what voltage and state lose in a window, and the lift of the one by the other
    loss: float
    lift: float
    lift_terms: Float  # polynomials as in Responses
    fade_terms: Float


class AnyPorts(NamedTuple):
    """All other networks."""

    n_states: int
    n_sums: int  # 2 + K
    has_kinds: bool  # whether responses of the voltage are tabulated by class


class WindowProblem(NamedTuple):
    """What a run is given."""

    model: Model
    rows: Rows
    inputs: InputArrays
    samples: SampleArrays
    responses: Responses
    propagator: Propagator
    shape: Any  # OneExp or AnyPorts: chooses kernels by its type
    length: float  # of a window, ms
    turn: int  # windows between two meetings of the blocks
    t_end: float
    max_spikes: int


class Flights(NamedTuple):
    """Spikes under way."""

    time: Float  # ms, of emission
    source: Int
    number: Int  # of the spike; -1 - i for input spike i
    begin: Int  # (B, room) first synapse that is reached in this window, in each block
    end: Int  # (B, room) the one after the last that is


class Hits(NamedTuple):
    """Arrivals of a window at the neurons to be replayed, of one block for each of T threads.

    ``synapse`` holds them as found, by flight; ``arrival`` and ``origin`` by neuron.
    """

    synapse: NDArray[np.int32]  # (T, events + 1)
    stop: Int  # (T, flights) end of the hits of each flight
    begin: Int  # (T, n + 1) by place in the list of replays: its first arrival
    arrival: Float  # (T, room, 4) see the columns below
    origin: NDArray[np.int32]  # (T, room, 2) flight and synapse
    order: NDArray[np.int32]  # (T, room) arrivals of each neuron, sorted
    spare: NDArray[np.int32]  # (T, room) whose arrivals those found are; scratch of the sort


# Columns of ``Hits.arrival``: time in ms; what voltage and state lose from the begin of the window
# to then, as a share; weight.
TIME, LEAK, LOSS, WEIGHT = range(4)


class Neurons(NamedTuple):
    """State of the neurons, at the beginning of window ``reached``, or of this one if dense."""

    v: Float  # (n,)
    x: Float  # (n K,)
    v_low: Float  # (n,) what rounding has cut off the voltage, and off the states; see add_to
    x_low: Float  # (n K,); both (0,) with OneExp
    reached: Int  # (n,)
    release: Float  # (n,) end of refractoriness, -1 for a neuron that is free
    last_spike: Int  # (n,) number of its last spike, -1 before the first, -2 - row if of this turn
    carried: Float  # (n,) slope at the release from a spike whose row has left the tape
    awake: Int  # (n,) neurons that the next window must visit, a part for each block


class Lists(NamedTuple):
    """Neurons of this window; a part of each list for each block, from its first neuron on."""

    visited: Int  # (n,)
    stamp: Int  # (n,) 1 + window in which a neuron was last visited
    flag: NDArray[np.uint8]  # (n,) 1 for a neuron to be replayed
    replays: Int  # (n,)
    place: NDArray[np.int32]  # (n,) in the list of replays


class Window(NamedTuple):
    """A window of one block, for what takes neurons through it."""

    model: Model
    table: Propagator
    neurons: Neurons
    lists: Lists
    x: Float  # (K,) scratch
    length: float
    now: int  # number of the window
    first: int  # neuron of the block
    last: int  # the one after its last neuron


class Limits(NamedTuple):
    """Limits of the window at work."""

    t0: float  # ms
    t1: float
    length: float
    t_end: float  # of the run
    max_spikes: int


class Findings(NamedTuple):
    """Where the replays of a block write what they find."""

    tape: Tape
    found: Tape  # (room,) spikes of this turn
    samples: SampleArrays
    run: Any  # (1,) of COUNTS
    own: Any  # (1,) of TALLY
    gap: Float  # (8,) ms, least distance of arrivals from crossings, releases, samples


class Arrivals(NamedTuple):
    """The part of `Hits` of one thread that a replay takes."""

    begin: Int  # (n + 1,)
    order: NDArray[np.int32]  # (room,)
    arrival: Float  # (room, 4)
    origin: NDArray[np.int32]  # (room, 2)


class Turn(NamedTuple):
    """What all blocks have found in a turn, and where it goes."""

    tape: Tape
    found: Tape  # (B, room)
    counts: Any  # (1,) of COUNTS
    tally: Any  # (B,) of TALLY
    order: Int  # (B, 2 room)


class WindowWork(NamedTuple):
    """What a run changes; it can stop between windows, and between replays, and go on."""

    neurons: Neurons
    sums: Float  # what the arrivals of a window add up to, by neuron
    lists: Lists
    flights: Flights
    hits: Hits
    tape: Tape
    found: Tape  # (B, room) spikes of this turn
    counts: Any  # (1,) of COUNTS
    tally: Any  # (B,) of TALLY
    gap: Float  # (B, 8) as in Findings
    order: Int  # (B, 2 room) of what was found, and scratch of the sort
    state: Float  # (B, 2, K) synaptic states of the neuron that is replayed, and scratch
    roots: Float  # (B, 2, K + 2) scratch of the search for crossings
    response: Float  # (B, 4, LANES) two to a group of arrivals, apart from those of other threads
    claims: Int  # blocks that threads have taken on in this turn


def counters(*names: str) -> np.dtype[Any]:
    """Return the type of a record of integers."""
    return np.dtype([(name, np.int64) for name in names], align=True)


def counters_of_blocks(*names: str) -> np.dtype[Any]:
    """Return the same, filled up to whole lines of the cache.

    Records of blocks lie in one table, and threads of different blocks write to different lines.
    """
    return counters(*names, *(f"spare{i}" for i in range(-len(names) % 8)))


def records(table: NDArray[Any], kind: np.dtype[Any]) -> Any:
    """Return a table of integers as records, whose numbers have their names as attributes."""
    return table.view(kind).reshape(-1).view(np.recarray)


def cleared(kind: np.dtype[Any], size: int) -> Any:
    """Return ``size`` records of zeros."""
    return np.zeros(size, kind).view(np.recarray)


def width(kind: np.dtype[Any]) -> int:
    """Return how many integers a record has."""
    return kind.itemsize // 8


def numbers(of: Any) -> Int:
    """Return records as a table of integers, a row each."""
    table: Int = of.view(np.ndarray).view(np.int64).reshape(len(of), -1)
    return table


# The counters of a run, one record: ``counts[0].now`` and so on.
COUNTS = counters(
    "now",  # number of the first window of the turn
    "turn_end",  # and of the one after the last
    "phase",  # 0: the turn is to be opened; 1: blocks are at work; 2: spikes are to be recorded
    "spikes",
    "first",  # number of the first spike on the tape
    "flights",
    "fresh",  # first of the flights of input spikes of this turn
    "inputs",
    "samples",  # samples taken
    "last_sample",  # and those of this turn, which is one window then
    "found",  # spikes of this turn
    "status",
)

# The counters of a block: ``tally[b].at`` and so on.
TALLY = counters_of_blocks(
    "at",  # number of the window that this block is at
    "dense",  # windows until this block may go over to visits of single neurons; 0 if it does them
    "step",  # of the work in a window; see below
    "events",  # arrivals of this window
    "visited",
    "awake",
    "replays",
    "replayed",  # neurons of this window that have been replayed
    "rows",  # spikes found in this turn
    "taken",  # those that are on the tape
    "work",  # arrivals and visits that have not been counted yet
    "arrivals",  # in all
    "searches",
    "driven",  # neurons that fire without any input
    "lack",  # what ran out of room
)
# Steps: arrivals are to be found, delivered, gathered; marked neurons are to be replayed; the turn
# is done.
FINDING, DELIVERING, GATHERING, REPLAYING, WAITING = range(5)

CHUNK = 256  # neurons that are swept at once
