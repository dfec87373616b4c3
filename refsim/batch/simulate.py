"""Simulation of a batch: many independent inputs over one network, in several threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from queues.types import HeapOrRingArrays
from refsim.batch.events import EventBatch
from refsim.batch.layers import LayersBatch
from refsim.batch.run import SingleRuns
from refsim.engine import Engine, run_of
from refsim.events.run import EventRun
from refsim.grid.run import GridRun
from refsim.layers.options import Layers
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.question import MAX_SPIKES, Question
from refsim.results.batch import BatchResult
from refsim.results.outcome import ExactRun
from refsim.windows.options import Windows


def simulate_batch(
    network: Network,
    inputs: Any,
    duration: float,
    *,
    engine: Engine = "auto",
    samples: Any = None,
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
    engine : "auto", Events, Windows, Layers or Grid
        As for :func:`simulate`, for all samples. Networks without cycles are quickest by layers,
        others by heaps and rings of the event engine: a thread simulates many samples in one go.
    samples : Samples, (neurons, times) or a list of these, optional
        Voltages to read: the same of all samples, or with a list those of each, which may be None.
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
    return batch_run(network, inputs, duration, samples, engine, max_spikes, threads).execute()


def batch_run(
    network: Any,
    inputs: Any,
    duration: Any,
    samples: Any,
    engine: Engine,
    max_spikes: Any,
    threads: Any,
    single: bool = False,
    make: Callable[[Question, Any], ExactRun | GridRun] = run_of,
) -> EventBatch | SingleRuns:
    """Return the run of a batch; with ``single``, each sample is a run of its own in any case.

    ``make`` makes the run of a sample.
    """
    if isinstance(engine, Layers):
        question = Question(network, None, duration, None, max_spikes)
        return LayersBatch(question, inputs, samples, threads)
    run = partial(_run, make, network, duration, engine, max_spikes)
    template = run(None, None)
    if (
        isinstance(template, EventRun)
        and template.lossy is None
        and isinstance(template.transit.queue, HeapOrRingArrays)
        and not single
    ):
        return EventBatch(template, inputs, samples, threads, run)
    return SingleRuns(template.question, inputs, samples, threads, run)


def _run(
    make: Callable[[Question, Any], ExactRun | GridRun],
    network: Any,
    duration: Any,
    engine: Engine,
    max_spikes: Any,
    one: SpikeTrain | None,
    read: Samples | None,
    threads: int = 1,
) -> ExactRun | GridRun:
    """Return the run of one sample; a function of the module, so that a batch can be pickled."""
    if isinstance(engine, Windows):
        engine = replace(engine, threads=min(threads, engine.threads or threads))
    question = Question(network, one, duration, read, max_spikes)
    question.threads = threads
    return make(question, engine)
