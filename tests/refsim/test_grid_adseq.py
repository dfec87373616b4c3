"""The preset for adseq computes what layers of adseq compute: spikes, voltages and gradients.

The layers are those of its flax bridge (`DelayedStaticSynapse`, `SurrogateLIF`,
`DelayedThresholdSynapse`), written out here since flax is needed for nothing else; queues,
synapses and detection of spikes are adseq's own. Both sides are in float64.
"""

import sys

import numpy as np
import pytest

import adjoint
import refsim

jax = pytest.importorskip("jax", reason="adseq needs jax")
pytest.importorskip("adseq", reason="needs adseq")

import jax.numpy as jnp  # noqa: E402
from adseq import implementations, synapse2  # noqa: E402

DT, STEPS = 0.05, 600
RISE, DECAY, TAU_M = 0.5, 2.0, 10.0
INPUTS, FIRST, LAST = 2, 3, 2  # channels, neurons of the two layers


@jax.custom_jvp
def soft_step(x):
    return jnp.where(x < 0.0, 0.0, 1.0)


@soft_step.defjvp
def _soft_step_jvp(primals, tangents):
    (x,), (x_dot,) = primals, tangents
    return soft_step(x), x_dot / (jnp.abs(x) + 1.0) ** 2


def synapses_of(n):
    queue = implementations.FIFORing.sized(64)
    return synapse2.mk_synapse2s(
        queue, vthres=1.0, tau_syn1_ms=RISE, tau_syn2_ms=DECAY, dt_ms=DT, n=n, max_delay_ms=8.0
    )


def layered(parameters, raster, bars):
    """Return the loss, and the voltages of the second layer, for dense layers with adseq."""
    weights, delays = parameters
    spread = [jnp.repeat(jnp.arange(k), m) for k, m in ((INPUTS, FIRST), (FIRST, LAST))]
    beta = jnp.exp(-DT / TAU_M)

    def lif(v, current):
        return (1.0 - soft_step(v - 1.0)) * (beta * v + current * DT)

    def step(carry, given):
        (first, second, v, v_before, u, u_before), (number, spikes, bar) = carry, given
        into_v = (first.isyn * weights[0]).reshape(INPUTS, FIRST).sum(0)
        into_u = (second.isyn * weights[1]).reshape(FIRST, LAST).sum(0)
        first = first.timestep_static_spike(
            t_ms=DT * number, s=spikes[spread[0]], delay_ms=delays[0]
        )
        second = second.timestep_spike_detect_pre(
            t_ms=DT * number, v=v_before[spread[1]], vnext=v[spread[1]], delay_ms=delays[1]
        )
        detect = jax.vmap(synapse2.spike_detect, in_axes=(None, None, None, 0, 0, None))
        time = detect(DT, DT * number, 1.0, u_before, u, 0.0)
        loss = jnp.sum(jnp.where(time >= 0.0, time, 0.0)) + jnp.sum(bar * u)
        following = (first, second, lif(v, into_v), v, lif(u, into_u), u)
        return following, (loss, v, u, time)

    zero = [jnp.zeros(k) for k in (FIRST, LAST)]
    start = (synapses_of(INPUTS * FIRST), synapses_of(FIRST * LAST), *[zero[0]] * 2, *[zero[1]] * 2)
    numbers = jnp.arange(STEPS + 1)
    _, (loss, v, u, time) = jax.lax.scan(step, start, (numbers, raster, bars))
    return loss.sum(), (v, u, time)


def test_the_preset_is_adseq(monkeypatch):
    with jax.enable_x64(True):
        for module in (synapse2, sys.modules["adseq.implementations.fifo_ring"]):
            monkeypatch.setattr(module, "floatx", jnp.zeros(0).dtype)
        compare()


def compare():
    rng = np.random.default_rng(3)
    sizes = (INPUTS * FIRST, FIRST * LAST)
    weights = [rng.uniform(0.25, 0.5, sizes[0]), rng.uniform(0.2, 0.5, sizes[1])]
    delays = [rng.uniform(0.5, 5.0, size) for size in sizes]
    raster = rng.uniform(size=(STEPS + 1, INPUTS)) < 0.02
    sampled = [(i, n) for i in range(LAST) for n in (200, 455, 551)]
    bars = np.zeros((STEPS + 1, LAST))
    voltage_bar = rng.normal(size=len(sampled))
    for (i, n), bar in zip(sampled, voltage_bar, strict=True):
        bars[n, i] = bar

    def loss(parameters):
        return layered(parameters, jnp.asarray(raster), jnp.asarray(bars))

    expected, (_, u, time) = jax.jacfwd(loss, has_aux=True)(
        ([jnp.asarray(w) for w in weights], [jnp.asarray(d) for d in delays])
    )

    n = FIRST + LAST
    synapses = [
        refsim.all_to_all(
            n + np.arange(INPUTS), np.arange(FIRST), TAU_M * weights[0].reshape(INPUTS, FIRST),
            delays[0].reshape(INPUTS, FIRST),
        ),
        refsim.all_to_all(
            np.arange(FIRST), FIRST + np.arange(LAST), TAU_M * weights[1].reshape(FIRST, LAST),
            delays[1].reshape(FIRST, LAST),
        ),
    ]  # fmt: skip
    network = refsim.Network(
        n, refsim.Synapses.concatenate(synapses), n_inputs=INPUTS,
        ports=refsim.DoubleExpPort(RISE, DECAY), tau_m=TAU_M,
    )  # fmt: skip
    steps, channels = np.nonzero(raster)
    run, pullback = adjoint.vjp(
        network,
        refsim.SpikeTrain(steps * DT, channels, INPUTS),
        STEPS * DT,
        samples=([FIRST + i for i, _ in sampled], [k * DT for _, k in sampled]),
        engine=refsim.Grid(DT, scheme=refsim.GridScheme.adseq()),
    )
    trace = (
        refsim.simulate(
            network,
            run.inputs,
            run.duration,
            engine=refsim.Grid(DT, scheme=run.scheme, keep_voltages=True),
        )
        .trace()
        .voltage
    )
    assert np.abs(trace[FIRST:] - np.asarray(u).T).max() < 1e-12
    last = run.spikes.neuron >= FIRST
    found = np.asarray(time)[np.asarray(time) >= 0.0]
    assert len(found) == last.sum() > 5
    assert np.array_equal(np.sort(found), run.spikes.time[last])
    gradient = pullback(last.astype(float), voltage_bar)
    start = 0
    for layer in range(2):
        rows = slice(start, start := start + sizes[layer])
        ours = TAU_M * gradient.weight[rows], gradient.delay[rows]
        for values, theirs in zip(ours, (expected[0][layer], expected[1][layer]), strict=True):
            assert np.abs(values - theirs).max() < 1e-12 * np.abs(theirs).max()
