"""Cost of the time-grid engine, forwards and backwards, and its error against the time step.

Motivation: a step costs the same whatever happens in it, and a synaptic event should cost a handful
of operations; gradients should cost a small multiple. Results are kept in benchmarks/README.md.

Workloads: the balanced random networks of event_engine.py. The cost of a neuron and step is that of
a network without synapses; the cost of a synaptic event is what a network with synapses takes more,
over its synaptic events. All is CPU time of one thread, the least of some repetitions. Errors are
those of spike times and of the gradient of their sum by weights, against the exact event engine, of
a chain of three neurons.
"""

from __future__ import annotations

import sys
import time

import common
import numpy as np
from event_engine import balanced

import adjoint
import refsim


def timed(network, duration, dt, repeats):
    """Return the simulation, and the least seconds forwards and backwards."""
    simulation, pullback = adjoint.vjp(
        network, None, duration, max_spikes=10_000_000, engine=refsim.Grid(dt)
    )
    bar = np.ones(len(simulation.spikes.time))
    pullback(bar)
    forwards, backwards = [], []
    for _ in range(repeats):
        started = time.process_time()
        refsim.simulate(network, None, duration, max_spikes=10_000_000, engine=refsim.Grid(dt))
        middle = time.process_time()
        pullback(bar)
        forwards.append(middle - started)
        backwards.append(time.process_time() - middle)
    return simulation, min(forwards), min(backwards)


def cost(n, in_degree, delays, duration, dt, repeats):
    """Return the row of a workload."""
    network = balanced(n, in_degree, delays)
    simulation, forward, backward = timed(network, duration, dt, repeats)
    _, silent, silent_back = timed(network.replace(synapses=(), i_ext=0.0), duration, dt, repeats)
    steps = simulation.n_steps * n
    events = max(simulation.counts.arrivals, 1)
    return {
        "workload": f"{n} neurons, in-degree {in_degree}, {delays} delays",
        "dt_ms": dt,
        "steps": simulation.n_steps,
        "spikes": len(simulation.spikes.time),
        "synaptic_events": simulation.counts.arrivals,
        "forward_s": forward,
        "backward_s": backward,
        "forward_ns_per_neuron_step": 1e9 * silent / steps,
        "backward_ns_per_neuron_step": 1e9 * silent_back / steps,
        "forward_ns_per_event": 1e9 * (forward - silent) / events,
        "backward_ns_per_event": 1e9 * (backward - silent_back) / events,
    }


def chain():
    """Return a chain of three neurons that an input channel drives."""
    synapses = refsim.connect([3, 0, 1], [0, 1, 2], [8.0, 8.0, 8.0], [1.1, 2.3, 0.7])
    network = refsim.Network(3, synapses, n_inputs=1, ports=refsim.ExpPort(2.0), tau_m=10.0)
    return network, refsim.SpikeTrain([1.3, 17.9], [0, 0], 1), 40.0


def error(dt):
    """Return the errors of a step, root mean squares over steps of about this length."""
    network, inputs, duration = chain()
    exact, pullback = adjoint.vjp(network, inputs, duration)
    expected = pullback(1.0).weight
    late, wrong = [], []
    for jitter in 1.0 + np.arange(16) / 64.0:
        run, back = adjoint.vjp(network, inputs, duration, engine=refsim.Grid(dt * jitter))
        late.append(np.abs(run.spikes.time - exact.spikes.time).max())
        wrong.append(np.abs(back(1.0).weight / expected - 1.0).max())
    rms = (float(np.sqrt(np.mean(np.square(errors)))) for errors in (late, wrong))
    return {"dt_ms": dt, **dict(zip(("spike_time_ms", "weight_gradient"), rms, strict=True))}


def main():
    arguments = common.options(__doc__).parse_args()
    repeats = 3 if arguments.quick else 5
    machine = common.machine()
    common.show_machine(machine)
    form = "{:<42} {:>7} {:>8} {:>10} {:>10} {:>10} {:>10} {:>10}"
    print(
        form.format(
            "workload",
            "steps",
            "spikes",
            "events",
            *["fwd ns/st", "back ns/st"],
            *["fwd ns/ev", "back ns/ev"],
        )
    )
    rows = []
    duration = 50.0 if arguments.quick else 200.0
    for in_degree in (100, 1000):
        for delays in ("equal", "spread"):
            row = cost(2 * in_degree + 300, in_degree, delays, duration, 0.1, repeats)
            rows.append(row)
            costs = [
                f"{row[f'{way}ward_ns_per_{unit}']:.1f}"
                for unit in ("neuron_step", "event")
                for way in ("for", "back")
            ]
            print(
                form.format(
                    row["workload"], row["steps"], row["spikes"], row["synaptic_events"], *costs
                ),
                flush=True,
            )
    errors = [error(dt) for dt in (0.1, 0.01, 0.001, *([] if arguments.quick else [0.0001]))]
    print("dt (ms), error of spike times (ms), relative error of gradients by weights")
    for row in errors:
        print(*(f"{value:.1e}" for value in row.values()))
    common.write_json(arguments.json, {"machine": machine, "rows": rows, "errors": errors})


if __name__ == "__main__":
    sys.exit(main())
