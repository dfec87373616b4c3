"""Vector-Jacobian products of a batch: many independent inputs over one network."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from adjoint.api import check_adjoint_queue, checked_outcome, grazing_spikes, grazing_text, tie_text
from adjoint.batch.events import EventPullback
from adjoint.batch.layers import LayersPullback
from adjoint.batch.pullback import BatchPullback, SinglePullback
from adjoint.events.keep import Keep
from adjoint.grid.pieces import PiecesRun
from adjoint.grid.pullback import GridPullback
from adjoint.names import AdjointQueue, Reduction, Wrt
from adjoint.pullback import SORTED_PASS, Pullback, checked_names, choose_adjoint_queue
from queues.exact.dispatch import STRUCTURES
from queues.types import HeapOrRingArrays
from refsim.batch.events import EventBatch
from refsim.batch.layers import LayersBatch
from refsim.batch.simulate import batch_run
from refsim.engine import Engine, run_of
from refsim.errors import IllConditionedWarning, InvalidTypeError
from refsim.grid.scheme import Grid
from refsim.network.network import Network
from refsim.question import MAX_SPIKES, checked_network
from refsim.results.batch import BatchResult
from refsim.results.simulation import Simulation
from refsim.validate import choice


def vjp_batch(
    network: Network,
    inputs: Any,
    duration: float,
    *,
    engine: Engine = "auto",
    samples: Any = None,
    adjoint_queue: AdjointQueue | Keep = "auto",
    max_spikes: int = MAX_SPIKES,
    threads: int | None = None,
) -> tuple[BatchResult, BatchPullback]:
    """Simulate many inputs, and return the results with their vector-Jacobian product.

    Parameters
    ----------
    network, inputs, duration, engine, samples, max_spikes, threads
        As for :func:`refsim.simulate_batch`.
    adjoint_queue : str or Keep
        As for :func:`vjp`.

    Returns
    -------
    batch : BatchResult
        The results.
    pullback : BatchPullback
        ``pullback(time_bars=None, voltage_bars=None, reduce="sum", wrt=None)`` takes the cotangents
        of each sample and returns the gradient of the sum of the losses. It can be called any
        number of times.

    Raises
    ------
    InvalidValueError, InvalidTypeError, SpikeLimitError, SimulationInterrupted
        As :func:`refsim.simulate_batch`; the pullback as that of :func:`vjp`. Messages say which
        sample it was.

    Warns
    -----
    IllConditionedWarning
        As :func:`vjp`, once for all samples.
    """
    on_grid = isinstance(engine, Grid)
    check_adjoint_queue(adjoint_queue, engine)
    name = choose_adjoint_queue(adjoint_queue, checked_network(network))
    is_simple = (
        not isinstance(adjoint_queue, Keep)
        and name != SORTED_PASS
        and isinstance(STRUCTURES[name].empty(1, 1, 1), HeapOrRingArrays)
    )
    make: Callable[[Any, Any], Any] = PiecesRun if on_grid else run_of
    run = batch_run(
        network, inputs, duration, samples, engine, max_spikes, threads, not is_simple, make
    )
    if isinstance(run, EventBatch):
        batch = run.execute()
        warn_of_conditioning(batch)
        if isinstance(run, LayersBatch):
            return batch, LayersPullback(run, batch)
        return batch, EventPullback(run, batch, name)
    pullbacks: list[Any] = [None] * len(run)

    def finished(i: int, one: Any, simulation: Any) -> None:
        if on_grid:
            pullbacks[i] = GridPullback(one, simulation)
        else:
            pullbacks[i] = Pullback(one.question, simulation, adjoint_queue)

    run.finished = finished
    batch = run.execute()
    if not on_grid:
        warn_of_conditioning(batch)
    return batch, SinglePullback(batch, run.threads, pullbacks)


def warn_of_conditioning(batch: BatchResult) -> None:
    """Warn once of ties and once of grazing spikes; both name a sample and count the others."""
    spikes = batch.spikes
    ties = np.flatnonzero(batch.has_ties)
    if ties.size:
        text = f"inputs[{ties[0]}]{_others(ties.size)}: {tie_text(batch.gaps)}"
        warnings.warn(text, IllConditionedWarning, stacklevel=3)
    grazing = grazing_spikes(batch.network, spikes)
    if grazing.size:
        k = int(grazing[np.argmin(spikes.slope_before[grazing])])
        of = batch.sample_of_spike
        others = _others(len(np.unique(of[grazing])))
        text = f"inputs[{of[k]}]{others}: {grazing_text(spikes, k)}"
        warnings.warn(text, IllConditionedWarning, stacklevel=3)


def _others(count: int) -> str:
    return f" and {count - 1} more" if count > 1 else ""


def value_and_grad_batch(
    loss: Callable[[Simulation, int], tuple[Any, ...]],
    has_aux: bool = False,
    reduce: Reduction = "sum",
    wrt: Wrt | None = None,
) -> Callable[..., Any]:
    """Return a function that evaluates a loss of every sample and the gradient of all together.

    Parameters
    ----------
    loss : callable
        Takes a Simulation and its number in the batch, and returns what the loss of
        :func:`value_and_grad` does: (value, cotangents), or with ``has_aux`` (value, cotangents,
        aux).
    has_aux : bool
        Whether the loss returns something else that is handed on.
    reduce : {"sum", "mean"}
        Whether value and gradient are sums over the samples, or their means.
    wrt : str or sequence of str, optional
        Names of the parameters wanted, all of them by default.

    Returns
    -------
    callable
        With the arguments of :func:`vjp_batch`; returns (value, gradient), or with ``has_aux``
        ((value, list of aux), gradient).
    """
    if not callable(loss):
        raise InvalidTypeError(f"loss is a {type(loss).__name__}; expected a callable")
    choice("reduce", reduce, ("sum", "mean"))
    checked_names(wrt)

    return partial(_evaluated, loss, has_aux, reduce, wrt)


def _evaluated(
    loss: Callable[[Any, int], tuple[Any, ...]],
    has_aux: bool,
    reduce: Reduction,
    wrt: Wrt | None,
    network: Network,
    inputs: Any,
    duration: float,
    **options: Any,
) -> tuple[Any, Any]:
    """Return a loss and its gradient; a function of the module, so that it can be pickled."""
    batch, pullback = vjp_batch(network, inputs, duration, **options)
    outcomes = [checked_outcome(loss(one, i), has_aux) for i, one in enumerate(batch)]
    values, bars, *aux = zip(*outcomes, strict=True)
    value = sum(values) if reduce == "sum" else sum(values) / len(batch)
    time_bars, voltage_bars = map(list, zip(*bars, strict=True))
    gradient = pullback(time_bars, voltage_bars, reduce, wrt)
    return ((value, list(*aux)) if has_aux else value), gradient
