"""Vector-Jacobian and Jacobian-vector products of a simulation, named as in JAX."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.keep import Keep
from adjoint.layout import kernel_tangents
from adjoint.pullback import Pullback, check_finite, checked_names, choose_adjoint_queue
from adjoint.types import Cotangents, Parameters, Tangents, as_parameters
from refsim.engine import MAX_SPIKES, Run, checked_network
from refsim.errors import IllConditionedWarning, InvalidTypeError, InvalidValueError
from refsim.inputs import Samples, SpikeTrain, checked_inputs
from refsim.lossy import Lossy
from refsim.network import Network
from refsim.simulation import Simulation, Spikes

# A slope this small against (v_th - v_reset)/tau_m moves a spike a million times as far as the
# parameter that moves it: half of the digits of a finite difference are gone.
_GRAZING = 1e-6

TIE = (
    "an arrival coincides with a crossing of its neuron, or with the end of its refractoriness; "
    "gradients are one-sided there, in the order crossing or release, then arrival"
)


def vjp(
    network: Network,
    inputs: SpikeTrain | None = None,
    duration: float | None = None,
    *,
    samples: Samples | tuple[Any, Any] | None = None,
    queue: str | Lossy = "auto",
    adjoint_queue: str | Keep = "auto",
    dt: float | None = None,
    engine: str = "auto",
    max_spikes: int = MAX_SPIKES,
    threads: int | None = None,
) -> tuple[Simulation, Pullback]:
    """Simulate, and return the result with its vector-Jacobian product.

    Parameters
    ----------
    network, inputs, duration, samples, queue, dt, engine, max_spikes, threads
        As for :func:`refsim.simulate`. With bounded queues the gradient is that of the simulation
        that was run, with the spikes that it dropped.
    adjoint_queue : str or Keep
        Structure of the queue of the backward pass, whatever that of the simulation: "auto", an
        exact structure without lanes, or "sorted_pass", which sorts all arrivals beforehand. A
        :class:`Keep` bounds the cotangents under way, and the gradient is approximate.

    Returns
    -------
    simulation : Simulation
        The result.
    pullback : Pullback
        ``pullback(time_bar=None, voltage_bar=None, wrt=None)`` takes the cotangents dL/d(spike
        time) (k,) and dL/d(sampled voltage) (V,), and returns the gradient of L by all parameters,
        or by those that ``wrt`` names. It can be called any number of times.

    Raises
    ------
    InvalidValueError, InvalidTypeError, SpikeLimitError, SimulationInterrupted
        As :func:`refsim.simulate`. The pullback raises InvalidValueError for cotangents of the
        wrong shape, and UndefinedGradientError if a spike grazes the threshold with slope zero or
        if a derivative leaves the range of float64.

    Warns
    -----
    IllConditionedWarning
        If a spike nearly grazes the threshold, or an arrival coincides with a crossing or a
        release of its neuron.
    """
    run = Run(
        network, inputs, duration, samples, queue, dt, max_spikes, engine=engine, threads=threads
    )
    choose_adjoint_queue(adjoint_queue, run.network)
    simulation = run.execute()
    _warn_of_conditioning(simulation)
    return simulation, Pullback(run, simulation, adjoint_queue)


def _warn_of_conditioning(simulation: Simulation) -> None:
    """Warn where the gradient is one-sided, or so steep that it says little."""
    if simulation.conditioning.has_ties:
        warnings.warn(TIE, IllConditionedWarning, stacklevel=3)
    _warn_of_grazing(simulation)


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


def jvp(
    network: Network,
    inputs: SpikeTrain | None = None,
    duration: float | None = None,
    tangents: Parameters | Mapping[str, ArrayLike] | None = None,
    *,
    samples: Samples | tuple[Any, Any] | None = None,
    queue: str | Lossy = "auto",
    dt: float | None = None,
    engine: str = "auto",
    max_spikes: int = MAX_SPIKES,
) -> tuple[Simulation, Tangents]:
    """Simulate, and carry a tangent of the parameters through the same events.

    Parameters
    ----------
    network, inputs, duration, samples, queue, dt, engine, max_spikes
        As for :func:`refsim.simulate`; the event engine alone carries tangents.
    tangents : Parameters or mapping
        Direction: names of parameters (as in Parameters) and arrays of their shapes; those not
        given are zero.

    Returns
    -------
    simulation : Simulation
        The result, the same to the last bit as without tangents.
    tangents : Tangents
        Tangents of the spike times (k,) and of the sampled voltages (V,).

    Raises
    ------
    UndefinedGradientError
        If a tangent leaves the range of float64; others as :func:`refsim.simulate`.
    """
    n_input_spikes = len(checked_inputs(inputs, checked_network(network).n_inputs))
    direction = as_parameters(
        "tangents", {} if tangents is None else tangents, network, n_input_spikes
    )
    carried = kernel_tangents(network, direction)
    run = Run(network, inputs, duration, samples, queue, dt, max_spikes, carried, engine)
    run.work.state_dot.v[:] = direction.v0
    simulation = run.execute()
    _warn_of_conditioning(simulation)
    voltage = np.zeros(len(simulation.samples))
    voltage[run.sample_order] = run.problem.samples.tangent
    result = Tangents(run.tape().tangent, voltage)
    check_finite("tangents", result._asdict().items())
    return simulation, result


def value_and_grad(
    loss: Callable[[Simulation], tuple[Any, ...]],
    has_aux: bool = False,
    wrt: Sequence[str] | str | None = None,
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
        With the arguments of :func:`refsim.simulate`; returns (value, gradient), or with
        ``has_aux`` ((value, aux), gradient).
    """
    if not callable(loss):
        raise InvalidTypeError(f"loss is a {type(loss).__name__}; expected a callable")
    checked_names(wrt)

    def evaluated(
        network: Network,
        inputs: SpikeTrain | None = None,
        duration: float | None = None,
        **options: Any,
    ) -> tuple[Any, Parameters]:
        simulation, pullback = vjp(network, inputs, duration, **options)
        value, bars, *aux = checked_outcome(loss(simulation), has_aux)
        gradient = pullback(bars.time, bars.voltage, wrt)
        return ((value, *aux) if has_aux else value), gradient

    return evaluated


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
    return value, _cotangents(bars), *aux


def _cotangents(bars: Any) -> Cotangents:
    """Return what a loss gives as cotangents."""
    if not isinstance(bars, tuple):
        return Cotangents(time=bars)
    if len(bars) != 2:
        raise InvalidValueError(
            f"cotangents of the loss is a tuple of {len(bars)}; expected "
            "(dL/d spike times, dL/d voltages), or an array dL/d(spike times)"
        )
    return Cotangents(*bars)
