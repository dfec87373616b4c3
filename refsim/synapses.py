"""Synapses and the helpers that build them.

Sources are numbered neurons first, then input channels: channel c of a network of n neurons is
source n + c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.validate import LARGEST, LONGEST, indices, integer, scalar, vector

_ANY = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Synapses:
    """A list of synapses; vectors of equal length, a single number is repeated.

    Parameters
    ----------
    pre, post : (S,) int
        Source and target of each synapse.
    weight : (S,) float
        Weight, in the unit of the voltage.
    delay : (S,) float
        Delay in ms, zero or more.
    port : (S,) int
        Port of the target.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        On a negative index, different lengths, a negative or unbounded delay, nan or inf.
    """

    pre: NDArray[np.int64]
    post: NDArray[np.int64]
    weight: NDArray[np.float64]
    delay: NDArray[np.float64]
    port: NDArray[np.int64] = 0  # type: ignore[assignment]

    def __post_init__(self) -> None:
        pre = indices("pre", self.pre, None, _ANY)
        size = pre.shape[0]
        checked = {
            "pre": pre,
            "post": indices("post", self.post, size, _ANY),
            "weight": vector("weight", self.weight, size, -LARGEST, LARGEST),
            "delay": vector("delay", self.delay, size, 0.0, LONGEST),
            "port": indices("port", self.port, size, _ANY),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return self.pre.shape[0]

    @staticmethod
    def concatenate(parts: Sequence[Synapses]) -> Synapses:
        """Join lists of synapses in the order given."""
        for part in parts:
            if not isinstance(part, Synapses):
                raise InvalidTypeError(
                    f"synapses holds a {type(part).__name__}; expected Synapses, as built by "
                    "connect, all_to_all, random, layered or from_matrix"
                )
        if not parts:
            return Synapses([], [], [], [], [])  # type: ignore[arg-type]
        return Synapses(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("pre", "post", "weight", "delay", "port")
            )
        )


def connect(
    pre: ArrayLike,
    post: ArrayLike,
    weight: ArrayLike = 1.0,
    delay: ArrayLike = 1.0,
    port: ArrayLike = 0,
) -> Synapses:
    """Connect ``pre[i]`` to ``post[i]``.

    Parameters
    ----------
    pre, post : int or (S,) int
        Sources and targets; a single one is repeated.
    weight, delay, port : number or (S,)
        Weight, delay in ms and port of each synapse.
    """
    size = max(np.size(pre), np.size(post)) if np.ndim(pre) or np.ndim(post) else 1
    return Synapses(
        indices("pre", pre, size, _ANY),
        post,  # type: ignore[arg-type]
        weight,  # type: ignore[arg-type]
        delay,  # type: ignore[arg-type]
        port,  # type: ignore[arg-type]
    )


def _group(name: str, members: Any) -> NDArray[np.int64]:
    """Return indices; a count k stands for 0 to k - 1."""
    if np.ndim(members) == 0:
        return np.arange(integer(name, members, 0))
    return indices(name, members, None, _ANY)


def all_to_all(
    pre: Any,
    post: Any,
    weight: ArrayLike = 1.0,
    delay: ArrayLike = 1.0,
    port: int = 0,
    autapses: bool = True,
) -> Synapses:
    """Connect every source to every target.

    Parameters
    ----------
    pre, post : int or sequence of int
        Sources and targets; a count k stands for the first k.
    weight, delay : number, (S,) or (len(pre), len(post))
        Weight and delay in ms.
    port : int
        Port of the targets.
    autapses : bool
        Whether a neuron may connect to itself. Without them, a matrix keeps its entries off
        the pairs of equal index.
    """
    sources = _group("pre", pre)
    targets = _group("post", post)
    shape = (len(sources), len(targets))
    rows, columns = np.indices(shape).reshape(2, -1)
    keep = np.ones(rows.shape, dtype=bool) if autapses else sources[rows] != targets[columns]

    def chosen(name: str, value: ArrayLike) -> Any:
        array = np.asarray(value)
        if array.ndim == 2:
            if array.shape != shape:
                raise InvalidValueError(f"{name} has shape {array.shape}; expected {shape}")
            return array.reshape(-1)[keep]
        return value

    return Synapses(
        sources[rows][keep],
        targets[columns][keep],
        chosen("weight", weight),
        chosen("delay", delay),
        port,  # type: ignore[arg-type]
    )


def random(
    pre: Any,
    post: Any,
    *,
    in_degree: int | None = None,
    probability: float | None = None,
    weight: ArrayLike = 1.0,
    delay: ArrayLike = 1.0,
    port: int = 0,
    autapses: bool = False,
    seed: int | np.random.Generator = 0,
) -> Synapses:
    """Connect at random, with a fixed in-degree or with a probability for each pair.

    Parameters
    ----------
    pre, post : int or sequence of int
        Sources and targets; a count k stands for the first k.
    in_degree : int, optional
        Number of different sources of each target.
    probability : float, optional
        Probability of each pair. Exactly one of the two is given.
    weight, delay : number or (S,)
        Weight and delay in ms.
    port : int
        Port of the targets.
    autapses : bool
        Whether a neuron may connect to itself.
    seed : int or numpy.random.Generator
        Source of randomness.
    """
    sources = _group("pre", pre)
    targets = _group("post", post)
    rng = np.random.default_rng(seed)
    if (in_degree is None) == (probability is None):
        raise InvalidValueError(
            f"in_degree is {in_degree} and probability is {probability}; "
            "expected exactly one of them"
        )
    chosen = []
    for target in targets:
        candidates = sources if autapses else sources[sources != target]
        if in_degree is not None:
            degree = integer("in_degree", in_degree, 0, len(candidates))
            chosen.append(rng.choice(candidates, degree, replace=False))
        else:
            share = scalar("probability", probability, 0.0, 1.0)
            chosen.append(candidates[rng.random(len(candidates)) < share])
    lengths = [len(part) for part in chosen]
    found = np.concatenate(chosen) if chosen else np.zeros(0, dtype=np.int64)
    return Synapses(found, np.repeat(targets, lengths), weight, delay, port)  # type: ignore[arg-type]


def layered(
    sizes: Sequence[int],
    weight: ArrayLike | Sequence[ArrayLike] = 1.0,
    delay: ArrayLike | Sequence[ArrayLike] = 1.0,
    port: int = 0,
) -> Synapses:
    """Connect layers in a row, each to the next, all to all.

    Parameters
    ----------
    sizes : sequence of int
        ``sizes[0]`` input channels, then the neurons of each layer, numbered through.
    weight, delay : number, or a sequence of one number or matrix for each pair of layers
        Weight and delay in ms.
    port : int
        Port of the targets.
    """
    counts = [integer(f"sizes[{i}]", size, 1) for i, size in enumerate(sizes)]
    if len(counts) < 2:
        raise InvalidValueError(f"sizes is {list(sizes)}; expected two layers or more")
    n_neurons = sum(counts[1:])
    layers = [n_neurons + np.arange(counts[0])]
    first = 0
    for count in counts[1:]:
        layers.append(first + np.arange(count))
        first += count

    def of_pair(name: str, value: Any, i: int) -> Any:
        if np.isscalar(value) or np.ndim(value) == 0:
            return value
        if len(value) != len(counts) - 1:
            raise InvalidValueError(
                f"{name} has {len(value)} entries; expected one for each of the "
                f"{len(counts) - 1} pairs of layers"
            )
        return value[i]

    return Synapses.concatenate(
        [
            all_to_all(
                layers[i],
                layers[i + 1],
                of_pair("weight", weight, i),
                of_pair("delay", delay, i),
                port,
            )
            for i in range(len(layers) - 1)
        ]
    )


def from_matrix(matrix: Any, delay: ArrayLike = 1.0, port: int = 0) -> Synapses:
    """Make a synapse of every stored entry of a weight matrix.

    Parameters
    ----------
    matrix : SciPy sparse array or matrix, or (sources, neurons) array
        Weight from source (row) to target (column). A dense array gives a synapse for each entry
        that is not zero; a sparse one for each entry that it stores.
    delay : number, (S,) in the order of rows, or a matrix of the same layout
        Delay in ms.
    port : int
        Port of the targets.
    """
    from scipy import sparse

    if sparse.issparse(matrix):
        entries = matrix.tocsr().tocoo()
        pre, post, weight = entries.row, entries.col, entries.data
    else:
        dense = np.asarray(matrix)
        if dense.ndim != 2:
            raise InvalidValueError(f"matrix has shape {dense.shape}; expected two dimensions")
        pre, post = np.nonzero(dense)
        weight = dense[pre, post]
    if sparse.issparse(delay):
        delay = np.asarray(delay.tocsr()[pre, post]).reshape(-1)
    elif np.ndim(delay) == 2:
        delay = np.asarray(delay)[pre, post]
    return Synapses(
        np.asarray(pre, dtype=np.int64),
        np.asarray(post, dtype=np.int64),
        weight,
        delay,  # type: ignore[arg-type]
        port,  # type: ignore[arg-type]
    )
