"""Value and gradient of a loss, with the voltage samples that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adjoint.api import vjp
from adjoint.batch.api import vjp_batch
from adjoint.losses.base import Loss, Readout, joined_samples
from adjoint.names import Reduction, Wrt
from adjoint.pullback import checked_names
from adjoint.types import Parameters
from refsim.batch.simulate import simulate_batch
from refsim.engine import simulate
from refsim.errors import InvalidTypeError
from refsim.network.inputs import SpikeTrain
from refsim.network.network import Network
from refsim.validate import choice

_ONLY_BACK = ("adjoint_queue",)  # what simulations have no use for


def value_and_grad(
    loss: Loss, wrt: Wrt | None = None, reduce: Reduction = "sum"
) -> Callable[..., tuple[float, Parameters]]:
    """Return a function that evaluates a loss and its gradient, of a run or of a batch.

    As :func:`adjoint.value_and_grad`, and besides: it takes a list of inputs, with one loss of the
    whole batch, and it reads the voltages that the loss needs. Where their times depend on the
    spikes (peaks, integrals), it simulates twice.

    Parameters
    ----------
    loss : Loss
        A loss of this module.
    wrt : str or sequence of str, optional
        Names of the parameters by which to differentiate, all of them by default.
    reduce : {"sum", "mean"}
        Whether value and gradient of a batch are sums over the samples, or their means.

    Returns
    -------
    callable
        Takes network, inputs (a SpikeTrain, None, or a sequence of these for a batch), duration and
        the options of :func:`vjp` or :func:`vjp_batch` but for ``samples`` and ``checkpoint``;
        returns (value, gradient).
    """
    if not isinstance(loss, Loss):
        raise InvalidTypeError(f"loss is a {type(loss).__name__}; expected a Loss")
    checked_names(wrt)
    choice("reduce", reduce, ("sum", "mean"))

    def evaluated(
        network: Network, inputs: Any, duration: float, **options: Any
    ) -> tuple[float, Parameters]:
        result, pullback = pulled_back([loss], network, inputs, duration, **options)
        value, bars = loss(result, reduce=reduce)
        return value, pullback(bars.time, bars.voltage, wrt=wrt)

    return evaluated


def pulled_back(
    readouts: Sequence[Readout], network: Network, inputs: Any, duration: float, **options: Any
) -> tuple[Any, Any]:
    """Return a result with the samples that some readouts need, and its pullback.

    Parameters
    ----------
    readouts : sequence of Readout
        Readouts and losses.
    network, inputs, duration, **options
        As for :func:`value_and_grad`.

    Returns
    -------
    result : Simulation or BatchResult
        The result.
    pullback : Pullback or BatchPullback
        Its vector-Jacobian product.
    """
    samples = samples_for(readouts, network, inputs, duration, **options)
    if is_batch(inputs):
        return vjp_batch(network, inputs, duration, samples=samples, **options)
    return vjp(network, inputs, duration, samples=samples, **options)


def samples_for(
    readouts: Sequence[Readout], network: Network, inputs: Any, duration: float, **options: Any
) -> Any:
    """Return the samples that readouts need: a pair for all runs, or a list of one for each."""
    for name in ("samples", "checkpoint"):
        if name in options:
            raise InvalidTypeError(
                f"{name} is given; expected none, since the losses say what is to be read"
                if name == "samples"
                else "checkpoint is given; expected none, since losses read a whole run"
            )
    parts = list(readouts)
    if not any(one.looks_first for one in parts):
        return joined_samples(parts, duration, None)
    forward = forward_options(options)
    if is_batch(inputs):
        batch = simulate_batch(network, inputs, duration, **forward)
        return [joined_samples(parts, duration, run) for run in batch]
    return joined_samples(parts, duration, simulate(network, inputs, duration, **forward))


def forward_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options of `vjp` that a simulation without a way back has too."""
    return {name: value for name, value in options.items() if name not in _ONLY_BACK}


def is_batch(inputs: Any) -> bool:
    """Return whether inputs are those of many samples."""
    return not (inputs is None or isinstance(inputs, SpikeTrain))
