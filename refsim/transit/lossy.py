"""Bounded queues in a network: spikes that are dropped on the way, one queue a synapse or a source.

Every spike is still scheduled exactly; a bounded queue only decides whether it is lost. At its
emission a spike is offered to the queue, which may refuse it or lose an older one for it. When the
time of arrival comes, a spike that was not lost is delivered and leaves the queue.

What is lost is one bit for each emission and synapse of its source, and that is all that the
backward pass needs: where spikes cross, which of them are lost does not change with parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from queues.bounded import fifo as bounded_fifo, lossy_ring, shell as bounded, single_spike
from queues.compiled.jit import by_type, inner_kernel
from queues.errors import LARGEST_COUNT
from queues.exact.chains import NONE
from queues.names import BoundedName
from queues.types import BoundedArrays
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.names import Owner
from refsim.transit.arrivals import arrival_time, step_of
from refsim.types import Float, Int
from refsim.validate import choice, integer

_NULL, _OVERWRITE, _REFUSE, _RING, _BITS = range(5)
_NOTHING: Any = np.int64(0)  # payload; a literal would compile queues once more
# A spike never comes before the one ahead of it in its queue, so what is sorted is a FIFO too.
_RULES = {
    "null": _NULL,
    "single_spike": _OVERWRITE,
    "single_spike_keep": _REFUSE,
    "bounded_fifo": _REFUSE,
    "bounded_sorted_array": _REFUSE,
    "bounded_heap": _REFUSE,
    "lossy_ring": _RING,
    "bit_array": _BITS,
}
_SINGLE = ("null", "single_spike", "single_spike_keep")
_OF_STEPS = ("lossy_ring", "bit_array")


@dataclass(frozen=True)
class Lossy:
    """A bounded queue for each synapse or for each source of a network.

    Parameters
    ----------
    structure : str
        ``"single_spike"`` (a spike overwrites the one under way), ``"single_spike_keep"``,
        ``"bounded_fifo"``, ``"bounded_sorted_array"``, ``"bounded_heap"`` (a spike that finds the
        queue full is refused), ``"lossy_ring"`` (a slot for each step modulo the capacity; a spike
        overwrites what lies in its slot), ``"bit_array"`` (spikes that arrive in one step are one;
        capacity 32 or 64, longer than any delay in steps) or ``"null"`` (drops every spike). The
        semantics are those of the classes in `queues`.
    capacity : int, optional
        Number of spikes under way that a queue holds, at least 1; not for those that hold one.
    per : {"synapse", "source"}
        What owns a queue. That of a source holds a spike until its last synapse has received it; a
        spike that is overwritten is lost to the synapses that have not.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        If a structure is not known, or its capacity is missing or makes no sense.
    """

    structure: BoundedName
    capacity: int | None = None
    per: Owner = "synapse"

    def __post_init__(self) -> None:
        choice("structure", self.structure, tuple(_RULES))
        choice("per", self.per, ("synapse", "source"))
        if self.structure in _SINGLE:
            if self.capacity is not None and integer("capacity", self.capacity, 1) != 1:
                raise InvalidValueError(
                    f"capacity is {self.capacity} for {self.structure!r}; expected none"
                )
            return
        if self.capacity is None:
            raise InvalidTypeError(f"capacity is missing; expected that of a {self.structure!r}")
        integer("capacity", self.capacity, 1)
        if self.structure == "bit_array" and self.capacity not in (32, 64):
            raise InvalidValueError(
                f"capacity is {self.capacity} for 'bit_array'; expected 32 or 64"
            )

    @property
    def needs_steps(self) -> bool:
        """Whether arrivals must lie on a grid of time steps."""
        return self.structure in _OF_STEPS


class NoLosses(NamedTuple):
    """Every spike is delivered."""

    none: Int  # (0,)


class Losses(NamedTuple):
    """Queues of the synapses or sources, and which spikes were lost."""

    queues: BoundedArrays
    rule: Int  # (1,)
    per_source: Int  # (1,) 1 or 0
    most: Int  # (1,) synapses of the source that has most
    time: Float  # (emissions,) ms
    start: Int  # (emissions,) first bit of each emission: one for each synapse of its source
    used: Int  # (1,) bits in use
    lost: NDArray[np.uint8]  # bits, eight a byte


def losses(spec: Lossy | None, wiring_start: NDArray[np.int64], room: int) -> NoLosses | Losses:
    """Return empty queues for the sources, or synapses, of a wiring; room is for emissions."""
    if spec is None:
        return NoLosses(np.zeros(0, dtype=np.int64))
    owners = len(wiring_start) - 1 if spec.per == "source" else int(wiring_start[-1])
    if owners * (spec.capacity or 1) > LARGEST_COUNT:
        raise InvalidValueError(
            f"capacity is {spec.capacity} for {owners} queues; expected at most {LARGEST_COUNT} "
            "rows in all"
        )
    most = int(np.diff(wiring_start).max(initial=0))
    rule = _RULES[spec.structure]
    return Losses(
        queues=bounded.empty(owners, spec.capacity or 1),
        rule=np.full(1, rule, dtype=np.int64),
        per_source=np.full(1, spec.per == "source", dtype=np.int64),
        most=np.full(1, most, dtype=np.int64),
        time=np.zeros(room),
        start=np.zeros(room, dtype=np.int64),
        used=np.zeros(1, dtype=np.int64),
        lost=np.zeros(most // 8 + 1, dtype=np.uint8),
    )


def grown(losses: NoLosses | Losses, room: int) -> NoLosses | Losses:
    """Return ``losses`` with room for so many emissions, and bits for one more at least."""
    if isinstance(losses, NoLosses):
        return losses
    lost = losses.lost
    if 8 * len(lost) < losses.used[0] + losses.most[0]:
        lost = _resized(lost, 2 * len(lost))
    return losses._replace(
        time=_resized(losses.time, room), start=_resized(losses.start, room), lost=lost
    )


def _resized(column: NDArray[Any], size: int) -> NDArray[Any]:
    return np.concatenate([column, np.zeros(size - len(column), column.dtype)])


def lost_bits(losses: NoLosses | Losses) -> NDArray[np.bool_]:
    """Return for each emission in turn, and each synapse of its source, whether it was lost."""
    if isinstance(losses, NoLosses):
        return np.zeros(0, dtype=bool)
    return np.unpackbits(losses.lost, count=int(losses.used[0]), bitorder="little").astype(bool)


@inner_kernel
def _mark(losses, order, i):
    """Note that the emission ``order`` is lost to the ``i``-th synapse of its source."""
    bit = losses.start[order] + i
    losses.lost[bit >> 3] |= np.uint8(1 << (bit & 7))


@inner_kernel
def _push(losses, dt, q, arrival, order):
    """Offer an emission to queue ``q``; return the order of the one that is lost, or NONE."""
    rule = losses.rule[0]
    queues = losses.queues
    if rule == _NULL:
        return order
    if rule == _OVERWRITE:
        return single_spike.push(queues, q, arrival, order, _NOTHING, 0.0)
    if rule == _REFUSE:
        return bounded_fifo.push(queues, q, arrival, order, _NOTHING, 0.0)
    step = step_of(dt, arrival)
    if rule == _BITS and lossy_ring.due(queues, q, step) != NONE:
        return order
    return lossy_ring.push(queues, q, step, order, _NOTHING, 0.0)


@inner_kernel
def _take(losses, dt, q, arrival):
    """Remove the spike that arrives now at queue ``q``."""
    rule = losses.rule[0]
    queues = losses.queues
    if rule == _OVERWRITE:
        single_spike.take(queues, q, single_spike.due(queues, q, arrival))
    elif rule == _REFUSE:
        bounded_fifo.take(queues, q, bounded_fifo.due(queues, q, arrival))
    elif rule != _NULL:
        lossy_ring.take(queues, q, lossy_ring.due(queues, q, step_of(dt, arrival)))


@inner_kernel
def _offer_to_source(losses, wiring, dt, source, t, order):
    """Offer an emission to the queue of its source, which holds it until its last arrival."""
    first = wiring.start[source]
    stop = wiring.start[source + 1]
    last_arrival = arrival_time(dt, t, wiring.delay[stop - 1])
    gone = _push(losses, dt, source, last_arrival, order)
    if gone == NONE:
        return
    for k in range(first, stop):
        # An older emission is lost to those synapses that it has not reached yet.
        if gone == order or arrival_time(dt, losses.time[gone], wiring.delay[k]) >= t:
            _mark(losses, gone, k - first)


@inner_kernel
def _offer_to_synapses(losses, wiring, dt, source, t, order):
    """Offer an emission to the queue of each synapse of its source."""
    first = wiring.start[source]
    for k in range(first, wiring.start[source + 1]):
        gone = _push(losses, dt, k, arrival_time(dt, t, wiring.delay[k]), order)
        if gone != NONE:
            _mark(losses, gone, k - first)


@inner_kernel
def _offer(losses, wiring, dt, source, t, order):
    degree = wiring.start[source + 1] - wiring.start[source]
    losses.start[order] = losses.used[0]
    losses.time[order] = t
    losses.used[0] += degree
    if degree == 0:
        return
    if losses.per_source[0] == 1:
        _offer_to_source(losses, wiring, dt, source, t, order)
    else:
        _offer_to_synapses(losses, wiring, dt, source, t, order)


@inner_kernel
def _is_lost(losses, order, i):
    bit = losses.start[order] + i
    return (losses.lost[bit >> 3] >> (bit & 7)) & 1 == 1


@inner_kernel
def _passes(losses, wiring, dt, source, synapse, t, order):
    if _is_lost(losses, order, synapse - wiring.start[source]):
        return False
    if losses.per_source[0] == 0:
        _take(losses, dt, synapse, t)
    elif synapse == wiring.start[source + 1] - 1:
        _take(losses, dt, source, t)
    return True


@inner_kernel
def _has_room(losses):
    return losses.used[0] + losses.most[0] <= 8 * losses.lost.shape[0]


@by_type
def offer(arrays: type) -> Callable[..., None]:
    """Offer an emission (losses, wiring, dt, source, time, order) to the bounded queues."""
    if arrays is NoLosses:
        return lambda losses, wiring, dt, source, t, order: None
    return lambda losses, wiring, dt, source, t, order: _offer(losses, wiring, dt, source, t, order)


@by_type
def passes(arrays: type) -> Callable[..., bool]:
    """Return whether an emission reaches a synapse, and take it out of its queue if so."""
    if arrays is NoLosses:
        return lambda losses, wiring, dt, source, synapse, t, order: True
    return lambda losses, wiring, dt, source, synapse, t, order: _passes(
        losses, wiring, dt, source, synapse, t, order
    )


@by_type
def is_lost(arrays: type) -> Callable[..., bool]:
    """Return whether the emission ``order`` was lost to the ``i``-th synapse of its source."""
    if arrays is NoLosses:
        return lambda losses, order, i: False
    return lambda losses, order, i: _is_lost(losses, order, i)


@by_type
def has_room(arrays: type) -> Callable[..., bool]:
    """Return whether there are bits for one more emission."""
    if arrays is NoLosses:
        return lambda losses: True
    return lambda losses: _has_room(losses)
