"""Synapses: a row each as given, or packed, 10 to 20 bytes each, as large networks are simulated.

Sources are numbered neurons first, then input channels: channel c of a network of n neurons is
source n + c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from queues.summary import span
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.network.parameters import PARAMETERS
from refsim.network.rows import check_weight, ports, wire, wiring_of
from refsim.types import Rows, Wiring
from refsim.validate import (
    LARGEST_INT,
    MOST,
    ReadOnlyArrays,
    check_indices,
    frozen,
    indices,
    integer,
    members,
    vector,
)


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Synapses(ReadOnlyArrays):
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

    Attributes
    ----------
    pre, post, weight, delay, port : (S,)
        Read-only arrays. Indices are of int64, or of int32 if given so.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        On a negative index, different lengths, a negative or unbounded delay, nan or inf.
    """

    pre: NDArray[np.integer]
    post: NDArray[np.integer]
    weight: NDArray[np.float64]
    delay: NDArray[np.float64]
    port: NDArray[np.integer]

    def __repr__(self) -> str:
        if not len(self):
            return "<Synapses: none>"
        ranges = ", ".join(f"{name} {span(column)}" for name, column in vars(self).items())
        return f"<Synapses: {len(self)}, {ranges}>"

    def __init__(
        self,
        pre: ArrayLike,
        post: ArrayLike,
        weight: ArrayLike,
        delay: ArrayLike,
        port: ArrayLike = 0,
    ):
        sources = indices("pre", pre, None, LARGEST_INT, spread=True)
        given = {"post": post, "weight": weight, "delay": delay, "port": port}
        self._set(pre=sources, **checked_columns(given, len(sources)))

    def _set(self, **columns: NDArray[Any]) -> Synapses:
        for name, column in columns.items():
            object.__setattr__(self, name, frozen(column))
        return self

    def __len__(self) -> int:
        return self.pre.shape[0]

    def __getstate__(self) -> dict[str, NDArray[Any]]:
        """Return the columns, and of one number that is repeated only the first."""
        return {name: col[:1] if _is_spread(col) else col for name, col in vars(self).items()}

    def __setstate__(self, state: dict[str, NDArray[Any]]) -> None:
        size = len(state["pre"])
        self._set(
            **{
                name: col if len(col) == size else np.broadcast_to(col, size)
                for name, col in state.items()
            }
        )

    def changed(self, changes: dict[str, Any]) -> Synapses:
        """Return synapses with some columns changed; the others are shared."""
        if "pre" in changes:  # and with it perhaps the number of synapses
            return Synapses(**(vars(self) | changes))
        return of_columns(vars(self) | checked_columns(changes, len(self)))

    def packed(
        self, n_neurons: int, n_inputs: int = 0, weight_dtype: DTypeLike = np.float64
    ) -> PackedSynapses:
        """Return these synapses sorted, in a tenth to a third of the memory that the list may take.

        Parameters
        ----------
        n_neurons, n_inputs : int
            Sizes of the network that they are for.
        weight_dtype : float64 or float32
            Type that holds the weights; what is computed with them is float64 all the same.

        Returns
        -------
        PackedSynapses
            To be given to ``Network(n_neurons, packed, n_inputs)``, with the order that its
            weights and gradients have.

        Raises
        ------
        InvalidValueError, InvalidTypeError
            On a source or target outside the network, or a weight too large for float32.
        """
        from refsim.network.rows import pack

        n = integer("n_neurons", n_neurons, 1, MOST)
        m = integer("n_inputs", n_inputs, 0, MOST)
        check_sources(self.pre, n, m)
        check_indices("post", self.post, n)
        return PackedSynapses._of(pack(n, n + m, self, weight_dtype)[0])

    @staticmethod
    def concatenate(parts: Sequence[Synapses]) -> Synapses:
        """Join lists of synapses in the order given."""
        parts = members("synapses", parts, "Synapses")
        for part in parts:
            if not isinstance(part, Synapses):
                raise InvalidTypeError(
                    f"synapses holds a {type(part).__name__}; expected Synapses, as built by "
                    "connect, all_to_all, random, layered or from_matrix; packed ones are packed "
                    "once they are joined: Synapses.concatenate(parts).packed(n_neurons)"
                )
        if not parts:
            return Synapses([], [], [], [], [])
        return of_columns(
            {name: _joined([getattr(part, name) for part in parts]) for name in vars(parts[0])}
        )


def check_sources(pre: NDArray[np.integer], n_neurons: int, n_inputs: int) -> None:
    """Check that sources are neurons or input channels."""
    if pre.size and pre.max() >= n_neurons + n_inputs:
        i = int(np.flatnonzero(pre >= n_neurons + n_inputs)[0])
        raise InvalidValueError(
            f"pre[{i}] is {pre[i]}; expected a source from 0 to {n_neurons + n_inputs - 1}: "
            f"n_neurons is {n_neurons} and n_inputs is {n_inputs}, and input channels are the "
            "sources that follow the neurons. If there are channels, their number has to be given "
            f"as n_inputs: at least {int(pre.max()) - n_neurons + 1}"
        )


def of_columns(columns: dict[str, NDArray[Any]]) -> Synapses:
    """Return synapses that hold columns known to be in range, without a copy."""
    return Synapses.__new__(Synapses)._set(**columns)


