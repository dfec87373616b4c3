"""Packed synapses: 10 to 20 bytes each, in the order in which large networks are simulated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from refsim.errors import InvalidTypeError
from refsim.network.rows import check_weight, ports, wire, wiring_of
from refsim.types import Rows, Wiring
from refsim.validate import LARGEST_INT, ReadOnlyArrays, frozen, indices, vector

if TYPE_CHECKING:
    from refsim.network.synapses import Synapses


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
        from refsim.network.synapses import Synapses

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
