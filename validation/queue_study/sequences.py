"""Random sequences of pushes and polls in whole time steps, many at once, and what a queue returns.

Queues of time steps, such as those of the JAX package adseq, are asked at each step whether an
event is due. A sequence is one queue's pushes and polls; a batch of them is an array, so that a
compiled loop or a vectorised program plays a hundred thousand in a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NOTHING = 0
PUSH = 1
POLL = 2

_PER_STEP = 3  # two pushes and a poll
_SHORTENED = 8  # sequences, of which the shortest is shown


class Sequences(NamedTuple):
    """Operations on n queues, m on each."""

    kind: NDArray[np.int64]  # (n, m) NOTHING, PUSH or POLL
    time: NDArray[np.int64]  # (n, m) steps: the arrival that is pushed, or the time of the poll
    tangent: NDArray[np.float64]  # (n, m) of that time; that of a poll must not matter


class Answers(NamedTuple):
    """What n queues answered to m operations; 0 where nothing was polled or due."""

    hits: NDArray[np.int64]  # (n, m) events that the poll found
    time: NDArray[np.int64]  # (n, m) steps: the sum of the times that left the queue
    tangent: NDArray[np.float64]  # (n, m) the sum of their tangents


class Comparison(NamedTuple):
    """How many sequences two queues agree on, and the shortest found on which they do not."""

    sequences: int
    agree: int
    shortest: Sequences | None  # a batch of one


def random_sequences(n: int, seed: int, *, steps: int = 16, window: int | None = None) -> Sequences:
    """Return n sequences over some steps: equal or scattered delays, ties, gaps, both orders.

    In half of the sequences every step polls before it pushes, in the others it pushes first. Half
    have one delay, so that times come in order. In a third some polls are left out; in a quarter
    some arrivals lie up to three steps in the past.

    Parameters
    ----------
    n
        Number of sequences.
    seed
        Chooses them.
    steps
        Steps of each; every step has room for two pushes and a poll.
    window
        For queues of ``window`` slots, one a step: every step is polled and no arrival lies in the
        past, or ``window`` steps or more after the last poll.
    """
    rng = np.random.default_rng(seed)
    column = (n, 1, 1)
    now = np.arange(steps)[None, :, None]
    delay = rng.integers(0, 8, column)
    spread = rng.integers(0, 8, column) * rng.integers(0, 2, column)
    late = rng.random(column) < 0.25
    gaps = rng.random(column) < 1 / 3
    push_first = rng.random(column) < 0.5
    rate = rng.choice([0.15, 0.4, 0.9], column)

    arrival = now + delay + rng.integers(0, spread + 1, (n, steps, 2))
    pushed = rng.random((n, steps, 2)) < rate * np.array([1.0, 0.5])
    polled = (rng.random((n, steps, 1)) < 0.6) | ~gaps
    if window is None:
        arrival -= late * rng.integers(0, 4, arrival.shape)
    else:
        earliest = np.where(push_first, now, now + 1)
        arrival = np.clip(arrival, earliest, earliest + window - 2)
        polled[:] = True

    kind = np.concatenate([PUSH * pushed, POLL * polled], axis=2)
    time = np.concatenate([arrival, np.broadcast_to(now, (n, steps, 1))], axis=2)
    order = np.where(push_first, [0, 1, 2], [2, 0, 1])
    order = np.broadcast_to(order, (n, steps, _PER_STEP))
    kind = np.take_along_axis(kind, order, axis=2).reshape(n, -1)
    time = np.take_along_axis(time, order, axis=2).reshape(n, -1)
    # Multiples of 1/64: sums of a few are exact in float32.
    tangent = rng.integers(-640, 641, kind.shape) / 64.0
    used = kind != NOTHING
    return Sequences(kind, time * used, tangent * used)


Player = Callable[[Sequences], Answers]


def compare(sequences: Sequences, one: Player, other: Player) -> Comparison:
    """Play the sequences on two queues and compare every answer, bit by bit."""
    differ = _differences(sequences, one, other)
    failed = np.flatnonzero(differ.any(axis=1))
    n = len(sequences.kind)
    if failed.size == 0:
        return Comparison(n, n, None)
    # Those that differ after the fewest operations have least to be shortened.
    before = np.cumsum(sequences.kind[failed] != NOTHING, axis=1)
    length = before[np.arange(failed.size), np.argmax(differ[failed], axis=1)]
    few = failed[np.argsort(length, kind="stable")[:_SHORTENED]]
    found = [_shortened(_rows(sequences, np.array([row])), one, other) for row in few]
    return Comparison(n, n - failed.size, min(found, key=_size))


def _size(sequence: Sequences) -> tuple[int, int]:
    used = sequence.kind != NOTHING
    return int(used.sum()), int(np.abs(sequence.time * used).sum())


def _differences(sequences: Sequences, one: Player, other: Player) -> NDArray[np.bool_]:
    a, b = one(sequences), other(sequences)
    return (a.hits != b.hits) | (a.time != b.time) | (a.tangent != b.tangent)


def _rows(sequences: Sequences, rows: NDArray[np.int64]) -> Sequences:
    kind, time, tangent = sequences
    return Sequences(kind[rows], time[rows], tangent[rows])


def _shortened(sequence: Sequences, one: Player, other: Player) -> Sequences:
    """Leave out operations, then lower times, one by one, while the two still differ."""
    for candidates in (_without_one, _with_one_earlier):
        while True:
            shorter = candidates(sequence)
            failing = _differences(shorter, one, other).any(axis=1)
            if not failing.any():
                break
            sequence = _rows(shorter, np.flatnonzero(failing)[:1])
    return sequence


# Both return as many rows as there are operations, so that a vectorised player compiles once; a row
# for an operation that cannot be changed has none at all.


def _without_one(sequence: Sequences) -> Sequences:
    m = sequence.kind.shape[1]
    kind = np.repeat(sequence.kind, m, axis=0)
    np.fill_diagonal(kind, NOTHING)
    kind[sequence.kind[0] == NOTHING] = NOTHING
    return _rows(sequence, np.zeros(m, np.int64))._replace(kind=kind)


def _with_one_earlier(sequence: Sequences) -> Sequences:
    m = sequence.kind.shape[1]
    shorter = _rows(sequence, np.zeros(m, np.int64))
    shorter.time[np.arange(m), np.arange(m)] -= 1
    shorter.kind[(sequence.kind[0] == NOTHING) | (sequence.time[0] <= 0)] = NOTHING
    for row in range(m):
        polls = shorter.time[row][shorter.kind[row] == POLL]
        if (np.diff(polls) < 0).any():
            shorter.kind[row] = NOTHING
    return shorter


def as_text(sequence: Sequences) -> str:
    """Return the operations of a batch of one as words, as in ``push 3, poll 3``."""
    words = {PUSH: "push", POLL: "poll"}
    kinds, times = sequence.kind[0], sequence.time[0]
    return ", ".join(f"{words[k]} {t}" for k, t in zip(kinds, times, strict=True) if k != NOTHING)
