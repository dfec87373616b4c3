"""The vector-Jacobian product of a finished batch.

Samples share the parameters, and their gradients are added: those of a group one after the other in
order of the samples, and then the sums of the groups, in order too. How the samples are grouped
depends on their number alone, so that the result does not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.names import Reduction, Wrt
from adjoint.pullback import check_finite, checked_names
from adjoint.types import Parameters
from refsim.cases import gradient_sizes
from refsim.errors import InvalidValueError, UndefinedGradientError
from refsim.results.batch import BatchResult
from refsim.threads import Tasks, share_out
from refsim.validate import choice, members, vector

_MOST_GROUPS = 64  # whose sums are held; no more threads than that have work

Vector = NDArray[np.float64]


class BatchPullback:
    """Vector-Jacobian product of a finished batch; made by :func:`vjp_batch`.

    Attributes
    ----------
    dropped : int
        Number of cotangents that the last call dropped; 0 but for a lossy backward pass.
    """

    def __init__(self, batch: BatchResult, threads: int):
        self._batch = batch
        self._threads = threads
        self.dropped = 0

    def __repr__(self) -> str:
        return f"<BatchPullback of {self._batch!r}>"

    def __call__(
        self,
        time_bars: Sequence[ArrayLike | None] | Vector | float | None = None,
        voltage_bars: Sequence[ArrayLike | None] | Vector | float | None = None,
        reduce: Reduction | None = "sum",
        wrt: Wrt | None = None,
    ) -> Any:
        """Return the gradient of a loss with these cotangents of spike times and voltages.

        Parameters
        ----------
        time_bars : sequence of (k,) float, or (K,) float, or float, optional
            dL/d(spike time) of each sample, None for zeros; or one flat array for the spikes of all
            samples in the order of ``batch.spikes``; or one number for all of them.
        voltage_bars : sequence of (V,) float, or flat, or float, optional
            dL/d(sampled voltage) in the same way.
        reduce : {"sum", "mean"} or None
            What to do with the gradients of the samples; with None they are returned one by one.
        wrt : str or sequence of str, optional
            Names of the parameters wanted, all of them by default, as for the pullback of `vjp`.

        Returns
        -------
        Parameters, or list of Parameters
            In a sum or mean ``input_times`` holds the input spikes of all samples; those of sample
            i begin at ``batch.input_start[i]``.
        """
        batch, size = self._batch, len(self._batch)
        if reduce is not None:
            choice("reduce", reduce, ("sum", "mean"))
        wanted = checked_names(wrt)
        spike_bar = joined_bars("time_bars", time_bars, batch.spike_start)
        sample_bar = joined_bars("voltage_bars", voltage_bars, batch.voltage_start)
        group = 1 if reduce is None else -(-size // _MOST_GROUPS)
        sums, input_bar = self._group_sums(spike_bar, sample_bar, group, wanted)
        if reduce is None:
            parts = np.split(input_bar, batch.input_start[1:-1])
            pairs = zip(sums, parts, strict=True)
            return [self._parameters(*pair).only(wanted) for pair in pairs]
        total = sums[0].copy()
        for row in sums[1:]:
            total += row
        if reduce == "mean":
            total /= size
            input_bar /= size
        result = self._parameters(total, input_bar).only(wanted)
        check_finite("gradient", result.items())
        return result

    def _group_sums(
        self, spike_bar: Vector, sample_bar: Vector, group: int, wanted: set[str]
    ) -> tuple[Vector, Vector]:
        """Return the sum of the gradients of each group, a row each, and that by input times.

        What is not wanted need not be there.
        """
        raise NotImplementedError

    def _parameters(self, row: Vector, input_bar: Vector) -> Parameters:
        """Return a gradient that is laid out as a row of the sums."""
        raise NotImplementedError


class SinglePullback(BatchPullback):
    """A pullback of which each sample is one of its own, for all engines and queues."""

    def __init__(self, batch: BatchResult, threads: int, pullbacks: list[Any]):
        super().__init__(batch, threads)
        self._pullbacks = pullbacks
        sizes = gradient_sizes(batch.network, 0)
        del sizes["input_times"]
        self._sizes = sizes

    def _parameters(self, row: Vector, input_bar: Vector) -> Parameters:
        parts = np.split(row, np.cumsum(list(self._sizes.values()))[:-1])
        named = dict(zip(self._sizes, parts, strict=True))
        return Parameters(**named, input_times=input_bar)

    def _group_sums(
        self, spike_bar: Vector, sample_bar: Vector, group: int, wanted: set[str]
    ) -> tuple[Vector, Vector]:
        batch, size = self._batch, len(self._batch)
        sums = np.zeros((-(-size // group), sum(self._sizes.values())))
        input_bars = np.split(np.zeros(batch.input_start[-1]), batch.input_start[1:-1])
        time_bars = np.split(spike_bar, batch.spike_start[1:-1])
        voltage_bars = np.split(sample_bar, batch.voltage_start[1:-1])

        names: Any = list(wanted)

        def body(tasks: Tasks) -> None:
            for task in tasks:
                for i in range(task * group, min((task + 1) * group, size)):
                    if tasks.stopped:
                        return
                    with of_sample(i):
                        found = self._pullbacks[i](time_bars[i], voltage_bars[i], names)
                    if found.input_times is not None:
                        input_bars[i][:] = found.input_times
                    row = self._row(found)
                    sums[task] = row if i == task * group else sums[task] + row

        share_out(len(sums), self._threads, body)
        self.dropped = sum(pullback.dropped for pullback in self._pullbacks)
        return sums, np.concatenate(input_bars)

    def _row(self, found: Parameters) -> Vector:
        """Return a gradient as a row of the sums, with zeros for what it does not have."""
        parts = ((getattr(found, name), size) for name, size in self._sizes.items())
        return np.concatenate([np.zeros(size) if part is None else part for part, size in parts])


def joined_bars(name: str, bars: Any, start: NDArray[np.int64]) -> Vector:
    """Return cotangents of all samples end to end, in an array of their own."""
    if bars is None:
        return np.zeros(start[-1])
    if isinstance(bars, Number) or (isinstance(bars, np.ndarray) and bars.ndim == 0):
        return np.array(vector(name, bars, int(start[-1])))
    if isinstance(bars, np.ndarray) and bars.ndim == 1 and bars.dtype.kind != "O":
        return np.array(vector(name, bars, int(start[-1])))
    rows = members(name, bars, "arrays, one for each sample")
    if len(rows) != len(start) - 1:
        raise InvalidValueError(
            f"{name} has {len(rows)} members; expected one for each of the {len(start) - 1} samples"
        )
    pairs = enumerate(zip(rows, np.diff(start), strict=True))
    return np.concatenate(
        [vector(f"{name}[{i}]", 0.0 if row is None else row, int(k)) for i, (row, k) in pairs]
    )


@contextmanager
def of_sample(i: int) -> Iterator[None]:
    """Let an error of a gradient say which sample it is of."""
    try:
        yield
    except UndefinedGradientError as error:
        raise UndefinedGradientError(f"inputs[{i}]: {error}") from None
