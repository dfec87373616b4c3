"""Cost of a push and a pop: our structures, Python's heapq and C++'s std::priority_queue.

Motivation: an event loop pushes and pops every event once, so a queue must not be slower than what
a compiled simulator would use. Targets: a heap at least 10 times as fast as heapq and at most 1.5
times the time of std::priority_queue, a FIFO of at most 3 ns, and non-zero tangents at most 1.5
times the time of zero ones. Results are kept in benchmarks/README.md.

Workloads, each in ns per push and pop together, with n entries queued:

* fill: push n random times, then pop all;
* hold: pop the first entry, push one later by a random (exponential) delay, over and over;
* steps: as hold, but every delay is n steps of a grid, so that a FIFO and a ring can do it too.

Entries carry (time, order, payload, tangent) and leave by (time, order); heapq has no tangents.
Competitors run in turn in one process, on the same times, from arrays or memory that was in use
before. What leaves is folded into a number that must be the same for all. The C++ is compiled with
-O3 -march=native, where there is a compiler, and skipped by name where there is none.
"""

from __future__ import annotations

import ctypes
import heapq
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import numpy as np

from queues.compiled.jit import kernel
from queues.exact import (
    batch_heap,
    calendar,
    dary_heap,
    fifo,
    fifo_merge,
    heap,
    pairing_heap,
    ring_buffer,
    sorted_array,
)

FACTOR = 31  # of the digest of payloads
SLOPE = 0.5  # tangents are this times the time


class Ours:
    """The kernels of a structure, in loops compiled for it."""

    def __init__(self, name, module, empty):
        self.name, self.empty = name, empty
        self.fill, self.drain, self.cycle, self.hold = loops(module)

    def make(self, n):
        # One row more than there are: `add` needs room before the loop of `hold` pops.
        return self.empty(n + 1)


def loops(module):
    """Compile the loops for the structure of a module."""
    add, pop, top = module.add, module.pop, module.top
    if module is fifo_merge:

        @kernel
        def add(queue, time, order, payload, tangent):
            fifo_merge.add(queue, time, order, payload, tangent, order & 0)

    @kernel
    def fill(queue, times, slope):
        for i in range(times.size):
            add(queue, times[i], i, i, slope * times[i])

    @kernel
    def drain(queue, payloads, tangents):
        while queue.size[0] > 0:
            k = top(queue)
            payloads = np.uint64(FACTOR) * payloads + np.uint64(queue.payload[k])
            tangents += queue.tangent[k]
            pop(queue)
        return payloads, tangents

    @kernel
    def cycle(queue, times, n, slope):
        payloads, tangents = np.uint64(0), 0.0
        for start in range(0, times.size, n):
            for i in range(n):
                time = times[start + i]
                add(queue, time, i, i, slope * time)
            payloads, tangents = drain(queue, payloads, tangents)
        return payloads, tangents

    @kernel
    def hold(queue, delays, slope):
        payloads, tangents = np.uint64(0), 0.0
        order = queue.size[0]
        for i in range(delays.size):
            k = top(queue)
            time = queue.time[k] + delays[i]
            payloads = np.uint64(FACTOR) * payloads + np.uint64(queue.payload[k])
            tangents += queue.tangent[k]
            pop(queue)
            add(queue, time, order, order, slope * time)
            order += 1
        return payloads, tangents

    return fill, drain, cycle, hold


class Heapq:
    """Python's heapq with tuples (time, order, payload)."""

    name = "heapq"

    def make(self, n):
        return []

    def fill(self, queue, times, slope):
        queue.extend((t, i, i) for i, t in enumerate(times.tolist()))
        heapq.heapify(queue)

    def cycle(self, queue, times, n, slope):
        # What leaves is only kept here; it is folded after the clock has stopped.
        pop, push = heapq.heappop, heapq.heappush
        popped = []
        times = times.tolist()
        for start in range(0, len(times), n):
            for i, t in enumerate(times[start : start + n]):
                push(queue, (t, i, i))
            popped += [pop(queue)[2] for _ in range(n)]
        return popped

    def drain(self, queue, payloads, tangents):
        return [heapq.heappop(queue)[2] for _ in range(len(queue))]

    def hold(self, queue, delays, slope):
        pop, push = heapq.heappop, heapq.heappush
        popped = []
        append = popped.append
        for order, delay in enumerate(delays.tolist(), start=len(queue)):
            t, _, payload = pop(queue)
            append(payload)
            push(queue, (t + delay, order, order))
        return popped


