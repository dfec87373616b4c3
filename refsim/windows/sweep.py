"""The end of a window for neurons to which certainly nothing happens in it.

A window is not longer than the time in which the response to an arrival rises. So in it the voltage
stays below the sum of what excites at the end of the window, from the higher end of what the neuron
would do without arrivals. Neurons for which this bound reaches the threshold, or whose
refractoriness ends, are marked, and keep their state: they are replayed.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queues.compiled.jit import arrays_lie_apart, by_type, inner_kernel, keep_apart, phase_kernel
from queues.compiled.vector.masks import WIDTH, lowest_of, mask_of
from refsim.models.lif.bound import excited, highest_with_one_state, may_reach
from refsim.types import Float
from refsim.windows.sleep import foresee, settle_visited
from refsim.windows.types import CHUNK, OneExp
from refsim.windows.visit import add_to, advance_states, keep_awake, may_fire, rise_of, visit


class Swept(NamedTuple):
    """Neighbouring neurons, and what arrives at them."""

    drive: Float
    v_th: Float
    v: Float
    x: Float
    release: Float
    flag: NDArray[np.uint8]
    up: Float  # lift and state of each in turn, by excitation
    down: Float  # and by inhibition


@phase_kernel
def _end_all(shape, swept, t1):
    """Take neurons to the end of the window, but for those that may fire: they are marked.

    One loop, without a branch, that compilers turn into vector instructions.
    """
    keep_apart()
    arrays_lie_apart()
    drives, v_th, v, x, release, flag, up, down = swept
    for j in range(flag.shape[0]):
        drive, v0, x0, held_until = drives[j], v[j], x[j], release[j]
        exciting, fade_up = up[2 * j], up[2 * j + 1]
        inhibiting, fade_down = down[2 * j], down[2 * j + 1]
        highest, after = foresee(shape, drive, v0, x0)
        fires = may_reach(v_th[j], v0, drive, highest, exciting, inhibiting) & (held_until < 0.0)
        is_released = (held_until >= 0.0) & (held_until <= t1)
        is_marked = fires | is_released | (flag[j] == 1)
        flag[j] = np.uint8(is_marked)
        v[j] = v0 if is_marked | (held_until >= 0.0) else after + (exciting + inhibiting)
        x[j] = x0 if is_marked else (x0 - x0 * shape.loss) + (fade_up + fade_down)


@phase_kernel
def _clear(sums):
    keep_apart()
    for i in range(sums.shape[0]):
        sums[i] = 0.0


@phase_kernel
def _sweep_one_exp(shape, parameters, neurons, flag, sums, low, high, t1):
    """Sweep a block, so many neurons at once that they stay in a core's cache."""
    keep_apart()
    half = sums.shape[0] >> 1
    for first in range(low, high, CHUNK):
        last = min(first + CHUNK, high)
        up, down = sums[2 * first : 2 * last], sums[half + 2 * first : half + 2 * last]
        swept = Swept(
            parameters.drive[first:last], parameters.v_th[first:last], neurons.v[first:last],
            neurons.x[first:last], neurons.release[first:last], flag[first:last], up, down,
        )  # fmt: skip
        _end_all(shape, swept, t1)
        _clear(up)
        _clear(down)


@inner_kernel
def bound_of(model, table, n, v, end, states):
    """Return a bound of the voltage in this window, ``v`` now and ``end`` then without arrivals."""
    n_states = table.fade.shape[1]
    kind = table.kind[n]
    drive = model.neurons.drive[n]
    unaided = v + (drive - v) * table.leak[kind, 1]
    if n_states == 1:
        x, lift = states[n], table.lift[kind, 1, 0]
        return highest_with_one_state(v, drive, x, end, x * table.fade[1, 0], unaided, lift * x)
    bound = max(v, unaided)
    for k in range(n_states):
        bound += excited(table.lift[kind, 1, k], states[n * n_states + k])
    return bound


