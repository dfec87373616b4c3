"""The end of a window for neurons to which certainly nothing happens in it.

A window is not longer than the time in which the response to an arrival rises. So in it the voltage
stays below the sum of what excites at the end of the window, from the higher end of what the neuron
would do without arrivals. Neurons for which this bound reaches the threshold, or whose
refractoriness ends, are marked, and keep their state: they are replayed.
"""

from collections.abc import Callable

import numpy as np

from queues.compiled.jit import arrays_lie_apart, by_type, inner_kernel, keep_apart, phase_kernel
from queues.compiled.masks import WIDTH, lowest_of, mask_of
from refsim.models.lif.bound import excited, highest_with_one_state, may_reach
from refsim.windows.sleep import foresee, settle_visited
from refsim.windows.types import (
    AT,
    AWAKE,
    CHUNK,
    DENSE,
    LAST_SAMPLE,
    REPLAYS,
    SAMPLES,
    VISITED,
    OneExp,
)
from refsim.windows.visit import add_to, advance_states, keep_awake, may_fire, rise_of, visit


@phase_kernel
def _end_all(shape, drives, v_th, t1, v, x, release, flag, up, down):
    """Take neurons to the end of the window, but for those that may fire: they are marked.

    One loop, without a branch, that compilers turn into vector instructions.
    """
    keep_apart()
    arrays_lie_apart()
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
def _sweep_one_exp(shape, model, low, high, t1, neurons, lists, sums):
    """Sweep a block, so many neurons at once that they stay in a core's cache."""
    keep_apart()
    half = sums.shape[0] >> 1
    for first in range(low, high, CHUNK):
        last = min(first + CHUNK, high)
        up, down = sums[2 * first : 2 * last], sums[half + 2 * first : half + 2 * last]
        _end_all(
            shape, model.neurons.drive[first:last], model.neurons.v_th[first:last], t1,
            neurons.v[first:last], neurons.x[first:last], neurons.release[first:last],
            lists.flag[first:last], up, down,
        )  # fmt: skip
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
def _finish(model, table, neurons, flag, sums, t1, n, exciting, inhibiting, first):
    """Take a neuron to the end of the window, or mark it."""
    if flag[n] == 1:
        return
    release = neurons.release[n]
    if release >= 0.0:
        if release <= t1:
            flag[n] = 1
        else:
            advance_states(table, neurons, n, sums, first)
        return
    v, drive, v_th = neurons.v[n], model.neurons.drive[n], model.neurons.v_th[n]
    rise = rise_of(model, table, neurons, n)
    highest = bound_of(model, table, n, v, v + rise, neurons.x)
    if may_reach(v_th, v, drive, highest, exciting, inhibiting):
        flag[n] = 1
        return
    add_to(neurons.v, neurons.v_low, n, rise + (exciting + inhibiting))
    advance_states(table, neurons, n, sums, first)


@inner_kernel
def _finish_any_ports(shape, model, table, neurons, flag, sums, t1, n):
    i = shape.n_sums * n
    _finish(model, table, neurons, flag, sums, t1, n, sums[i], sums[i + 1], i + 2)
    for k in range(shape.n_sums):
        sums[i + k] = 0.0


@phase_kernel
def _finish_each_any_ports(shape, model, table, neurons, lists, sums, t1, first, size):
    keep_apart()
    for i in range(first, first + size):
        _finish_any_ports(shape, model, table, neurons, lists.flag, sums, t1, lists.visited[i])


@phase_kernel
def _sweep_any_ports(shape, model, table, low, high, t1, neurons, lists, sums):
    keep_apart()
    for n in range(low, high):
        _finish_any_ports(shape, model, table, neurons, lists.flag, sums, t1, n)


@by_type
def _sweep_all(shape: type) -> Callable[..., None]:
    """Finish all neurons from ``low`` to ``high``."""
    if shape is OneExp:
        return lambda shape, model, table, low, high, t1, neurons, lists, sums: _sweep_one_exp(
            shape, model, low, high, t1, neurons, lists, sums
        )
    return lambda shape, model, table, low, high, t1, neurons, lists, sums: _sweep_any_ports(
        shape, model, table, low, high, t1, neurons, lists, sums
    )


@phase_kernel
def mark_sampled(samples, edge, model, table, length, neurons, lists, counts, tally, x, b):
    """Mark the neurons of a block whose voltage is read in this window, before it is swept."""
    keep_apart()
    for i in range(counts[SAMPLES], counts[LAST_SAMPLE]):
        n = samples.neuron[i]
        if edge[b] <= n < edge[b + 1]:
            lists.flag[n] = 1
            if tally[b, DENSE] == 0:
                visit(edge, model, table, length, neurons, lists, tally[b, AT], tally, x, b, n)


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
def _list_visited(first, model, table, neurons, lists, now, tally, x, b):
    """List the marked ones of the visited neurons; settle the others."""
    keep_apart()
    size = np.int64(0)
    for i in range(first, first + tally[b, VISITED]):
        n = lists.visited[i]
        neurons.reached[n] = now + 1
        if lists.flag[n] == 1:
            lists.replays[first + size] = n
            size += 1
        elif may_fire(model, table, neurons, x, n):
            keep_awake(first, tally, neurons.awake, b, n)
    return size


@inner_kernel
def _note_settled(tally, b, found):
    tally[b, REPLAYS], tally[b, AWAKE] = found


@inner_kernel
def _settle_any_ports(shape, problem, work, first, t1, b):
    model, neurons, lists, tally = problem.model, work.neurons, work.lists, work.tally
    size = tally[b, VISITED]
    _finish_each_any_ports(
        shape, model, problem.propagator, neurons, lists, work.sums, t1, first, size
    )
    x, now = work.state[b, 0], work.tally[b, AT]
    tally[b, REPLAYS] = _list_visited(
        first, model, problem.propagator, neurons, lists, now, tally, x, b
    )


@by_type
def _settle(shape: type) -> Callable[..., None]:
    """Take the visited neurons to the end of the window, and list those to be replayed."""
    if shape is OneExp:
        return lambda shape, problem, work, first, t1, b: _note_settled(
            work.tally, b, settle_visited(
                shape, work.neurons, work.lists, problem.model.neurons.drive,
                problem.model.neurons.v_th, work.sums, first, work.tally[b, VISITED], t1,
                work.tally[b, AT],
            ),
        )  # fmt: skip
    return lambda shape, problem, work, first, t1, b: _settle_any_ports(
        shape, problem, work, first, t1, b
    )


@inner_kernel
def sweep(problem, work, b):
    """Take the neurons of block ``b`` to the end of the window, and list those to be replayed."""
    first, last = problem.rows.edge[b], problem.rows.edge[b + 1]
    t1 = (work.tally[b, AT] + 1) * problem.length
    if work.tally[b, DENSE] == 0:
        _settle(problem.shape, problem, work, first, t1, b)
        return
    lists = work.lists
    _sweep_all(
        problem.shape, problem.model, problem.propagator, first, last, t1, work.neurons, lists,
        work.sums,
    )  # fmt: skip
    work.tally[b, REPLAYS] = _list_all(first, last, lists.flag, lists.replays)
