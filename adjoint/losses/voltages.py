"""Readouts of voltages: at a time, at the peak, mean and weighted integral.

Each reads samples of the simulation, and its derivative is that by these samples. Which ones it
needs, ``samples`` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from adjoint.losses.base import Reading, Readout
from adjoint.losses.quadrature import nodes_of
from adjoint.losses.runs import Array, Runs, checked_neurons, lacks_samples
from adjoint.types import Cotangents
from refsim.errors import InvalidTypeError
from refsim.network.network import Network
from refsim.results.peaks import voltage_peaks
from refsim.results.simulation import Simulation
from refsim.validate import LARGEST, LONGEST, boolean, indices, scalar


def without_threshold(network: Network, neurons: ArrayLike) -> Network:
    """Return a network some of whose neurons are leaky readouts: they never spike.

    Their threshold is as high as a number may be. What is exact in a voltage stays so: it is
    measured from the drive.

    Parameters
    ----------
    network : Network
        A network.
    neurons : (c,) int
        The readouts.
    """
    chosen = indices("neurons", np.atleast_1d(np.asarray(neurons)), None, network.n_neurons)
    v_th = np.array(network.v_th)
    v_th[chosen] = LARGEST
    return network.replace(v_th=v_th)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class _OfNeurons(Readout):
    """A voltage of each of some neurons."""

    neurons: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (c,)."""
        return (len(self.neurons),)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Voltage(_OfNeurons):
    """The voltage of each of some neurons at one time, (c,): by default at the end.

    Parameters
    ----------
    neurons : (c,) int
        Neurons, each once.
    time : float, optional
        Time in ms; the end of the simulation by default.
    """

    time: float | None

    def __init__(self, neurons: ArrayLike, time: float | None = None):
        when = None if time is None else scalar("time", time, 0.0, LONGEST)
        self._hold(neurons=checked_neurons(neurons), time=when)

    def samples(self, duration: float, run: Simulation | None = None) -> tuple[Array, Array]:
        """Return a sample of each neuron."""
        time = float(duration) if self.time is None else self.time
        return self.neurons, np.full(len(self.neurons), time)

    def read(self, runs: Runs) -> Reading:
        """Return the voltages, and the way back to their samples."""
        when = runs.duration if self.time is None else np.full(runs.size, self.time)
        rows = runs.sample_rows(self.neurons, when)

        def back(bar: Array) -> Cotangents:
            voltage_bar = np.zeros(len(runs.voltage))
            voltage_bar[rows] = bar
            return Cotangents(voltage=voltage_bar)

        return Reading(runs.voltage[rows], np.ones(rows.shape, bool), back)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class VoltageMaximum(_OfNeurons):
    """The highest voltage of each of some neurons, (c,), its peak over the whole run.

    The peak is found in closed form between the events of the neuron. Where the voltage turns, or
    at the ends of the run, its derivative is that of a sample at this time, and exact. At an
    inhibitory arrival that cuts a rise off, what moves the arrival moves the peak too; this part is
    not in the derivative, and `vjp` warns of the sample that coincides with an arrival. A neuron
    that fires has the peak v_th, without derivative.

    Parameters
    ----------
    neurons : (c,) int
        Neurons, each once.
    """

    looks_first: ClassVar[bool] = True

    def __init__(self, neurons: ArrayLike):
        self._hold(neurons=checked_neurons(neurons))

    def samples(self, duration: float, run: Simulation | None = None) -> tuple[Array, Array]:
        """Return the peak of each neuron that does not fire."""
        silent = np.setdiff1d(self.neurons, checked_run(self, run).spikes.neuron)
        peaks = voltage_peaks(checked_run(self, run), silent)
        return peaks.neuron, peaks.time

    def read(self, runs: Runs) -> Reading:
        """Return the highest sample of each neuron, and the way back to it."""
        shape = runs.size, len(self.neurons)
        value = np.broadcast_to(runs.network.v_th[self.neurons], shape).copy()
        rows = np.full(shape, -1)
        _, fired = runs.spikes_of(self.neurons)
        is_silent = np.bincount(fired, minlength=shape[0] * shape[1]).reshape(shape) == 0
        column = runs.columns(self.neurons)[runs.sample_neuron]
        chosen = np.flatnonzero(column >= 0)
        chosen = chosen[np.argsort(runs.voltage[chosen], kind="stable")]  # the highest comes last
        rows[runs.sample_run[chosen], column[chosen]] = chosen
        lacking = np.argwhere(is_silent & (rows < 0))
        if len(lacking):
            raise lacks_samples(f"neuron {self.neurons[lacking[0, 1]]} at its peak")
        value[is_silent] = runs.voltage[rows[is_silent]]

        def back(bar: Array) -> Cotangents:
            voltage_bar = np.zeros(len(runs.voltage))
            voltage_bar[rows[is_silent]] = np.broadcast_to(bar, shape)[is_silent]
            return Cotangents(voltage=voltage_bar)

        return Reading(value, is_silent, back)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class VoltageIntegral(_OfNeurons):
    """A weighted integral of the voltage of each of some neurons over the run, (c,).

    With T the end of the run it is 1/tau times the integral of exp(-t/tau) V(t) (``early``), or of
    exp(-(T - t)/tau) V(t). Without tau it is the mean of the voltage.

    Between its events a voltage is a sum of exponentials. It is integrated by the rule of Gauss and
    Legendre with 10 points on pieces no longer than the shortest time constant, whose error is
    smaller than rounding. Its derivative is that by these points, and at a spike, where the voltage
    jumps from v_th to v_reset, that by the spike's time. Needs 10 samples for each event of a
    neuron, and more in silence: a readout of a few neurons.

    Parameters
    ----------
    neurons : (c,) int
        Neurons, each once.
    tau : float, optional
        Time constant of the weight in ms.
    early : bool
        Whether what is early counts more, or what is late.
    """

    looks_first: ClassVar[bool] = True

    tau: float | None
    early: bool

    def __init__(self, neurons: ArrayLike, tau: float | None = None, early: bool = False):
        checked = None if tau is None else scalar("tau", tau, 1e-9, LONGEST)
        self._hold(neurons=checked_neurons(neurons), tau=checked, early=boolean("early", early))

    def samples(self, duration: float, run: Simulation | None = None) -> tuple[Array, Array]:
        """Return the points of the quadrature."""
        nodes = nodes_of(checked_run(self, run), self.neurons, self.tau)
        return nodes.neuron, nodes.time

    def _weight(self, time: Array, duration: Array | float) -> Array:
        if self.tau is None:
            return np.ones(len(time)) / duration
        return np.exp(-(time if self.early else duration - time) / self.tau) / self.tau

    def read(self, runs: Runs) -> Reading:
        """Return the integrals, and the way back to their points and to spikes."""
        shape = runs.size, len(self.neurons)
        cells, rows, weights = [], [], []
        place = runs.columns(self.neurons)
        start = np.searchsorted(runs.sample_run, np.arange(runs.size + 1))
        for i, run in enumerate(runs.simulations):
            nodes = nodes_of(run, self.neurons, self.tau)
            part = slice(start[i], start[i + 1])
            rows.append(start[i] + _rows_of_nodes(nodes.neuron, nodes.time, runs, part))
            cells.append(i * shape[1] + place[nodes.neuron])
            weights.append(nodes.weight * self._weight(nodes.time, run.duration))
        cell, row, weight = map(np.concatenate, (cells, rows, weights))
        value = np.bincount(cell, weight * runs.voltage[row], shape[0] * shape[1])
        fired, fired_cell = runs.spikes_of(self.neurons)
        n = runs.neuron[fired]
        jump = (runs.network.v_th - runs.network.v_reset)[n]
        jump *= self._weight(runs.time[fired], runs.duration[runs.run[fired]])

        def back(bar: Array) -> Cotangents:
            flat = bar.reshape(-1)
            voltage_bar, time_bar = np.zeros(len(runs.voltage)), np.zeros(len(runs.time))
            np.add.at(voltage_bar, row, weight * flat[cell])
            time_bar[fired] = jump * flat[fired_cell]
            return Cotangents(time_bar, voltage_bar)

        return Reading(value.reshape(shape), np.ones(shape, bool), back)


def checked_run(readout: Readout, run: Simulation | None) -> Simulation:
    """Return the simulation that a readout has to look at."""
    if run is None:
        raise InvalidTypeError(
            f"run is None; expected a simulation, since the samples of {readout!r} depend on it"
        )
    return run


def _rows_of_nodes(neuron: Array, time: Array, runs: Runs, part: slice) -> Array:
    """Return where the samples of a run, in ``part``, have these points."""
    known = np.rec.fromarrays([runs.sample_neuron[part], runs.sample_time[part]])
    wanted = np.rec.fromarrays([neuron, time])
    order = np.argsort(known)
    place = np.searchsorted(known, wanted, sorter=order)
    found = order[np.minimum(place, len(order) - 1)] if len(order) else np.zeros(len(wanted), int)
    if len(wanted) and (not len(order) or np.any(known[found] != wanted)):
        raise lacks_samples(f"neuron {neuron[0]} at the points of an integral")
    return found
