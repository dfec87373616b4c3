"""What is asked of a simulation: its checks, the same for all engines."""

from __future__ import annotations

from typing import Any

from queues.bounded.dispatch import BOUNDED
from queues.exact.dispatch import STRUCTURES
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.network.network import Network
from refsim.transit.lossy import Lossy
from refsim.validate import LONGEST, choice, scalar

# Events between two looks at the keyboard: some hundredths of a second.
SHARE = 100_000
MAX_SPIKES = 1_000_000
_MOST_STEPS = 2.0**50  # the multiples of a step up to here are distinct, and so are their halves


def checked_network(network: Any) -> Network:
    """Return ``network``, which must be one."""
    if not isinstance(network, Network):
        raise InvalidTypeError(f"network is a {type(network).__name__}; expected Network")
    return network


def checked_duration(duration: Any) -> float:
    """Return ``duration``, which has no default: a simulation has to end somewhere."""
    if duration is None:
        raise InvalidTypeError("duration is missing; expected the end of the simulation in ms")
    return scalar("duration", duration, 0.0, LONGEST, strict=True)


def choose_queue(queue: Any, network: Network, name: str = "queue") -> str:
    """Return the name of an exact structure; equal delays keep arrivals in the order of spikes."""
    if isinstance(queue, Lossy):
        queue = "auto"
    if isinstance(queue, str) and queue in BOUNDED:
        raise InvalidValueError(
            f"queue is {queue!r}, which drops spikes; expected refsim.Lossy({queue!r}, ...), or an "
            f"exact structure: {', '.join(STRUCTURES)}"
        )
    choice(name, queue, ("auto", *STRUCTURES))
    if queue == "auto":
        return "fifo" if network.has_equal_delays else "heap"
    if STRUCTURES[queue].in_order and not network.has_equal_delays:
        low, high = network.delay.min(), network.delay.max()
        raise InvalidValueError(
            f"{name} is {queue!r} and delays run from {low:.17g} to {high:.17g} ms; "
            f"expected equal delays, or {name}='heap'"
        )
    return str(queue)


def checked_dt(dt: Any, network: Network, duration: float) -> float:
    """Return the step of the grid of arrivals, or 0.0 for none."""
    if dt is None:
        return 0.0
    step = scalar("dt", dt, 0.0, LONGEST, strict=True)
    longest = duration + float(network.delay.max(initial=0.0))
    if longest / step > _MOST_STEPS:
        raise InvalidValueError(
            f"dt is {step:g} ms, and the last arrivals may come at {longest:g} ms; expected a step "
            f"that gives at most {_MOST_STEPS:g} steps"
        )
    return step


def checked_losses(queue: Any, network: Network, dt: float) -> Lossy | None:
    """Return the bounded queues asked for, if any, which must suit the grid."""
    if not isinstance(queue, Lossy):
        return None
    if queue.needs_steps and dt == 0.0:
        raise InvalidTypeError(
            f"dt is missing; expected a step in ms, since {queue.structure!r} has a slot a step"
        )
    longest = float(network.delay.max(initial=0.0))
    steps = (queue.capacity or 1) - 1
    if queue.structure == "bit_array" and longest > steps * dt:
        raise InvalidValueError(
            f"capacity is {queue.capacity} for 'bit_array', with dt = {dt:g} and delays up to "
            f"{longest:g} ms; expected delays of at most {steps} steps"
        )
    return queue
