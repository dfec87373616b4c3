"""Vector-Jacobian and Jacobian-vector products of a simulation, named as in JAX."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.checkpoint.pullback import Checkpointed, CheckpointedPullback, Piece, vjp_in_pieces
from adjoint.checkpoint.schedule import Checkpoint, as_checkpoint
from adjoint.events.keep import Keep
from adjoint.grid.api import grid_jvp, grid_vjp
from adjoint.grid.pullback import GridPullback
from adjoint.layout import kernel_tangents
from adjoint.names import AdjointQueue, Wrt
from adjoint.pullback import Pullback, check_finite, checked_names, choose_adjoint_queue
from adjoint.types import Cotangents, Parameters, Tangents, as_cotangents, as_parameters
from adjoint.windows.forward.run import window_tangents
from refsim import features
from refsim.engine import Engine, ExactEngine, check_windows, run_of, windows_for
from refsim.errors import IllConditionedWarning, InvalidTypeError, InvalidValueError
from refsim.events.run import EventRun
from refsim.grid.result import GridSimulation
from refsim.grid.scheme import Grid
from refsim.layers.options import Layers
from refsim.network.inputs import Samples, SpikeTrain, checked_inputs
from refsim.network.network import Network
from refsim.question import MAX_SPIKES, Question, checked_network
from refsim.results.outcome import ExactRun
from refsim.results.result import Conditioning, Spikes
from refsim.results.simulation import Simulation
from refsim.validate import shown

# A slope this small against (v_th - v_reset)/tau_m moves a spike a million times as far as the
# parameter that moves it: half of the digits of a finite difference are gone.
_GRAZING = 1e-6

TIE = (
    "an arrival coincides with a crossing of its neuron, or with the end of its refractoriness; "
    "gradients are one-sided there, in the order crossing or release, then arrival"
)
SAMPLE_TIE = (
    "a voltage is sampled at the very time of a spike, a release or an arrival of its neuron; the "
    "sample reads the state after it, and its derivatives are those from the right"
)


@overload
def vjp(
    network: Network,
    inputs: SpikeTrain | None,
    duration: float,
    *,
    engine: ExactEngine = "auto",
    samples: Samples | tuple[Any, Any] | None = None,
    max_spikes: int = MAX_SPIKES,
    adjoint_queue: AdjointQueue | Keep = "auto",
    checkpoint: None = None,
) -> tuple[Simulation, Pullback]: ...


@overload
def vjp(
    network: Network,
    inputs: SpikeTrain | None,
    duration: float,
    *,
    engine: ExactEngine = "auto",
    samples: Samples | tuple[Any, Any] | None = None,
    max_spikes: int = MAX_SPIKES,
    adjoint_queue: AdjointQueue | Keep = "auto",
    checkpoint: int | Checkpoint,
) -> tuple[Checkpointed, CheckpointedPullback]: ...


@overload
def vjp(
    network: Network,
    inputs: SpikeTrain | None,
    duration: float,
    *,
    engine: Grid,
    samples: Samples | tuple[Any, Any] | None = None,
    max_spikes: int = MAX_SPIKES,
) -> tuple[GridSimulation, GridPullback]: ...


def vjp(
    network: Network,
    inputs: SpikeTrain | None,
    duration: float,
    *,
    engine: Engine = "auto",
    samples: Samples | tuple[Any, Any] | None = None,
    max_spikes: int = MAX_SPIKES,
    adjoint_queue: AdjointQueue | Keep = "auto",
    checkpoint: int | Checkpoint | None = None,
) -> tuple[Any, Any]:
    """Simulate, and return the result with its vector-Jacobian product.

    Parameters
    ----------
    network, inputs, duration, engine, samples, max_spikes
        As for :func:`refsim.simulate`. With bounded queues the gradient is that of the simulation
        that was run, with the spikes that it dropped; in time steps it is the transpose of the
        tangents of the scheme, see docs/grid.md.
    adjoint_queue : str or Keep
        Structure of the queue of the backward pass, whatever that of the simulation: "auto", an
        exact structure without lanes, or "sorted_pass", which sorts all arrivals beforehand. A
        :class:`Keep` bounds the cotangents under way, and the gradient is approximate.
    checkpoint : int or Checkpoint, optional
        Keep so many snapshots of the state in place of the tape, or what a :class:`Checkpoint`
        says, and simulate again between them on the way back. The window engine alone keeps a
        state.

    Returns
    -------
    simulation : Simulation or GridSimulation
        The result; with ``checkpoint`` a :class:`Checkpointed`, which holds no spikes but goes
        through them in pieces.
    pullback : Pullback
        ``pullback(time_bar=None, voltage_bar=None, wrt=None)`` takes the cotangents dL/d(spike
        time) (k,) and dL/d(sampled voltage) (V,), and returns the gradient of L by all parameters,
        or by those that ``wrt`` names. It can be called any number of times. With ``checkpoint`` a
        :class:`CheckpointedPullback`, to which cotangents can also be given piece by piece.

    Raises
    ------
    InvalidValueError, InvalidTypeError, SpikeLimitError, SimulationInterrupted
        As :func:`refsim.simulate`. The pullback raises InvalidValueError for cotangents of the
        wrong shape, and UndefinedGradientError if a spike grazes the threshold with slope zero or
        if a derivative leaves the range of float64.

    Warns
    -----
    IllConditionedWarning
        If a spike nearly grazes the threshold, an arrival coincides with a crossing or a release
        of its neuron, or a voltage sample with an event of its neuron.
    """
    if checkpoint is not None:
        plan = _checked_plan(checkpoint, adjoint_queue)
        windows = windows_for(engine, "checkpoint")
        question = Question(network, inputs, duration, samples, max_spikes)
        check_windows(question, "checkpoint is given", "no checkpoint")
        result, back = vjp_in_pieces(question, plan, windows)
        _warn_of_pieces(result)
        return result, back
    question = Question(network, inputs, duration, samples, max_spikes)
    check_adjoint_queue(adjoint_queue, engine)
    if isinstance(engine, Grid):
        return grid_vjp(question, engine)
    choose_adjoint_queue(adjoint_queue, question.network)
    simulation = run_of(question, engine).execute()
    warn_of_conditioning(simulation)
    return simulation, Pullback(question, simulation, adjoint_queue)


def _is_given(adjoint_queue: Any) -> bool:
    return not isinstance(adjoint_queue, str) or adjoint_queue != "auto"


def check_adjoint_queue(adjoint_queue: Any, engine: Any) -> None:
    """Raise if a queue of the backward pass is chosen where there is none."""
    if _is_given(adjoint_queue) and isinstance(engine, Grid | Layers):
        asked = f"adjoint_queue is {shown(adjoint_queue)}"
        features.check("adjoint_queue", type(engine).__name__, asked)


def _checked_plan(checkpoint: Any, adjoint_queue: Any) -> Checkpoint:
    """Return a Checkpoint, which goes with windows both ways."""
    if _is_given(adjoint_queue):
        raise InvalidValueError(
            f"checkpoint is given and adjoint_queue is {shown(adjoint_queue)}; expected 'auto', "
            "since the way back goes by windows"
        )
    return as_checkpoint(checkpoint)


def _warn_of_pieces(simulation: Checkpointed) -> None:
    """Warn as `warn_of_conditioning` does, of spikes that are not there any more."""
    _warn_of_ties(simulation.conditioning)
    conditioning, network = simulation.conditioning, simulation.network
    scale = ((network.v_th - network.v_reset) / network.tau_m).min()
    if conditioning.min_slope < _GRAZING * scale:
        warnings.warn(
            f"spike {conditioning.min_slope_spike} grazes its threshold with dV/dt = "
            f"{conditioning.min_slope:.3g}; gradients that pass through it are ill-conditioned",
            IllConditionedWarning,
            stacklevel=3,
        )


def warn_of_conditioning(simulation: Simulation) -> None:
    """Warn where the gradient is one-sided, or so steep that it says little."""
    _warn_of_ties(simulation.conditioning)
    _warn_of_grazing(simulation)


def _warn_of_ties(conditioning: Conditioning) -> None:
    if conditioning.has_ties:
        warnings.warn(tie_text(conditioning[2:]), IllConditionedWarning, stacklevel=4)


def tie_text(gaps: ArrayLike) -> str:
    """Return what one warning says of ties, given the gaps (..., 3) of runs."""
    *between_events, of_samples = np.moveaxis(np.asarray(gaps) == 0.0, -1, 0)
    said = [
        text for text, is_so in ((TIE, between_events), (SAMPLE_TIE, of_samples)) if np.any(is_so)
    ]
    return "; ".join(said)


def _warn_of_grazing(simulation: Simulation) -> None:
    spikes = simulation.spikes
    grazing = grazing_spikes(simulation.network, spikes)
    if grazing.size:
        k = int(grazing[np.argmin(spikes.slope_before[grazing])])
        warnings.warn(grazing_text(spikes, k), IllConditionedWarning, stacklevel=4)


def grazing_spikes(network: Network, spikes: Spikes) -> NDArray[np.int64]:
    """Return the rows of spikes that nearly graze the threshold."""
    scale = ((network.v_th - network.v_reset) / network.tau_m)[spikes.neuron]
    return np.flatnonzero(spikes.slope_before < _GRAZING * scale)


def grazing_text(spikes: Spikes, k: int) -> str:
    """Return what a warning says of row ``k``."""
    return (
        f"neuron {spikes.neuron[k]} grazes its threshold at {spikes.time[k]:.9g} ms with dV/dt "
        f"= {spikes.slope_before[k]:.3g}; gradients that pass through this spike are "
        "ill-conditioned"
    )


@overload
def jvp(
    network: Network,
    inputs: SpikeTrain | None,
    duration: float,
    tangents: Parameters | Mapping[str, ArrayLike],
    *,
    engine: ExactEngine = "auto",
    samples: Samples | tuple[Any, Any] | None = None,
    max_spikes: int = MAX_SPIKES,
) -> tuple[Simulation, Tangents]: ...


@overload
def jvp(
    network: Network,
    inputs: SpikeTrain | None,
    duration: float,
    tangents: Parameters | Mapping[str, ArrayLike],
    *,
    engine: Grid,
    samples: Samples | tuple[Any, Any] | None = None,
    max_spikes: int = MAX_SPIKES,
) -> tuple[GridSimulation, Tangents]: ...


def jvp(
    network: Network,
    inputs: SpikeTrain | None,
    duration: float,
    tangents: Parameters | Mapping[str, ArrayLike],
    *,
    engine: Engine = "auto",
    samples: Samples | tuple[Any, Any] | None = None,
    max_spikes: int = MAX_SPIKES,
) -> tuple[Simulation | GridSimulation, Tangents]:
    """Simulate, and carry a tangent of the parameters through the same events.

    Parameters
    ----------
    network, inputs, duration, engine, samples, max_spikes
        As for :func:`refsim.simulate`. Where the simulation goes by windows the tangents follow
        it, by windows too; the other engines carry them along.
    tangents : Parameters or mapping
        Direction: names of parameters (as in Parameters) and arrays of their shapes; those not
        given are zero.

    Returns
    -------
    simulation : Simulation or GridSimulation
        The result, the same to the last bit as without tangents.
    tangents : Tangents
        Tangents of the spike times (k,) and of the sampled voltages (V,).

    Raises
    ------
    UndefinedGradientError
        If a tangent leaves the range of float64; others as :func:`refsim.simulate`.

    Warns
    -----
    IllConditionedWarning
        As :func:`vjp`.
    """
    n_input_spikes = len(checked_inputs(inputs, checked_network(network).n_inputs))
    direction = as_parameters("tangents", tangents, network, n_input_spikes)
    question = Question(network, inputs, duration, samples, max_spikes)
    if isinstance(engine, Grid):
        return grid_jvp(question, engine, direction)
    if isinstance(engine, Layers):
        features.check("jvp", "Layers", "tangents are asked for")
    simulation, tangents_of = simulated_along(run_of(question, engine), direction)
    warn_of_conditioning(simulation)
    return simulation, tangents_of()


def simulated_along(
    run: ExactRun, direction: Parameters
) -> tuple[Simulation, Callable[[], Tangents]]:
    """Simulate along a direction, without warnings; tangents are there when they are called for."""
    question = run.question
    if isinstance(run, EventRun):
        run.carry(kernel_tangents(question.network, direction), direction.v0)
    simulation = run.execute()

    def tangents_of() -> Tangents:
        if isinstance(run, EventRun):
            result = Tangents(*run.carried())
        else:
            result = Tangents(*window_tangents(question, simulation.spikes, direction))
        check_finite("tangents", result._asdict().items())
        return result

    return simulation, tangents_of


def value_and_grad(
    loss: Callable[[Simulation], tuple[Any, ...]],
    has_aux: bool = False,
    wrt: Wrt | None = None,
) -> Callable[..., Any]:
    """Return a function that evaluates a loss of a simulation and its gradient.

    Parameters
    ----------
    loss : callable
        Takes a Simulation and returns its value and the cotangents of the outputs: Cotangents, a
        pair (dL/d spike times, dL/d voltages), or dL/d(spike times) alone. With ``has_aux``, it
        returns (value, cotangents, aux).
    has_aux : bool
        Whether the loss returns something else that is handed on, such as the simulation.
    wrt : str or sequence of str, optional
        Names of the parameters by which to differentiate, all of them by default.

    Returns
    -------
    callable
        With the arguments of :func:`vjp`; returns (value, gradient), or with ``has_aux``
        ((value, aux), gradient). With ``checkpoint`` the loss is a sum over pieces: it is called
        with each :class:`Piece`, the last first, and ``aux`` is the list of what it handed on, in
        order of time.
    """
    if not callable(loss):
        raise InvalidTypeError(f"loss is a {type(loss).__name__}; expected a callable")
    checked_names(wrt)

    return partial(_evaluated, loss, has_aux, wrt)


def _evaluated(
    loss: Callable[[Any], tuple[Any, ...]],
    has_aux: bool,
    wrt: Wrt | None,
    network: Network,
    inputs: SpikeTrain | None,
    duration: float,
    **options: Any,
) -> tuple[Any, Parameters]:
    """Return a loss and its gradient; a function of the module, so that it can be pickled."""
    simulation, pullback = vjp(network, inputs, duration, **options)
    if isinstance(pullback, CheckpointedPullback):
        return _summed(loss, pullback, has_aux, wrt)
    value, bars, *aux = checked_outcome(loss(simulation), has_aux)
    gradient = pullback(bars.time, bars.voltage, wrt)
    return ((value, *aux) if has_aux else value), gradient


def _summed(
    loss: Callable[[Any], tuple[Any, ...]],
    pullback: CheckpointedPullback,
    has_aux: bool,
    wrt: Wrt | None,
) -> tuple[Any, Parameters]:
    """Return the sum of a loss over pieces, and its gradient."""
    outcomes: list[tuple[Any, ...]] = []

    def bars(piece: Piece) -> Cotangents:
        value, given, *aux = checked_outcome(loss(piece), has_aux)
        outcomes.append((value, *aux))
        return given

    gradient = pullback(bars, wrt=wrt)
    value = sum(outcome[0] for outcome in reversed(outcomes))
    aux = [outcome[1] for outcome in reversed(outcomes)] if has_aux else None
    return ((value, aux) if has_aux else value), gradient


def checked_outcome(outcome: Any, has_aux: bool) -> tuple[Any, ...]:
    """Return what a loss has returned, with its cotangents as Cotangents."""
    expected = "(value, cotangents, aux)" if has_aux else "(value, cotangents)"
    if not isinstance(outcome, tuple) or len(outcome) != expected.count(",") + 1:
        raise InvalidTypeError(f"loss returned a {type(outcome).__name__}; expected {expected}")
    value, bars, *aux = outcome
    if np.ndim(value) != 0:
        raise InvalidValueError(
            f"value of the loss has shape {np.shape(value)}; expected a single number"
        )
    return value, as_cotangents(bars), *aux
