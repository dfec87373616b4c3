"""Clocks and memory of a process, with nothing but the standard library and NumPy."""

from __future__ import annotations

import contextlib
import ctypes
import json
import resource
import time

import numpy as np


class Stopwatch:
    """CPU time of the process and wall time of a ``with`` block, in seconds."""

    def __enter__(self):
        self.started = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_):
        self.cpu = time.process_time() - self.started[0]
        self.wall = time.perf_counter() - self.started[1]


def resident():
    """Return the bytes of memory that the process has, after it has given back what it can."""
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmRSS"):
                return 1024 * int(line.split()[1])
    return 0


def peak():
    """Return the most bytes of memory that the process has had."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def report(workload, time, neuron, spikes_file, **row):
    """Print what a run was as one line of JSON, and keep its spikes if a file is given."""
    if spikes_file:
        np.savez(spikes_file, time=time, neuron=neuron)
    row["spikes"] = len(time)
    row["events"] = workload.events(neuron)
    row["rate_hz"] = 1000.0 * len(time) / workload.n / workload.duration
    row["synapses"] = len(workload.pre)
    row["bytes_per_synapse"] = row["grown_bytes"] / len(workload.pre)
    print(json.dumps(row))
