"""Cotangents and tangents as the user sees them, in the layout of the network."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refsim.cases import gradient_sizes
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.network import Network
from refsim.validate import vector

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Parameters:
    """A number for every continuous parameter: a gradient, or a direction.

    In a gradient by some parameters only, the others are None.

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
        """Iterate over (name, values) of the parameters that are there."""
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        return ((name, values) for name, values in pairs if values is not None)

    def dot(self, other: Parameters) -> float:
        """Return the inner product with ``other``, a gradient or direction of the same network.

        What one of them lacks, the other must lack too, or have zeros.
        """
        if not isinstance(other, Parameters):
            raise InvalidTypeError(f"other is a {type(other).__name__}; expected Parameters")
        mine, theirs = dict(self.items()), dict(other.items())
        for name in mine.keys() ^ theirs.keys():
            if np.any(mine.get(name, theirs.get(name))):
                raise InvalidValueError(
                    f"{name} is missing in {'self' if name in theirs else 'other'}, and not zero "
                    f"in the other; expected a gradient with wrt that has {name!r}"
                )
        shared = [name for name in mine if name in theirs]
        for name in shared:
            if np.shape(mine[name]) != np.shape(theirs[name]):
                raise InvalidValueError(
                    f"other.{name} has shape {np.shape(theirs[name])}; "
                    f"expected {np.shape(mine[name])}"
                )
        return float(sum(np.dot(mine[name], theirs[name]) for name in shared))


class Tangents(NamedTuple):
    """Tangents of the outputs of a simulation."""

    time: Vector  # (k,) of the spike times
    voltage: Vector  # (V,) of the sampled voltages


class Cotangents(NamedTuple):
    """Cotangents of the outputs of a simulation; None stands for zeros."""

    time: ArrayLike | None = None  # (k,) dL/d(spike time)
    voltage: ArrayLike | None = None  # (V,) dL/d(sampled voltage)


def checked_names(wrt: Any) -> tuple[str, ...]:
    """Return the names of parameters in ``wrt``, one of them or several; None stands for all."""
    known = tuple(field.name for field in fields(Parameters))
    if wrt is None:
        return known
    names = (wrt,) if isinstance(wrt, str) else wrt
    if not isinstance(names, Collection) or isinstance(names, Mapping | np.ndarray):
        raise InvalidTypeError(
            f"wrt is a {type(wrt).__name__}; expected names of parameters, or None for all"
        )
    for name in names:
        if name not in known:
            raise InvalidValueError(f"wrt has {name!r}; expected names among {', '.join(known)}")
    return tuple(name for name in known if name in names)


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