@inner_kernel
def _settle_one(window, sums, t1, n, i):
    """Take a neuron, whose sums begin at ``i``, to the end of the window, or mark it."""
    model, table, neurons, flag = window.model, window.table, window.neurons, window.lists.flag
    if flag[n] == 1:
        return
    release = neurons.release[n]
    if release >= 0.0:
        if release <= t1:
            flag[n] = 1
        else:
            advance_states(table, neurons, n, sums, i + 2)
        return
    exciting, inhibiting = sums[i], sums[i + 1]
    v, drive, v_th = neurons.v[n], model.neurons.drive[n], model.neurons.v_th[n]
    rise = rise_of(model, table, neurons, n)
    highest = bound_of(model, table, n, v, v + rise, neurons.x)
    if may_reach(v_th, v, drive, highest, exciting, inhibiting):
        flag[n] = 1
        return
    add_to(neurons.v, neurons.v_low, n, rise + (exciting + inhibiting))
    advance_states(table, neurons, n, sums, i + 2)


@inner_kernel
def _finish(shape, window, sums, t1, n):
    """Do the same, and clear the sums."""
    i = shape.n_sums * n
    _settle_one(window, sums, t1, n, i)
    for k in range(shape.n_sums):
        sums[i + k] = 0.0


@phase_kernel
def _finish_each(shape, window, sums, t1, size):
    keep_apart()
    for i in range(window.first, window.first + size):
        _finish(shape, window, sums, t1, window.lists.visited[i])


@phase_kernel
def _finish_all(shape, window, sums, t1):
    keep_apart()
    for n in range(window.first, window.last):
        _finish(shape, window, sums, t1, n)


@by_type
def _sweep_all(shape: type) -> Callable[..., None]:
    """Finish all neurons of the block."""
    if shape is OneExp:
        return lambda shape, window, sums, t1: _sweep_one_exp(
            shape, window.model.neurons, window.neurons, window.lists.flag, sums, window.first,
            window.last, t1,
        )  # fmt: skip
    return lambda shape, window, sums, t1: _finish_all(shape, window, sums, t1)


@phase_kernel
def mark_sampled(window, samples, begin, end, is_dense, place):
    """Mark the neurons of a block whose voltage is read in this window, before it is swept.

    Those that are not swept are visited; return where the list of visits goes on.
    """
    keep_apart()
    for i in range(begin, end):
        n = samples.neuron[i]
        if window.first <= n < window.last:
            window.lists.flag[n] = 1
            if not is_dense:
                place = visit(window, n, place)
    return place


@phase_kernel
def _list_all(first, last, flag, replays):
    """List the marked neurons."""
    keep_apart()
    size = first
    n = first
    while n + WIDTH <= last:
        mask = mask_of(flag, n)
        while mask != 0:
            replays[size] = n + np.int64(lowest_of(mask))
            mask &= mask - np.uint64(1)
            size += 1
        n += WIDTH
    while n < last:
        if flag[n] != 0:
            replays[size] = n
            size += 1
        n += 1
    return size - first


@phase_kernel
def _list_visited(window, own):
    """List the marked ones of the visited neurons, and find which of the others are awake."""
    keep_apart()
    lists, first = window.lists, window.first
    size = np.int64(0)
    for i in range(first, first + own.visited):
        n = lists.visited[i]
        window.neurons.reached[n] = window.now + 1
        if lists.flag[n] == 1:
            lists.replays[first + size] = n
            size += 1
        elif may_fire(window, n):
            keep_awake(window, own, n)
    return size


@inner_kernel
def _settle_one_exp(shape, window, own, sums, t1):
    visits = window.first, window.first + own.visited
    own.replays, own.awake = settle_visited(
        shape, window.neurons, window.lists, window.model.neurons, sums, visits, t1, window.now
    )


@inner_kernel
def _settle_any_ports(shape, window, own, sums, t1):
    _finish_each(shape, window, sums, t1, own.visited)
    own.replays = _list_visited(window, own)


@by_type
def _settle(shape: type) -> Callable[..., None]:
    """Take the visited neurons to the end of the window, and list those to be replayed."""
    if shape is OneExp:
        return lambda shape, window, own, sums, t1: _settle_one_exp(shape, window, own, sums, t1)
    return lambda shape, window, own, sums, t1: _settle_any_ports(shape, window, own, sums, t1)


@inner_kernel
def sweep(shape, window, own, sums):
    """Take the neurons of the block to the end of the window, and list those to be replayed."""
    t1 = (window.now + 1) * window.length
    if own.dense == 0:
        _settle(shape, window, own, sums, t1)
        return
    _sweep_all(shape, window, sums, t1)
    lists = window.lists
    own.replays = _list_all(window.first, window.last, lists.flag, lists.replays)
