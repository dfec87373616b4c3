"""Emissions of neurons and inputs in one order of time."""

import numpy as np

from queues.compiled.jit import inner_kernel


@inner_kernel
def write_origin(inputs, low, high, time, first, count, origin, at):
    """Write what emissions come from, in order of time; spikes come before inputs at one time."""
    k = np.int64(0)
    for i in range(low, high):
        while k < count and time[first + k] <= inputs.time[i]:
            origin[at] = k
            k += 1
            at += 1
        origin[at] = -1 - (i - low)
        at += 1
    while k < count:
        origin[at] = k
        k += 1
        at += 1
