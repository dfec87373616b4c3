"""Cotangents and tangents as the user sees them, in the layout of the network."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from queues.summary import summary
from refsim.cases import gradient_sizes
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.models.lif.adjoint import ModelBar
from refsim.network.network import Network
from refsim.validate import vector

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Parameters:
    """A number for every continuous parameter: a gradient, or a direction.

    Attributes
    ----------
    weight, delay : (S,)
        For each synapse, in the order of the network.
    tau_m, v_th, v_reset, v_rest, i_ext, t_ref, v0 : (n,)
        For each neuron.
    tau : (K,)
        For each time constant of the ports; a double_exp has rise, then decay.
    input_times : (I,)
        For each input spike, in the order given.

    A gradient of which only a part was asked for has None in place of the rest.
    """

    weight: Vector
    delay: Vector
    tau_m: Vector
    tau: Vector
    v_th: Vector
    v_reset: Vector
    v_rest: Vector
    i_ext: Vector
    t_ref: Vector
    v0: Vector
    input_times: Vector

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {values.shape}" for name, values in self.items())
        return f"<Parameters: {sizes}>"

    def items(self) -> Iterator[tuple[str, Vector]]:
        """Iterate over (name, values), without what is None."""
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        return ((name, values) for name, values in pairs if values is not None)

    def only(self, names: Collection[str]) -> Parameters:
        """Return these parameters with None for those that are not among ``names``."""
        kept: dict[str, Any] = {field.name: None for field in fields(self)}
        kept |= {name: values for name, values in self.items() if name in names}
        return Parameters(**kept)

    def dot(self, other: Parameters) -> float:
        """Return the inner product with ``other``, a gradient or direction of the same network.

        What one of the two lacks has to be zero in the other.
        """
        if not isinstance(other, Parameters):
            raise InvalidTypeError(f"other is a {type(other).__name__}; expected Parameters")
        return float(sum(self._dot_of(other, field.name) for field in fields(self)))

    def _dot_of(self, other: Parameters, name: str) -> float:
        """Return the part of the inner product that one name has."""
        ours, theirs = getattr(self, name), getattr(other, name)
        if ours is None or theirs is None:
            known = theirs if ours is None else ours
            if known is not None and np.any(known):
                lacking = "self" if ours is None else "other"
                raise InvalidValueError(
                    f"{name} is missing in {lacking}, and not zero; expected the same parameters "
                    "in both, see wrt"
                )
            return 0.0
        if np.shape(ours) != np.shape(theirs):
            raise InvalidValueError(
                f"other.{name} has shape {np.shape(theirs)}; expected {np.shape(ours)}"
            )
        return float(np.dot(ours, theirs))


class Outcome(NamedTuple):
    """What a backward pass has found."""

    model_bar: ModelBar
    weight: Vector  # (S,) in the order of the network
    delay: Vector | None  # (S,) None if it was not wanted
    spike_bar: Vector  # (k,) total dL/d(spike time)
    input_bar: Vector  # in order of time
    dropped: int = 0  # cotangents that were lost
    bound: float = math.inf  # no entry of weight and delay is larger


class Tangents(NamedTuple):
    """Tangents of the outputs of a simulation."""

    time: Vector  # (k,) of the spike times
    voltage: Vector  # (V,) of the sampled voltages

    def __repr__(self) -> str:
        return summary(self)


class Cotangents(NamedTuple):
    """Cotangents of the outputs of a simulation; None stands for zeros."""

    time: ArrayLike | None = None  # (k,) dL/d(spike time)
    voltage: ArrayLike | None = None  # (V,) dL/d(sampled voltage)

    def __repr__(self) -> str:
        return summary(self)


def as_cotangents(bars: Any) -> Cotangents:
    """Return what a loss gives as cotangents."""
    if not isinstance(bars, tuple):
        return Cotangents(time=bars)
    if len(bars) != 2:
        raise InvalidValueError(
            f"cotangents of the loss is a tuple of {len(bars)}; expected "
            "(dL/d spike times, dL/d voltages), or an array dL/d(spike times)"
        )
    return Cotangents(*bars)


def as_parameters(name: str, given: Any, network: Network, n_input_spikes: int) -> Parameters:
    """Return ``given``, Parameters or a mapping of some of them, with zeros for the others."""
    sizes = gradient_sizes(network, n_input_spikes)
    if isinstance(given, Parameters):
        given = dict(given.items())
    if not isinstance(given, Mapping):
        raise InvalidTypeError(
            f"{name} is a {type(given).__name__}; expected Parameters or a mapping of names to "
            "arrays"
        )
    for key in given:
        if key not in sizes:
            raise InvalidTypeError(
                f"{name} has the key {key!r}; expected names among {', '.join(sizes)}"
            )
    return Parameters(
        **{key: vector(f"{name}[{key!r}]", given.get(key, 0.0), n) for key, n in sizes.items()}
    )
