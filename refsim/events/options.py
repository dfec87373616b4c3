"""The event engine as a user asks for it, and what becomes of that for a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from queues.bounded.dispatch import BOUNDED
from queues.exact.dispatch import STRUCTURES
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.names import QueueChoice
from refsim.network.network import Network
from refsim.question import checked_dt
from refsim.transit.lossy import Lossy
from refsim.validate import LONGEST, choice, scalar

_MOST_SLOTS = 10_000_000  # of a ring buffer


@dataclass(frozen=True)
class Events:
    """The event engine: one event after the other in order of time, through a queue.

    Parameters
    ----------
    queue : str or Lossy
        Structure of the queue of arrivals: "auto", or one of "heap", "fifo" (which needs equal
        delays), "sorted_array", "dary_heap_4", "dary_heap_8", "pairing_heap", "calendar",
        "batch_heap", "fifo_merge", or "ring_buffer" (which needs ``dt``). Spikes are the same to
        the last bit with each of them. A :class:`Lossy` has bounded queues that drop spikes; the
        result says which.
    dt : float, optional
        Step in ms of a grid to which times of arrival are rounded, half to even, but not to before
        the spike. Gradients are passed straight through the rounding. Spikes stay off the grid.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        If a queue is not known, or has no step and needs one.
    """

    queue: QueueChoice | Lossy = "auto"
    dt: float | None = None

    def __post_init__(self) -> None:
        _check_queue("queue", self.queue)
        if self.dt is not None:
            object.__setattr__(self, "dt", scalar("dt", self.dt, 0.0, LONGEST, strict=True))
        elif isinstance(self.queue, Lossy) and self.queue.needs_steps:
            raise _no_step(self.queue.structure)
        elif self.queue == "ring_buffer":
            raise _no_step(self.queue)


class Chosen(NamedTuple):
    """What the event engine does for a network."""

    queue: str  # an exact structure
    lossy: Lossy | None
    dt: float  # ms, 0.0 for none
    steps_ahead: int  # among which the arrivals under way lie


def options_for(events: Events, network: Network, duration: float) -> Chosen:
    """Return what becomes of the options for a network, or raise if it does not suit them."""
    queue = choose_queue(events.queue, network)
    dt = checked_dt(events.dt, network, duration)
    steps = int(network.delay.max(initial=0.0) / dt) + 3 if STRUCTURES[queue].in_steps else 1
    if steps > _MOST_SLOTS:
        raise InvalidValueError(
            f"dt is {dt:g} for delays up to {network.delay.max():g} ms; expected at most "
            f"{_MOST_SLOTS} steps for {queue!r}"
        )
    lossy = events.queue if isinstance(events.queue, Lossy) else None
    if lossy and lossy.structure == "bit_array":
        _check_bits(lossy, float(network.delay.max(initial=0.0)), dt)
    return Chosen(queue, lossy, dt, steps)


def _check_bits(lossy: Lossy, longest: float, dt: float) -> None:
    steps = (lossy.capacity or 1) - 1
    if longest > steps * dt:
        raise InvalidValueError(
            f"capacity is {lossy.capacity} for 'bit_array', with dt = {dt:g} and delays up to "
            f"{longest:g} ms; expected delays of at most {steps} steps"
        )


def _no_step(queue: str) -> InvalidTypeError:
    return InvalidTypeError(
        f"dt is missing; expected a step in ms, since {queue!r} has a slot a step"
    )


def _check_queue(name: str, queue: Any) -> None:
    """Raise unless ``queue`` is "auto", an exact structure, or a Lossy."""
    if isinstance(queue, Lossy):
        return
    if isinstance(queue, str) and queue in BOUNDED:
        raise InvalidValueError(
            f"{name} is {queue!r}, which drops spikes; expected refsim.Lossy({queue!r}, ...), or "
            f"an exact structure: {', '.join(STRUCTURES)}"
        )
    choice(name, queue, ("auto", *STRUCTURES))


def choose_queue(queue: QueueChoice | Lossy, network: Network, name: str = "queue") -> str:
    """Return the name of an exact structure; equal delays keep arrivals in the order of spikes."""
    _check_queue(name, queue)
    if isinstance(queue, Lossy) or queue == "auto":
        return "fifo" if network.has_equal_delays else "heap"
    if STRUCTURES[queue].in_order and not network.has_equal_delays:
        low, high = network.delay.min(), network.delay.max()
        raise InvalidValueError(
            f"{name} is {queue!r} and delays run from {low:.17g} to {high:.17g} ms; "
            f"expected equal delays, or {name}='heap'"
        )
    return queue
