"""Networks of layers: what is connected to what, compiled to one Network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.names import Wrt
from adjoint.pullback import checked_names
from adjoint.training.initial import Active, Balanced, Initial, Layer, drawn, peak_of
from adjoint.types import Parameters
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.network.network import Network
from refsim.network.parameters import NAMES, OF_NEURONS, OF_SYNAPSES
from refsim.network.ports import ExpPort, Port
from refsim.network.synapses import Synapses
from refsim.validate import (
    LONGEST,
    ReadOnlyArrays,
    boolean,
    generator,
    integer,
    members,
    shown,
    vector,
)

Array = NDArray[Any]

_ACTIVE, _BALANCED = Active(), Balanced()


@dataclass(frozen=True, eq=False)
class Dense:
    """A layer of neurons, each of which hears all members of the layer before.

    Parameters
    ----------
    n_in, n_out : int
        Members of the layer before (or input channels), and neurons.
    weight, delay : distribution or (n_in * n_out,) float
        Of the synapses, those of one source next to each other: a number, an array, or one of
        ``Active``, ``Balanced``, ``Normal`` and ``Uniform``. Delays in ms.
    port : int
        Port that the synapses lead to.
    recurrent : bool
        Whether neurons of the layer also hear each other, and themselves.
    recurrent_weight, recurrent_delay : distribution or (n_out * n_out,) float
        Of these synapses.
    tau_m, v_rest, v_th, v_reset, i_ext, t_ref, v0 : float or (n_out,) float
        Of the neurons, as for :class:`refsim.Network`.
    """

    n_in: int
    n_out: int
    weight: Initial | ArrayLike = _ACTIVE
    delay: Initial | ArrayLike = 0.0
    port: int = 0
    recurrent: bool = False
    recurrent_weight: Initial | ArrayLike = _BALANCED
    recurrent_delay: Initial | ArrayLike = 1.0
    tau_m: ArrayLike = 20.0
    v_rest: ArrayLike = 0.0
    v_th: ArrayLike = 1.0
    v_reset: ArrayLike | None = None
    i_ext: ArrayLike = 0.0
    t_ref: ArrayLike = 0.0
    v0: ArrayLike | None = None

    def __post_init__(self) -> None:
        for name in ("n_in", "n_out"):
            integer(name, getattr(self, name), 1)
        integer("port", self.port, 0)
        boolean("recurrent", self.recurrent)

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.n_out

    def pairs(self) -> tuple[Array, Array, Array]:
        """Return source and target of each synapse, and the number of the weight that it has."""
        size = self.n_in * self.n_out
        source = np.repeat(np.arange(self.n_in), self.n_out)
        return source, np.tile(np.arange(self.n_out), self.n_in), np.arange(size)


@dataclass(frozen=True, eq=False)
class Conv2d(Dense):
    """A layer of neurons that share a kernel of weights and delays.

    Members lie by row, column and channel, the last index fastest. There is no padding.

    Parameters
    ----------
    n_in, n_out : int
        Channels of the layer before, and of this one.
    shape : (int, int)
        Rows and columns of the layer before.
    kernel : int
        Rows and columns of the kernel.
    stride : int
        Step of the kernel.
    weight, delay, port, tau_m, v_rest, v_th, v_reset, i_ext, t_ref, v0
        As for :class:`Dense`; one weight for each (row, column, channel in, channel out) of the
        kernel.
    """

    shape: tuple[int, int] = (1, 1)
    kernel: int = 3
    stride: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("stride", self.stride, 1)
        for i, side in enumerate(self.shape):
            if integer("kernel", self.kernel, 1) > integer(f"shape[{i}]", side, 1):
                raise InvalidValueError(
                    f"kernel is {self.kernel} for a shape of {self.shape}; expected one that fits"
                )
        if self.recurrent:
            raise InvalidValueError("recurrent is True; expected False for a convolution")

    @property
    def shape_out(self) -> tuple[int, int]:
        """Rows and columns of this layer."""
        rows, columns = ((side - self.kernel) // self.stride + 1 for side in self.shape)
        return rows, columns

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.shape_out[0] * self.shape_out[1] * self.n_out

    @property
    def size_in(self) -> int:
        """Number of members of the layer before."""
        return self.shape[0] * self.shape[1] * self.n_in

    def pairs(self) -> tuple[Array, Array, Array]:
        """Return source and target of each synapse, and the number of the weight that it has."""
        (rows, columns), k = self.shape_out, self.kernel
        y, x, dy, dx, a, b = np.meshgrid(
            *map(np.arange, (rows, columns, k, k, self.n_in, self.n_out)), indexing="ij"
        )
        row, column = y * self.stride + dy, x * self.stride + dx
        source = (row * self.shape[1] + column) * self.n_in + a
        target = (y * columns + x) * self.n_out + b
        number = ((dy * k + dx) * self.n_in + a) * self.n_out + b
        return source.ravel(), target.ravel(), number.ravel()


@dataclass(frozen=True, eq=False, repr=False)
class Model(ReadOnlyArrays):
    """A network, where its layers lie, and which of its parameters are one.

    Attributes
    ----------
    network : Network
        The network.
    layers : tuple of (c,) int
        Neurons of each layer.
    tied : (S,) int
        Which weight and delay each synapse has; several of a convolution have one.
    """

    network: Network
    layers: tuple[Array, ...]
    tied: Array

    @property
    def outputs(self) -> Array:
        """Neurons of the last layer."""
        return self.layers[-1]

    @property
    def hidden(self) -> Array:
        """Neurons of all layers but the last."""
        return np.concatenate([*self.layers[:-1], np.zeros(0, dtype=np.int64)])

    def __repr__(self) -> str:
        sizes = " - ".join(str(len(layer)) for layer in self.layers)
        shared = len(self.tied) - self._n_tied
        tied = f", of which {shared} share a weight with another" if shared else ""
        return f"<Model: {self.network.n_inputs} - {sizes}, {len(self.tied)} synapses{tied}>"

    @property
    def _n_tied(self) -> int:
        return int(self.tied.max(initial=-1)) + 1

    def parameters(self, wrt: Wrt | list[str]) -> dict[str, Array]:
        """Return parameters by name, those that are shared once."""
        found = {}
        for name in checked_trainable(wrt):
            given = _values(self.network, name)
            if name in OF_SYNAPSES:
                once = np.zeros(self._n_tied)
                once[self.tied] = given
                given = once
            found[name] = np.array(given)
        return found

    def gradient(self, gradient: Parameters, wrt: Wrt | list[str]) -> dict[str, Array]:
        """Return a gradient by the parameters as `parameters` returns them."""
        found = {}
        for name in checked_trainable(wrt):
            bar = np.asarray(getattr(gradient, name))
            if name in OF_SYNAPSES and self._n_tied < len(bar):
                bar = np.bincount(self.tied, bar, self._n_tied)
            found[name] = bar
        return found

    def with_parameters(self, parameters: Mapping[str, ArrayLike]) -> Model:
        """Return the model with other values of the parameters as `parameters` returns them."""
        changes: dict[str, Any] = {}
        for name, given in parameters.items():
            if name == "tau":
                changes["ports"] = _ports_with(self.network, np.asarray(given))
            elif name in OF_SYNAPSES:
                changes[name] = vector(name, given, self._n_tied)[self.tied]
            else:
                changes[name] = given
        return replace(self, network=self.network.replace(**changes))


def checked_trainable(wrt: Wrt | list[str]) -> list[str]:
    """Return names of parameters of a network, in their order."""
    names = checked_names(wrt)
    if "input_times" in names:
        raise InvalidValueError("wrt names input_times; expected parameters of the network")
    if not names:
        raise InvalidValueError("wrt is empty; expected at least one name of a parameter")
    return [name for name in NAMES if name in names]


def _values(network: Network, name: str) -> Array:
    return np.asarray(network.tau if name == "tau" else getattr(network, name))


def _ports_with(network: Network, tau: Array) -> list[Port]:
    """Return ports with other time constants."""
    parts = np.split(tau, np.cumsum([len(port.time_constants) for port in network.ports])[:-1])
    return [type(port)(*part.tolist()) for port, part in zip(network.ports, parts, strict=True)]


class Sequential:
    """Layers, one after the other.

    Parameters
    ----------
    *layers : Dense or Conv2d
        The first hears the input channels.
    ports : ExpPort or DoubleExpPort, or a sequence of these
        Ports of all neurons.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        If layers do not fit each other.
    """

    def __init__(self, *layers: Dense, ports: Port | list[Port] = ExpPort(5.0)):  # noqa: B008
        if not layers:
            raise InvalidValueError("there are no layers; expected at least one")
        for i, layer in enumerate(layers):
            if not isinstance(layer, Dense):
                raise InvalidTypeError(f"layers[{i}] is {shown(layer)}; expected Dense or Conv2d")
            if i and _size_in(layer) != layers[i - 1].size:
                raise InvalidValueError(
                    f"layers[{i}] hears {_size_in(layer)} members; expected the "
                    f"{layers[i - 1].size} of the layer before"
                )
        self.layers = layers
        one = isinstance(ports, Port)
        self.ports: list[Port] = [ports] if one else members("ports", ports, "ports")  # type: ignore[list-item]

    def __repr__(self) -> str:
        return f"<Sequential: {summary_of_sizes(self)}>"

    def build(self, rng: int | np.random.Generator | None = None) -> Model:
        """Draw parameters, and return the network.

        Parameters
        ----------
        rng : int or numpy.random.Generator, optional
            Source of randomness: a seed, a generator, or by default another one at each call.
        """
        source = generator(rng)
        total = sum(layer.size for layer in self.layers)
        first, before = 0, total  # input channels follow the neurons
        parts, tied, groups, count = [], [], [], 0
        of_neurons: dict[str, list[Array]] = {name: [] for name in OF_NEURONS}
        for layer in self.layers:
            here = np.arange(first, first + layer.size)
            groups.append(here)
            for pre, post, number, weight, delay in self._connections(layer, before, first, source):
                parts.append(Synapses(pre, post, weight[number], delay[number], layer.port))
                tied.append(number + count)
                count += len(weight)
            for name in OF_NEURONS:
                of_neurons[name].append(_of_layer(layer, name))
            before, first = first, first + layer.size
        network = Network(
            total,
            parts,
            n_inputs=_size_in(self.layers[0]),
            ports=self.ports,
            **{name: np.concatenate(values) for name, values in of_neurons.items()},
        )
        return Model(network, tuple(groups), np.concatenate(tied))

    def _connections(
        self, layer: Dense, before: int, first: int, rng: np.random.Generator
    ) -> list[tuple[Array, Array, Array, Array, Array]]:
        """Return sources, targets, numbers, weights and delays of the synapses onto a layer."""
        tau_m = float(np.mean(vector("tau_m", layer.tau_m, layer.size)))
        distance = np.mean(np.asarray(layer.v_th) - np.asarray(layer.v_rest))
        if layer.port >= len(self.ports):
            raise InvalidValueError(
                f"port is {layer.port}; expected one of the {len(self.ports)} of the network"
            )
        peak = peak_of(tau_m, self.ports[layer.port]) / float(distance)

        def of(pairs: tuple[Array, Array, Array], origin: int, weight: Any, delay: Any) -> Any:
            pre, post, number = pairs
            size = int(number.max()) + 1
            fan = Layer(int(np.bincount(post).max()), peak)
            weights = drawn("weight", weight, size, fan, rng)
            delays = vector("delay", drawn("delay", delay, size, fan, rng), size, 0.0, LONGEST)
            return pre + origin, post + first, number, weights, delays

        found = [of(layer.pairs(), before, layer.weight, layer.delay)]
        if layer.recurrent:
            within = Dense(layer.size, layer.size).pairs()
            found.append(of(within, first, layer.recurrent_weight, layer.recurrent_delay))
        return found


def _of_layer(layer: Dense, name: str) -> Array:
    """Return a parameter of the neurons of a layer; reset and start are at rest by default."""
    value = getattr(layer, name)
    return np.array(vector(name, layer.v_rest if value is None else value, layer.size))


def _size_in(layer: Dense) -> int:
    return layer.size_in if isinstance(layer, Conv2d) else layer.n_in


def summary_of_sizes(sequential: Sequential) -> str:
    """Return the sizes of the layers, from the inputs on."""
    sizes = [_size_in(sequential.layers[0]), *(layer.size for layer in sequential.layers)]
    return " - ".join(map(str, sizes))
