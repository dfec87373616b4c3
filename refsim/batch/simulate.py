"""Simulation of a batch: many independent inputs over one network, in several threads."""

from __future__ import annotations

from functools import partial
from typing import Any

from queues.types import HeapOrRingArrays
from refsim.batch.events import EventBatch
from refsim.batch.run import SingleRuns
from refsim.engine import run_of
from refsim.events.run import EventRun
from refsim.names import EngineName, QueueChoice
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.question import MAX_SPIKES, Question
from refsim.results.batch import BatchResult
from refsim.transit.lossy import Lossy
from refsim.windows.run import WindowRun


def simulate_batch(
    network: Network,
    inputs: Any,
    duration: float | None = None,
    *,
    samples: Any = None,
    queue: QueueChoice | Lossy = "auto",
    dt: float | None = None,
    engine: EngineName = "auto",
    max_spikes: int = MAX_SPIKES,
    threads: int | None = None,
) -> BatchResult:
    """Simulate a network with many inputs, each on its own, in several threads.

    Each sample has the spikes and voltages of :func:`simulate`, to the last bit, however many
    threads there are.

    Parameters
    ----------
    network : Network
        The network.
    inputs : sequence of SpikeTrain
        Input spikes of each sample; None is silence.
    duration : float
        End of each simulation in ms.
    samples : Samples, (neurons, times) or a list of these, optional
        Voltages to read: the same of all samples, or with a list those of each, which may be None.
    queue, dt, engine
        As for :func:`simulate`, for all samples. Heaps and rings of the event engine are the
        quickest here: with them a thread simulates many samples in one go of compiled code.
    max_spikes : int
        Limit on the number of spikes of a sample.
    threads : int, optional
        Number of threads; one for each core that the process may use by default.

    Returns
    -------
    BatchResult
        A sequence of Simulation, and all spikes in flat arrays.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        If an argument is outside its domain; the message says of which sample.
    SpikeLimitError
        If a sample has more than ``max_spikes`` spikes; its ``partial`` is a BatchResult with
        what was simulated of each sample.
    SimulationInterrupted
        On Ctrl-C; a KeyboardInterrupt whose ``partial`` is a BatchResult too.
    """
    return batch_run(
        network, inputs, duration, samples, queue, dt, engine, max_spikes, threads
    ).execute()


def batch_run(
    network: Any,
    inputs: Any,
    duration: Any,
    samples: Any,
    queue: Any,
    dt: Any,
    engine: Any,
    max_spikes: Any,
    threads: Any,
    single: bool = False,
) -> EventBatch | SingleRuns:
    """Return the run of a batch; with ``single``, each sample is a run of its own in any case."""
    run = partial(_run, network, duration, queue, dt, engine, max_spikes)
    template = run(None, None)
    if (
        isinstance(template, EventRun)
        and template.question.lossy is None
        and isinstance(template.transit.queue, HeapOrRingArrays)
        and not single
    ):
        return EventBatch(template, inputs, samples, threads, run)
    return SingleRuns(template.question, inputs, samples, threads, run)


def _run(
    network: Any,
    duration: Any,
    queue: Any,
    dt: Any,
    engine: Any,
    max_spikes: Any,
    one: SpikeTrain | None,
    read: Samples | None,
    threads: int = 1,
) -> EventRun | WindowRun:
    """Return the run of one sample; a function of the module, so that a batch can be pickled."""
    question = Question(network, one, duration, read, queue, dt, max_spikes, threads)
    return run_of(question, engine)
