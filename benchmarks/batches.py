"""Samples per second of batches, against a loop over single samples.

Motivation: training asks for the gradient of many short simulations of one network. One by one,
each of them pays for arrays and tuples made in Python, which one thread at a time can do; a batch
pays once, and simulates many samples in one call of a kernel that lets other threads run. Results
are kept in benchmarks/README.md.

Workloads: the Yin-Yang network (5 inputs, 120 hidden and 3 output neurons, every delay its own) for
60 ms; 30 neurons without recurrence, driven by 10 Poisson channels of 40 Hz for 150 ms; and 12
hidden and 3 output neurons with the inputs of the first. The loss is the sum of the spike times.
Beside them, the time of a call in which nothing happens: the part of a loop that a batch does not
pay.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from datetime import date
from importlib.metadata import version

import numpy as np

import adjoint
import refsim
from refsim.files.output import write_whole
from refsim.validate import checked_threads
from validation.case_suite.yinyang import to_spikes, yin_yang, yin_yang_network


def workloads(size):
    values, _ = yin_yang(size, 1)
    yield "Yin-Yang, 123 neurons", yin_yang_network(0), [to_spikes(row) for row in values], 60.0
    synapses = refsim.random(range(30, 40), 30, in_degree=4, weight=4.0, delay=1.5, rng=3)
    network = refsim.Network(30, synapses, n_inputs=10, ports=refsim.ExpPort(5.0), tau_m=20.0)
    inputs = [refsim.poisson_inputs(10, 40.0, 100.0, rng=i) for i in range(size)]
    yield "30 neurons", network, inputs, 150.0
    small = yin_yang_network(0)
    hidden = refsim.all_to_all([15, 16, 17, 18, 19], range(12), small.weight[:60], 1.0)
    out = refsim.all_to_all(range(12), range(12, 15), 1.0, 1.0)
    tiny = refsim.Network(15, [hidden, out], n_inputs=5, ports=refsim.ExpPort(5.0))
    yield "15 neurons", tiny, [to_spikes(row) for row in values], 60.0


def loop(network, inputs, duration, backwards):
    for one in inputs:
        if backwards:
            adjoint.vjp(network, one, duration)[1](1.0)
        else:
            refsim.simulate(network, one, duration)


def batch(network, inputs, duration, backwards, threads):
    if backwards:
        adjoint.vjp_batch(network, inputs, duration, threads=threads)[1]([1.0] * len(inputs))
    else:
        refsim.simulate_batch(network, inputs, duration, threads=threads)


def measure(label, network, inputs, duration, repeats):
    """Time all ways in turn; return a row of medians."""
    ways = {"loop": lambda backwards: loop(network, inputs, duration, backwards)}
    for threads in sorted({1, 2, checked_threads(None)}):
        ways[f"{threads} threads"] = lambda backwards, threads=threads: batch(
            network, inputs, duration, backwards, threads
        )
    taken = {(way, backwards): [] for way in ways for backwards in (False, True)}
    for repeat in range(repeats + 1):
        for way, backwards in taken:
            started = time.perf_counter(), time.process_time()
            ways[way](backwards)
            ended = time.perf_counter(), time.process_time()
            if repeat:  # the first one may compile
                taken[way, backwards].append(np.subtract(ended, started))
    counts = refsim.simulate_batch(network, inputs, duration).counts
    empty = []
    for _ in range(50):
        started = time.perf_counter()
        adjoint.vjp(network, None, 1e-3)[1]()
        empty.append(time.perf_counter() - started)
    row = {
        "workload": label,
        "spikes": counts.spikes / len(inputs),
        "synaptic_events": counts.arrivals / len(inputs),
        "empty_us": 1e6 * statistics.median(empty),
    }
    for (way, backwards), seconds in taken.items():
        kind = "forward and back" if backwards else "forward"
        wall, cpu = np.median(seconds, axis=0)
        row[f"{kind}, {way}"] = {"per_s": len(inputs) / wall, "cpu_ms": 1e3 * cpu / len(inputs)}
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller batches, under 50 s")
    parser.add_argument("--json", metavar="FILE", help="also write the rows as JSON")
    arguments = parser.parse_args()
    machine = {
        "date": date.today().isoformat(),
        "processor": platform.processor() or platform.machine(),
        "cores": checked_threads(None),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "numba")},
    }
    print(" ".join(f"{key} {value}" for key, value in machine.items()))
    rows = []
    for workload in workloads(100 if arguments.quick else 500):
        row = measure(*workload, 3 if arguments.quick else 7)
        rows.append(row)
        print(
            f"{row['workload']}: {row['spikes']:.0f} spikes and {row['synaptic_events']:.0f} "
            f"synaptic events a sample; an empty one takes {row['empty_us']:.0f} us"
        )
        for key, value in list(row.items())[4:]:
            ratio = value["per_s"] / row[key.split(",")[0] + ", loop"]["per_s"]
            print(
                f"  {key:<30} {value['per_s']:8.0f} samples/s ({ratio:.2f}), "
                f"{value['cpu_ms']:6.3f} ms of a processor for each",
                flush=True,
            )
    if arguments.json:
        write_whole(
            arguments.json,
            lambda stream: json.dump({"machine": machine, "rows": rows}, stream, indent=1),
        )


if __name__ == "__main__":
    sys.exit(main())
