"""What losses read: one simulation, or the samples of a batch, end to end in flat arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.network.network import Network
from refsim.results.batch import BatchResult
from refsim.results.result import Result
from refsim.results.simulation import Simulation
from refsim.validate import LARGEST_INT, frozen, indices, integer

Array = NDArray[Any]

_ROUNDED = 1e-9  # of a time, by which rounding may have moved it


class Runs(NamedTuple):
    """B runs of one network, one after the other; a single simulation is one of them."""

    network: Network
    duration: Array  # (B,) ms
    time: Array  # (k,) ms, of all spikes, in each run sorted by (time, neuron)
    neuron: Array  # (k,)
    run: Array  # (k,) which run a spike belongs to
    voltage: Array  # (V,) of all samples
    sample_neuron: Array  # (V,)
    sample_time: Array  # (V,) ms
    sample_run: Array  # (V,)
    number: int | None  # which sample of a batch a single run is, where that was said
    result: Result | BatchResult

    @classmethod
    def of(cls, given: Any, number: Any = None) -> Runs:
        """Return the runs of a Simulation or BatchResult.

        Parameters
        ----------
        given : Simulation or BatchResult
            The result.
        number : int, optional
            Number of a single simulation in the batch that targets are for.
        """
        if isinstance(given, Result):
            which = None if number is None else integer("number", number, 0)
            duration = np.array([given.duration])
            run = np.zeros(given.n_spikes, np.int64)
            sample_run = np.zeros(len(given.samples), np.int64)
            neurons, times = given.samples.neurons, given.samples.times
        elif isinstance(given, BatchResult) and number is None:
            which, duration, run = None, given.durations, given.sample_of_spike
            sample_run = np.repeat(np.arange(len(given)), np.diff(given.voltage_start))
            neurons = np.concatenate([one.neurons for one in given.samples])
            times = np.concatenate([one.times for one in given.samples])
        else:
            raise InvalidTypeError(
                f"a loss was called with a {type(given).__name__}; expected a Simulation, and its "
                "number in the batch where targets are those of a batch, or a BatchResult"
            )
        spikes, read = (given.spikes.time, given.spikes.neuron, run), (neurons, times, sample_run)
        return cls(given.network, duration, *spikes, given.voltages, *read, which, given)

    @property
    def size(self) -> int:
        """Number of runs."""
        return len(self.duration)

    @property
    def simulations(self) -> Iterator[Simulation]:
        """Each run by itself, which must be exact: its voltage is replayed from its events."""
        given = list(self.result) if isinstance(self.result, BatchResult) else [self.result]
        for one in given:
            if not isinstance(one, Simulation):
                raise InvalidTypeError(
                    f"the peak or integral of a voltage is asked of a {type(one).__name__}; "
                    "expected engine=Events() or Windows()"
                )
            yield one

    def columns(self, neurons: Array) -> Array:
        """Return the place of each neuron of the network among ``neurons``, -1 for the others."""
        indices("neurons", neurons, None, self.network.n_neurons)
        column = np.full(self.network.n_neurons, -1)
        column[neurons] = np.arange(len(neurons))
        return column

    def spikes_of(self, neurons: Array) -> tuple[Array, Array]:
        """Return the rows of the spikes of some neurons by run, neuron and time, and their cells.

        Cell r * len(neurons) + i is that of ``neurons[i]`` in run r.
        """
        column = self.columns(neurons)[self.neuron]
        row = np.flatnonzero(column >= 0)
        cell = self.run[row] * len(neurons) + column[row]
        order = np.argsort(cell, kind="stable")
        return row[order], cell[order]

    def first_rows(self, neurons: Array, count: int) -> Array:
        """Return the rows (B, c, count) of the first spikes of neurons, -1 where there is none."""
        row, cell = self.spikes_of(neurons)
        n_cells = self.size * len(neurons)
        start = np.searchsorted(cell, np.arange(n_cells))
        rank = np.arange(len(row)) - start[cell]
        is_first = rank < count
        found = np.full((n_cells, count), -1)
        found[cell[is_first], rank[is_first]] = row[is_first]
        return found.reshape(self.size, len(neurons), count)

    def rows_at(self, run: int, neurons: Array, times: Array) -> Array:
        """Return the rows of the samples of a run that are of these neurons and times.

        Times that depend on spikes may differ in their last bits from those that were read: the
        window engine rounds otherwise with samples than without.
        """
        first, last = np.searchsorted(self.sample_run, [run, run + 1])
        order = first + np.lexsort((self.sample_time[first:last], self.sample_neuron[first:last]))
        known = pairs(self.sample_neuron[order], self.sample_time[order])
        place = np.searchsorted(known, pairs(neurons, times))
        # One more stands for none: that before the first, and that after the last.
        order, read = np.append(order, -1), np.append(self.sample_time, np.nan)
        of = np.append(self.sample_neuron, -1)
        row, distance = np.full(len(times), -1), np.full(len(times), np.inf)
        for candidate in (order[place - 1], order[place]):
            apart = np.where(of[candidate] == neurons, np.abs(read[candidate] - times), np.inf)
            row = np.where(apart < distance, candidate, row)
            distance = np.minimum(apart, distance)
        lacking = np.flatnonzero(distance > _ROUNDED * (1.0 + times))
        if lacking.size:
            i = int(lacking[0])
            raise InvalidValueError(
                f"samples has none of neuron {neurons[i]} at {times[i]:.17g} ms; expected "
                "samples=loss.samples(duration, run), or adjoint.losses.value_and_grad, which "
                "takes those that a loss needs"
            )
        return row

    def of_each(self, name: str, values: Array, ndim: int) -> Array:
        """Return what a target says of each run, (B, ...).

        Parameters
        ----------
        name : str
            Name of the argument, for messages.
        values : array
            Of ``ndim`` dimensions, the same for all runs; or of one more, a row for each sample.
        ndim : int
            Number of dimensions of the target of one run.
        """
        if values.ndim == ndim:
            return np.broadcast_to(values, (self.size, *values.shape))
        return values[self.rows_of(name, len(values))]

    def rows_of(self, name: str, size: int) -> Array:
        """Return which of the ``size`` targets of a batch are those of these runs."""
        if self.number is not None:
            if self.number >= size:
                raise InvalidValueError(
                    f"number is {self.number}, and {name} is for {size} samples; expected less"
                )
            return np.array([self.number])
        if size != self.size:
            raise InvalidValueError(
                f"{name} is for {size} samples; expected {self.size}, as many as there are runs"
            )
        return np.arange(size)


def pairs(neurons: Array, times: Array) -> Array:
    """Return neurons and times as one number each: NumPy orders complex ones by real part first."""
    return neurons + 1j * times


def checked_neurons(value: ArrayLike) -> Array:
    """Return the neurons that a readout is of, each once, at least one."""
    neurons = indices("neurons", np.atleast_1d(np.asarray(value)), None, LARGEST_INT)
    if not len(neurons):
        raise InvalidValueError("neurons is empty; expected at least one neuron")
    distinct, counts = np.unique(neurons, return_counts=True)
    if len(distinct) < len(neurons):
        raise InvalidValueError(
            f"neurons has {distinct[np.argmax(counts)]} more than once; expected each once"
        )
    return frozen(neurons)
