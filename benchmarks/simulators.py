"""Speed and memory of refsim beside NEST and Brian2, on the same networks.

Motivation: exact simulation should not cost more than simulation on a grid. Results are kept in
benchmarks/README.md.

Workloads: `workloads.py` draws them once and every simulator loads the same arrays. NEST (on a
grid of 0.1 ms, and with precise spikes) and Brian2 (standalone C++ with its own flags, on the same
grid) run as processes of their own, with the Python that `--nest-python` and `--brian-python` name,
and are skipped by name where they are missing. All run in turn, in rounds, on one thread, float64
throughout, recording every spike.

A synaptic event is a spike, of a neuron or the input, times its out-degree. Times are CPU time of
the simulate phase (Run of NEST, the run of the network in Brian2's program, `refsim.simulate`).
Construction is building and laying out (in Brian2's program too), compilation what Brian2 needs for
every network, and refsim once for an installation (in the table, where it only loads compiled code,
that is little), in seconds of CPU time.
Bytes per synapse are the growth of resident memory by construction.

Checked: rates, within limits that a grid needs; spikes of refsim and NEST's precise model one by
one, with delays on NEST's grid; those of refsim's two engines. The networks are chaotic: a last
bit becomes a millisecond in some hundred milliseconds.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import agreement
import common
import numpy as np
import scaling
import simulator_pictures
from workloads import NAMED

HERE = Path(__file__).parent
QUICK = ("A1000", "B1000")
ENGINES_COMPARED = ("A1000", "A10000", "B10000")  # event engine: some seconds each
GRID_SHIFT, EXACT_SHIFT = 0.15, 0.10  # of rates; delays on a grid alone shift them by 5 %


class Simulator(NamedTuple):
    name: str
    python: str
    script: str
    options: tuple[str, ...]
    shift: float


class Session:
    """A temporary folder with the workloads, what is built for them, and spikes."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def workload(self, name, draw):
        path = self.folder / f"{name}.npz"
        if not path.exists():
            draw().save(path)
        return path

    def run(self, simulator, workload, spikes=None, options=(), environment=()):
        """Run a simulator once; return its row, or None where it fails."""
        command = [simulator.python, str(HERE / simulator.script), str(workload)]
        if simulator.script == "brian2_run.py":
            command.append(str(workload.with_suffix(".program")))
        command += [*simulator.options, *options]
        if spikes:
            command += ["--spikes", str(spikes)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **dict(environment)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            print(f"skipped: {simulator.name} on {workload.stem} ({last})")
            return None
        return {"simulator": simulator.name, **json.loads(done.stdout.splitlines()[-1])}

    def spikes(self, workload, simulator):
        return self.folder / f"{workload}, {simulator}.npz"


def has(python, package):
    """Tell whether a Python can import a package."""
    if python == sys.executable:
        return importlib.util.find_spec(package) is not None
    command = [python, "-c", f"import importlib.util as u; exit(u.find_spec('{package}') is None)"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def ours(threads=1, options=()):
    name = "refsim" if threads == 1 else f"refsim, {threads} threads"
    extra = ("--threads", str(threads), *options)
    return Simulator(name, sys.executable, "refsim_run.py", extra, EXACT_SHIFT)


def competitors(arguments):
    """Return the simulators that are there, and say which are not."""
    runs = "2" if arguments.quick else "3"
    # Kernels of the pullback alone take too long to compile for --quick.
    extra = ("--runs", runs) if arguments.quick else ("--runs", runs, "--backward")
    found = [ours(threads, extra) for threads in arguments.threads]
    if has(arguments.nest_python, "nest"):
        nest = arguments.nest_python, "nest_run.py"
        found.append(Simulator("NEST, grid", *nest, (), GRID_SHIFT))
        found.append(Simulator("NEST, precise", *nest, ("--precise",), EXACT_SHIFT))
    else:
        print("skipped: NEST (not installed; --nest-python names a Python that has it)")
    if not has(arguments.brian_python, "brian2"):
        print("skipped: Brian2 (not installed; --brian-python names a Python that has it)")
    elif arguments.quick:
        print("skipped: Brian2 (its C++ takes longer to compile than --quick may take)")
    else:
        program = arguments.brian_python, "brian2_run.py"
        found.append(Simulator("Brian2, grid", *program, ("--runs", runs), GRID_SHIFT))
    return found


def merged(rounds):
    """Join the rows of all rounds: all times, the first compilation, medians of the rest."""
    row = dict(rounds[0])
    for key in ("cpu_s", "wall_s"):
        row[key] = [value for found in rounds for value in found[key]]
        for name, times in row.get("backward", {}).items():
            times[key] = [value for found in rounds for value in found["backward"][name][key]]
    for key in ("construction_s", "bytes_per_synapse", "peak_bytes"):
        row[key] = statistics.median(found[key] for found in rounds)
    return row


def compilation(session):
    """Measure what refsim compiles on first use, in a folder without compiled code."""
    path = session.workload("A1000", NAMED["A1000"])
    empty = {"NUMBA_CACHE_DIR": str(session.folder / "compiled")}
    row = session.run(ours(), path, None, ("--backward",), empty)
    if row is None:
        return None
    forwards, backwards = row["compile_s"], row["compile_backward_s"]
    print(f"compilation of refsim: {forwards:.1f} s, pullbacks {backwards:.1f} s more", flush=True)
    return {"forwards_s": forwards, "backwards_s": backwards}


def measure(session, name, simulators, repeats):
    """Run all simulators in turn, round after round; return their merged rows."""
    path = session.workload(name, NAMED[name])
    rounds = {simulator: [] for simulator in simulators}
    for k in range(repeats):
        for simulator in simulators:
            spikes = session.spikes(name, simulator.name) if k == 0 else None
            row = session.run(simulator, path, spikes)
            if row:
                rounds[simulator].append(row)
    return [{"workload": name, **merged(found)} for found in rounds.values() if found]


def nanoseconds(times, events):
    """Return the least and the median time per event."""
    return 1e9 * min(times) / events, 1e9 * statistics.median(times) / events


def lines_of(rows):
    """Yield one line for each simulator and direction: name, row, CPU and wall times."""
    for row in rows:
        yield row["simulator"], row, row["cpu_s"], row["wall_s"]
        for name, times in row.get("backward", {}).items():
            yield f"  backwards, {name}", {"events": row["events"]}, times["cpu_s"], times["wall_s"]


TABLE = "{:<28} {:>8} {:>11} {:>7} {:>7} {:>7} {:>7} {:>8} {:>9} {:>9} {:>7} {:>8}"


def or_dash(row, key, form, scale=1.0):
    return format(row[key] * scale, form) if row.get(key) is not None else "-"


def show(name, rows):
    """Print the table of a workload; add to the rows what it shows."""
    heads = "spikes events Hz best median wall /refsim construct compile B/syn. peak_MB"
    print("\n" + TABLE.format(f"{name} (ns per event)", *heads.split()))
    ours = next((row for row in rows if row["simulator"] == "refsim"), None)
    reference = statistics.median(ours["cpu_s"]) / ours["events"] if ours else float("nan")
    for label, row, cpu, wall in lines_of(rows):
        best, median = nanoseconds(cpu, row["events"])
        if "simulator" in row:
            row.update(best_ns=best, median_ns=median, over_refsim=1e-9 * median / reference)
        print(
            TABLE.format(
                label,
                or_dash(row, "spikes", ",.0f"),
                or_dash(row, "events", ",.0f"),
                or_dash(row, "rate_hz", ".2f"),
                f"{best:.2f}",
                f"{median:.2f}",
                f"{nanoseconds(wall, row['events'])[1]:.2f}",
                f"{1e-9 * median / reference:.2f}",
                or_dash(row, "construction_s", ".2f"),
                or_dash(row, "compile_s", ".1f"),
                or_dash(row, "bytes_per_synapse", ".0f"),
                or_dash(row, "peak_bytes", ".0f", 2.0**-20),
            ),
            flush=True,
        )


def load_spikes(path):
    with np.load(path) as found:
        return found["time"], found["neuron"]


def against(session, name, simulator, reference_options, reference):
    """Compare the spikes of a simulator with those of a run of refsim made for this."""
    path = session.workload(name, NAMED[name])
    kept = session.spikes(name, reference)
    row = session.run(ours(), path, kept, reference_options)
    theirs = session.spikes(name, simulator)
    if row is None or not theirs.exists():
        return None
    duration = float(np.load(path)["duration"])
    found = agreement.compare(load_spikes(theirs), load_spikes(kept), duration)
    print(
        f"{name}: {simulator} and {reference}: {found['spikes'][0]:,} and {found['spikes'][1]:,} "
        f"spikes; the first {found['spikes_until_then']:,}, to {found['agree_until_ms']:.1f} ms, "
        f"differ by {found['median_difference_ms']:.1e} ms (median), at most "
        f"{found['largest_difference_ms']:.1e} ms",
        flush=True,
    )
    return {"workload": name, "simulator": simulator, "reference": reference, **found}


def check(session, name, rows, simulators, engines_compared):
    """Compare rates and spikes; return what was found."""
    limits = {simulator.name: simulator.shift for simulator in simulators}
    found = []
    if any(row["simulator"] == "refsim" for row in rows):
        found = [{"workload": name, **shift} for shift in agreement.rates(rows, limits)]
        for shift in found:
            verdict = "" if shift["fine"] else ", MORE THAN EXPECTED"
            if shift["simulator"] != "refsim" or verdict:
                print(
                    f"{name}: rate of {shift['simulator']} {100 * shift['shift']:+.1f} %{verdict}"
                )
    pairs = []
    if "NEST, precise" in limits:
        pairs.append(("NEST, precise", ("--grid-delays",), "refsim, delays on the grid"))
    if name in engines_compared and "refsim" in limits:
        pairs.append(("refsim", ("--engine", "Events"), "refsim, event engine"))
    found += [row for pair in pairs if (row := against(session, name, *pair))]
    return found


def parse():
    parser = common.options(__doc__)
    add = parser.add_argument
    add("--nest-python", default=sys.executable, metavar="PATH", help="a Python that has NEST")
    add("--brian-python", default=sys.executable, metavar="PATH", help="a Python that has Brian2")
    add("--only", metavar="NAMES", help=f"of {','.join(NAMED)}")
    add("--repeats", type=int, help="rounds")
    add("--threads", default="1", metavar="LIST", help="of refsim, such as 1,2")
    add("--scaling", action="store_true", help="also by neurons, in-degree and rate")
    add("--plot", metavar="FILE", help="also draw a picture")
    arguments = parser.parse_args()
    names = QUICK if arguments.quick else tuple(NAMED)
    arguments.only = tuple(arguments.only.split(",")) if arguments.only else names
    unknown = [name for name in arguments.only if name not in NAMED]
    if unknown:
        parser.error(f"--only has {', '.join(unknown)}; expected names of {', '.join(NAMED)}")
    arguments.threads = [int(count) for count in arguments.threads.split(",")]
    arguments.repeats = arguments.repeats or (1 if arguments.quick else 4)
    return arguments


def main():
    arguments = parse()
    found = {"machine": common.machine("refsim"), "rows": [], "checks": []}
    common.show_machine(found["machine"])
    simulators = competitors(arguments)
    engines_compared = () if arguments.quick else ENGINES_COMPARED
    with tempfile.TemporaryDirectory() as folder:
        session = Session(folder)
        if not arguments.quick:
            found["compilation"] = compilation(session)
        for name in arguments.only:
            rows = measure(session, name, simulators, arguments.repeats)
            show(name, rows)
            found["rows"] += rows
            found["checks"] += check(session, name, rows, simulators, engines_compared)
        if arguments.scaling:
            found["scaling"] = scaling.measure(session, ours, arguments.threads, arguments.quick)
    if arguments.plot:
        simulator_pictures.draw(found, arguments.plot)
    common.write_json(arguments.json, found)


if __name__ == "__main__":
    sys.exit(main())
