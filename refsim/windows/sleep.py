"""Visits to single neurons of networks with one exponential port.

What `visit` and `sweep` do for a neuron of any ports, in loops over few arrays: the
windows of sparse activity are made of visits, and a visit is made of a dozen operations.
"""

import math
from typing import NamedTuple

from queues.compiled.jit import arrays_lie_apart, inner_kernel, keep_apart, phase_kernel
from refsim.models.lif.bound import excited, highest_with_one_state, may_reach, stays_below
from refsim.types import Float


class Sleep(NamedTuple):
    """What m windows without events do to a neuron; see Propagator."""

    decay: Float  # (M,)
    leak: Float  # (M,)
    lift: Float  # (M,)
    fade: Float  # (M,)
    length: float


@inner_kernel
def _catch_up(shape, neurons, drive, sleep, n, windows):
    """Advance a neuron without arrivals or crossings over whole windows."""
    v, x, release = neurons.v, neurons.x, neurons.release
    if windows == 1:
        if release[n] < 0.0:
            v[n] += (drive[n] - v[n]) * shape.leak + x[n] * shape.lift
        x[n] -= x[n] * shape.loss
        return
    if windows < sleep.decay.shape[0]:
        by_v, by_drive = sleep.decay[windows], sleep.leak[windows]
        by_lift, by_x = sleep.lift[windows], sleep.fade[windows]
    else:
        dt = windows * sleep.length
        by_v, by_x = math.exp(-shape.rate_v * dt), math.exp(-shape.rate_x * dt)
        by_drive = -math.expm1(-shape.rate_v * dt)
        by_lift = -shape.ratio * (by_drive + math.expm1(-shape.rate_x * dt))
    if release[n] < 0.0:
        v[n] = v[n] * by_v + drive[n] * by_drive + x[n] * by_lift
    x[n] *= by_x


@inner_kernel
def may_fire(shape, drive, v_th, v, x, release):
    """Return whether a neuron has to be released, or may fire without receiving anything."""
    if release >= 0.0 or drive > v_th:
        return True
    if stays_below(v_th, v, drive, excited(shape.reach, x)):
        return False
    return x > 0.0 or drive - v + x > 0.0


@phase_kernel
def catch_up_all(shape, neurons, drive, sleep, begin, end, now):
    """Bring all neurons of a block to the beginning of this window."""
    keep_apart()
    arrays_lie_apart()
    for n in range(begin, end):
        windows = now - neurons.reached[n]
        if windows > 0:
            _catch_up(shape, neurons, drive, sleep, n, windows)


@phase_kernel
def wake_some(shape, neurons, parameters, begin, end, now):
    """Leave all neurons of a block at the beginning of this window; return how many are awake."""
    keep_apart()
    v, x, release, reached = neurons.v, neurons.x, neurons.release, neurons.reached
    drive, v_th = parameters.drive, parameters.v_th
    waiting = begin
    for n in range(begin, end):
        reached[n] = now
        if may_fire(shape, drive[n], v_th[n], v[n], x[n], release[n]):
            neurons.awake[waiting] = n
            waiting += 1
    return waiting - begin


@phase_kernel
def visit_each(shape, neurons, lists, drive, sleep, some, now, place):
    """Visit some neurons; return where the list of visits ends, which went on from ``place``.

    A visit brings a neuron to the beginning of this window and puts it on the list, once.
    """
    keep_apart()
    arrays_lie_apart()
    reached, stamp, visited = neurons.reached, lists.stamp, lists.visited
    for k in range(some.shape[0]):
        n = some[k]
        if stamp[n] == now + 1:  # 0 stands for none
            continue
        stamp[n] = now + 1
        windows = now - reached[n]
        if windows > 0:
            _catch_up(shape, neurons, drive, sleep, n, windows)
            reached[n] = now
        visited[place] = n
        place += 1
    return place


@phase_kernel
def settle_visited(shape, neurons, lists, parameters, sums, visits, t1, now):
    """Take the visited neurons to the end of the window, or list them for a replay.

    The list of ``visits`` begins at the first of two numbers, and ends before the second.

    Return how many are to be replayed, and how many are awake. Their sums are cleared.
    """
    keep_apart()
    arrays_lie_apart()
    v, x, release, reached = neurons.v, neurons.x, neurons.release, neurons.reached
    flag, visited, replays, awake = lists.flag, lists.visited, lists.replays, neurons.awake
    drive, v_th = parameters.drive, parameters.v_th
    first, stop = visits
    marked = waiting = first
    half = sums.shape[0] >> 1
    for i in range(first, stop):
        n = visited[i]
        up, down = n << 1, half + (n << 1)
        exciting, inhibiting, added = sums[up], sums[down], sums[up + 1] + sums[down + 1]
        sums[up], sums[up + 1], sums[down], sums[down + 1] = 0.0, 0.0, 0.0, 0.0
        reached[n] = now + 1
        x0, v0 = x[n], v[n]
        is_marked = flag[n] == 1
        if not is_marked and release[n] >= 0.0:
            is_marked = release[n] <= t1
        elif not is_marked:
            highest, end = foresee(shape, drive[n], v0, x0)
            is_marked = may_reach(v_th[n], v0, drive[n], highest, exciting, inhibiting)
            v0 = end + (exciting + inhibiting)
        if is_marked:
            flag[n] = 1
            replays[marked] = n
            marked += 1
            continue
        x0 = x0 - x0 * shape.loss + added
        v[n], x[n] = v0, x0
        if may_fire(shape, drive[n], v_th[n], v0, x0, release[n]):
            awake[waiting] = n
            waiting += 1
    return marked - first, waiting - first


@inner_kernel
def foresee(shape, drive, v, x):
    """Return a bound of the voltage in this window without arrivals, and the voltage at its end."""
    unaided = v + (drive - v) * shape.leak
    lift = x * shape.lift
    end = unaided + lift
    return highest_with_one_state(v, drive, x, end, x - x * shape.loss, unaided, lift), end
