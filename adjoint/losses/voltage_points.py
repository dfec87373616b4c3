"""Readouts of whole voltages, by points at which they are read: peaks and integrals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from adjoint.losses.base import Reading
from adjoint.losses.quadrature import Nodes, nodes_of
from adjoint.losses.runs import Array, Runs, checked_neurons
from adjoint.losses.voltages import OfNeurons
from adjoint.types import Cotangents
from refsim.errors import InvalidTypeError
from refsim.results.peaks import voltage_peaks
from refsim.results.simulation import Simulation
from refsim.validate import LONGEST, boolean, scalar

_BESIDE = 16.0  # ulps from an arrival to a sample before or after it, more than times are rounded


@dataclass(frozen=True, eq=False, repr=False, init=False)
class _OfPoints(OfNeurons):
    """A weighted sum of the voltages of each neuron at points that depend on the run."""

    looks_first: ClassVar[bool] = True

    def _nodes(self, run: Simulation) -> Nodes:
        """Return the points and weights of a run."""
        raise NotImplementedError

    def samples(self, duration: float, run: Simulation | None = None) -> tuple[Array, Array]:
        """Return the points at which voltages are read."""
        if run is None:
            raise InvalidTypeError(
                f"run is None; expected a simulation, since the samples of {self!r} depend on it"
            )
        nodes = self._nodes(run)
        return nodes.neuron, nodes.time

    def _read_points(self, runs: Runs) -> Reading:
        """Return the sums, and the way back to their points."""
        shape = runs.size, len(self.neurons)
        column = runs.columns(self.neurons)
        nodes = [self._nodes(run) for run in runs.simulations]
        row = np.concatenate([runs.rows_at(i, *one[:2]) for i, one in enumerate(nodes)])
        cell = np.concatenate([i * shape[1] + column[one.neuron] for i, one in enumerate(nodes)])
        weight = np.concatenate([one.weight for one in nodes])
        value = np.bincount(cell, weight * runs.voltage[row], shape[0] * shape[1])

        def back(bar: Array) -> Cotangents:
            voltage_bar = np.zeros(len(runs.voltage))
            np.add.at(voltage_bar, row, weight * np.broadcast_to(bar, shape).ravel()[cell])
            return Cotangents(voltage=voltage_bar)

        return Reading(value.reshape(shape), np.ones(shape, bool), back)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class VoltageMaximum(_OfPoints):
    """The highest voltage of each of some neurons, (c,), its peak over the whole run.

    The peak is found in closed form between the events of a neuron. Where the voltage turns, or at
    an end of the run, its derivative is that of the voltage at this time. Where an inhibitory
    arrival cuts a rise off, the peak V(t_a) moves with the arrival. With the derivatives before
    and after it at fixed times, V_p(-) - V_p(+) = (V'(+) - V'(-)) dt_a/dp, so that

        d max V/dp = V_p(-) + V'(-) dt_a/dp = (V'(-) V_p(+) - V'(+) V_p(-))/(V'(-) - V'(+)),

    a weighted mean of two samples, a few ulps before and after. A neuron that fires has the peak
    v_th, without derivative.

    Parameters
    ----------
    neurons : (c,) int
        Neurons, each once.
    """

    def __init__(self, neurons: ArrayLike):
        self._hold(neurons=checked_neurons(neurons))

    def _nodes(self, run: Simulation) -> Nodes:
        silent = np.setdiff1d(self.neurons, run.spikes.neuron)
        time, neuron, _, before, after = voltage_peaks(run, silent)
        cut = np.flatnonzero((before > 0.0) & (after < 0.0))
        share = before[cut] / (before[cut] - after[cut])
        beside = _BESIDE * np.spacing(time[cut])
        later = np.minimum(time[cut] + beside, run.duration)
        weight = np.ones(len(time))
        weight[cut] -= share
        time[cut] -= beside
        return Nodes(
            np.concatenate([neuron, neuron[cut]]),
            np.concatenate([time, later]),
            np.concatenate([weight, share]),
        )

    def read(self, runs: Runs) -> Reading:
        """Return the peaks, and the way back to them."""
        value, _, back = self._read_points(runs)
        _, fired = runs.spikes_of(self.neurons)
        is_silent = np.bincount(fired, minlength=value.size).reshape(value.shape) == 0
        value = np.where(is_silent, value, runs.network.v_th[self.neurons])
        return Reading(value, is_silent, back)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class VoltageIntegral(_OfPoints):
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

    tau: float | None
    early: bool

    def __init__(self, neurons: ArrayLike, tau: float | None = None, early: bool = False):
        checked = None if tau is None else scalar("tau", tau, 1e-9, LONGEST)
        self._hold(neurons=checked_neurons(neurons), tau=checked, early=boolean("early", early))

    def _weight(self, time: Array, duration: Array | float) -> Array:
        if self.tau is None:
            return np.ones(len(time)) / duration
        return np.exp(-(time if self.early else duration - time) / self.tau) / self.tau

    def _nodes(self, run: Simulation) -> Nodes:
        nodes = nodes_of(run, self.neurons, self.tau)
        return nodes._replace(weight=nodes.weight * self._weight(nodes.time, run.duration))

    def read(self, runs: Runs) -> Reading:
        """Return the integrals, and the way back to their points and to spikes."""
        value, is_there, of_points = self._read_points(runs)
        row, cell = runs.spikes_of(self.neurons)
        jump = (runs.network.v_th - runs.network.v_reset)[runs.neuron[row]]
        jump *= self._weight(runs.time[row], runs.duration[runs.run[row]])

        def back(bar: Array) -> Cotangents:
            time_bar = np.zeros(len(runs.time))
            time_bar[row] = jump * np.broadcast_to(bar, value.shape).ravel()[cell]
            return of_points(bar)._replace(time=time_bar)

        return Reading(value, is_there, back)
