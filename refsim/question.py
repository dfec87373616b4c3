"""What is asked of a simulation: its checks, the same for all engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from queues.bounded.dispatch import BOUNDED
from queues.exact.dispatch import STRUCTURES
from refsim.errors import (
    InvalidTypeError,
    InvalidValueError,
    SimulationInterrupted,
    SpikeLimitError,
)
from refsim.network.inputs import Samples, SpikeTrain, checked_inputs, checked_samples
from refsim.network.network import Network
from refsim.progress import no_progress, no_report, progress_bar
from refsim.transit.lossy import Lossy
from refsim.types import InputArrays, SampleArrays
from refsim.validate import LONGEST, boolean, checked_threads, choice, integer, scalar, shown

_MOST_SLOTS = 10_000_000  # of a ring buffer

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


class Question:
    """What is asked of a simulation, checked once, and in order of time.

    Attributes
    ----------
    network, inputs, duration, samples, max_spikes, threads, keep_state, dt
        As for :func:`refsim.simulate`.
    queue : str
        An exact structure.
    lossy : Lossy or None
        The bounded queues asked for.
    needs_events : str
        Why the event engine alone can answer; "" if others can.
    engine, reason : str
        Which engine answers, and why; chosen by `refsim.engine`.
    input_order, sample_order : (k,) and (V,) int
        Input spikes up to the end, and samples, in order of time.
    input_arrays, sample_arrays : InputArrays, SampleArrays
        These as kernels take them, without voltages and tangents.
    progress : callable
        Opens the progress bar, whose ``report`` engines call with the time that they have reached.
    is_stopped : callable
        Whether another thread asks for an end.
    """

    def __init__(
        self,
        network: Any,
        inputs: Any,
        duration: Any,
        samples: Any = None,
        queue: Any = "auto",
        dt: Any = None,
        max_spikes: Any = MAX_SPIKES,
        threads: Any = None,
        keep_state: Any = False,
        progress: Any = False,
    ):
        self.network = checked_network(network)
        self.inputs: SpikeTrain = checked_inputs(inputs, self.network.n_inputs)
        self.duration = checked_duration(duration)
        self.samples: Samples = checked_samples(samples, self.network.n_neurons, self.duration)
        self.max_spikes = integer("max_spikes", max_spikes, 1)
        self.threads = checked_threads(threads)
        self.keep_state = boolean("keep_state", keep_state)
        self.progress = progress_bar if boolean("progress", progress) else no_progress
        self.report: Callable[[float], None] = no_report
        self.is_stopped: Callable[[], bool] = bool  # never, but where other threads can ask for it
        self.queue = choose_queue(queue, self.network)
        self.dt = checked_dt(dt, self.network, self.duration)
        self._check_slots()
        self.lossy = checked_losses(queue, self.network, self.dt)
        if self.keep_state and self.lossy:
            raise InvalidValueError(
                f"keep_state is True and queue is {shown(self.lossy)}; expected an exact queue, "
                "since what bounded queues have lost is not kept"
            )
        self.needs_events = ""
        if queue != "auto":
            self.needs_events = "a queue is chosen"
        elif self.dt > 0.0:
            self.needs_events = "arrivals are on a grid"
        self.engine, self.reason = "event", "it was asked for"
        self._sort()

    def _sort(self) -> None:
        order = np.argsort(self.inputs.times, kind="stable")
        self.input_order = order[self.inputs.times[order] <= self.duration]
        self.sample_order = np.argsort(self.samples.times, kind="stable")
        nothing = np.zeros(0)
        self.input_arrays = InputArrays(
            time=self.inputs.times[self.input_order],
            source=self.network.n_neurons + self.inputs.sources[self.input_order],
            tangent=nothing,
        )
        self.sample_arrays = SampleArrays(
            time=self.samples.times[self.sample_order],
            neuron=self.samples.neurons[self.sample_order],
            voltage=nothing,
            tangent=nothing,
        )

    def samples_to_read(self) -> SampleArrays:
        """Return samples in order of time with room for their voltages."""
        return self.sample_arrays._replace(voltage=np.full(len(self.samples), np.nan))

    def _check_slots(self) -> None:
        """Refuse a queue of steps without a step, or with more slots than memory is for."""
        if not STRUCTURES[self.queue].in_steps:
            return
        if self.dt == 0.0:
            raise InvalidTypeError(
                f"dt is missing; expected a step in ms, since {self.queue!r} has a slot a step"
            )
        if self.steps_ahead > _MOST_SLOTS:
            raise InvalidValueError(
                f"dt is {self.dt:g} for delays up to {self.network.delay.max():g} ms; expected at "
                f"most {_MOST_SLOTS} steps for {self.queue!r}"
            )

    @property
    def steps_ahead(self) -> int:
        """Number of steps among which the arrivals under way lie."""
        return int(self.network.delay.max(initial=0.0) / self.dt) + 3

    def interrupted(self, partial: Any, does: str) -> SimulationInterrupted:
        """Return the error of a run that Ctrl-C has stopped; ``partial`` holds or counts spikes."""
        return SimulationInterrupted(
            f"interrupted at {partial.duration:g} of {self.duration:g} ms; "
            f"the attribute partial {does} what was simulated",
            partial,
        )

    def has_too_many_spikes(self, partial: Any, does: str) -> SpikeLimitError:
        """Return the error of a run that has come to its limit; see ``interrupted``."""
        return SpikeLimitError(
            f"max_spikes is {self.max_spikes} and was reached at {partial.duration:.6g} of "
            f"{self.duration:g} ms; expected fewer spikes. If this activity is meant, raise "
            f"max_spikes; the attribute partial {does} the spikes so far",
            partial,
        )
