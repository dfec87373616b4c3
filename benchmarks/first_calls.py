"""CPU time of first calls, when nothing is compiled yet.

Motivation: whoever tries refsim waits for its kernels to be compiled, once for each version and
kind of call. This time counts.

Each call runs in a process of its own with an empty cache; its CPU time, user and system, imports
included, is measured, and that of the same call in a second process, which finds the cache full.
``--beside FOLDER`` names another checkout of the project, whose calls are taken in turn with ours.

The small network is that of the README, 30 neurons; the large one has 5,000 neurons with 40
synapses each and goes by windows. ``warmup`` is ``refsim warmup`` with all its processes.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import common

HERE = Path(__file__).resolve().parents[1]
NETWORKS = """
import adjoint, refsim
def small():
    synapses = refsim.random(range(30, 40), 30, in_degree=4, weight=4.0, delay=1.5, rng=3)
    net = refsim.Network(30, synapses, n_inputs=10, ports=refsim.ExpPort(5.0), tau_m=20.0)
    return net, refsim.poisson_inputs(10, rate=40.0, duration=100.0, rng=0), 150.0
def large():
    n = 5000
    synapses = refsim.random(n + 100, n, in_degree=40, weight=1.0, delay=1.5, rng=3)
    net = refsim.Network(n, synapses, n_inputs=100, ports=refsim.ExpPort(5.0), tau_m=20.0)
    return net, refsim.poisson_inputs(100, rate=100.0, duration=20.0, rng=0), 20.0
def gradient(run, pullback):
    return pullback(2.0 * (run.spikes.time - 40.0))
"""
CALLS = {
    "simulate, small": "refsim.simulate(*small())",
    "vjp, small": "gradient(*adjoint.vjp(*small()))",
    "vjp_batch, small": "n, i, t = small(); adjoint.vjp_batch(n, [i] * 3, t)[1](None)",
    "simulate, large": "refsim.simulate(*large())",
    "vjp, large": "gradient(*adjoint.vjp(*large()))",
    "warmup": "from validation.cli import main; raise SystemExit(main(['warmup']))",
}
QUICK = ("simulate, small",)


def seconds(call, root, cache):
    """Return the CPU time of a call in a process with that folder for its cache."""
    environment = {**os.environ, "PYTHONPATH": str(root), "XDG_CACHE_HOME": str(cache)}
    environment.pop("NUMBA_CACHE_DIR", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = NETWORKS + CALLS[call]
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=cache, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{call} of {root} failed:\n{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def both(call, root):
    """Return the CPU times of a first call and of the next."""
    with tempfile.TemporaryDirectory() as cache:
        return seconds(call, root, cache), seconds(call, root, cache)


def parse():
    parser = common.options(__doc__)
    parser.add_argument("--beside", metavar="FOLDER", help="another checkout, taken in turn")
    parser.add_argument("--only", metavar="NAMES", help=f"of {'; '.join(CALLS)}")
    parser.add_argument("--repeats", type=int, help="rounds, 3 by default")
    arguments = parser.parse_args()
    names = QUICK if arguments.quick else tuple(CALLS)
    arguments.only = tuple(arguments.only.split("; ")) if arguments.only else names
    unknown = [name for name in arguments.only if name not in CALLS]
    if unknown:
        parser.error(f"--only has {', '.join(unknown)}; expected names of {'; '.join(CALLS)}")
    arguments.repeats = arguments.repeats or (1 if arguments.quick else 3)
    return arguments


def main():
    arguments = parse()
    found = {"machine": common.machine("refsim", "llvmlite"), "rows": []}
    common.show_machine(found["machine"])
    roots = {"here": HERE}
    if arguments.beside:
        roots["beside"] = Path(arguments.beside).resolve()
    print(f"{'CPU seconds':<20}" + "".join(f"{name:>10} {'next':>6}" for name in roots))
    for call in arguments.only:
        taken = {name: [] for name in roots}
        for _ in range(arguments.repeats):
            for name, root in roots.items():
                taken[name].append(both(call, root))
        medians = {
            name: tuple(map(statistics.median, zip(*times, strict=True)))
            for name, times in taken.items()
        }
        line = "".join(f"{first:10.1f} {later:6.1f}" for first, later in medians.values())
        print(f"{call:<20}{line}", flush=True)
        found["rows"].append({"call": call, "medians": medians, "all": taken})
    common.write_json(arguments.json, found)


if __name__ == "__main__":
    main()
