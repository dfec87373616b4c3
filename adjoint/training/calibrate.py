"""Weights scaled by what data make of them, so that every layer is active to begin with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.training.architecture import Model
from refsim.batch.simulate import simulate_batch
from refsim.errors import InvalidValueError, SpikeLimitError
from refsim.validate import LARGEST, members, scalar, vector

_DOUBLINGS = 12  # beyond which a layer is given up
_HALVINGS = 6  # of the interval in which the factor lies, which is then known to 1 %


def calibrated(
    model: Model,
    inputs: Sequence[Any],
    duration: float,
    spikes: ArrayLike = 1.0,
    **options: Any,
) -> Model:
    """Scale the weights onto each layer until its neurons spike so often, on average.

    One layer after the other, from the inputs on: all weights onto it are multiplied by a factor,
    which is found by doubling or halving and bisection.

    Parameters
    ----------
    model : Model
        A model.
    inputs : sequence of SpikeTrain
        Samples; some dozen will do.
    duration : float
        Length of a trial in ms.
    spikes : float or (layers,) float
        Mean number of spikes of a neuron in a trial; 0 for a layer that is left as it is.
    **options
        As for :func:`refsim.simulate_batch`.

    Returns
    -------
    Model

    Raises
    ------
    InvalidValueError
        If no factor makes a layer spike, as where its weights are negative.
    """
    given = members("inputs", inputs, "SpikeTrain, one for each sample")
    wanted = vector("spikes", spikes, len(model.layers), 0.0)
    for i, layer in enumerate(model.layers):
        if wanted[i] > 0.0:
            model = _with_active(
                model, i, layer, given, scalar("duration", duration), wanted[i], options
            )
    return model


def _with_active(
    model: Model,
    number: int,
    layer: NDArray[np.int64],
    inputs: list[Any],
    duration: float,
    wanted: float,
    options: dict[str, Any],
) -> Model:
    """Return the model with weights onto a layer scaled."""
    onto = np.isin(model.network.post, layer)

    def scaled(factor: float) -> Model:
        weight = np.where(onto, factor, 1.0) * model.network.weight
        once = model.parameters("weight")["weight"]
        once[model.tied] = weight
        return model.with_parameters({"weight": once})

    def is_enough(factor: float) -> bool:
        most = int(50 * (1 + wanted) * len(model.network.tau_m))
        try:
            batch = simulate_batch(
                scaled(factor).network, inputs, duration, **({"max_spikes": most} | options)
            )
        except SpikeLimitError:
            return True
        count = np.isin(batch.spikes.neuron, layer).sum()
        return bool(count >= wanted * len(layer) * len(inputs))

    low = high = 1.0
    if is_enough(1.0):
        for _ in range(_DOUBLINGS):
            low /= 2.0
            if not is_enough(low):
                break
    else:
        for _ in range(_DOUBLINGS):
            high *= 2.0
            if high > LARGEST or is_enough(high):
                break
        else:
            raise InvalidValueError(
                f"layer {number} spikes less than {wanted:g} times a neuron, even with "
                f"{high:g} times its weights; expected weights that excite it"
            )
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        if is_enough(middle):
            high = middle
        else:
            low = middle
    return scaled(high)
