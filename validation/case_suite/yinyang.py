"""The Yin-Yang data set, and gradient cases of the network that is trained on it.

L. Kriener, J. Goeltz and M. A. Petrovici, "The Yin-Yang dataset", Neuro-Inspired Computational
Elements Conference (NICE), 2022, arXiv 2102.08211. The set is made here from its definition.

Geometry: a disc of radius 1/2 about (1/2, 1/2), with two dots of radius 1/10 whose centres halve
the horizontal radii. Write l and r for the distances of a point from the left and the right one.
Yin is the upper half of the disc, with the lobe l <= 1/4 added and the lobe r <= 1/4 taken away;
yang is the rest; both lose the dots. A half turn about the middle exchanges yin and yang.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

import refsim
from refsim.cases import Case, make_case
from refsim.validate import generator, integer, scalar, vector

YIN, YANG, DOT = 0, 1, 2
RADIUS = 0.5
DOT_RADIUS = 0.1

N_INPUTS, N_HIDDEN, N_OUTPUTS = 5, 120, 3
_DURATION = 60.0  # ms
_SAMPLES = 100  # of the data set that a case chooses from


def classify(x: ArrayLike, y: ArrayLike) -> NDArray[np.int64]:
    """Return the class of each point: YIN, YANG or DOT, and -1 outside the big disc."""
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    left = np.hypot(x - 0.5 * RADIUS, y - RADIUS)
    right = np.hypot(x - 1.5 * RADIUS, y - RADIUS)
    yin = (left <= 0.5 * RADIUS) | ((y > RADIUS) & (right > 0.5 * RADIUS))
    label = np.where(yin, YIN, YANG)
    label = np.where(np.minimum(left, right) < DOT_RADIUS, DOT, label)
    return np.where(np.hypot(x - RADIUS, y - RADIUS) > RADIUS, -1, label)


def yin_yang(
    size: int, rng: int | np.random.Generator | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw samples of the Yin-Yang data set.

    The class of a sample is drawn first, each with probability 1/3; then points of the square
    until one is of that class.

    Parameters
    ----------
    size : int
        Number of samples.
    rng : int or numpy.random.Generator, optional
        Source of randomness: a seed, a generator, or by default another one at each call.

    Returns
    -------
    values : (size, 4) float
        Rows (x, y, 1 - x, 1 - y), all in [0, 1].
    labels : (size,) int
        0 for yin, 1 for yang, 2 for dot.
    """
    source = generator(rng)
    labels = source.integers(0, 3, integer("size", size, 0))
    points = np.zeros((len(labels), 2))
    missing = np.arange(len(labels))
    while missing.size:
        drawn = source.uniform(0.0, 2.0 * RADIUS, (missing.size, 2))
        accepted = classify(drawn[:, 0], drawn[:, 1]) == labels[missing]
        points[missing[accepted]] = drawn[accepted]
        missing = missing[~accepted]
    return np.hstack([points, 1.0 - points]), labels


def to_spikes(
    values_row: ArrayLike, t_early: float = 2.0, t_late: float = 27.0, t_bias: float = 14.0
) -> refsim.SpikeTrain:
    """Encode a sample as one spike on each of five channels.

    Parameters
    ----------
    values_row : (4,) float
        Values in [0, 1]; 0 spikes at ``t_early``, 1 at ``t_late``.
    t_early, t_late : float
        Range of the spike times in ms.
    t_bias : float
        Time of the spike of the fifth channel, the same for all samples.
    """
    values = vector("values_row", values_row, 4, 0.0, 1.0)
    early = scalar("t_early", t_early, 0.0)
    late = scalar("t_late", t_late, early)
    bias = scalar("t_bias", t_bias, 0.0)
    times = np.append(early + (late - early) * values, bias)
    return refsim.SpikeTrain(times, np.arange(5), 5)