def checked_columns(given: dict[str, Any], size: int) -> dict[str, NDArray[Any]]:
    """Return columns but for pre, read-only copies of what was given."""
    columns: dict[str, NDArray[Any]] = {}
    for name, value in given.items():
        if isinstance(value, np.ndarray) and _is_spread(value) and len(value) == size:
            value = value[0]
        if name in ("post", "port"):
            columns[name] = indices(name, value, size, LARGEST_INT, spread=True)
        else:
            columns[name] = vector(name, value, size, *PARAMETERS[name].domain, spread=True)
    return columns


def _is_spread(column: NDArray[Any]) -> bool:
    """Return whether a column repeats one number that it holds once."""
    return column.strides == (0,) and len(column) > 1


def _joined(columns: list[NDArray[Any]]) -> NDArray[Any]:
    """Return columns one after the other; one number that all of them repeat stays one."""
    filled = [column for column in columns if len(column)]
    if filled and all(_is_spread(column) and column[0] == filled[0][0] for column in filled):
        return np.broadcast_to(filled[0][0], sum(map(len, filled)))
    return np.concatenate(columns)


@dataclass(frozen=True, eq=False, init=False, repr=False)
class PackedSynapses(ReadOnlyArrays):
    """Synapses sorted and packed for a number of neurons and input channels.

    Made by :meth:`Synapses.packed`. Sorted by source, block of targets, delay and target; the
    weights of a network of packed synapses, and gradients by them, have this order too.

    Attributes
    ----------
    rows : Rows
        What is held: read-only arrays, as the kernels of the window engine take them.
    pre, post, weight, delay, port : (S,)
        Columns as in :class:`Synapses`, made anew each time if rows hold them in another form.
    """

    rows: Rows

    def __init__(self, *_: Any, **__: Any):
        raise InvalidTypeError("PackedSynapses cannot be made directly; expected Synapses.packed")

    @staticmethod
    def _of(rows: Rows) -> PackedSynapses:
        made = PackedSynapses.__new__(PackedSynapses)
        object.__setattr__(made, "rows", rows)
        return made

    def __len__(self) -> int:
        return len(self.rows.post)

    def __repr__(self) -> str:
        return (
            f"<PackedSynapses: {len(self)} synapses of {self.n_neurons} neurons and "
            f"{self.n_inputs} inputs, {self.nbytes} bytes>"
        )

    @property
    def nbytes(self) -> int:
        """Memory that all arrays take together, in bytes."""
        return sum(array.nbytes for array in self.rows)

    @property
    def n_neurons(self) -> int:
        """Number of neurons of the network."""
        return int(self.rows.edge[-1])

    @property
    def n_inputs(self) -> int:
        """Number of input channels of the network."""
        return len(self._first) - 1 - self.n_neurons

    @property
    def _first(self) -> NDArray[np.int64]:
        """First synapse of each source, and the number of all."""
        return self.rows.start[:: len(self.rows.edge) - 1]

    @property
    def pre(self) -> NDArray[np.int64]:
        """(S,) source of each synapse."""
        first = self._first
        return frozen(np.repeat(np.arange(len(first) - 1), np.diff(first)))

    @property
    def post(self) -> NDArray[np.int64]:
        """(S,) target of each synapse."""
        return frozen(self.rows.post.astype(np.int64))

    @property
    def weight(self) -> NDArray[np.float64]:
        """(S,) weight of each synapse."""
        return frozen(self.rows.weight.astype(np.float64, copy=False))

    @property
    def delay(self) -> NDArray[np.float64]:
        """(S,) delay of each synapse in ms."""
        delay, group = self.rows.delay, self.rows.group
        if len(group):
            return frozen(delay[group])
        return np.broadcast_to(delay, len(self)) if len(self) else delay

    @property
    def port(self) -> NDArray[np.int64]:
        """(S,) port of each synapse."""
        if len(self.rows.port):
            return frozen(self.rows.port.astype(np.int64))
        return np.broadcast_to(self.rows.only_port, len(self))

    def wiring(self) -> Wiring:
        """Return the synapses as the event engine takes them."""
        if len(self.rows.edge) == 2 or len(self.rows.delay) == 1:  # in the same order already
            number = np.arange(len(self), dtype=np.int32)
            return wiring_of(self, self._first.copy(), number)
        return wire(self.n_neurons, len(self._first) - 1, self)

    def unpacked(self) -> Synapses:
        """Return the list of these synapses, in this order."""
        return Synapses(self.pre, self.post, self.weight, self.delay, self.port)

    def changed(self, changes: dict[str, Any]) -> PackedSynapses:
        """Return synapses with some columns changed: in the same order, or sorted anew.

        They keep their order if sources, targets and delays stay.
        """
        dtype = self.rows.weight.dtype
        if not changes.keys() <= {"weight", "port"}:
            listed = self.unpacked().changed(changes)
            return listed.packed(self.n_neurons, self.n_inputs, dtype)
        rows = self.rows
        if "weight" in changes:
            weight = vector("weight", changes["weight"], len(self))
            check_weight(weight, dtype)
            rows = rows._replace(weight=frozen(weight.astype(dtype, copy=False)))
        if "port" in changes:
            port = indices("port", changes["port"], len(self), LARGEST_INT)
            rows = rows._replace(**ports(port))
        return self._of(rows)
