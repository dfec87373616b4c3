"""Memory of the window engine: what it begins with, and more where a window needs it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from queues.compiled.barrier import claims
from queues.compiled.vector.vectors import LANES
from refsim.types import Float, Rows, Tape
from refsim.windows.types import (
    COUNTS,
    TALLY,
    Flights,
    Hits,
    Lists,
    Neurons,
    OneExp,
    WindowProblem,
    WindowWork,
    cleared,
)

# Rows to begin with, times synapses in 2^13 to 2^18; what is not touched costs no memory.
ROOM = 1024


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
    room = ROOM * (1 + (size >> 15))
    return Hits(
        synapse=np.empty((n_threads, ROOM * (1 + (size >> 13)) + 1), np.int32),
        stop=np.empty((n_threads, flights), np.int64),
        begin=np.empty((n_threads, most + 2), np.int64),
        arrival=np.empty((n_threads, room, 4)),
        origin=np.empty((n_threads, room, 2), np.int32),
        order=np.empty((n_threads, room), np.int32),
        spare=np.empty((n_threads, room), np.int32),
    )


def empty_work(problem: WindowProblem, v0: Float, n_threads: int) -> WindowWork:
    """Return the arrays of a run at time 0, whose voltages are ``v0``."""
    n, n_states = len(v0), len(problem.model.ports.rate)
    n_blocks = len(problem.rows.edge) - 1
    is_plain = isinstance(problem.shape, OneExp)
    n_sums = 4 if is_plain else problem.shape.n_sums
    room = ROOM * (1 + (len(problem.rows.post) >> 18))
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
        counts=cleared(COUNTS, 1),
        tally=cleared(TALLY, n_blocks),
        gap=np.full((n_blocks, 8), np.inf),
        state=np.zeros((n_blocks, 2, n_states)),
        roots=np.zeros((n_blocks, 2, n_states + 2)),
        response=np.zeros((n_blocks, 4, LANES)),
        claims=claims(n_blocks),
    )


def longer(column: NDArray[Any], room: int) -> NDArray[Any]:
    """Return a column with so much room, or as it is if it has none or more."""
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


def grown(problem: WindowProblem, work: WindowWork) -> WindowWork:
    """Return ``work`` with more room than this window has asked for."""
    counts, hits = work.counts, work.hits
    events = int(work.tally.events.max())
    lack = int(work.tally.lack.max())
    found = work.found.time.shape[1]
    if work.tally.lack.min() < 0:
        found *= 2
    flights = int(counts[0].flights + counts[0].found)
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
    rows = 2 * int(counts[0].spikes - counts[0].first) + 2 * int(counts[0].found)
    return work._replace(
        tape=Tape(*(longer(column, rows) for column in work.tape)),
        found=Tape(*(_wider(table, found) for table in work.found)),
        order=_wider(work.order, 2 * found),
        hits=hits,
        flights=Flights(
            *(longer(column, flights) for column in work.flights[:3]),
            *(_wider(table, flights) for table in work.flights[3:]),
        ),
    )
