"""Memory and time of gradients from snapshots, beside those from the tape.

Motivation: the tape grows with every spike, snapshots do not. With snapshots the simulation is run
again on the way back, which takes time. Results are kept in benchmarks/README.md.

Workload: 1,000 neurons of workload A (workloads.py), with a tenth of its weights, so that
sensitivities do not grow without bound over the simulation, and the drive that gives some 20 Hz.
The loss is the sum of the spike times; gradients by weights and delays. Memory is what NumPy holds
at most from the beginning of the simulation to the gradient, less what a simulation without spikes
and its gradient take.
"""

from __future__ import annotations

import statistics
import tempfile
import tracemalloc
import warnings

import numpy as np
from common import machine, options, show_machine, write_json
from measure import Stopwatch
from refsim_run import network
from workloads import balanced

import adjoint
import refsim

WRT = ("weight", "delay")


def from_tape(net, duration, checkpoint):
    run, pullback = adjoint.vjp(
        net, None, duration, max_spikes=10**9, engine=refsim.Windows(threads=1)
    )
    return run.counts.spikes, run.counts.arrivals, pullback(np.ones(run.counts.spikes), wrt=WRT)


def from_snapshots(net, duration, checkpoint):
    run, pullback = adjoint.vjp(
        net,
        None,
        duration,
        max_spikes=10**9,
        checkpoint=checkpoint,
        engine=refsim.Windows(threads=1),
    )
    bars = pullback(lambda piece: np.ones(len(piece.spikes.time)), wrt=WRT)
    return run.n_spikes, run.counts.arrivals, bars


def memory(call, *arguments):
    """Return the most bytes that a call holds at once."""
    tracemalloc.start()
    try:
        call(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def plans(duration, folder):
    """Yield names and checkpoints."""
    for snapshots in (10, 20, 40):
        yield f"{snapshots} snapshots", snapshots
    yield "8 snapshots, 40 pieces", adjoint.Checkpoint(snapshots=8, pieces=40)
    yield "2 MB", adjoint.Checkpoint(memory=2_000_000)
    yield "40 snapshots in files", adjoint.Checkpoint(snapshots=40, directory=folder)


def main():
    parser = options(__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    warnings.simplefilter("ignore", refsim.IllConditionedWarning)
    found = machine("refsim")
    show_machine(found)
    duration = 5_000.0 if given.quick else 60_000.0
    workload = balanced(1000, i_ext=320.0)
    net = network(workload._replace(weight=0.1 * workload.weight))
    repeats = 1 if given.quick else given.repeats
    with tempfile.TemporaryDirectory() as folder:
        ways = {"tape": (from_tape, None)}
        ways |= {name: (from_snapshots, plan) for name, plan in plans(duration, folder)}
        for call, plan in (ways["tape"], ways["10 snapshots"]):
            call(net, 50.0, plan)
        seconds = {name: [] for name in ways}
        bars = {}
        for _ in range(repeats):
            for name, (call, plan) in ways.items():
                with Stopwatch() as watch:
                    spikes, events, bars[name] = call(net, duration, plan)
                seconds[name].append(watch.cpu)
        bytes_ = {name: memory(call, net, duration, plan) for name, (call, plan) in ways.items()}
        silent = memory(from_tape, net.replace(i_ext=0.0, v0=0.0), 50.0, None)
    print(f"{spikes:,} spikes, {events:,} synaptic events; silence holds {silent / 1e6:.1f} MB")
    found["rows"] = []
    base = statistics.median(seconds["tape"])
    for name in ways:
        same = all(
            np.array_equal(getattr(bars[name], key), getattr(bars["tape"], key)) for key in WRT
        )
        taken, held = statistics.median(seconds[name]), bytes_[name] - silent
        ratio = (bytes_["tape"] - silent) / held
        print(
            f"{name:24s} {taken:7.2f} s  {taken / base:5.2f} times   {held / 1e6:8.2f} MB  "
            f"{held / spikes:7.1f} B/spike  a {ratio:.1f}th   "
            f"{'equal to the last bit' if same else 'DIFFERENT'}"
        )
        found["rows"].append(
            {"name": name, "cpu_s": seconds[name], "bytes": held, "spikes": spikes, "equal": same}
        )
    write_json(given.json, found)


if __name__ == "__main__":
    main()
