"""Helpers that connect groups of neurons and input channels.

Sources are numbered neurons first, then input channels: channel c of a network of n neurons is
source n + c.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refsim.errors import InvalidValueError
from refsim.network.synapses import Synapses, checked_columns, of_columns
from refsim.validate import (
    LARGEST_INT,
    MOST,
    as_array,
    boolean,
    generator,
    indices,
    integer,
    members,
    scalar,
    shown,
    vector,
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
    sources = as_array("pre", pre, "integers")
    targets = as_array("post", post, "integers")
    size = max((array.size for array in (sources, targets) if array.ndim), default=1)
    return Synapses(
        pre if sources.ndim == 1 else indices("pre", pre, size, LARGEST_INT),
        post,
        weight,
        delay,
        port,
    )


def _group(name: str, given: Any) -> NDArray[np.int64]:
    """Return indices; a count k stands for 0 to k - 1."""
    array = as_array(name, given, "integers")
    if array.ndim == 0:
        return np.arange(integer(name, given, 0, MOST))
    return indices(name, array, None, LARGEST_INT)


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
    integer("number of pairs of pre and post", len(sources) * len(targets), 0, MOST)
    rows, columns = np.indices(shape).reshape(2, -1)
    keep = np.ones(rows.shape, dtype=bool)
    if not boolean("autapses", autapses):
        keep = sources[rows] != targets[columns]

    def chosen(name: str, value: Any) -> Any:
        array = as_array(name, value, "real numbers")
        if array.ndim < 2:
            return value
        if array.shape != shape:
            raise InvalidValueError(f"{name} has shape {array.shape}; expected {shape}")
        return array.reshape(-1)[keep]

    return Synapses(
        sources[rows][keep],
        targets[columns][keep],
        chosen("weight", weight),
        chosen("delay", delay),
        port,
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
    rng: int | np.random.Generator | None = None,
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
    rng : int or numpy.random.Generator, optional
        Source of randomness: a seed, a generator, or by default another one at each call.
    """
    sources = _group("pre", pre)
    targets = _group("post", post)
    source = generator(rng)
    with_autapses = boolean("autapses", autapses)
    if (in_degree is None) == (probability is None):
        raise InvalidValueError(
            f"in_degree is {shown(in_degree)} and probability is {shown(probability)}; "
            "expected exactly one of them"
        )
    if probability is not None:
        share = scalar("probability", probability, 0.0, 1.0)
        found, reached = _chosen_pairs(source, sources, targets, share, with_autapses)
    else:
        found, reached = _fixed_in_degree(source, sources, targets, in_degree, with_autapses)
    given = {"weight": weight, "delay": delay, "port": port}
    return of_columns({"pre": found, "post": reached} | checked_columns(given, len(found)))


def _narrow(numbers: NDArray[np.int64]) -> NDArray[np.integer]:
    """Return indices in 32 bits if they fit."""
    fits = len(numbers) == 0 or numbers.max() <= MOST
    return numbers.astype(np.int32) if fits else numbers


def _fixed_in_degree(
    rng: np.random.Generator,
    sources: NDArray[np.int64],
    targets: NDArray[np.int64],
    in_degree: Any,
    autapses: bool,
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    from refsim.network.sampling import barred_sources, fixed_in_degree

    degree = integer("in_degree", in_degree, 0, len(sources))
    barred = barred_sources(sources, targets, autapses)
    most_barred = int((barred[2] - barred[1]).max(initial=0))
    integer("in_degree", in_degree, 0, len(sources) - most_barred)
    integer("number of synapses", len(targets) * degree, 0, MOST)
    found = fixed_in_degree(rng, degree, _narrow(sources), barred)
    return found, np.repeat(_narrow(targets), degree)


def _chosen_pairs(
    rng: np.random.Generator,
    sources: NDArray[Any],
    targets: NDArray[Any],
    share: float,
    autapses: bool,
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    from refsim.network.sampling import independent_pairs

    sources, targets = _narrow(sources), _narrow(targets)
    parts = [(sources[:0], targets[:0])]
    for pairs in independent_pairs(rng, share, len(targets) * len(sources)):
        rows = pairs // len(sources)
        found, reached = sources[pairs - rows * len(sources)], targets[rows]
        keep = slice(None) if autapses else found != reached
        parts.append((found[keep], reached[keep]))
    found, reached = (np.concatenate(column) for column in zip(*parts, strict=True))
    return found, reached


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
    given = members("sizes", sizes, "integers")
    counts = [integer(f"sizes[{i}]", size, 1, MOST) for i, size in enumerate(given)]
    if len(counts) < 2:
        raise InvalidValueError(f"sizes is {shown(given)}; expected two layers or more")
    n_neurons = sum(counts[1:])
    layers = [n_neurons + np.arange(counts[0])]
    first = 0
    for count in counts[1:]:
        layers.append(first + np.arange(count))
        first += count

    def of_pair(name: str, value: Any, i: int) -> Any:
        if not isinstance(value, list | tuple):
            if as_array(name, value, "real numbers").ndim == 0:
                return value
            value = np.asarray(value)
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
    weights = _matrix("matrix", matrix)
    if weights.ndim != 2:
        raise InvalidValueError(f"matrix has shape {weights.shape}; expected two dimensions")
    pre, post, entries = _entries(weights)
    delays = _matrix("delay", delay)
    if delays.ndim == 2:
        if delays.shape != weights.shape:
            raise InvalidValueError(
                f"delay has shape {delays.shape}; expected {weights.shape}, as matrix"
            )
        delays = _delays_at(delays, pre, post)
    return Synapses(pre, post, vector("matrix", entries, None), delays, port)


def _matrix(name: str, given: Any) -> Any:
    """Return an array, or a sparse matrix whose entries lie in the order of rows, each once."""
    from scipy import sparse

    if not sparse.issparse(given):
        return as_array(name, given, "real numbers")
    if given.ndim != 2:
        return given
    rows = given.tocsr(copy=True)
    rows.sum_duplicates()
    return rows.tocoo()


def _entries(matrix: Any) -> tuple[Any, Any, Any]:
    """Return rows, columns and values of what a matrix from :func:`_matrix` stores."""
    if not isinstance(matrix, np.ndarray):
        return matrix.row.astype(np.int64), matrix.col.astype(np.int64), matrix.data
    rows, columns = np.nonzero(matrix)
    return rows, columns, matrix[rows, columns]


def _delays_at(delays: Any, pre: Any, post: Any) -> Any:
    """Return the entries of a matrix of delays, which must store one for each synapse."""
    if isinstance(delays, np.ndarray):
        return delays[pre, post]
    rows, columns, values = _entries(delays)
    if not (np.array_equal(rows, pre) and np.array_equal(columns, post)):
        raise InvalidValueError(
            f"delay stores {len(rows)} entries; expected one at each of the {len(pre)} places "
            "where matrix has one"
        )
    return values
