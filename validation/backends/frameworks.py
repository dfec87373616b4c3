"""Functions of JAX and PyTorch as back ends: their own framework differentiates them.

The function has the form

    function(parameters, structure) -> (times, neurons, voltages)

where ``parameters`` holds an array of the framework for each group of `adjoint.Parameters`, and
``structure`` what is not differentiated. Times and neurons are those of the spikes in any order,
voltages those at the samples, or None. Functions that can only return arrays of a fixed size fill
up with times of inf or neurons of -1: these are no spikes. A function with a time step takes it as
the keyword ``dt``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from queues.summary import summary
from refsim.errors import InvalidTypeError, MissingExtraError
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.network.parameters import OF_NETWORK
from refsim.network.ports import Port
from refsim.validate import choice, shown
from validation.comparison.answers import AnswerError
from validation.comparison.backend import Answer, LossCotangents
from validation.names import PrecisionName

Vector = NDArray[np.float64]


class Structure(NamedTuple):
    """What a simulation has besides its parameters, in NumPy."""

    n_neurons: int
    n_inputs: int
    pre: NDArray[np.int64]  # (S,) neurons, then input channels
    post: NDArray[np.int64]  # (S,)
    port: NDArray[np.int64]  # (S,)
    sources: NDArray[np.int64]  # (I,) channel of each input spike
    ports: tuple[Port, ...]  # kinds of the ports; parameters["tau"] has their time constants
    duration: float  # ms
    samples: Samples

    def __repr__(self) -> str:
        return summary(self)


class _Adapted:
    """A function of a framework as a back end."""

    def __init__(self, function: Callable[..., Any], precision: str):
        if not callable(function):
            raise InvalidTypeError(f"function is {shown(function)}; expected a function")
        self.function = function
        self.precision = choice("precision", precision, ("float64", "float32"))
        self.name = getattr(function, "__qualname__", type(function).__name__)


def from_jax(
    function: Callable[..., Any], precision: PrecisionName = "float64"
) -> Callable[..., Answer]:
    """Return a back end that differentiates ``function`` by ``jax.vjp``.

    Parameters
    ----------
    function : callable
        ``function(parameters, structure) -> (times, neurons, voltages)`` of JAX arrays. With
        ``certify(..., steps=)`` it is called once for each step, as ``function(parameters,
        structure, dt=step)``, in ms.
    precision : {"float64", "float32"}
        Of the parameters; float64 is switched on in JAX for the call.

    Raises
    ------
    MissingExtraError
        If JAX is not installed.
    """
    try:
        jax = import_module("jax")
    except ImportError:
        raise MissingExtraError('from_jax needs JAX: pip install "refsim[jax]"') from None
    return _OfJax(function, precision, jax)


def from_torch(
    function: Callable[..., Any], precision: PrecisionName = "float64"
) -> Callable[..., Answer]:
    """Return a back end that differentiates ``function`` by ``torch.autograd``.

    Parameters
    ----------
    function : callable
        ``function(parameters, structure) -> (times, neurons, voltages)`` of PyTorch tensors.
        With ``certify(..., steps=)`` it is called once for each step, as ``function(parameters,
        structure, dt=step)``, in ms.
    precision : {"float64", "float32"}
        Of the parameters.

    Raises
    ------
    MissingExtraError
        If PyTorch is not installed.
    """
    try:
        torch = import_module("torch")
    except ImportError:
        raise MissingExtraError('from_torch needs PyTorch: pip install "refsim[torch]"') from None
    return _OfTorch(function, precision, torch)


class _OfJax(_Adapted):
    def __init__(self, function: Callable[..., Any], precision: str, jax: Any):
        super().__init__(function, precision)
        self.jax = jax
        self.versions = {"jax": jax.__version__}

    def __call__(
        self,
        network: Network,
        inputs: SpikeTrain,
        duration: float,
        cotangents: LossCotangents,
        **keywords: float,
    ) -> Answer:
        structure = _structure(network, inputs, duration, cotangents)
        wide = self.precision == "float64"
        # Older versions of JAX have the switch in jax.experimental.
        home = self.jax if hasattr(self.jax, "enable_x64") else self.jax.experimental
        with home.enable_x64(wide):
            jnp = self.jax.numpy
            dtype = jnp.float64 if wide else jnp.float32
            parameters = {
                group: jnp.asarray(values, dtype)
                for group, values in _parameters(network, inputs).items()
            }

            def outputs(given: dict[str, Any]) -> tuple[tuple[Any, Any], Any]:
                times, neurons, voltages = _three(self.function(given, structure, **keywords))
                empty = jnp.zeros(0, dtype)
                return (jnp.asarray(times), empty if voltages is None else voltages), neurons

            (times, voltages), pullback, neurons = self.jax.vjp(outputs, parameters, has_aux=True)
            time, neuron, time_bar = _bars(np.asarray(times), np.asarray(neurons), cotangents)
            voltage_bar = cotangents.voltage if np.size(voltages) else np.zeros(0)
            (gradient,) = pullback(
                (jnp.asarray(time_bar, times.dtype), jnp.asarray(voltage_bar, voltages.dtype))
            )
            found = {group: np.asarray(values) for group, values in gradient.items()}
            return Answer(time, neuron, found, _or_none(np.asarray(voltages), cotangents))


class _OfTorch(_Adapted):
    def __init__(self, function: Callable[..., Any], precision: str, torch: Any):
        super().__init__(function, precision)
        self.torch = torch
        self.versions = {"torch": torch.__version__}

    def __call__(
        self,
        network: Network,
        inputs: SpikeTrain,
        duration: float,
        cotangents: LossCotangents,
        **keywords: float,
    ) -> Answer:
        torch = self.torch
        structure = _structure(network, inputs, duration, cotangents)
        dtype = getattr(torch, self.precision)
        parameters = {
            group: torch.tensor(values, dtype=dtype, requires_grad=True)
            for group, values in _parameters(network, inputs).items()
        }
        times, neurons, voltages = _three(self.function(parameters, structure, **keywords))
        time, neuron, time_bar = _bars(_detached(times), _detached(neurons), cotangents)
        outputs = [(times, time_bar)]
        if voltages is not None:
            outputs.append((voltages, cotangents.voltage))
        of_graph = [
            (tensor, torch.tensor(np.array(bar), dtype=tensor.dtype))
            for tensor, bar in outputs
            if getattr(tensor, "requires_grad", False)
        ]
        if not of_graph:
            raise AnswerError(
                "neither spike times nor voltages depend on any parameter: they have no graph "
                "(detached, or made from NumPy arrays?)"
            )
        tensors, bars = zip(*of_graph, strict=True)
        found = torch.autograd.grad(tensors, list(parameters.values()), bars, allow_unused=True)
        gradient = {
            group: None if values is None else _detached(values)
            for group, values in zip(parameters, found, strict=True)
        }
        sampled = None if voltages is None else _detached(voltages)
        return Answer(time, neuron, gradient, sampled)  # type: ignore[arg-type]


def _parameters(network: Network, inputs: SpikeTrain) -> dict[str, Vector]:
    values = {group: getattr(network, group) for group in OF_NETWORK}
    return {group: np.array(column) for group, column in values.items()} | {
        "input_times": np.array(inputs.times)
    }


def _structure(
    network: Network, inputs: SpikeTrain, duration: float, cotangents: LossCotangents
) -> Structure:
    return Structure(
        n_neurons=network.n_neurons,
        n_inputs=network.n_inputs,
        pre=np.array(network.pre),
        post=np.array(network.post),
        port=np.array(network.port),
        sources=np.array(inputs.sources),
        ports=network.ports,
        duration=duration,
        samples=cotangents.samples,
    )


def _three(outputs: Any) -> tuple[Any, Any, Any]:
    """Return times, neurons and voltages."""
    if not isinstance(outputs, tuple | list) or len(outputs) not in (2, 3):
        raise AnswerError(
            f"the function returned {shown(outputs)}; expected (times, neurons, voltages), or "
            "(times, neurons)"
        )
    return outputs[0], outputs[1], outputs[2] if len(outputs) == 3 else None


def _detached(values: Any) -> NDArray[Any]:
    """Return a tensor as NumPy has it."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _bars(
    times: NDArray[Any], neurons: NDArray[Any], cotangents: LossCotangents
) -> tuple[NDArray[Any], NDArray[Any], Vector]:
    """Return sorted spikes, and the cotangent of each entry of ``times``, fillers included."""
    if times.ndim != 1 or neurons.shape != times.shape:
        raise AnswerError(
            f"the function returned times of shape {times.shape} and neurons of shape "
            f"{neurons.shape}; expected (k,) twice"
        )
    real = np.flatnonzero((times != np.inf) & (neurons >= 0))
    rows = real[np.lexsort((neurons[real], times[real]))]
    bar = np.zeros(len(times))
    bar[rows] = cotangents.of_spikes(neurons[rows])
    return times[rows], neurons[rows], bar


def _or_none(voltages: NDArray[Any], cotangents: LossCotangents) -> NDArray[Any] | None:
    """Return voltages, None if there are none although there are samples."""
    return None if len(cotangents.samples) and not voltages.size else voltages