def first_spike_loss(
    simulation: refsim.Simulation,
    outputs: ArrayLike,
    label: int,
    scale: float = 2.0,
) -> tuple[float, NDArray[np.float64]]:
    r"""Return the time-to-first-spike cross entropy and its cotangents.

    With T_j the first spike of output j and y the label, the loss of J. Goeltz et al., "Fast and
    energy-efficient neuromorphic deep learning with first-spike times", Nature Machine
    Intelligence 3, 2021, without its regulariser, reads

        L = log sum_j exp(-(T_j - T_y)/scale)
        dL/dT_j = ([j = y] - p_j)/scale,    p_j = exp(-T_j/scale) / sum_i exp(-T_i/scale)

    so that the first spike of the label is drawn forwards, and the others are pushed back.

    Parameters
    ----------
    simulation : Simulation
        The result of a simulation.
    outputs : (c,) int
        Output neuron of each class; a silent one has probability 0.
    label : int
        Class wanted, whose neuron must spike.
    scale : float
        Unit of time in ms, a fraction of the synaptic time constant.

    Returns
    -------
    loss : float
        The loss.
    time_bar : (k,) float
        Its derivative by each spike time, zero but for first spikes of the outputs.
    """
    neurons = np.asarray(outputs)
    label = integer("label", label, 0, len(neurons) - 1)
    rows = [np.flatnonzero(simulation.spikes.neuron == n) for n in neurons]
    if not rows[label].size:
        raise refsim.InvalidValueError(
            f"neuron {neurons[label]} of label {label} is silent; expected a spike"
        )
    time = simulation.spikes.time
    first = np.array([time[row[0]] if row.size else np.inf for row in rows])
    logit = -(first - first[label]) / scalar("scale", scale, 0.0, strict=True)
    top = logit.max()
    log_sum = float(top + np.log(np.exp(logit - top).sum()))
    probability = np.exp(logit - log_sum)
    time_bar = np.zeros(len(time))
    for j, row in enumerate(rows):
        if row.size:
            time_bar[row[0]] = (float(j == label) - probability[j]) / scale
    return log_sum, time_bar


def yin_yang_network(rng: int | np.random.Generator | None = None) -> refsim.Network:
    """Return an untrained network of 5 inputs, 120 hidden and 3 output neurons (the last three).

    Time constants are those of T. C. Wunderlich and C. Pehle, "Event-based backpropagation can
    compute exact gradients for spiking neural networks", Scientific Reports 11, 2021: 20 ms for
    the membrane and 5 ms for the synapses. Every synapse has a delay of its own.
    """
    source = generator(rng)
    n_neurons = N_HIDDEN + N_OUTPUTS
    hidden, outputs = np.arange(N_HIDDEN), np.arange(N_HIDDEN, n_neurons)
    inputs = n_neurons + np.arange(N_INPUTS)
    shapes = [(N_INPUTS, N_HIDDEN), (N_HIDDEN, N_OUTPUTS)]
    weights = [source.normal(2.2, 1.0, shapes[0]), source.normal(0.12, 0.12, shapes[1])]
    delays = [source.uniform(0.5, 4.0, shape) for shape in shapes]
    return refsim.Network(
        n_neurons,
        refsim.Synapses.concatenate(
            [
                refsim.all_to_all(inputs, hidden, weights[0], delays[0]),
                refsim.all_to_all(hidden, outputs, weights[1], delays[1]),
            ]
        ),
        n_inputs=N_INPUTS,
        ports=(refsim.ExpPort(5.0),),
        tau_m=np.full(n_neurons, 20.0),
        v_th=np.ones(n_neurons),
    )


def yin_yang_case(seed: int = 21, sample: int = 0) -> Case:
    """Return the gradient case of one sample.

    With the default seed, the first five samples are far from a change of the spike pattern: every
    slope is above 0.06 (v_th - v_reset)/tau_m, every gap above 0.004 ms.

    Parameters
    ----------
    seed : int
        Seed of the network and of the data.
    sample : int
        Row of the data set, below 100.

    Returns
    -------
    Case
        Its cotangents are those of :func:`first_spike_loss`, plus 0.01 times a standard normal
        number for every spike, so that no spike is without influence.
    """
    sample = integer("sample", sample, 0, _SAMPLES - 1)
    network = yin_yang_network(np.random.default_rng([seed, 0]))
    values, labels = yin_yang(_SAMPLES, np.random.default_rng([seed, 1]))
    inputs = to_spikes(values[sample])
    simulation = refsim.simulate(network, inputs, _DURATION)
    outputs = N_HIDDEN + np.arange(N_OUTPUTS)
    _, time_bar = first_spike_loss(simulation, outputs, int(labels[sample]))
    noise = np.random.default_rng([seed, 2, sample]).standard_normal(len(time_bar))
    name = f"yin-yang {seed}/{sample}"
    return make_case(name, network, inputs, _DURATION, time_bar=time_bar + 0.01 * noise)
