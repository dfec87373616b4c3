"""Losses of simulations: readouts of spikes and voltages, and what is wanted of them."""

from adjoint.losses.base import Loss, NoGradientWarning, Readout, WeightedSum
from adjoint.losses.distances import VanRossum, VictorPurpura
from adjoint.losses.evaluate import value_and_grad
from adjoint.losses.objectives import Band, CrossEntropy, EarlyLabel, Margin, MeanSquare
from adjoint.losses.silent import Increase, KeepAlive, WeightIncrease
from adjoint.losses.spike_prices import EarlySpikes, LateSpikes
from adjoint.losses.spike_times import (
    EndOfTrial,
    EqualPull,
    IntervalRate,
    SpikeCount,
    SpikeTime,
    SpikeTimes,
)
from adjoint.losses.voltage_points import VoltageIntegral, VoltageMaximum
from adjoint.losses.voltages import Voltage, Voltages, without_threshold

__all__ = [
    "Band",
    "CrossEntropy",
    "EarlyLabel",
    "EarlySpikes",
    "EndOfTrial",
    "EqualPull",
    "Increase",
    "IntervalRate",
    "KeepAlive",
    "LateSpikes",
    "Loss",
    "Margin",
    "MeanSquare",
    "NoGradientWarning",
    "Readout",
    "SpikeCount",
    "SpikeTime",
    "SpikeTimes",
    "VanRossum",
    "VictorPurpura",
    "Voltage",
    "VoltageIntegral",
    "VoltageMaximum",
    "Voltages",
    "WeightIncrease",
    "WeightedSum",
    "value_and_grad",
    "without_threshold",
]
