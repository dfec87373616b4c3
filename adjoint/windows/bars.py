"""Gradients by synapses as kernels add to them; what is not wanted is left out by the compiler."""

from collections.abc import Callable

from adjoint.windows.types import WeightBars
from queues.compiled.jit import by_type, inner_kernel
from queues.compiled.prefetch import prefetch_line_to_write, prefetch_to_write


@inner_kernel
def _add_weight(bars, k, weight_bar):
    bars.weight[k] += weight_bar


@inner_kernel
def _add_both(bars, k, weight_bar, time_bar):
    bars.weight[k] += weight_bar
    bars.delay[k] += time_bar


@by_type
def add_bars(bars: type) -> Callable[..., None]:
    """Add what synapse ``k`` has read; arguments are (bars, k, weight_bar, time_bar)."""
    if bars is WeightBars:
        return lambda bars, k, weight_bar, time_bar: _add_weight(bars, k, weight_bar)
    return lambda bars, k, weight_bar, time_bar: _add_both(bars, k, weight_bar, time_bar)


@inner_kernel
def _prefetch_both(bars, begin, end):
    prefetch_to_write(bars.weight, begin, end)
    prefetch_to_write(bars.delay, begin, end)


@inner_kernel
def _prefetch_line_of_both(bars, k):
    prefetch_line_to_write(bars.weight, k)
    prefetch_line_to_write(bars.delay, k)


@by_type
def prefetch_bars(bars: type) -> Callable[..., None]:
    """Tell the processor that the bars of some synapses come next: (bars, begin, end)."""
    if bars is WeightBars:
        return lambda bars, begin, end: prefetch_to_write(bars.weight, begin, end)
    return lambda bars, begin, end: _prefetch_both(bars, begin, end)


@by_type
def prefetch_bars_line(bars: type) -> Callable[..., None]:
    """Tell the processor that the bars in the line of synapse ``k`` come next: (bars, k)."""
    if bars is WeightBars:
        return lambda bars, k: prefetch_line_to_write(bars.weight, k)
    return lambda bars, k: _prefetch_line_of_both(bars, k)
