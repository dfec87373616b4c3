"""Networks without cycles, and runs of their engine."""

import numpy as np
from hypothesis import strategies as st

from adjoint.layers.run import LayersPass
from adjoint.pullback import Pullback
from refsim import ExpPort, Network, SpikeTrain, Synapses
from refsim.events.run import EventRun
from refsim.layers.run import LayersRun
from refsim.question import Question
from validation.strategies import DURATION, decimals, peak_response

MOST = 2000  # spikes of a run


def without_cycles(network):
    """Return ``network`` with the synapses that lead to neurons of higher numbers alone."""
    n = network.n_neurons
    kept = (network.pre >= n) | (network.pre < network.post)
    columns = (network.pre, network.post, network.weight, network.delay, network.port)
    return network.replace(synapses=Synapses(*(column[kept] for column in columns)))


def both(network, inputs, duration, samples=None, most=MOST):
    """Return the question, and what both engines find."""
    question = Question(network, inputs, duration, samples, max_spikes=most)
    return question, EventRun(question).execute(), LayersRun(question).execute()


def pullbacks(question, simulation):
    """Return the pullbacks of a simulation event by event and neuron by neuron."""
    by_events, by_layers = Pullback(question, simulation), Pullback(question, simulation)
    by_layers._pass = LayersPass(question, simulation)
    return by_events, by_layers


@st.composite
def layered(draw):
    """Draw a network of layers and one exponential port, and inputs for it.

    Membranes are slower or faster than the port; drives are at the threshold or below, resets on
    both sides of rest. All synapses of a source to a layer have one delay, or each its own, or
    a few are missing and a few there twice.
    """
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    m = draw(st.integers(1, 3))
    n = sum(sizes)
    tau_s, tau_m = draw(
        st.sampled_from([(5.0, 20.0), (2.0, 3.5), (9.5, 10.0), (10.0, 4.0), (20.0, 19.0)])
    )
    rest = draw(st.sampled_from([0.0, 0.0, -65.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    drives = draw(st.sampled_from([[0.0], [0.0, 0.5, -0.7], [0.9, 1.0]]))
    resets, starts = [0.0, 0.0, -0.5, 0.6], [0.0, 0.0, 0.7, -0.4]
    delays = draw(st.sampled_from([[0.0], [0.0, 1.5], [0.3, 1.0, 2.7]]))
    strength = draw(decimals(0.5, 2.0)) / peak_response(tau_m, ExpPort(tau_s))
    pre, post, delay = [], [], []
    sources, first = n + np.arange(m), 0
    for size in sizes:
        targets = first + np.arange(size)
        for source in sources:
            pre += [source] * size
            post += targets.tolist()
            delay += [rng.choice(delays)] * size
        sources, first = targets, first + size
    kind = draw(st.sampled_from(["full", "full", "own delays", "sparse"]))
    if kind == "own delays":
        delay = rng.uniform(0.0, 3.0, len(pre)).tolist()
    if kind == "sparse":
        chosen = np.sort(rng.integers(0, len(pre), len(pre)))
        pre, post, delay = (np.array(column)[chosen].tolist() for column in (pre, post, delay))
    weight = strength * rng.normal(0.8, 0.8, len(pre))
    network = Network(
        n,
        Synapses(pre, post, weight, delay),
        n_inputs=m,
        ports=ExpPort(tau_s),
        tau_m=tau_m,
        v_rest=rest,
        v_th=rest + 1.0,
        i_ext=rng.choice(drives, n),
        v_reset=rest + rng.choice(resets, n),
        v0=rest + rng.choice(starts, n),
    )
    count = draw(st.integers(0, 12))
    times = np.round(rng.uniform(0.0, DURATION, count), draw(st.sampled_from([0, 3, 12])))
    return network, SpikeTrain(times, rng.integers(0, m, count), m)
