"""The event engine on a device of CUDA: many inputs over one network, forwards and backwards.

The kernels are those of the CPU, compiled for the device: `validation.backends.cuda.kernels`. What
comes back has the types of :func:`refsim.simulate_batch` and :func:`adjoint.vjp_batch`, and agrees
with these to rounding; in the simulator of numba.cuda, to the last bit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.batch.api import warn_of_conditioning
from adjoint.batch.events import EventPullback
from adjoint.batch.pullback import BatchPullback, Vector
from adjoint.events.groups import BackArrays
from adjoint.events.loop import ReverseProblem
from queues.exact.dispatch import STRUCTURES
from queues.types import HeapOrRingArrays
from refsim.batch.events import EventBatch
from refsim.errors import IllConditionedWarning, InvalidTypeError, InvalidValueError
from refsim.events.options import Events, choose_queue
from refsim.events.run import EventRun
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.question import MAX_SPIKES, Question
from refsim.results.batch import BatchResult
from refsim.status import FULL, SPIKE_LIMIT
from refsim.transit.lossy import Lossy
from refsim.types import EMITTED, SPIKES, Int
from refsim.validate import choice, integer, shown
from validation.backends.cuda import target as cuda_target
from validation.comparison.backend import Answer, LossCotangents

MEMORY = 2**30  # bytes that the threads of one launch may take
_QUEUES = tuple(
    name
    for name, structure in STRUCTURES.items()
    if isinstance(structure.empty(1, 1, 1), HeapOrRingArrays)
)
_LEAST_ROOM = 32  # spikes of a sample, to begin with


def cuda_reason_of_absence() -> str | None:
    """Return why kernels of CUDA cannot be run here, or None if they can."""
    return cuda_target.reason_of_absence()


def simulate_batch(
    network: Network,
    inputs: Any,
    duration: float,
    *,
    engine: Events = Events(),  # noqa: B008  (frozen)
    samples: Any = None,
    max_spikes: int = MAX_SPIKES,
    room: int | None = None,
    memory: int = MEMORY,
) -> BatchResult:
    """Simulate a network with many inputs on a device, one thread for each.

    Parameters
    ----------
    network, inputs, duration, samples, max_spikes
        As for :func:`refsim.simulate_batch`.
    engine : Events
        A thread of the device can have the queues "heap", "fifo" and "sorted_array".
    room : int, optional
        Spikes of a sample, and arrivals under way, that there is room for at first. Samples that
        have more are simulated again, with twice the room; nothing is lost.
    memory : int
        Bytes that the threads of one launch may take; larger batches are launched in parts. The
        result does not depend on it.

    Returns
    -------
    BatchResult
        With ``engine`` "cuda".

    Raises
    ------
    MissingExtraError, NoDeviceError
        If numba-cuda is not installed, or there is no device.
    InvalidValueError, InvalidTypeError, SpikeLimitError
        As :func:`refsim.simulate_batch`.
    """
    run = prepared(network, inputs, duration, engine, samples, max_spikes, room, memory)
    cuda_target.check_available()
    return run.execute()


def vjp_batch(
    network: Network,
    inputs: Any,
    duration: float,
    *,
    engine: Events = Events(),  # noqa: B008  (frozen)
    samples: Any = None,
    adjoint_queue: str = "auto",
    max_spikes: int = MAX_SPIKES,
    room: int | None = None,
    memory: int = MEMORY,
) -> tuple[BatchResult, BatchPullback]:
    """Simulate many inputs on a device, and return the results with their pullback.

    Parameters
    ----------
    network, inputs, duration, engine, samples, max_spikes, room, memory
        As for :func:`simulate_batch`.
    adjoint_queue : {"auto", "heap", "fifo", "sorted_array"}
        Structure of the queue of the backward pass.

    Returns
    -------
    batch : BatchResult
        The results.
    pullback : BatchPullback
        As that of :func:`adjoint.vjp_batch`; it runs on the device. Gradients of samples are added
        in the order of the CPU.

    Warns
    -----
    IllConditionedWarning
        As :func:`adjoint.vjp_batch`.
    """
    run = prepared(network, inputs, duration, engine, samples, max_spikes, room, memory)
    name = _checked_queue("adjoint_queue", adjoint_queue, network)
    cuda_target.check_available()
    batch = run.execute()
    warn_of_conditioning(batch)
    return batch, CudaPullback(run, batch, name)


def backend(
    network: Network, inputs: SpikeTrain, duration: float, cotangents: LossCotangents
) -> Answer:
    """Simulate a network on a device; see `validation.comparison.backend`.

    Whether the case is well conditioned is for the judge to say, so there are no warnings.
    """
    with warnings.catch_warnings(action="ignore", category=IllConditionedWarning):
        batch, pullback = vjp_batch(network, [inputs], duration, samples=cotangents.samples)
    spikes = batch.spikes
    gradient = pullback([cotangents.of_spikes(spikes.neuron)], [cotangents.voltage])
    return Answer(spikes.time, spikes.neuron, dict(gradient.items()), batch.voltages)


def _checked_queue(name: str, queue: Any, network: Any) -> str:
    """Return the name of a structure that a thread of the device can have."""
    if isinstance(queue, Lossy):
        raise InvalidValueError(f"{name} is {queue}; expected an exact structure on a device")
    choice(name, queue, ("auto", *_QUEUES))
    return choose_queue(queue, network, name)


def prepared(
    network: Any,
    inputs: Any,
    duration: Any,
    engine: Any,
    samples: Any = None,
    max_spikes: Any = MAX_SPIKES,
    room: Any = None,
    memory: Any = MEMORY,
) -> CudaBatch:
    """Return a batch that has not been simulated; arguments as of :func:`simulate_batch`."""
    if not isinstance(engine, Events):
        raise InvalidTypeError(f"engine is {shown(engine)}; expected refsim.Events() on a device")

    def run(one: SpikeTrain | None, read: Samples | None) -> EventRun:
        return EventRun(Question(network, one, duration, read, max_spikes), engine)

    template = run(None, None)
    _checked_queue("queue", engine.queue, template.question.network)
    at_first = None if room is None else integer("room", room, 1, 2**30)
    most = integer("memory", memory, 1)
    return CudaBatch(template, inputs, samples, run, at_first, most)


class CudaBatch(EventBatch):
    """A batch of which a thread of a device simulates each sample."""

    def __init__(
        self,
        template: EventRun,
        inputs: Any,
        samples: Any,
        run: Callable[..., EventRun],
        room: int | None,
        memory: int,
    ):
        super().__init__(template, inputs, samples, 1, run)
        most = int(np.diff(self.given.start).max())
        self.room = room or max(_LEAST_ROOM, 2 * (most + template.question.network.n_neurons))
        self.memory = memory
        self._at_once, self._n_tasks = len(self), 1  # what comes back is one part

    def _simulate(self) -> None:
        from validation.backends.cuda.passes import ForwardPass

        forward = ForwardPass(self.template, self.problem, self.arrays, self.memory)
        which, room = np.arange(len(self)), self.room
        parts = []
        while which.size and not self.limited:
            for part in forward.parts(which, room):
                columns = forward.launch(part, room)
                parts.append((part[forward.status[part] != FULL], *columns))
            which = which[forward.status[which] == FULL]
            self.limited = np.flatnonzero(forward.status == SPIKE_LIMIT).tolist()
            room *= 2
        forward.fetch(self.arrays, self.problem.samples.voltage)
        self.arrays.counts[which] = 0  # found no room before another one came to its limit
        self._parts[0] = _in_order_of_samples(self.arrays.counts, parts)

    def result(self) -> BatchResult:
        """Return what has been simulated."""
        reason = f"it was asked for; on {cuda_target.device_name()}"
        return replace(super().result(), engine="cuda", engine_reason=reason)


def _in_order_of_samples(counts: Int, parts: list[tuple[Any, ...]]) -> list[NDArray[Any]]:
    """Return columns of all samples, of which each part has (samples, columns of the tape, origin).

    A sample that was simulated again lies in a later part.
    """
    which, *columns = map(np.concatenate, zip(*parts, strict=True))
    by_spike, by_emission = (
        np.argsort(np.repeat(which, counts[which, of]), kind="stable") for of in (SPIKES, EMITTED)
    )
    return [*(column[by_spike] for column in columns[:-1]), columns[-1][by_emission]]


class CudaPullback(EventPullback):
    """A pullback of which a thread of a device takes each sample back."""

    def __init__(self, run: CudaBatch, batch: BatchResult, queue: str):
        from validation.backends.cuda.passes import BackwardPass

        super().__init__(run, batch, queue)
        room = max(1, int(np.diff(batch.origin_start).max()))
        self._pass = BackwardPass(self._problem, queue, room, run.memory)

    def _take_back(
        self, problem: ReverseProblem, arrays: BackArrays, spike_bar: Vector, input_bar: Vector
    ) -> None:
        self._pass.run(arrays, problem.sample_bar, spike_bar, input_bar)
