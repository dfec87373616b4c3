"""Run a workload in NEST, once, and print what it took as one line of JSON."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

import numpy as np
from measure import Stopwatch, peak, report, resident
from workloads import C_M, GRID, T_REF, TAU_M, TAU_S, V_RESET, V_TH, Workload

MODELS = {"grid": "iaf_psc_exp", "precise": "iaf_psc_exp_ps"}


@contextlib.contextmanager
def quiet():
    """Send what NEST prints to standard error: standard output is for the result."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)


def neurons(nest, workload, precise):
    found = nest.Create(
        MODELS["precise" if precise else "grid"],
        workload.n,
        params={
            "C_m": C_M,
            "tau_m": TAU_M,
            "tau_syn_ex": TAU_S,
            "tau_syn_in": TAU_S,
            "E_L": 0.0,
            "V_th": V_TH,
            "V_reset": V_RESET,
            "t_ref": T_REF,
            "I_e": workload.i_ext,
        },
    )
    found.V_m = workload.v0
    return found


def generators(nest, workload, precise):
    """Make a generator for each input channel; on a grid its spikes come at the next step."""
    if not workload.n_inputs:
        return
    timing = {"precise_times": True} if precise else {"allow_offgrid_times": True}
    order = np.argsort(workload.input_channel, kind="stable")
    ends = np.cumsum(np.bincount(workload.input_channel, minlength=workload.n_inputs))[:-1]
    trains = np.split(workload.input_time[order], ends)
    nest.Create(
        "spike_generator",
        workload.n_inputs,
        params=[{"spike_times": train, **timing} for train in trains],
    )


def simulate(nest, path, precise):
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.SetKernelStatus({"resolution": GRID, "local_num_threads": 1})
    before = resident()
    workload = Workload.load(path)
    with Stopwatch() as building:
        cells = neurons(nest, workload, precise)
        generators(nest, workload, precise)
        pre, post = workload.pre.astype(np.int64) + 1, workload.post.astype(np.int64) + 1
        nest.Connect(pre, post, "one_to_one", {"weight": workload.weight, "delay": workload.delay})
        recorder = nest.Create("spike_recorder")
        # A shorter delay, here as anywhere, would make NEST exchange spikes more often.
        nest.Connect(cells, recorder, syn_spec={"delay": max(GRID, workload.delay.min())})
        nest.Prepare()
    duration = workload.duration
    del workload, pre, post
    grown = resident() - before
    with Stopwatch() as running:
        nest.Run(duration)
    nest.Cleanup()
    return recorder.events, building, running, grown


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", help="a file of workloads.py")
    parser.add_argument("--precise", action="store_true", help="spikes between the steps")
    parser.add_argument("--spikes", metavar="FILE", help="keep the spikes")
    arguments = parser.parse_args()
    with quiet():
        import nest

        events, building, running, grown = simulate(nest, arguments.workload, arguments.precise)
    report(
        Workload.load(arguments.workload),
        events["times"],
        events["senders"] - 1,
        arguments.spikes,
        cpu_s=[running.cpu],
        wall_s=[running.wall],
        construction_s=building.cpu,
        grown_bytes=grown,
        peak_bytes=peak(),
        versions={"nest": nest.__version__, "numpy": np.__version__},
    )


if __name__ == "__main__":
    main()
