"""Small networks that tell other simulators apart, one function each.

Each reaches one thing that a simulator may lack or get wrong. The loss is a combination of spike
times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import refsim
from refsim.cases import Case, make_case
from refsim.network.ports import DoubleExpPort, ExpPort, Port

# A feed-forward network that EventProp, jaxsnn and spikegd agree about.
_TIMES = [4.527, 5.827, 6.072, 8.751, 9.779, 14.505, 16.149, 17.659, 17.942, 22.147, 22.818, 26.608]
_LINES = [1, 0, 2, 2, 1, 0, 2, 1, 0, 2, 1, 0]
_IN = [[1.528, 2.261, 1.485], [1.726, 1.214, 1.645], [1.326, 1.42, 2.201]]
_OUT = [[1.593, 1.879], [2.573, 2.546], [2.215, 1.958]]


def peer_cases() -> list[Case]:
    """Return all of the cases."""
    return [
        causality(),
        chain_exponential(),
        chain_double_exponential(),
        resets(),
        feed_forward(),
        feed_forward_reset(),
        feed_forward_ratio(),
        recurrent_delays(),
        identical_neurons(),
        near_threshold(),
    ]


def causality() -> Case:
    """Differentiate the first spike of a neuron, which comes before its second input."""
    network = refsim.Network(
        1, refsim.connect([1], [0], 6.0, 0.0), n_inputs=1, ports=ExpPort(5.0), tau_m=10.0
    )
    inputs = refsim.SpikeTrain([1.0, 12.0], [0, 0], 1)
    return _case("causality", network, inputs, 30.0, lambda run: np.eye(len(run.spikes.time))[0])


def chain_exponential() -> Case:
    """Three neurons in a row, each spiking once; the last spike moves by 1 with every delay."""
    return _chain("chain, exponential", ExpPort(2.0), 10.0)


def chain_double_exponential() -> Case:
    """Three neurons in a row, with currents that start from zero."""
    return _chain("chain, double exponential", DoubleExpPort(0.5, 2.0), 7.0)


def _chain(name: str, port: Port, weight: float) -> Case:
    synapses = refsim.connect([3, 0, 1], [0, 1, 2], weight, [1.0, 2.0, 1.5])
    network = refsim.Network(3, synapses, n_inputs=1, ports=port, tau_m=10.0)
    inputs = refsim.SpikeTrain([1.0], [0], 1)
    return _case(name, network, inputs, 20.0, lambda run: np.eye(len(run.spikes.time))[-1])


def resets() -> Case:
    """One input pulse after which a neuron spikes several times."""
    synapses = refsim.connect([1], [0], 9.0, 1.0)
    network = refsim.Network(1, synapses, n_inputs=1, ports=DoubleExpPort(0.5, 8.0), tau_m=10.0)
    inputs = refsim.SpikeTrain([1.0], [0], 1)
    return _case("resets", network, inputs, 20.0, lambda run: np.ones(len(run.spikes.time)))


def feed_forward() -> Case:
    """Three inputs, three and two neurons, 63 spikes: tau_m = 2 tau_s, and all values are alike."""
    return _feed_forward("feed-forward", 10.0, 0.0)


def feed_forward_reset() -> Case:
    """Reset the neurons of `feed_forward` below rest."""
    return _feed_forward("feed-forward, reset below rest", 10.0, -0.5)


def feed_forward_ratio() -> Case:
    """Give the neurons of `feed_forward` tau_m = 4 tau_s."""
    return _feed_forward("feed-forward, tau_m = 4 tau_s", 20.0, 0.0)


def _feed_forward(name: str, tau_m: float, v_reset: float) -> Case:
    network = refsim.Network(
        5,
        refsim.layered([3, 3, 2], [np.array(_IN), np.array(_OUT)], 0.0),
        n_inputs=3,
        ports=ExpPort(5.0),
        tau_m=tau_m,
        v_reset=v_reset,
    )
    weights = np.array([0.0, 0.0, 0.0, 1.0, -0.7])
    inputs = refsim.SpikeTrain(_TIMES, _LINES, 3)
    return _case(name, network, inputs, 60.0, lambda run: weights[run.spikes.neuron])


def recurrent_delays(seed: int = 3) -> Case:
    """Three recurrent neurons that differ in everything, with a delay for each synapse."""
    rng = np.random.default_rng(seed)
    synapses = [
        refsim.all_to_all([3, 4], 3, rng.uniform(1.5, 3.0, (2, 3)), rng.uniform(0.3, 3.0, (2, 3))),
        refsim.all_to_all(3, 3, rng.normal(0.2, 0.6, (3, 3)), rng.uniform(0.3, 3.0, (3, 3))),
    ]
    network = refsim.Network(
        3,
        synapses,
        n_inputs=2,
        ports=ExpPort(4.0),
        tau_m=[10.0, 9.0, 12.0],
        v_th=[1.0, 0.9, 1.1],
        v_reset=[-0.3, -0.2, 0.0],
        v_rest=0.05,
        v0=[0.1, 0.2, 0.0],
        i_ext=[0.1, 0.2, 0.0],
    )
    inputs = refsim.SpikeTrain([1.0, 2.5, 6.0, 9.0, 9.5], [0, 1, 0, 0, 1], 2)
    return _case(
        "recurrent, delays",
        network,
        inputs,
        20.0,
        lambda run: np.random.default_rng(seed).normal(size=len(run.spikes.time)),
    )


def identical_neurons() -> Case:
    """Two neurons that are the same in everything, and spike together, twice."""
    weights = np.repeat([[2.6], [2.2], [3.0]], 2, axis=1)
    network = refsim.Network(
        2,
        refsim.all_to_all([2, 3, 4], 2, weights, 0.0),
        n_inputs=3,
        ports=ExpPort(5.0),
        tau_m=10.0,
    )
    inputs = refsim.SpikeTrain([1.0, 3.0, 6.5], [0, 1, 2], 3)
    return _case("identical neurons", network, inputs, 40.0, lambda run: 1.0 + run.spikes.neuron)


def near_threshold(over: float = 1e-5, seed: int = 0) -> Case:
    """Twenty neurons with five inputs each, whose voltages pass the threshold by little.

    Parameters
    ----------
    over
        How far the highest voltage is above the threshold, relative to it.
    seed
        Of the weights and input times.
    """
    rng = np.random.default_rng(seed)
    n, k = 20, 5
    synapses = refsim.connect(n + np.arange(n * k), np.repeat(np.arange(n), k), 1.0, 1.0)
    silent = refsim.Network(
        n, synapses, n_inputs=n * k, ports=ExpPort(4.0), tau_m=15.0, v_th=1e6
    ).replace(weight=rng.uniform(0.2, 1.0, n * k))
    inputs = refsim.SpikeTrain(rng.uniform(0.5, 20.0, n * k), np.arange(n * k), n * k)
    trace = refsim.simulate(silent, inputs, 50.0).trace(times=np.linspace(0.0, 50.0, 50_001))
    network = silent.replace(v_th=trace.voltage.max(axis=1) / (1.0 + over))
    name = f"peaks {over:g} above threshold"
    return _case(name, network, inputs, 50.0, lambda run: np.ones(len(run.spikes.time)))


def _case(
    name: str,
    network: refsim.Network,
    inputs: refsim.SpikeTrain,
    duration: float,
    bar: Callable[[Any], Any],
) -> Case:
    """Return a case; the cotangents are a function of the run."""
    run = refsim.simulate(network, inputs, duration)
    return make_case(name, network, inputs, duration, time_bar=bar(run))