class Digest(ctypes.Structure):
    _fields_ = (("payloads", ctypes.c_uint64), ("tangents", ctypes.c_double))


class Cpp:
    """std::priority_queue, compiled now."""

    name = "std::priority_queue"

    def __init__(self, compiler, folder):
        source = Path(__file__).with_name("priority_queue.cpp")
        library = Path(folder) / "priority_queue.so"
        options = ["-O3", "-march=native", "-shared", "-fPIC"]
        subprocess.run([compiler, *options, str(source), "-o", str(library)], check=True)
        self.library = ctypes.CDLL(str(library))
        self.library.make.restype = ctypes.c_void_p

    def make(self, n):
        return ctypes.c_void_p(self.library.make(ctypes.c_int64(n + 1)))

    def fill(self, queue, times, slope):
        n = ctypes.c_int64(times.size)
        self.library.fill(queue, ctypes.c_void_p(times.ctypes.data), n, ctypes.c_double(slope))

    def drain(self, queue, payloads, tangents):
        digest = Digest(payloads, tangents)
        self.library.drain(queue, ctypes.byref(digest))
        return digest.payloads, digest.tangents

    def cycle(self, queue, times, n, slope):
        digest = Digest(0, 0.0)
        self.library.cycle(
            queue,
            ctypes.c_void_p(times.ctypes.data),
            ctypes.c_int64(times.size),
            ctypes.c_int64(n),
            ctypes.c_double(slope),
            ctypes.byref(digest),
        )
        return digest.payloads, digest.tangents

    def hold(self, queue, delays, slope):
        digest = Digest(0, 0.0)
        self.library.hold(
            queue,
            ctypes.c_void_p(delays.ctypes.data),
            ctypes.c_int64(delays.size),
            ctypes.c_double(slope),
            ctypes.byref(digest),
        )
        return digest.payloads, digest.tangents


def folded(popped):
    """Return the digest of payloads."""
    if isinstance(popped, tuple):
        return int(popped[0])
    payloads = 0
    for payload in popped:
        payloads = (FACTOR * payloads + payload) & 0xFFFFFFFFFFFFFFFF
    return payloads


def time_fill(competitor, queue, n, times, slope):
    """Fill and drain a queue batch after batch; return seconds and digests."""
    started = time.perf_counter()
    popped = competitor.cycle(queue, times, n, slope)
    return time.perf_counter() - started, [folded(popped)]


