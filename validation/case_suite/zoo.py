"""Small networks that between them reach every term of the adjoint, one function each.

Every network takes the seed of its numbers, and has heterogeneous neurons and standard normal
cotangents. The default seeds are those of a short search for runs far from a change of the spike
pattern: the slope of every crossing is above 0.1 (v_th - v_reset)/tau_m, and no arrival is nearer
than 0.001 ms to a crossing or to the end of the refractoriness of its target.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import refsim
from refsim.cases import Case, make_case

Rng = np.random.Generator


def zoo() -> list[Case]:
    """Return all networks with their inputs and cotangents."""
    return [
        feed_forward_chain(),
        recurrent(),
        heterogeneous_delays(),
        refractory(),
        double_exponential(),
        equal_time_constants(),
        two_ports(),
        constant_current(),
        equal_delays(),
        balanced(),
    ]


def feed_forward_chain(seed: int = 52) -> Case:
    """Two input channels drive three layers of four neurons, each layer the next."""
    rng = np.random.default_rng(seed)
    layers = [12 + np.arange(2), np.arange(4), np.arange(4, 8), np.arange(8, 12)]
    scales = (2.0, 1.5, 1.5)
    synapses = [
        refsim.all_to_all(a, b, _spread(rng, w, (len(a), len(b))), rng.uniform(0.5, 3.0))
        for a, b, w in zip(layers[:-1], layers[1:], scales, strict=True)
    ]
    network = refsim.Network(
        12, refsim.Synapses.concatenate(synapses), n_inputs=2, **_neurons(rng, 12)
    )
    return _case("feed-forward chain", network, rng, duration=60.0, rate=120.0)


def recurrent(seed: int = 48) -> Case:
    """Six excitatory and three inhibitory neurons excite, inhibit and drive each other."""
    rng = np.random.default_rng(seed)
    synapses = [
        refsim.all_to_all(9 + np.arange(3), 9, _spread(rng, 1.6, (3, 9)), 1.0),
        refsim.all_to_all(6, 9, _spread(rng, 0.5, (6, 9)), 1.5, autapses=False),
        refsim.all_to_all(6 + np.arange(3), 9, _spread(rng, -0.8, (3, 9)), 0.75),
    ]
    network = refsim.Network(
        9, refsim.Synapses.concatenate(synapses), n_inputs=3, **_neurons(rng, 9)
    )
    return _case("recurrent", network, rng, duration=60.0, rate=100.0)


def heterogeneous_delays(seed: int = 0) -> Case:
    """Twelve recurrent neurons whose synapses each have a delay of their own, from 0.1 to 15 ms."""
    rng = np.random.default_rng(seed)
    pairs = refsim.random(12, 12, probability=0.4, rng=rng)
    size = len(pairs)
    synapses = [
        refsim.connect(pairs.pre, pairs.post, rng.normal(0.4, 0.8, size), _delays(rng, size)),
        refsim.all_to_all(12 + np.arange(3), 12, _spread(rng, 1.5, (3, 12)), _delays(rng, 36)),
    ]
    network = refsim.Network(
        12, refsim.Synapses.concatenate(synapses), n_inputs=3, **_neurons(rng, 12)
    )
    return _case("heterogeneous delays", network, rng, duration=60.0, rate=100.0)


def refractory(seed: int = 57) -> Case:
    """Five recurrent neurons, held at reset for 1 to 6 ms while arrivals charge their currents."""
    rng = np.random.default_rng(seed)
    synapses = [
        refsim.all_to_all(5, 5, _spread(rng, 0.6, (5, 5)), rng.uniform(0.3, 4.0, (5, 5))),
        refsim.all_to_all(5 + np.arange(2), 5, _spread(rng, 3.0, (2, 5)), _delays(rng, 10)),
    ]
    neurons = _neurons(rng, 5, t_ref=rng.uniform(1.0, 6.0, 5))
    network = refsim.Network(5, refsim.Synapses.concatenate(synapses), n_inputs=2, **neurons)
    return _case("refractory", network, rng, duration=60.0, rate=150.0)


def double_exponential(seed: int = 46) -> Case:
    """Seven recurrent neurons whose currents rise in 1.2 ms and decay in 6 ms."""
    rng = np.random.default_rng(seed)
    synapses = [
        refsim.all_to_all(7, 7, rng.normal(0.1, 0.4, (7, 7)), _delays(rng, 49)),
        refsim.all_to_all(7 + np.arange(3), 7, _spread(rng, 1.2, (3, 7)), _delays(rng, 21)),
    ]
    neurons = _neurons(rng, 7, t_ref=rng.uniform(0.0, 2.0, 7))
    ports = (refsim.DoubleExpPort(1.2, 6.0),)
    network = refsim.Network(
        7, refsim.Synapses.concatenate(synapses), n_inputs=3, ports=ports, **neurons
    )
    return _case("double exponential", network, rng, duration=60.0, rate=120.0)


def equal_time_constants(seed: int = 5) -> Case:
    """Six neurons at the removable singularities: tau_m = tau_s, tau_rise = tau_decay, or all."""
    rng = np.random.default_rng(seed)
    inputs = 6 + np.arange(2)
    synapses = [
        refsim.all_to_all(inputs, 6, _spread(rng, 1.5, (2, 6)), _delays(rng, 12), port=0),
        refsim.all_to_all(inputs, 6, _spread(rng, 0.6, (2, 6)), _delays(rng, 12), port=1),
        refsim.all_to_all(6, 6, rng.normal(0.0, 0.3, (6, 6)), _delays(rng, 36), port=0),
        refsim.all_to_all(6, 6, rng.normal(-0.1, 0.2, (6, 6)), _delays(rng, 36), port=1),
    ]
    ports = (refsim.ExpPort(8.0), refsim.DoubleExpPort(5.0, 5.0))
    neurons = _neurons(rng, 6, tau_m=np.array([8.0, 8.0, 8.0, 5.0, 5.0, 12.0]))
    network = refsim.Network(
        6, refsim.Synapses.concatenate(synapses), n_inputs=2, ports=ports, **neurons
    )
    return _case("equal time constants", network, rng, duration=60.0, rate=120.0)


def two_ports(seed: int = 10) -> Case:
    """Eight neurons with fast excitation on one port and slow inhibition on another."""
    rng = np.random.default_rng(seed)
    inputs = 8 + np.arange(4)
    synapses = [
        refsim.all_to_all(inputs[:3], 8, _spread(rng, 2.5, (3, 8)), _delays(rng, 24), port=0),
        refsim.all_to_all(inputs[3:], 8, _spread(rng, -0.5, (1, 8)), _delays(rng, 8), port=1),
        refsim.all_to_all(5, 8, _spread(rng, 1.0, (5, 8)), _delays(rng, 40), port=0),
        refsim.all_to_all([5, 6, 7], 8, _spread(rng, -0.3, (3, 8)), _delays(rng, 24), port=1),
    ]
    ports = (refsim.ExpPort(3.0), refsim.DoubleExpPort(1.5, 12.0))
    neurons = _neurons(rng, 8, t_ref=rng.uniform(0.0, 2.0, 8))
    network = refsim.Network(
        8, refsim.Synapses.concatenate(synapses), n_inputs=4, ports=ports, **neurons
    )
    return _case("two ports", network, rng, duration=60.0, rate=100.0)


def constant_current(seed: int = 18) -> Case:
    """Six weakly coupled neurons without input, which a constant current brings to threshold."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(0.0, 0.3, (6, 6))
    synapses = refsim.all_to_all(6, 6, weight, rng.uniform(0.5, 5.0, (6, 6)), autapses=False)
    neurons = _neurons(rng, 6, i_ext=rng.uniform(1.3, 2.0, 6), t_ref=rng.uniform(0.0, 2.0, 6))
    network = refsim.Network(6, synapses, **neurons)
    return _case("constant current", network, rng, duration=80.0, rate=0.0)


