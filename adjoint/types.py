"""Cotangents and tangents as the user sees them, in the layout of the network."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from queues.summary import summary
from refsim.cases import gradient_sizes
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.models.lif.adjoint import ModelBar
from refsim.network.inputs import SpikeTrain
from refsim.network.network import Network
from refsim.network.parameters import NAMES, OF_NETWORK
from refsim.validate import vector as _vector

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

    Parameters are vectors: they can be added and subtracted, and multiplied and divided by numbers,
    where None is left as it is and stands for no change. A step of gradient descent is
    ``network = (Parameters.of(network) - 0.1 * gradient).to_network(network)``. They can be
    iterated as a mapping of names to arrays, and are a pytree for JAX, once that is imported.
    """

    # So that NumPy's numbers leave products with Parameters to them.
    __array_ufunc__ = None

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

    def __post_init__(self) -> None:
        if "jax" in sys.modules:  # which has nothing else that tells it of new kinds of trees
            _be_a_pytree()

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {np.shape(values)}" for name, values in self.items())
        return f"<Parameters: {sizes}>"

    @classmethod
    def of(cls, network: Network, inputs: SpikeTrain | None = None) -> Parameters:
        """Return the parameters that a network has, and the times of its input spikes."""
        known: dict[str, Any] = {name: getattr(network, name) for name in OF_NETWORK}
        known["input_times"] = None if inputs is None else inputs.times
        return cls(**known)

    def to_network(self, network: Network) -> Network:
        """Return ``network`` with these parameters in place of its own, but for those of None."""
        return network.replace(
            **{name: values for name, values in self.items() if name in OF_NETWORK}
        )

    def to_inputs(self, inputs: SpikeTrain) -> SpikeTrain:
        """Return ``inputs`` at these times, if there are any."""
        if self.input_times is None:
            return inputs
        return SpikeTrain(self.input_times, inputs.sources, inputs.n_inputs)

    def items(self) -> Iterator[tuple[str, Vector]]:
        """Iterate over (name, values), without what is None."""
        pairs = ((name, getattr(self, name)) for name in NAMES)
        return ((name, values) for name, values in pairs if values is not None)

    def keys(self) -> Iterator[str]:
        """Iterate over the names of what is not None."""
        return (name for name, _ in self.items())

    def __iter__(self) -> Iterator[str]:
        return self.keys()

    def __len__(self) -> int:
        return sum(1 for _ in self.items())

    def __getitem__(self, name: str) -> Vector:
        values = getattr(self, name, None) if name in NAMES else None
        if values is None:
            raise KeyError(f"{name!r}; expected a name among {', '.join(self)}")
        return values

    def ravel(self) -> Vector:
        """Return all that is not None in one vector, in the order of the attributes."""
        return np.concatenate([np.zeros(0), *(values for _, values in self.items())])

    def unravel(self, vector: ArrayLike) -> Parameters:
        """Return Parameters of the sizes of these with the entries of a vector; see `ravel`.

        Raises
        ------
        InvalidValueError
            If the vector has another size.
        """
        sizes = {name: len(values) for name, values in self.items()}
        given = _vector("vector", vector, sum(sizes.values()))
        ends = np.cumsum(list(sizes.values()), dtype=np.int64)
        parts = {
            name: given[end - sizes[name] : end] for name, end in zip(sizes, ends, strict=True)
        }
        return Parameters(**(_nothing() | parts))

    def __add__(self, other: Parameters) -> Parameters:
        if not isinstance(other, Parameters):
            return NotImplemented
        total: dict[str, Any] = {
            name: _sum(name, getattr(self, name), getattr(other, name)) for name in _nothing()
        }
        return Parameters(**total)

    def __sub__(self, other: Parameters) -> Parameters:
        return self + -other if isinstance(other, Parameters) else NotImplemented

    def __neg__(self) -> Parameters:
        return -1.0 * self

    def __mul__(self, factor: float) -> Parameters:
        if np.ndim(factor) != 0 or isinstance(factor, Parameters | str | bytes):
            return NotImplemented
        return Parameters(**(_nothing() | {name: factor * values for name, values in self.items()}))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Parameters:
        if np.ndim(divisor) != 0 or isinstance(divisor, Parameters | str | bytes):
            return NotImplemented
        return Parameters(
            **(_nothing() | {name: values / divisor for name, values in self.items()})
        )

    def only(self, names: Collection[str]) -> Parameters:
        """Return these parameters with None for those that are not among ``names``."""
        kept = {name: values for name, values in self.items() if name in names}
        return Parameters(**(_nothing() | kept))

    def dot(self, other: Parameters) -> float:
        """Return the inner product with ``other``, a gradient or direction of the same network.

        What one of the two lacks has to be zero in the other.
        """
        if not isinstance(other, Parameters):
            raise InvalidTypeError(f"other is a {type(other).__name__}; expected Parameters")
        return float(sum(self._dot_of(other, name) for name in NAMES))

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


def _nothing() -> dict[str, Any]:
    """Return None for all parameters, by name."""
    return dict.fromkeys(NAMES)


def _sum(name: str, ours: Vector | None, theirs: Vector | None) -> Vector | None:
    if ours is None or theirs is None:
        return theirs if ours is None else ours
    if np.shape(ours) != np.shape(theirs):
        raise InvalidValueError(
            f"{name} has the shapes {np.shape(ours)} and {np.shape(theirs)}; expected the same, "
            "of one network"
        )
    return ours + theirs


@cache
def _be_a_pytree() -> None:
    """Tell JAX, which somebody has imported, how Parameters are taken apart."""
    from jax.tree_util import GetAttrKey, register_pytree_with_keys

    register_pytree_with_keys(
        Parameters,
        lambda given: (tuple((GetAttrKey(name), getattr(given, name)) for name in NAMES), None),
        lambda _, values: Parameters(*values),
    )


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
        **{key: _vector(f"{name}[{key!r}]", given.get(key, 0.0), n) for key, n in sizes.items()}
    )
