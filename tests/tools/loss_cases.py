"""Losses of every kind, for the network and the inputs of quotients.py."""

import numpy as np

import refsim
from adjoint.losses import (
    Band,
    CrossEntropy,
    EarlyLabel,
    EarlySpikes,
    IntervalRate,
    KeepAlive,
    LateSpikes,
    Margin,
    MeanSquare,
    SpikeTime,
    SpikeTimes,
    VanRossum,
    VictorPurpura,
    Voltage,
    VoltageIntegral,
    VoltageMaximum,
    Voltages,
)

DURATION = 30.0
OUTPUTS = [3, 4, 5]
LABELS = [0, 2, 1, 1]


def trains(seed=0):
    """Return a train for each output and sample; one is empty."""
    rng = np.random.default_rng(seed)
    counts = [[3, 0, 8], [7, 1, 2], [4, 4, 4], [2, 6, 5]]
    return [
        refsim.SpikeTrain.from_lists([np.sort(rng.uniform(2.0, 28.0, k)) for k in row])
        for row in counts
    ]


def of_batches():
    """Return losses with other targets for each of four samples."""
    rng = np.random.default_rng(1)
    first = SpikeTime(OUTPUTS)
    return [
        CrossEntropy(first, LABELS, 2.0),
        CrossEntropy(IntervalRate(OUTPUTS), LABELS, 100.0),
        Margin(first, LABELS, 5.0),
        EarlyLabel(first, LABELS, 10.0),
        MeanSquare(first, rng.uniform(2.0, 20.0, (4, 3))),
        MeanSquare(SpikeTime(OUTPUTS, k=3), rng.uniform(2.0, 20.0, (4, 3))),
        MeanSquare(SpikeTimes(OUTPUTS, 4), rng.uniform(2.0, 20.0, (4, 3, 4))),
        VanRossum(OUTPUTS, trains(), 4.0),
        VictorPurpura(OUTPUTS, trains(), 0.3),
    ]


def of_all():
    """Return losses that are the same for all samples."""
    return [
        MeanSquare(SpikeTimes([5, 3], 2), 12.0),
        Band(IntervalRate(OUTPUTS), low=1000.0),
        Band(SpikeTime(OUTPUTS), 6.0, 9.0),
        EarlySpikes([0, 1, 2], 8.0),
        LateSpikes(OUTPUTS, 10.0),
        VanRossum([4], [[5.0, 11.0]], 4.0),
        VictorPurpura([4, 3], [[5.0, 11.0], []], 0.1),
    ]


def everything():
    parts = [*of_batches(), *of_all()]
    return [*parts, parts[0] + 0.1 * parts[7] - parts[2] * 2.0]


def of_voltages():
    """Return losses of readouts without threshold."""
    return [
        CrossEntropy(Voltage(OUTPUTS), LABELS, 0.2),
        CrossEntropy(Voltage([5, 3], time=12.0), [0, 1, 1, 0], 0.2),
        Margin(VoltageMaximum(OUTPUTS), LABELS, 9.0),
        CrossEntropy(VoltageMaximum(OUTPUTS), LABELS, 0.3),
        CrossEntropy(VoltageIntegral(OUTPUTS), LABELS, 0.3),
        MeanSquare(VoltageIntegral([4, 3, 5], tau=7.0), 1.0),
        MeanSquare(VoltageIntegral(OUTPUTS, tau=7.0, early=True), 2.0),
        MeanSquare(Voltages([3, 5, 3, 3], [20.0, 9.0, 4.5, 20.0]), [[0.0, 1.0, 2.0, 3.0]] * 4),
        KeepAlive(OUTPUTS, level=9.0),
    ]