def time_hold(competitor, queue, n, delays, slope, first):
    """Replace entries of a queue that has settled; return seconds and digests."""
    settle = min(n, delays.size // 2)
    competitor.fill(queue, first, slope)
    digests = [folded(competitor.hold(queue, delays[:settle], slope))]
    timed = delays[settle:]
    started = time.perf_counter()
    popped = competitor.hold(queue, timed, slope)
    seconds = time.perf_counter() - started
    digests += [folded(popped), folded(competitor.drain(queue, np.uint64(0), 0.0))]
    return seconds * delays.size / timed.size, digests


def measure(workload, n, competitors, operations, repeats, slope=0.0):
    """Run all competitors in turn; return median ns per push and pop by name."""
    rng = np.random.default_rng(n)
    operations = max(n, operations)
    if workload == "fill":
        data = rng.uniform(0.0, float(n), operations // n * n)
    elif workload == "hold":
        data = rng.exponential(float(n), operations)
    else:
        data = np.full(operations, float(n))
    first = np.arange(float(n)) if workload == "steps" else rng.exponential(float(n), n)
    queues = {c.name: c.make(n) for c in competitors}
    found = {c.name: [] for c in competitors}
    for repeat in range(repeats + 1):  # the first one compiles, and is forgotten
        expected = None
        for c in competitors:
            if workload == "fill":
                seconds, digests = time_fill(c, queues[c.name], n, data, slope)
            else:
                if c.name == "RingBuffer":  # its time goes on from run to run
                    queues[c.name] = c.make(n)
                seconds, digests = time_hold(c, queues[c.name], n, data, slope, first)
            expected = expected or digests
            if digests != expected:
                raise SystemExit(f"{c.name}: other rows left than from {competitors[0].name}")
            if repeat:
                found[c.name].append(1e9 * seconds / data.size)
    return {name: statistics.median(values) for name, values in found.items()}


def structures():
    """Return our competitors, by the workloads that they can do."""
    any_times = [
        Ours("BinaryHeap", heap, heap.empty),
        Ours("DaryHeap(d=4)", dary_heap, lambda n: dary_heap.empty(n, 2)),
        Ours("DaryHeap(d=8)", dary_heap, lambda n: dary_heap.empty(n, 3)),
        Ours("BatchHeap(group=32)", batch_heap, lambda n: batch_heap.empty(n, 32)),
        Ours("PairingHeap", pairing_heap, pairing_heap.empty),
        Ours("CalendarQueue", calendar, lambda n: calendar.empty(n, 1.0)),
    ]
    sorted_ones = [Ours("SortedArray", sorted_array, sorted_array.empty)]
    steps = [
        Ours("FIFO", fifo, fifo.empty),
        Ours("FifoMerge(1 lane)", fifo_merge, lambda n: fifo_merge.empty(1, n)),
        Ours("RingBuffer", ring_buffer, lambda n: ring_buffer.empty(n + 1, n, 0)),
    ]
    return any_times, sorted_ones, steps


def rows_of(quick, cpp):
    any_times, sorted_ones, steps = structures()
    sizes = (1_000, 100_000) if quick else (1_000, 100_000, 1_000_000)
    operations, repeats = (100_000, 3) if quick else (400_000, 7)
    for workload in ("fill", "hold", "steps"):
        for n in sizes:
            competitors = [Heapq(), *cpp, *any_times]
            if n <= 1_000 or workload == "steps":
                competitors += sorted_ones
            if workload == "steps":
                competitors = [Heapq(), *cpp, any_times[0], *sorted_ones, *steps]
            few = 3 if n > 100_000 else repeats
            yield workload, n, measure(workload, n, competitors, operations, few)


def tangents(quick):
    """Yield the medians without and with tangents, measured in turn."""
    any_times, _, steps = structures()
    operations, repeats = (200_000, 5) if quick else (400_000, 11)
    cases = [("hold", [any_times[0], any_times[1]]), ("steps", [steps[0], steps[2]])]
    for workload, competitors in cases:
        for c in competitors:
            pairs = [
                [
                    measure(workload, 1_000, [c], operations, 1, slope)[c.name]
                    for slope in (0, SLOPE)
                ]
                for _ in range(repeats)
            ]
            without, with_them = (statistics.median(values) for values in zip(*pairs, strict=True))
            yield workload, c.name, without, with_them


def compilers():
    names = [os.environ.get("CXX"), "c++", "g++", "clang++"]
    return [name for name in names if name and shutil.which(name)]


def main():
    arguments = common.options(__doc__).parse_args()
    machine = common.machine()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        cpp = [Cpp(compiler, folder) for compiler in compilers()[:1]]
        if cpp:
            command = [compilers()[0], "--version"]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            machine["compiler"] = output.splitlines()[0]
        else:
            print(f"skipped: {Cpp.name} (no C++ compiler)")
        common.show_machine(machine)
        form = "{:<8} {:>9}  {:<22} {:>8} {:>14} {:>12}"
        print(form.format("workload", "entries", "queue", "ns", "heapq / it", "it / C++"))
        for workload, n, found in rows_of(arguments.quick, cpp):
            for name, ns in found.items():
                row = {"workload": workload, "entries": n, "queue": name, "ns": ns}
                row["times_as_fast_as_heapq"] = found[Heapq.name] / ns
                row["time_over_cpp"] = ns / found[Cpp.name] if cpp else None
                rows.append(row)
                ratio = f"{row['time_over_cpp']:.2f}" if cpp else "-"
                ahead = f"{row['times_as_fast_as_heapq']:.1f}"
                print(form.format(workload, n, name, f"{ns:.1f}", ahead, ratio), flush=True)
    for workload, name, without, with_them in tangents(arguments.quick):
        rows.append(
            {"workload": workload, "queue": name, "ns": without, "ns_with_tangents": with_them}
        )
        ratio = with_them / without
        print(f"tangents: {workload}, {name}: {without:.1f} to {with_them:.1f} ns, x{ratio:.2f}")
    common.write_json(arguments.json, {"machine": machine, "rows": rows})


if __name__ == "__main__":
    sys.exit(main())
