"""Time of the JAX back ends: of one simulation with its gradient, and of batches of small ones.

Motivation: `validation.backends.jax.event` and `jax_grid` are judges, written for clarity. What do
they cost beside refsim, and what does a batch on a GPU give? The script runs unchanged where JAX
has a CUDA device, and names the device that it ran on. Results are kept in benchmarks/README.md.

Workloads: the recurrent and the Yin-Yang network of `validation.judges.suite` (one simulation,
gradient by all parameters, float64); and a 5-30-3 network of one exponential port whose five inputs
spike once, for 30 ms in steps of 0.1 ms, in batches of 64, 1024 and 8192 samples, in float64 and
float32, beside adjoint.vjp_batch. The loss is the sum of all spike times. Compilation is timed
apart.

`--chunk` samples go to the device at once: a step keeps what the way back needs, so memory grows as
samples times steps.
"""

from __future__ import annotations

import statistics
import sys
import time
from contextlib import nullcontext

import numpy as np
from common import figure, leave_record, machine, options, show_machine, write_json

import adjoint
import refsim
from adjoint.check import evaluate
from refsim.errors import MissingExtraError
from refsim.grid.scheme import GridScheme
from validation.case_suite.stored import standard_cases
from validation.comparison.backend import LossCotangents

try:
    import jax

    from validation.backends.jax import event as jax_event, grid as jax_grid
    from validation.backends.jax.grid_structure import grid_problem
    from validation.backends.jax.setup import device_name, float64
except (ImportError, MissingExtraError) as error:
    sys.exit(f"this benchmark needs the extra jax: {error}")

DURATION, DT = 30.0, 0.1  # ms


def timed(call, repeats):
    """Return (wall, processor) seconds of the first call, and the medians of the others."""
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter(), time.process_time()
        call()
        seconds.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    later = tuple(map(statistics.median, zip(*seconds[1:], strict=True)))
    return seconds[0], later


def row(label, first, later, events, samples=1):
    median = later[0]
    found = {
        "workload": label,
        "compile_s": round(first[0] - median, 3),
        "compile_cpu_s": round(first[1] - later[1], 3),
        "run_s": median,
        "run_cpu_s": later[1],
        "us_per_sample": 1e6 * median / samples,
        "ns_per_event": 1e9 * median / events,
        "samples": samples,
        "synaptic_events": events,
    }
    print(
        f"{label:<40} {found['us_per_sample']:10.0f} us a sample (processor "
        f"{1e6 * later[1] / samples:8.0f}) {found['ns_per_event']:9.0f} ns an event, "
        f"compilation {found['compile_s']:5.1f} s ({found['compile_cpu_s']:.1f})",
        flush=True,
    )
    return found


def single_rows(names, repeats):
    """Time one simulation with its gradient."""
    for case in standard_cases():
        if case.name not in names:
            continue
        evaluation = evaluate(case)
        case, simulation = evaluation.case, evaluation.simulation
        asked = LossCotangents.of(case, simulation.spikes.neuron)
        given = (case.network, case.inputs, case.duration)
        events = simulation.counts.arrivals

        def exact(given=given, case=case):
            pullback = adjoint.vjp(*given, samples=case.samples)[1]
            pullback(case.time_bar, case.voltage_bar)

        def grid(given=given, case=case):
            result, pullback = adjoint.vjp(*given, samples=case.samples, engine=refsim.Grid(DT))
            pullback(np.ones(len(result.spikes.time)), case.voltage_bar)

        ways = {
            "refsim": exact,
            "refsim, grid": grid,
            "jax_event": lambda given=given, asked=asked: jax_event.backend(*given, asked),
            "jax_grid": lambda given=given, asked=asked: jax_grid.backend(*given, asked, dt=DT),
        }
        for way, call in ways.items():
            yield row(f"{case.name}, {way}", *timed(call, repeats), events)


def small_network(rng):
    """Return five inputs that drive 30 neurons, which drive 3."""
    given = refsim.all_to_all(33 + np.arange(5), range(30), rng.uniform(0.5, 2.5, (5, 30)), 1.0)
    out = refsim.all_to_all(range(30), range(30, 33), rng.uniform(0.1, 0.6, (30, 3)), 1.0)
    return refsim.Network(33, [given, out], n_inputs=5, ports=refsim.ExpPort(5.0), tau_m=10.0)


def batch_rows(sizes, chunk, repeats):
    """Time batches with the gradient by all parameters of the network."""
    rng = np.random.default_rng(0)
    network = small_network(rng)
    times = rng.uniform(0.0, 10.0, (max(sizes), 5))
    trains = [refsim.SpikeTrain(row, range(5), 5) for row in times]
    for size in sizes:
        part = trains[:size]
        events = refsim.simulate_batch(network, part, DURATION).counts.arrivals

        def exact(part=part):
            adjoint.vjp_batch(network, part, DURATION)[1]([1.0] * len(part))

        yield row(f"batch of {size}, refsim.vjp_batch", *timed(exact, repeats), events, size)
        for dtype in ("float64", "float32"):
            chunks = on_device(network, part, min(chunk, size), dtype)
            call = gradient_of_chunks(chunks, dtype)
            label = f"batch of {size}, jax_grid {dtype}"
            yield row(label, *timed(call, repeats), events, size)


def on_device(network, trains, chunk, dtype):
    """Return the arrays of all chunks, where they are computed with."""
    nothing, found = refsim.Samples([], []), []
    with float64() if dtype == "float64" else nullcontext():
        for start in range(0, len(trains), chunk):
            problems = [
                grid_problem(
                    network, train, DURATION, nothing, DT, GridScheme(), dtype, is_batch=True
                )[:2]
                for train in trains[start : start + chunk]
            ]
            found.append(jax.device_put(jax_grid.batched(problems)))
    return found


def gradient_of_chunks(chunks, dtype):
    n = chunks[0][0].v0.shape[0]
    time_bar = np.ones((n, 64), dtype)

    def call():
        with float64() if dtype == "float64" else nullcontext():
            parts = [jax_grid.batch_gradient(*given, time_bar) for given in chunks]
            jax.block_until_ready(parts)

    return call


def figures(rows):
    """Return what a record holds of the rows."""
    return [
        figure(row["workload"], row["us_per_sample"], "us a sample", f"{row['samples']} samples")
        for row in rows
    ]


def main():
    parser = options(__doc__)
    parser.add_argument("--chunk", type=int, default=1024, help="samples in one call")
    parser.add_argument("--sizes", default="64,1024,8192", help="sizes of the batches")
    arguments = parser.parse_args()
    device = device_name()
    found = {"machine": machine("jax", "jaxlib") | {"device": device}, "rows": []}
    show_machine(found["machine"])
    if not device.startswith(("gpu", "cuda")):
        print("JAX has no GPU here: all of this is on the CPU.")
    quick = arguments.quick
    names = ("chain-8",) if quick else ("recurrent", "yin-yang 21/0")
    sizes = (64,) if quick else tuple(map(int, arguments.sizes.split(",")))
    repeats = 3 if quick else 5
    rows = (*single_rows(names, repeats), *batch_rows(sizes, arguments.chunk, repeats))
    found["rows"] = list(rows)
    write_json(arguments.json, found)
    if device.startswith(("gpu", "cuda")):
        leave_record("JAX", device.split(": ")[1], found["machine"], figures(found["rows"]))


if __name__ == "__main__":
    sys.exit(main())
