"""Readouts of voltages at given times.

Each reads samples of the simulation, and its derivative is that by these samples. Which ones it
needs, ``samples`` says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from adjoint.losses.base import Reading, Readout
from adjoint.losses.runs import Array, Runs, checked_neurons
from adjoint.types import Cotangents
from refsim.network.network import Network
from refsim.results.simulation import Simulation
from refsim.validate import LARGEST, LARGEST_INT, LONGEST, indices, scalar, vector


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
class OfNeurons(Readout):
    """A voltage of each of some neurons."""

    neurons: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (c,)."""
        return (len(self.neurons),)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Voltage(OfNeurons):
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
        when = [self.samples(end)[1] for end in runs.duration]
        rows = np.stack([runs.rows_at(i, self.neurons, time) for i, time in enumerate(when)])

        def back(bar: Array) -> Cotangents:
            voltage_bar = np.zeros(len(runs.voltage))
            voltage_bar[rows] = bar
            return Cotangents(voltage=voltage_bar)

        return Reading(runs.voltage[rows], np.ones(rows.shape, bool), back)


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Voltages(Readout):
    """Voltages at samples, (V,), as ``samples=`` of a simulation takes them.

    Parameters
    ----------
    neurons : (V,) int
        Neuron of each sample; a single one is repeated.
    times : (V,) float
        Times in ms.
    """

    neurons: Array
    times: Array

    def __init__(self, neurons: ArrayLike, times: ArrayLike):
        when = vector("times", times, None, 0.0, LONGEST)
        self._hold(neurons=indices("neurons", neurons, len(when), LARGEST_INT), times=when)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (V,)."""
        return (len(self.times),)

    def samples(self, duration: float, run: Simulation | None = None) -> tuple[Array, Array]:
        """Return the samples."""
        return self.neurons, self.times

    def read(self, runs: Runs) -> Reading:
        """Return the voltages, and the way back to their samples."""
        rows = np.stack([runs.rows_at(i, self.neurons, self.times) for i in range(runs.size)])

        def back(bar: Array) -> Cotangents:
            voltage_bar = np.zeros(len(runs.voltage))
            np.add.at(voltage_bar, rows, bar)
            return Cotangents(voltage=voltage_bar)

        return Reading(runs.voltage[rows], np.ones(rows.shape, bool), back)
