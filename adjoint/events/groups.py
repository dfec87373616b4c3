"""Sums of the gradients of groups of samples.

Which samples are a group depends on their number alone, and each group is summed in order of its
samples: no bit of a sum depends on which thread did what.
"""

from typing import NamedTuple

import numpy as np

from queues.compiled.jit import inner_kernel
from refsim.types import Float, Int


class BackArrays(NamedTuple):
    """Where each of B samples begins, and the sums of their gradients."""

    input_start: Int  # (B + 1,) rows of the inputs
    sample_start: Int  # (B + 1,) rows of the voltage samples
    spike_start: Int  # (B + 1,) rows of the tape
    origin_start: Int  # (B + 1,) emissions
    arrivals: Int  # (B,) synaptic events
    v0: Float  # (n,)
    t_end: Float  # (1,) ms
    group: Int  # (1,) samples whose gradients are one sum
    sums: Float  # (G, N) gradient of each group, laid out as in `flat`
    is_finite: Int  # (B,) whether each gradient is


@inner_kernel
def are_finite(values):
    """Return whether all values are numbers within the range of float64."""
    bad = np.int64(0)
    for j in range(values.shape[0]):
        if values[j] - values[j] != 0.0:
            bad += 1
    return bad == 0


@inner_kernel
def add_to_group(batch, flat, i):
    """Add the gradient of sample ``i`` to the sum of its group."""
    total = batch.sums[i // batch.group[0]]
    is_first = i % batch.group[0] == 0
    for j in range(flat.shape[0]):
        total[j] = flat[j] if is_first else total[j] + flat[j]
