"""What voltages cost beside the simulation that they are of: traces afterwards, and samples.

Motivation: a trace is computed from the spikes of a finished simulation, and looks at all of them;
it should cost what its neurons receive, and not what the network does. Networks of workload A of
`workloads.py`, and one with a Poisson train for each neuron. Results are kept in
benchmarks/README.md.
"""

from __future__ import annotations

import statistics
import sys

import numpy as np
from common import machine, options, show_machine, write_json
from measure import Stopwatch
from refsim_run import network, train
from workloads import balanced

import refsim

STEP = 0.1  # ms, of traces and samples


def driven(n, rate, duration):
    """Return a balanced network of which each neuron has a Poisson train of its own."""
    exc, half = 4 * n // 5, n // 20
    parts = [
        refsim.random(exc, n, in_degree=4 * half // 5, weight=0.1, delay=1.5, rng=1),
        refsim.random(range(exc, n), n, in_degree=half // 5, weight=-0.5, delay=1.5, rng=2),
        refsim.connect(n + np.arange(n), np.arange(n), weight=0.1, delay=1.5),
    ]
    synapses = refsim.Synapses.concatenate(parts).packed(n, n)
    net = refsim.Network(
        n, synapses, n_inputs=n, ports=refsim.ExpPort(0.5), tau_m=20.0, t_ref=2.0, v_reset=0.0
    )
    return net, refsim.poisson_inputs(n, rate, duration, rng=3), duration


def cost(net, inputs, duration, repeats):
    """Return the median CPU times of the simulation and of what reads voltages, run in turn."""
    times = np.arange(int(duration / STEP)) * STEP
    samples = (np.repeat(np.arange(10), len(times)), np.tile(times, 10))
    options = {"engine": refsim.Windows(threads=1)}
    run = refsim.simulate(net, inputs, duration, **options)
    ways = {
        "simulation": lambda: refsim.simulate(net, inputs, duration, **options),
        "with samples": lambda: refsim.simulate(net, inputs, duration, samples=samples, **options),
        "trace of 1": lambda: run.trace([0], step=STEP),
        "traces of 10": lambda: run.trace(range(10), step=STEP),
        "traces of 10, scattered": lambda: run.trace(
            np.arange(10) * (net.n_neurons // 10), step=STEP
        ),
        "traces of 100": lambda: run.trace(range(100), step=STEP),
    }
    taken = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, call in ways.items():
            with Stopwatch() as watch:
                call()
            taken[name].append(watch.cpu)
    return {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}


def main():
    arguments = options(__doc__).parse_args()
    n, repeats = (1000, 3) if arguments.quick else (10_000, 9)
    found = {"machine": machine()}
    show_machine(found["machine"])
    workload = balanced(n)
    networks = {
        f"A, {n} neurons": (network(workload), train(workload), workload.duration),
        f"a Poisson train each, {n // 5} neurons": driven(n // 5, 20_000.0, 20.0),
    }
    for name, given in networks.items():
        found[name] = cost(*given, repeats)
        whole = found[name]["simulation"]
        for what, seconds in found[name].items():
            print(f"{name}: {what} {1e3 * seconds:.1f} ms ({seconds / whole:.2f})", flush=True)
    write_json(arguments.json, found)


if __name__ == "__main__":
    sys.exit(main())
