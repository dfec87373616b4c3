"""Cost of the event engine, forwards and backwards.

Motivation: the event engine is the reference that the others are compared with; its cost must
follow events, not time. Results are kept in benchmarks/README.md.

Workloads: balanced random networks (80 % excitatory, inhibition 7 times as strong, one exponential
port of 2 ms, tau_m 20 ms, t_ref 2 ms, constant drive), as in the literature on simulators, with

* in-degree 10, 100, 1000, for equal delays (FIFO) and for delays spread over 0.5 to 5 ms (heap);
* a growing number of neurons, of spikes (duration), of fan-out;
* silence: one second without events.

A synaptic event is one spike arriving over one synapse. Forwards is the simulation with its tape,
backwards the pullback to all parameters.
"""

from __future__ import annotations

import statistics
import sys
import time

import common
import numpy as np

import adjoint
import refsim


def balanced(n, in_degree, delays, seed=1):
    rng = np.random.default_rng(seed)
    n_exc = int(0.8 * n)
    k_exc = max(1, int(0.8 * in_degree))
    k_inh = max(1, in_degree - k_exc)
    strength = 4.0 * np.sqrt(1000 / in_degree)
    excitatory = refsim.random(n_exc, n, in_degree=min(k_exc, n_exc - 1), weight=strength, rng=rng)
    inhibitory = refsim.random(
        np.arange(n_exc, n), n, in_degree=min(k_inh, n - n_exc - 1), weight=-7 * strength, rng=rng
    )
    synapses = refsim.Synapses.concatenate([excitatory, inhibitory])
    size = len(synapses)
    delay = np.full(size, 1.5) if delays == "equal" else rng.uniform(0.5, 5.0, size)
    return refsim.Network(
        n,
        refsim.connect(synapses.pre, synapses.post, synapses.weight, delay),
        ports=(refsim.ExpPort(2.0),),
        tau_m=20.0,
        v_th=20.0,
        t_ref=2.0,
        i_ext=24.0,
        v0=rng.uniform(0.0, 19.0, n),
    )


def measure(label, network, duration, repeats):
    """Time simulation and pullback in turn; return a row of medians."""
    forwards, backwards = [], []
    simulation, pullback = adjoint.vjp(
        network, None, duration, max_spikes=10_000_000, engine=refsim.Events()
    )
    bar = np.ones(len(simulation.spikes.time))
    pullback(bar)
    for _ in range(repeats):
        started = time.perf_counter()
        refsim.simulate(network, None, duration, max_spikes=10_000_000, engine=refsim.Events())
        middle = time.perf_counter()
        pullback(bar)
        forwards.append(middle - started)
        backwards.append(time.perf_counter() - middle)
    events = simulation.counts.arrivals
    spikes = simulation.counts.spikes
    tape = sum(column.nbytes for column in simulation.spikes) + simulation.origin.nbytes
    return {
        "workload": label,
        "neurons": network.n_neurons,
        "synapses": len(network.synapses),
        "duration_ms": duration,
        "queue": simulation.queue,
        "spikes": spikes,
        "synaptic_events": events,
        "rate_hz": float(simulation.rates().mean()),
        "forward_s": statistics.median(forwards),
        "backward_s": statistics.median(backwards),
        "forward_ns_per_event": 1e9 * statistics.median(forwards) / max(events, 1),
        "backward_ns_per_event": 1e9 * statistics.median(backwards) / max(events, 1),
        "tape_bytes_per_spike": tape / max(spikes, 1),
    }


def workloads(quick):
    scale = 1 if quick else 4
    for in_degree in (10, 100, 1000):
        for delays in ("equal", "spread"):
            n = max(500, 2 * in_degree)
            duration = scale * 50.0 * (100 / in_degree) ** 0.5
            yield f"in-degree {in_degree}, {delays} delays", (n, in_degree, delays), duration
    for n in (250, 500, 1000, 2000) if quick else (500, 1000, 2000, 4000, 8000):
        yield f"neurons {n}", (n, 100, "spread"), scale * 20.0
    for factor in (1, 2, 4, 8):
        yield f"duration x{factor}", (300, 30, "spread"), scale * 25.0 * factor


def silent(repeats):
    """Time one second of a network in which nothing happens."""
    network = balanced(1000, 100, "spread").replace(i_ext=0.0, v0=0.0)
    refsim.simulate(network, None, 1000.0, engine=refsim.Events())
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        refsim.simulate(network, None, 1000.0, engine=refsim.Events())
        times.append(time.perf_counter() - started)
    return {"workload": "silent second, 1000 neurons", "forward_s": statistics.median(times)}


def main():
    arguments = common.options(__doc__).parse_args()
    repeats = 3 if arguments.quick else 5
    machine = common.machine()
    common.show_machine(machine)
    rows = []
    form = "{:<32} {:>7} {:>10} {:>9} {:>8} {:>12} {:>13} {:>12}"
    print(
        form.format(
            "workload",
            "spikes",
            "events",
            "rate Hz",
            "queue",
            "fwd ns/event",
            "back ns/event",
            "tape B/spike",
        )
    )
    for label, parameters, duration in workloads(arguments.quick):
        row = measure(label, balanced(*parameters), duration, repeats)
        rows.append(row)
        print(
            form.format(
                label,
                row["spikes"],
                row["synaptic_events"],
                f"{row['rate_hz']:.1f}",
                row["queue"],
                f"{row['forward_ns_per_event']:.0f}",
                f"{row['backward_ns_per_event']:.0f}",
                f"{row['tape_bytes_per_spike']:.0f}",
            ),
            flush=True,
        )
    row = silent(5 * repeats)
    rows.append(row)
    print(f"{row['workload']}: {1e3 * row['forward_s']:.2f} ms")
    common.write_json(arguments.json, {"machine": machine, "rows": rows})


if __name__ == "__main__":
    sys.exit(main())