def equal_delays(seed: int = 32) -> Case:
    """Eight recurrent neurons with one delay, so that a FIFO serves; forty voltage samples."""
    rng = np.random.default_rng(seed)
    synapses = [
        refsim.all_to_all(8, 8, rng.normal(0.2, 0.6, (8, 8)), 1.5),
        refsim.all_to_all(8 + np.arange(3), 8, _spread(rng, 2.0, (3, 8)), 1.5),
    ]
    network = refsim.Network(
        8, refsim.Synapses.concatenate(synapses), n_inputs=3, **_neurons(rng, 8)
    )
    return _case("equal delays", network, rng, duration=60.0, rate=100.0, n_samples=40)


def balanced(seed: int = 26) -> Case:
    """Eighty excitatory and twenty inhibitory neurons, sparse, each synapse with its own delay."""
    rng = np.random.default_rng(seed)
    excitatory = refsim.random(80, 100, probability=0.1, rng=rng)
    inhibitory = refsim.random(80 + np.arange(20), 100, probability=0.1, rng=rng)
    given = refsim.random(100 + np.arange(20), 100, in_degree=5, rng=rng)
    synapses = [
        refsim.connect(pair.pre, pair.post, _spread(rng, w, (len(pair),)), _delays(rng, len(pair)))
        for pair, w in ((excitatory, 0.4), (inhibitory, -1.6), (given, 1.5))
    ]
    neurons = _neurons(rng, 100, t_ref=rng.uniform(0.5, 2.0, 100))
    network = refsim.Network(100, refsim.Synapses.concatenate(synapses), n_inputs=20, **neurons)
    return _case("balanced", network, rng, duration=50.0, rate=50.0)


def _spread(rng: Rng, mean: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Draw weights of one sign, from 0.5 to 1.5 times the mean."""
    return mean * rng.uniform(0.5, 1.5, shape)


def _delays(rng: Rng, size: int) -> NDArray[np.float64]:
    """Draw delays whose logarithms are uniform, so that short and long ones are equally common."""
    return 0.1 * 150.0 ** rng.uniform(0.0, 1.0, size)


def _neurons(rng: Rng, n: int, **given: Any) -> dict[str, Any]:
    """Draw the parameters of n neurons; those given replace the draws."""
    drawn = {
        "tau_m": rng.uniform(8.0, 20.0, n),
        "v_th": rng.uniform(0.9, 1.1, n),
        "v_reset": rng.uniform(-0.3, 0.2, n),
        "v_rest": rng.uniform(-0.1, 0.1, n),
        "i_ext": rng.uniform(0.0, 0.2, n),
        "v0": rng.uniform(-0.3, 0.4, n),
    }
    return drawn | given


def _case(
    name: str,
    network: refsim.Network,
    rng: Rng,
    duration: float,
    rate: float,
    n_samples: int = 10,
) -> Case:
    """Add Poisson inputs at ``rate`` Hz, voltage samples, and cotangents of all outputs."""
    inputs = refsim.poisson_inputs(network.n_inputs, rate, duration, rng)
    samples = refsim.Samples(
        rng.integers(0, network.n_neurons, n_samples), rng.uniform(0.0, duration, n_samples)
    )
    n_spikes = refsim.simulate(network, inputs, duration).counts.spikes
    return make_case(
        name,
        network,
        inputs,
        duration,
        samples,
        time_bar=rng.standard_normal(n_spikes),
        voltage_bar=rng.standard_normal(n_samples),
    )
