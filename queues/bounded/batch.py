"""Thousands of independent bounded queues in the same arrays, pushed and polled together."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from queues.bounded import bit_array, dispatch as bounded_dispatch
from queues.bounded.dispatch import BOUNDED, OF_STEPS, BitArrayQueues, checked_capacity, empty
from queues.compiled.jit import by_type, kernel
from queues.errors import (
    HorizonError,
    ItemError,
    QueueError,
    QueueTypeError,
    checked_count,
    checked_finite,
    checked_step,
)
from queues.exact.chains import NONE
from queues.names import BoundedName
from queues.summary import summary

_LARGEST = np.iinfo(np.int64).max


class Popped(NamedTuple):
    """Entries that a poll has found, by number of their queue; one a queue at most."""

    queue: NDArray[np.int64]  # (k,)
    time: NDArray[np.float64]  # (k,) ms, or steps
    payload: NDArray[np.int64]  # (k,)
    order: NDArray[np.int64]  # (k,) number of pushes to the batch before that of the entry
    tangent: NDArray[np.float64]  # (k,)

    def __repr__(self) -> str:
        return summary(self)


@kernel
def push_all(queues, queue, time, first_order, payload, tangent, lost):
    """Push the columns one after another; write the order of what each push loses, or -1."""
    for i in range(queue.size):
        order = first_order + i
        lost[i] = bounded_dispatch.push(queues, queue[i], time[i], order, payload[i], tangent[i])


@by_type
def _copy_entry(arrays: type) -> Any:
    """Write the row of (queues, q, row) as the k-th entry of the columns."""
    if arrays is BitArrayQueues:

        def copy_step(queues, q, row, popped, k):
            popped.time[k] = bit_array.step(queues.queues, q, row)

        return copy_step

    def copy(queues, q, row, popped, k):
        rows = queues.queues
        popped.time[k] = rows.time[row]
        popped.payload[k] = rows.payload[row]
        popped.order[k] = rows.order[row]
        popped.tangent[k] = rows.tangent[row]

    return copy


@kernel
def poll_all(queues, n, now, popped):
    """Take what is due at ``now`` out of each queue; return the number of entries."""
    k = np.int64(0)
    for q in range(n):
        row = bounded_dispatch.due(queues, q, now)
        if row != NONE:
            popped.queue[k] = q
            _copy_entry(queues, q, row, popped, k)
            bounded_dispatch.take(queues, q, row)
            k += 1
    return k


class Batch:
    """``n`` independent bounded queues of one structure, such as one for each synapse.

    Parameters
    ----------
    structure
        One of `queues.bounded.dispatch.BOUNDED`: "null", "single_spike", "single_spike_keep",
        "bounded_fifo", "bounded_sorted_array", "bounded_heap", and for times that are whole
        numbers of steps "lossy_ring" and "bit_array". Each drops entries as its class does.
    n
        Number of queues, at least 1.
    capacity
        Of each queue, where the structure has one; of "bit_array" 32 or 64.

    Examples
    --------
    >>> from queues import Batch
    >>> batch = Batch("single_spike", 1000)
    >>> batch.push([7, 8, 7], [1.0, 1.0, 2.0])  # the third overwrites the first
    array([-1, -1,  0])
    >>> batch.pop_due(1.5).queue
    array([8])
    """

    def __init__(self, structure: BoundedName, n: int, capacity: int | None = None) -> None:
        if structure not in BOUNDED:
            raise QueueError(f"structure = {structure!r}; expected one of {', '.join(BOUNDED)}")
        self.structure = structure
        self._n = checked_count("n", n, 1)
        self._capacity = checked_capacity(structure, capacity)
        self._queues = empty(structure, self._n, self._capacity)
        self._pushes = 0

    @property
    def dropped(self) -> NDArray[np.int64]:
        """Number of entries that each queue (n,) has dropped."""
        return np.array(self._queues.queues.dropped)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of entries in each queue (n,)."""
        arrays = self._queues.queues
        if self.structure == "bit_array":
            return np.array([int(bits).bit_count() for bits in arrays.bits])
        return np.array(arrays.size)

    def push(
        self,
        queue: ArrayLike,
        time: ArrayLike,
        payload: ArrayLike = 0,
        tangent: ArrayLike = 0.0,
    ) -> NDArray[np.int64]:
        """Push many entries, in the order given.

        Parameters
        ----------
        queue : (k,) int
            Numbers of the queues, 0 to n - 1.
        time : (k,) float
            In ms, finite; whole numbers of steps where the structure asks for them.
        payload : (k,) int
            Any integers of 64 bits; they come back with the entries.
        tangent : (k,) float
            Derivatives of the times.

        Returns
        -------
        (k,) int
            Order of the entry that each push has dropped, its own or an older one; -1 for none.
            The order of the i-th entry is the number of pushes to the batch before this call, + i.

        Raises
        ------
        QueueError
            If an argument is outside its domain; no queue has changed then.
        """
        where = self._checked("queue", queue, None, "iu")
        size = len(where)
        if size and not (where.min() >= 0 and where.max() < self._n):
            raise ItemError(f"queue has numbers outside 0 to {self._n - 1}; expected none")
        times = self._checked_times(self._checked("time", time, size, "iuf"), where)
        payloads = self._checked("payload", payload, size, "iu")
        tangents = self._checked("tangent", tangent, size, "iuf")
        if self.structure == "bit_array" and (payloads.any() or tangents.any()):
            raise QueueError("payload or tangent is not 0; a bit keeps neither")
        lost = np.empty(size, dtype=np.int64)
        push_all(self._queues, where, times, np.int64(self._pushes), payloads, tangents, lost)
        self._pushes += size
        return lost

    def pop_due(self, now: float) -> Popped:
        """Poll every queue at time ``now``; remove and return the entries that are due.

        A queue gives one entry at most, by the rule of its structure.
        """
        check = checked_step if self.structure in OF_STEPS else checked_finite
        time = float(check("now", now))
        n = self._n
        order = np.full(n, NONE)
        ints = np.zeros((2, n), dtype=np.int64)
        found = Popped(ints[0], np.zeros(n), ints[1], order, np.zeros(n))
        k = poll_all(self._queues, n, time, found)
        return Popped._make(column[:k] for column in found)

    def clear(self) -> None:
        """Remove all entries; orders and drops keep counting, and the windows of bits stay."""
        arrays = self._queues.queues
        dropped = arrays.dropped.copy()
        fresh = empty(self.structure, self._n, self._capacity).queues
        for column, value in zip(arrays, fresh, strict=True):
            if self.structure != "bit_array" or column is not arrays.now:
                column[:] = value
        arrays.dropped[:] = dropped

    def _checked(self, name: str, values: Any, size: int | None, kinds: str) -> NDArray[Any]:
        """Return a vector; one value stands for all of ``size``."""
        if isinstance(values, np.ma.MaskedArray):
            raise QueueTypeError(f"{name} is a masked array; expected one without a mask")
        array = np.asarray(values)
        if array.dtype == np.uint64 and array.size and array.max() > _LARGEST:
            raise QueueError(f"{name} has {array.max()}; expected integers of 64 bits")
        if array.ndim == 0 and size is not None:
            array = np.full(size, array)
        if array.ndim != 1 or (size is not None and len(array) != size):
            wanted = "a vector" if size is None else f"({size},) or a single number"
            raise QueueError(f"{name} has shape {array.shape}; expected {wanted}")
        if array.size and array.dtype.kind not in kinds:
            expected = "integers" if kinds == "iu" else "real numbers"
            raise QueueTypeError(f"{name} has dtype {array.dtype}; expected {expected}")
        dtype = np.int64 if kinds == "iu" else np.float64
        column = array.astype(dtype)
        if not np.isfinite(column).all():
            raise QueueError(f"{name} has nan or inf; expected finite numbers")
        return column

    def _checked_times(
        self, times: NDArray[np.float64], where: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        if self.structure not in OF_STEPS:
            return times
        bad = np.flatnonzero((times != np.floor(times)) | (np.abs(times) >= 2.0**53))
        if bad.size:
            i = int(bad[0])
            raise QueueError(f"time[{i}] = {times[i]!r}; expected a whole number of steps")
        if self.structure == "bit_array":
            now = self._queues.queues.now[where]
            bad = np.flatnonzero((times < now) | (times >= now + self._capacity))
            if bad.size:
                i = int(bad[0])
                raise HorizonError(
                    f"time[{i}] = {times[i]!r}; expected a step from {now[i]} to "
                    f"{now[i] + self._capacity - 1}"
                )
        return times

    def __len__(self) -> int:
        return self._n

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._n} queues, {self.structure}>"
