"""Derivatives along a line by difference quotients, extrapolated, and networks fit for them."""

import numpy as np

import refsim


def slope_along(function, x, direction, step):
    """Return the derivative of a function at x along a direction, to the sixth power of a step.

    Central quotients of three steps, each half of the one before, extrapolated twice (L. F.
    Richardson, Phil. Trans. R. Soc. A 210 (1911) 307).
    """
    first, second, third = (
        (function(x + h * direction) - function(x - h * direction)) / (2.0 * h)
        for h in (step, step / 2.0, step / 4.0)
    )
    near, far = (4.0 * third - second) / 3.0, (4.0 * second - first) / 3.0
    return (16.0 * near - far) / 15.0


def layers(seed=12, **changes):
    """Return a network of four inputs, three hidden and three output neurons, and four trains.

    Arrivals are at least a hundredth of a ms from the crossings and releases of their neuron.
    """
    rng = np.random.default_rng(seed)
    hidden, outputs, channels = np.arange(3), np.arange(3, 6), 6 + np.arange(4)
    synapses = [
        refsim.all_to_all(channels, hidden, rng.uniform(1.5, 4.0, 12), rng.uniform(0.5, 3.0, 12)),
        refsim.all_to_all(hidden, outputs, rng.uniform(1.0, 2.0, 9), rng.uniform(0.5, 3.0, 9)),
    ]
    neurons = {"ports": refsim.ExpPort(5.0), "tau_m": 10.0, "t_ref": 1.0} | changes
    network = refsim.Network(6, synapses, n_inputs=4, **neurons)
    trains = [
        refsim.SpikeTrain(np.sort(rng.uniform(0.0, 15.0, 8)), np.arange(8) % 4, 4) for _ in range(4)
    ]
    return network, trains


def with_values(name, values, network, inputs):
    """Return a network and a list of trains with other values of one parameter."""
    if name != "input_times":
        return network.replace(**{name: values}), inputs
    parts = np.split(values, np.cumsum([len(one) for one in inputs])[:-1])
    pairs = zip(parts, inputs, strict=True)
    return network, [refsim.SpikeTrain(part, one.sources, one.n_inputs) for part, one in pairs]


def values_of(name, network, inputs):
    """Return the values of one parameter."""
    if name == "input_times":
        return np.concatenate([one.times for one in inputs])
    return np.array(getattr(network, name))


def assert_slope(function, x, gradient, step, tolerance, seed=0):
    """Compare a gradient with quotients along itself and along a direction of chance."""
    size = np.abs(gradient).max()
    assert size > 0.0
    chance = np.random.default_rng(seed).uniform(-1.0, 1.0, len(gradient))
    for direction in (gradient / size, chance):
        found = slope_along(function, x, direction, step)
        scale = np.linalg.norm(gradient) * np.linalg.norm(direction)
        assert abs(gradient @ direction - found) <= tolerance * scale
