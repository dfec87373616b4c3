"""Run a workload in Brian2 as standalone C++, and print what it took as one line of JSON.

Generating and compiling the C++ takes longer than anything else and is done once for a folder;
the program that it leaves there is then run as it is, and needs no Brian2.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path

import numpy as np
from measure import report
from workloads import GRID, MV_PER_PA, T_REF, TAU_M, TAU_S, V_RESET, V_TH, Workload

EQUATIONS = """
dv/dt = (drive + current - v) / tau_m : 1 (unless refractory)
dcurrent/dt = -current / tau_s : 1
"""

# What the program says of itself, since it knows better than who started it.
PROBE = """
{{
    struct timespec cpu, wall;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    clock_gettime(CLOCK_MONOTONIC, &wall);
    std::cout.precision(17);
    std::cout << "PROBE {place} " << cpu.tv_sec + 1e-9 * cpu.tv_nsec << ' '
              << wall.tv_sec + 1e-9 * wall.tv_nsec;
    std::ifstream status("/proc/self/status");
    for (std::string key, value; status >> key; std::getline(status, value))
        if (key == "VmRSS:" || key == "VmHWM:") {{
            status >> value;
            std::cout << ' ' << value;
        }}
    std::cout << std::endl;
}}
"""
PLACES = ("before_start", "before_network_run", "after_network_run")


def connected(brian2, source, target, workload, chosen, first):
    """Connect sources numbered from ``first``; equal delays are one number, as users write it."""
    common = {"delay": workload.delay[0] * brian2.ms} if workload.has_equal_delays else {}
    synapses = brian2.Synapses(source, target, "w : 1", on_pre="current_post += w", **common)
    synapses.connect(i=workload.pre[chosen] - first, j=workload.post[chosen])
    synapses.w = workload.weight[chosen] * MV_PER_PA
    if not common:
        synapses.delay = workload.delay[chosen] * brian2.ms
    return synapses


def network(brian2, workload):
    neurons = brian2.NeuronGroup(
        workload.n,
        EQUATIONS,
        threshold="v >= v_th",
        reset="v = v_reset",
        refractory=T_REF * brian2.ms,
        method="exact",
        namespace={
            "drive": workload.i_ext * MV_PER_PA,
            "tau_m": TAU_M * brian2.ms,
            "tau_s": TAU_S * brian2.ms,
            "v_th": V_TH,
            "v_reset": V_RESET,
        },
    )
    neurons.v = workload.v0
    recurrent = workload.pre < workload.n
    parts = [neurons, brian2.SpikeMonitor(neurons, name="recorded")]
    parts.append(connected(brian2, neurons, neurons, workload, recurrent, 0))
    if workload.n_inputs:
        source = brian2.SpikeGeneratorGroup(
            workload.n_inputs, workload.input_channel, workload.input_time * brian2.ms
        )
        parts += [source, connected(brian2, source, neurons, workload, ~recurrent, workload.n)]
    return brian2.Network(parts)


def cpu_time():
    """Return the CPU time of this process and of those that it has waited for, in seconds."""
    return sum(os.times()[:4])


def build(workload, folder):
    """Write and compile the program; keep beside it how long that took."""
    import brian2

    started = cpu_time()
    brian2.set_device("cpp_standalone", build_on_run=False)
    brian2.defaultclock.dt = GRID * brian2.ms
    simulated = network(brian2, workload)
    for place in PLACES:
        brian2.device.insert_code(place, PROBE.format(place=place))
    simulated.run(workload.duration * brian2.ms)
    brian2.device.build(str(folder), compile=True, run=False, with_output=False)
    built = {
        "compile_s": cpu_time() - started,
        "versions": {"brian2": brian2.__version__, "numpy": np.__version__},
    }
    (folder / "built.json").write_text(json.dumps(built))


def results(folder):
    """Return spike times in ms and neurons, from the arrays that the program writes."""
    (time,) = (folder / "results").glob("_dynamic_array_recorded_t_*")
    (neuron,) = (folder / "results").glob("_dynamic_array_recorded_i_*")
    return 1000.0 * np.fromfile(time), np.fromfile(neuron, dtype=np.int32)


def run(folder):
    """Run the program; return CPU time, wall time, resident and largest kB at its probes."""
    output = subprocess.run(["./main"], cwd=folder, check=True, capture_output=True, text=True)
    lines = [line.split() for line in output.stdout.splitlines() if line.startswith("PROBE")]
    return np.array([[float(value) for value in line[2:]] for line in lines])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", help="a file of workloads.py")
    parser.add_argument("folder", type=Path, help="of the program, which is compiled if missing")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--spikes", metavar="FILE", help="keep the spikes")
    arguments = parser.parse_args()
    workload = Workload.load(arguments.workload)
    if not (arguments.folder / "built.json").exists():
        build(workload, arguments.folder)
    probes = np.array([run(arguments.folder) for _ in range(arguments.runs)])
    cpu, wall, kilobytes, most = probes.transpose(2, 0, 1)
    report(
        workload,
        *results(arguments.folder),
        arguments.spikes,
        cpu_s=list(cpu[:, 2] - cpu[:, 1]),
        wall_s=list(wall[:, 2] - wall[:, 1]),
        construction_s=float(np.median(cpu[:, 1] - cpu[:, 0])),
        grown_bytes=1024 * float(np.median(kilobytes[:, 1] - kilobytes[:, 0])),
        peak_bytes=1024 * float(most.max()),
        **json.loads((arguments.folder / "built.json").read_text()),
    )


if __name__ == "__main__":
    main()
