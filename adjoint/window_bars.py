"""Gradients by synapses as kernels add to them; what is not wanted is left out by the compiler."""

from collections.abc import Callable

import numpy as np

from adjoint.window_types import WeightBars
from queues.jit import by_type, inner_kernel
from queues.prefetch import prefetch


@inner_kernel
def _add_weight(bars, k, weight_bar):
    bars.weight[k] += weight_bar


@inner_kernel
def _add_both(bars, k, weight_bar, time_bar):
    place = k + k
    bars.both[place] += weight_bar
    bars.both[place + np.uint64(1)] += time_bar


@by_type
def add_bars(bars: type) -> Callable[..., None]:
    """Add what synapse ``k`` has read; arguments are (bars, k, weight_bar, time_bar)."""
    if bars is WeightBars:
        return lambda bars, k, weight_bar, time_bar: _add_weight(bars, k, weight_bar)
    return lambda bars, k, weight_bar, time_bar: _add_both(bars, k, weight_bar, time_bar)


@by_type
def prefetch_bars(bars: type) -> Callable[..., None]:
    """Tell the processor that the bars of some synapses come next: (bars, begin, end)."""
    if bars is WeightBars:
        return lambda bars, begin, end: prefetch(bars.weight, begin, end)
    return lambda bars, begin, end: prefetch(bars.both, begin + begin, end + end)
