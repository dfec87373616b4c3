"""Run a workload in refsim several times, and print what it took as one line of JSON."""

from __future__ import annotations

import argparse
import warnings
from importlib.metadata import version

import numpy as np
from measure import Stopwatch, peak, report, resident
from workloads import GRID, MV_PER_PA, T_REF, TAU_M, TAU_S, V_RESET, V_TH, Workload, balanced

import adjoint
import refsim

AN_INSTANT = 1e-3  # ms, to have a network laid out for the kernels


def network(workload):
    """Build the network: the one place that says how."""
    return refsim.Network(
        workload.n,
        refsim.Synapses(
            workload.pre, workload.post, workload.weight * MV_PER_PA, workload.delay, 0
        ).packed(workload.n, workload.n_inputs),
        n_inputs=workload.n_inputs,
        ports=refsim.ExpPort(TAU_S),
        tau_m=TAU_M,
        v_th=V_TH,
        v_reset=V_RESET,
        t_ref=T_REF,
        i_ext=workload.i_ext * MV_PER_PA,
        v0=workload.v0,
    )


def load(arguments):
    workload = Workload.load(arguments.workload)
    if arguments.grid_delays:
        return workload._replace(delay=GRID * np.round(workload.delay / GRID))
    return workload


def train(workload):
    return refsim.SpikeTrain(workload.input_time, workload.input_channel, workload.n_inputs)


# Pullbacks by what they give; each takes a pullback and the cotangents of the spike times.
PULLBACKS = {
    "weights and delays": lambda pullback, bar: pullback(bar, None, ("weight", "delay")),
    "all parameters": lambda pullback, bar: pullback(bar),
}


def gradients(net, inputs, duration, repeats, options):
    """Return the times of each pullback, simulation not included."""
    warnings.simplefilter("ignore", refsim.IllConditionedWarning)
    run, pullback = adjoint.vjp(net, inputs, duration, **options)
    bar = np.ones(len(run.spikes.time))
    found = {}
    for name, call in PULLBACKS.items():
        call(pullback, bar)
        watches = [Stopwatch() for _ in range(repeats)]
        for watch in watches:
            with watch:
                call(pullback, bar)
        found[name] = {
            "cpu_s": [watch.cpu for watch in watches],
            "wall_s": [watch.wall for watch in watches],
        }
    return found


def warm_up(equal_delays, options, backward):
    """Run a small network of the same kind; return the CPU time of the first calls."""
    small = balanced(100, "equal" if equal_delays else "spread", duration=20.0)
    net = network(small)
    with Stopwatch() as first:
        refsim.simulate(net, None, small.duration, **options)
    with Stopwatch() as first_backward:
        if backward:
            gradients(net, None, small.duration, 1, options)
    return first.cpu, first_backward.cpu if backward else None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", help="a file of workloads.py")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--engine", default="Windows", choices=["Windows", "Events"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--backward", action="store_true", help="also time pullbacks")
    parser.add_argument("--grid-delays", action="store_true", help="round delays, as NEST does")
    parser.add_argument("--spikes", metavar="FILE", help="keep the spikes")
    arguments = parser.parse_args()
    workload = load(arguments)
    by_windows = arguments.engine == "Windows"
    engine = refsim.Windows(arguments.threads) if by_windows else refsim.Events()
    options = {"engine": engine, "max_spikes": 10**8}
    compile_s, compile_backward_s = warm_up(workload.has_equal_delays, options, arguments.backward)
    inputs, duration = train(workload), workload.duration
    del workload
    before = resident()
    workload = load(arguments)
    with Stopwatch() as building:
        net = network(workload)
        refsim.simulate(net, None, AN_INSTANT, **options)
    del workload  # so that arrays which the network merely refers to count as its own
    grown = resident() - before
    watches = [Stopwatch() for _ in range(arguments.runs)]
    for watch in watches:
        with watch:
            run = refsim.simulate(net, inputs, duration, **options)
    forward_peak = peak()
    back = {}
    if arguments.backward:
        back = gradients(net, inputs, duration, arguments.runs, options)
    report(
        load(arguments),
        run.spikes.time,
        run.spikes.neuron,
        arguments.spikes,
        cpu_s=[watch.cpu for watch in watches],
        wall_s=[watch.wall for watch in watches],
        backward=back,
        construction_s=building.cpu,
        compile_s=compile_s,
        compile_backward_s=compile_backward_s,
        grown_bytes=grown,
        peak_bytes=forward_peak,
        peak_backward_bytes=peak() if arguments.backward else None,
        versions={name: version(name) for name in ("refsim", "numpy", "numba")},
    )


if __name__ == "__main__":
    main()
