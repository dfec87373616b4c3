"""Error of gradients in networks that drop spikes, or cotangents on the way back."""

from __future__ import annotations

import numpy as np

import adjoint
import refsim

STEP = 0.1  # ms, of the grid of arrivals
NEURONS = CHANNELS = 20
INPUT_RATE = 100.0  # Hz


def readout(delay, v_th):
    """Return inputs to neurons that excite and inhibit each other, all with one delay."""
    rng = np.random.default_rng(0)
    pairs = CHANNELS * NEURONS
    synapses = [
        refsim.all_to_all(
            NEURONS + np.arange(CHANNELS), NEURONS, rng.normal(0.3, 1.0, pairs), delay
        ),
        refsim.random(
            NEURONS,
            NEURONS,
            in_degree=5,
            weight=rng.normal(0.0, 1.0, 5 * NEURONS),
            delay=delay,
            rng=rng,
        ),
    ]
    ports = (refsim.ExpPort(5.0),)
    return refsim.Network(NEURONS, synapses, n_inputs=CHANNELS, ports=ports, tau_m=20.0, v_th=v_th)


def losses_of(size):
    """Yield (what is lost, label, capacity, options of vjp)."""
    structures = [("single_spike", None)] + [("bounded_fifo", c) for c in (1, 2, 4, 8)]
    for name, capacity in [*structures, ("lossy_ring", 4), ("lossy_ring", 16)]:
        yield "spikes", name, capacity or 1, {"queue": refsim.Lossy(name, capacity)}
    for rule in ("largest", "recent"):
        for k in size:
            yield "cotangents", rule, k, {"adjoint_queue": adjoint.Keep(k, rule)}


def relative_error(found, exact):
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def gradients():
    """Error of the gradient of sampled voltages, by weights and delays, against drop rates."""
    duration = 1000.0
    inputs = refsim.poisson_inputs(CHANNELS, rate=INPUT_RATE, duration=duration, rng=1)
    times = np.arange(1.0, duration, 2.0)
    samples = np.tile(np.arange(NEURONS), len(times)), np.repeat(times, NEURONS)
    for kind, v_th in (("silent", 1e6), ("spiking", 1.0)):
        for delay in (2.0, 5.0, 10.0, 20.0, 50.0):
            network = readout(delay, v_th)
            shuffled = np.random.default_rng(5).permutation(network.weight)
            teacher = network.replace(weight=shuffled)
            target = refsim.simulate(
                teacher, inputs, duration, engine=refsim.Events(dt=STEP), samples=samples
            ).voltages

            def run(network=network, target=target, queue="auto", **options):
                engine = refsim.Events(queue, dt=STEP)
                simulation, pullback = adjoint.vjp(
                    network, inputs, duration, engine=engine, samples=samples, **options
                )
                gradient = pullback(voltage_bar=(simulation.voltages - target) / len(target))
                return simulation, pullback, gradient

            whole, _, exact = run()
            for lost, name, capacity, options in losses_of((1, 2, 4)):
                simulation, pullback, found = run(**options)
                counts = simulation.counts
                dropped = counts.dropped if lost == "spikes" else pullback.dropped
                passed = counts.arrivals if lost == "spikes" else counts.arrivals - dropped
                yield {
                    "network": kind,
                    "lost": lost,
                    "structure": name,
                    "capacity": capacity,
                    "d_lambda": delay * INPUT_RATE / 1000.0,
                    "dropped": dropped / (passed + dropped),
                    "weight_error": relative_error(found.weight, exact.weight),
                    "delay_error": relative_error(found.delay, exact.delay),
                    "spikes": counts.spikes,
                    "spikes_lossless": whole.counts.spikes,
                }
