"""Networks and comparisons that several files of tests share."""

import numpy as np

import refsim


def with_delays(case, least):
    """Return the case with delays that have at least this length in ms."""
    network = case.network
    return case.__class__(
        **{**vars(case), "network": network.replace(delay=np.maximum(network.delay, least))}
    )


def well_conditioned(run):
    """Return whether no crossing grazes, and no arrival is next to a crossing or a release."""
    network, spikes = run.network, run.spikes
    scale = ((network.v_th - network.v_reset) / network.tau_m)[spikes.neuron]
    gaps = run.conditioning.min_gap, run.conditioning.min_release_gap
    return np.all(spikes.slope_before > 1e-2 * scale) and min(gaps) > 1e-6


def balanced(n=400, seed=3, **changes):
    """Return a balanced random network driven above threshold, with 40 synapses a neuron."""
    rng = np.random.default_rng(seed)
    k = 40
    pre = np.concatenate([rng.choice(n, k, replace=False) for _ in range(n)])
    weight = np.where(pre < 0.8 * n, 12.0, -60.0) * (1 + 0.1 * rng.standard_normal(n * k))
    parameters = {
        "ports": refsim.ExpPort(2.0),
        "tau_m": 20.0,
        "v_th": 20.0,
        "t_ref": 2.0,
        "i_ext": 40.0,
        "v0": rng.uniform(0.0, 19.0, n),
    }
    delay = changes.pop("delay", 1.5)
    synapses = refsim.Synapses(pre, np.repeat(np.arange(n), k), weight, delay)
    return refsim.Network(n, synapses, **{**parameters, **changes})


def assert_same(a, b):
    """Compare two simulations to the last bit."""
    for name, column in a.spikes._asdict().items():
        assert np.array_equal(column, getattr(b.spikes, name)), name
    assert np.array_equal(a.voltages, b.voltages, equal_nan=True)
    assert np.array_equal(a.origin, b.origin)
    assert a.counts == b.counts
    assert a.conditioning == b.conditioning
