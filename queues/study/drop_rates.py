"""How much a bounded queue loses of a random spike train: measured, and in closed form.

At each step there is a spike with probability ``p = 1 - exp(-rate)``, and all spikes have one
delay of d steps. So an entry meets the pushes of the ``m = d - 1`` steps after its own, or of
``m = d`` where a step pushes before it polls. Spikes never overtake each other, so structures that
refuse what has no room all lose the same.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from queues.bounded import dispatch as bounded_dispatch
from queues.bounded.dispatch import BOUNDED, checked_capacity
from queues.compiled.jit import kernel
from queues.errors import HorizonError, QueueError, checked_count, checked_finite
from queues.exact.chains import NONE
from queues.names import BoundedName

Train = NDArray[np.bool_]  # whether there is a spike, by step

_BATCHES = 100
_MOST_STEPS = 1_000_000_000  # which take nine bytes each


class DropRate(NamedTuple):
    """What a queue lost of a spike train."""

    rate: float  # lost spikes per spike
    standard_error: float  # of the rate, from the variance between a hundred parts of the train
    n_pushes: int


def expected_drop_rate(
    structure: BoundedName,
    capacity: int | None,
    rate: float,
    delay: int,
    *,
    push_first: bool = False,
) -> float:
    """Return the fraction of spikes that a queue loses in the long run.

    * A single spike is overwritten unless no spike follows in m steps: ``1 - exp(-rate m)``.
    * In a ring of c slots only every c-th step counts: ``1 - exp(-rate floor(m / c))``.
    * Where new spikes are refused, a state with k spikes under way has the weight ``r**k``,
      ``r = p / (1 - p)``, wherever they are; that the queue is full for a new one has the
      probability ``C(m, c) r**c / sum(C(m + 1, k) r**k for k <= c)``, a formula of Erlang in
      discrete time.
    * An array of bits loses nothing within its window.

    Parameters
    ----------
    structure
        One of `queues.bounded.dispatch.BOUNDED`.
    capacity
        Number of entries that fit, at least 1; None where there is no choice.
    rate
        Of spikes, per step, positive.
    delay
        In steps, at least 1.
    push_first
        Whether a step pushes its spike before it polls, or polls first.

    Raises
    ------
    QueueError
        If an argument is none of these.
    HorizonError
        If the delay is longer than an array of bits reaches.
    """
    room = _checked_room(structure, capacity, rate, delay, push_first)
    met = delay - 1 + bool(push_first)
    if structure == "null":
        return 1.0
    if structure == "bit_array":
        return 0.0
    if structure == "single_spike":
        return -math.expm1(-rate * met)
    if structure == "lossy_ring":
        return -math.expm1(-rate * (met // room))
    odds = math.expm1(rate)
    weights = [math.comb(met + 1, k) * odds**k for k in range(room + 1)]
    return math.comb(met, room) * odds**room / math.fsum(weights)


def drop_rate(
    structure: BoundedName,
    capacity: int | None,
    rate: float,
    delay: int,
    n_steps: int = 10_000_000,
    *,
    push_first: bool = False,
    seed: int = 0,
) -> DropRate:
    """Send a random spike train through a queue and count what it loses.

    Parameters
    ----------
    structure, capacity, rate, delay, push_first
        As of `expected_drop_rate`.
    n_steps
        Length of the train, at least 10,000 steps. The queue is empty at first, and counting
        begins after ten delays.
    seed
        Of the train: structures with the same one see the same train.

    Returns
    -------
    DropRate

    Raises
    ------
    QueueError
        If an argument is none of these, or the train has no spike.
    HorizonError
        If the delay is longer than an array of bits reaches.
    """
    room = _checked_room(structure, capacity, rate, delay, push_first)
    if not 10_000 <= checked_count("n_steps", n_steps, 1) <= _MOST_STEPS:
        raise QueueError(
            f"n_steps = {n_steps!r}; expected at least 10,000 and at most {_MOST_STEPS:,}"
        )
    train = np.random.default_rng(seed).random(n_steps + 10 * delay) < -math.expm1(-rate)
    queue = bounded_dispatch.empty(structure, 1, room)
    counter = queue.queues.dropped
    first = bool(push_first)
    _send(queue, train[: 10 * delay], 0, delay, first)
    pushed = np.zeros(_BATCHES)
    dropped = np.zeros(_BATCHES)
    start = 10 * delay
    for k, part in enumerate(np.array_split(train[start:], _BATCHES)):
        before = int(counter[0])
        _send(queue, part, start, delay, first)
        start += part.size
        pushed[k] = np.count_nonzero(part)
        dropped[k] = counter[0] - before
    return _ratio(dropped, pushed)


@kernel
def _send(queue: Any, train: Train, start: int, delay: int, push_first: bool) -> None:
    """Send a part of a train, which begins at the step ``start``, and poll at each step."""
    q = np.int64(0)
    for i in range(train.size):
        now = start + i
        if train[i] and push_first:
            bounded_dispatch.push(queue, q, 1.0 * (now + delay), now, q, 0.0)
        row = bounded_dispatch.due(queue, q, 1.0 * now)
        if row != NONE:
            bounded_dispatch.take(queue, q, row)
        if train[i] and not push_first:
            bounded_dispatch.push(queue, q, 1.0 * (now + delay), now, q, 0.0)


def _ratio(dropped: NDArray[np.float64], pushed: NDArray[np.float64]) -> DropRate:
    """Return the ratio of two sums over parts and its standard error."""
    total = pushed.sum()
    if total == 0.0:
        raise QueueError("no spike was drawn; expected a higher rate or more steps")
    rate = dropped.sum() / total
    deviations = dropped - rate * pushed
    variance = (deviations * deviations).sum() * dropped.size / (dropped.size - 1)
    return DropRate(float(rate), float(math.sqrt(variance) / total), int(total))


def _checked_room(
    structure: BoundedName, capacity: int | None, rate: float, delay: int, push_first: bool
) -> int:
    """Return the number of rows of a queue, having checked the arguments."""
    if structure not in BOUNDED:
        raise QueueError(f"structure = {structure!r}; expected one of {[*BOUNDED]}")
    room = checked_capacity(structure, capacity)
    if checked_finite("rate", rate) <= 0.0:
        raise QueueError(f"rate = {rate!r}; expected a positive number")
    reach = room - 1 - bool(push_first)
    if checked_count("delay", delay, 1) > reach and structure == "bit_array":
        raise HorizonError(f"delay = {delay!r}; expected at most {reach} for {room} bits")
    return room
