"""What the window engine costs beside events: memory, silence, sparse activity, and threads.

Motivation: `simulators.py` measures one thread of busy networks. Here are the most memory that a
network of 10^7 synapses takes, drawn, packed and simulated; whether cost follows activity, down to
none; and what two threads gain, beside two runs in threads of Python, which is what the memory
allows. Workloads A and C are those of `workloads.py`. Results are kept in benchmarks/README.md.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
import warnings

import numpy as np
from common import machine, options, show_machine, write_json
from measure import Stopwatch, peak
from refsim_run import network, train
from workloads import MV_PER_PA, T_REF, TAU_M, TAU_S, V_TH, balanced, sparse

import adjoint
import refsim


def peak_bytes(n):
    """Return the peak of memory once a network of workload A is drawn, packed and simulated."""
    exc, half = 4 * n // 5, n // 10
    mean = 50.0 * np.sqrt(1000.0 / half) * MV_PER_PA
    drawn = [
        refsim.random(exc, n, in_degree=4 * half // 5, weight=mean, delay=1.5, rng=1),
        refsim.random(range(exc, n), n, in_degree=half // 5, weight=-7.0 * mean, delay=1.5, rng=2),
    ]
    synapses = refsim.Synapses.concatenate(drawn)
    del drawn
    packed = synapses.packed(n)
    del synapses
    v0 = np.random.default_rng(1).uniform(0.0, V_TH - 1.0, n)
    net = refsim.Network(
        n, packed, ports=refsim.ExpPort(TAU_S), tau_m=TAU_M, v_th=V_TH, v_reset=0.0, t_ref=T_REF,
        i_ext=900.0 * MV_PER_PA, v0=v0,
    )  # fmt: skip
    refsim.simulate(net, None, 200.0, engine=refsim.Windows(threads=1))
    return peak()


def cpu_seconds(net, inputs, duration, repeats):
    """Return the median CPU time of simulations after the first, and the last one."""
    taken = []
    for _ in range(repeats + 1):
        with Stopwatch() as watch:
            run = refsim.simulate(net, inputs, duration, engine=refsim.Windows(threads=1))
        taken.append(watch.cpu)
    return statistics.median(taken[1:]), run


def silence(n, repeats):
    """Return the time of a second in which nothing happens."""
    synapses = refsim.random(n, n, in_degree=10, weight=0.1, delay=1.5, rng=1)
    net = refsim.Network(n, synapses, ports=refsim.ExpPort(TAU_S), tau_m=TAU_M, v_th=V_TH)
    return cpu_seconds(net, None, 1000.0, repeats)[0]


def activity(n, rates, repeats):
    """Yield the cost of workload C by the rate of its input."""
    for rate in rates:
        workload = sparse(n, rate=rate)
        seconds, run = cpu_seconds(network(workload), train(workload), workload.duration, repeats)
        yield {
            "input_hz": rate,
            "neurons_hz": 1000.0 * len(run.spikes.time) / n / workload.duration,
            "ms": 1e3 * seconds,
            "ns_per_event": 1e9 * seconds / max(1, run.counts.arrivals),
        }


def side_by_side(call):
    other = threading.Thread(target=call)
    other.start()
    call()
    other.join()


def two_threads(n, repeats):
    """Yield times on the clock of one thread, two, and two runs side by side, in turn."""
    workload = balanced(n)
    net, inputs = network(workload), train(workload)
    arguments = (net, inputs, workload.duration)
    pullbacks = {}
    for threads in (1, 2):
        run, pullbacks[threads] = adjoint.vjp(*arguments, engine=refsim.Windows(threads=threads))
    bar = np.ones(len(run.spikes.time))
    calls = {
        "forwards": lambda threads: refsim.simulate(
            *arguments, engine=refsim.Windows(threads=threads)
        ),
        "back to weights and delays": lambda threads: pullbacks[threads](
            bar, wrt=("weight", "delay")
        ),
        "back to all parameters": lambda threads: pullbacks[threads](bar),
    }
    for name, call in calls.items():
        ways = {
            "one thread": lambda call=call: call(1),
            "two threads": lambda call=call: call(2),
            "two runs side by side": lambda call=call: side_by_side(lambda: call(1)),
        }
        taken = {way: [] for way in ways}
        for _ in range(repeats + 1):
            for way, run_it in ways.items():
                started = time.perf_counter()
                run_it()
                taken[way].append(time.perf_counter() - started)
        yield {"what": name, **{way: statistics.median(t[1:]) for way, t in taken.items()}}


def main():
    arguments = options(__doc__).parse_args()
    warnings.simplefilter("ignore", refsim.IllConditionedWarning)
    n, repeats = (2000, 3) if arguments.quick else (10_000, 9)
    found = {"machine": machine()}
    show_machine(found["machine"])
    found["peak_bytes"] = peak_bytes(n)
    print(f"peak of {n} neurons, {n * n // 10:.0e} synapses: {found['peak_bytes'] / 1e6:.0f} MB")
    found["silent_s"] = silence(10 * n, repeats)
    print(f"a silent second of {10 * n} neurons: {1e3 * found['silent_s']:.1f} ms")
    found["activity"] = list(activity(n, (8.0, 4.0, 2.0, 1.0, 0.5, 0.25), repeats))
    for row in found["activity"]:
        print(", ".join(f"{key} {value:.3g}" for key, value in row.items()))
    found["threads"] = list(two_threads(n, repeats))
    for row in found["threads"]:
        one, two, both = list(row.values())[1:]
        print(
            f"{row['what']}: {1e3 * one:.1f} ms, {1e3 * two:.1f} by two threads "
            f"({one / two:.2f}); two runs side by side {1e3 * both:.1f} ({2 * one / both:.2f})",
            flush=True,
        )
    write_json(arguments.json, found)


if __name__ == "__main__":
    sys.exit(main())
