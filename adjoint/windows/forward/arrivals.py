"""What arrivals add to the rows of their targets.

With the responses of a unit that has come a time u before the row (v, x, y) holds, an arrival whose
weight has the tangent w' and whose time has the tangent t' adds to it

    w' (lift, first, second) - w t' d/du (lift, first, second),

where (lift, first, second)' = (a (current - lift), -r first, gain first - s second), and the
current is ``first``, or ``second`` in a cascade; see refsim.models.lif.flow.arrive_jvp. With
tangents of rates w times the tangents of the responses are added too, and w of them to the primal
row.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adjoint.windows.forward.flow import lift_dot, second_dot, visit
from adjoint.windows.reads_any import state_of
from adjoint.windows.responses import respond
from adjoint.windows.types import FIRST, FIRST_R, LIFT, LIFT_A, LIFT_R, SECOND
from queues.compiled.jit import inner_kernel, phase_kernel
from refsim.types import Float
from refsim.windows.deliver import delay_of


class Place(NamedTuple):
    """To what an arrival is added."""

    row: Float  # table of tangents, of neurons or of pieces
    j: np.int64  # row of it
    n: np.int64  # neuron
    i: np.int64  # state that the arrival enters


class Targets(NamedTuple):
    """The columns of synapses that a loop over segments takes."""

    post: NDArray[np.int32]
    weight: NDArray[Any]
    weight_dot: Float
    delay_dot: Float


@inner_kernel
def _add_primal(tables, direction, at, w, out):
    """Add what tangents of rates do to an arrival, and the arrival to the primal."""
    row, j, n, i = at
    is_cascade = tables.gain[i] > 0.0
    primal = 1 + tables.gain.shape[0]
    row[j, 0] += w * lift_dot(direction, out, i, n, is_cascade)
    row[j, 1 + i] += w * out[FIRST_R] * direction.port_rate[i]
    row[j, primal] += w * out[LIFT]
    row[j, primal + 1 + i] += w * out[FIRST]
    if is_cascade:
        row[j, 2 + i] += w * second_dot(direction, out, i)
        row[j, primal + 2 + i] += w * out[SECOND]


@inner_kernel
def add_one(tables, direction, at, w, w_dot, t_dot, out):
    """Add an arrival with the responses ``out``."""
    row, j, n, i = at
    first, lift = out[FIRST], out[LIFT]
    late = w * t_dot
    current = first
    row[j, 1 + i] += w_dot * first + late * tables.decay_rate[i] * first
    if tables.gain[i] > 0.0:
        current = out[SECOND]
        decayed = tables.decay_rate[i + 1] * current - tables.gain[i] * first
        row[j, 2 + i] += w_dot * current + late * decayed
    row[j, 0] += w_dot * lift + late * tables.rate[tables.kind[n]] * (lift - current)
    if tables.with_rates:
        _add_primal(tables, direction, at, w, out)


@phase_kernel
def _add_alike(row, targets, begin, end, t_dot, out, rates):
    a, r = rates
    lift, first = out[LIFT], out[FIRST]
    by_v, by_x = a * (lift - first), r * first
    for k in range(np.uint64(begin), np.uint64(end)):
        n = np.uint64(targets.post[k])
        w_dot = targets.weight_dot[k]
        late = targets.weight[k] * (t_dot + targets.delay_dot[k])
        row[n, np.uint64(0)] += w_dot * lift + late * by_v
        row[n, np.uint64(1)] += w_dot * first + late * by_x


@phase_kernel
def _add_primals_alike(row, post, weight, begin, end, out, rate_dot, port_rate_dot):
    lift, first = out[LIFT], out[FIRST]
    lift_a, lift_r, first_r = out[LIFT_A], out[LIFT_R] * port_rate_dot, out[FIRST_R] * port_rate_dot
    for k in range(np.uint64(begin), np.uint64(end)):
        n = np.uint64(post[k])
        w = weight[k]
        row[n, np.uint64(0)] += w * (lift_a * rate_dot[n] + lift_r)
        row[n, np.uint64(1)] += w * first_r
        row[n, np.uint64(2)] += w * lift
        row[n, np.uint64(3)] += w * first


@inner_kernel
def _targets_of(problem):
    rows, direction = problem.rows, problem.direction
    return Targets(rows.post, rows.weight, direction.weight, direction.delay)


@inner_kernel
def add_alike(problem, row, begin, end, t_dot, out):
    """Add arrivals of one time at neurons of one kind, over one exponential port."""
    rows, tables, direction = problem.rows, problem.tables, problem.direction
    rates = tables.rate[0], tables.decay_rate[0]
    _add_alike(row, _targets_of(problem), begin, end, t_dot, out, rates)
    if tables.with_rates:
        _add_primals_alike(
            row, rows.post, rows.weight, begin, end, out, direction.neurons.rate,
            direction.port_rate[0],
        )  # fmt: skip


@phase_kernel
def _add_apart(row, targets, chunk, b, size, rates):
    a, r = rates
    begin, start, emitted_dot = chunk.end[b], chunk.start[b], chunk.emitted[b]
    lifts, firsts = chunk.response[b, LIFT], chunk.response[b, FIRST]
    i = np.uint64(0)
    for s in range(np.uint64(0), np.uint64(size)):
        k = begin[s]
        t_dot = emitted_dot[s]
        while i < start[s + np.uint64(1)]:
            n = np.uint64(targets.post[k])
            lift, first = lifts[i], firsts[i]
            w_dot = targets.weight_dot[k]
            late = targets.weight[k] * (t_dot + targets.delay_dot[k])
            # As `add_one` has it, and not with `by_v`, which rounds otherwise.
            row[n, np.uint64(0)] += w_dot * lift + late * a * (lift - first)
            row[n, np.uint64(1)] += w_dot * first + late * r * first
            i += np.uint64(1)
            k += np.uint64(1)


@phase_kernel
def _add_primals_apart(row, post, weight, chunk, b, size, rate_dot, port_rate_dot):
    begin, start, since, response = chunk.end[b], chunk.start[b], chunk.since[b], chunk.response[b]
    lifts, firsts = response[LIFT], response[FIRST]
    lifts_a, lifts_r = response[LIFT_A], response[LIFT_R]
    i = np.uint64(0)
    for s in range(np.uint64(0), np.uint64(size)):
        k = begin[s]
        while i < start[s + np.uint64(1)]:
            n = np.uint64(post[k])
            w, first = weight[k], firsts[i]
            row[n, np.uint64(0)] += w * (lifts_a[i] * rate_dot[n] + lifts_r[i] * port_rate_dot)
            row[n, np.uint64(1)] -= w * since[i] * first * port_rate_dot
            row[n, np.uint64(2)] += w * lifts[i]
            row[n, np.uint64(3)] += w * first
            i += np.uint64(1)
            k += np.uint64(1)


@inner_kernel
def add_apart(problem, row, chunk, b, size):
    """Add the segments of a chunk, over one exponential port at neurons of one kind."""
    rows, tables, direction = problem.rows, problem.tables, problem.direction
    rates = tables.rate[0], tables.decay_rate[0]
    _add_apart(row, _targets_of(problem), chunk, b, size, rates)
    if tables.with_rates:
        _add_primals_apart(
            row, rows.post, rows.weight, chunk, b, size, direction.neurons.rate,
            direction.port_rate[0],
        )  # fmt: skip


@phase_kernel
def add_any(tables, direction, rows, row, chunk, b, size, out):
    """Add the segments of a chunk in any network."""
    last_u, last_c, last_i = -1.0, np.int64(-1), np.int64(-1)
    begin, start, since, emitted_dot = (
        chunk.end[b],
        chunk.start[b],
        chunk.since[b],
        chunk.emitted[b],
    )
    j = np.uint64(0)
    for s in range(np.uint64(0), np.uint64(size)):
        k = begin[s]
        while j < start[s + np.uint64(1)]:
            n = np.int64(rows.post[k])
            u, c, i = since[j], tables.kind[n], state_of(tables, rows, k)
            if u != last_u or c != last_c or i != last_i:
                respond(tables, c, i, u, out)
                last_u, last_c, last_i = u, c, i
            t_dot = emitted_dot[s] + direction.delay[k]
            w = np.float64(rows.weight[k])
            add_one(tables, direction, Place(row, n, n, i), w, direction.weight[k], t_dot, out)
            j += np.uint64(1)
            k += np.uint64(1)


class Sent(NamedTuple):
    """Emissions, with the tangents of their times."""

    time: Float
    dot: Float


@phase_kernel
def add_found(tables, direction, rows, sent, pieces, b, found, out):
    """Add arrivals to the pieces of neurons with events of their own, one by one.

    Of each ``found`` has two columns: the synapse, and the emission.
    """
    row = pieces.row[b]
    synapse, emission = found
    for g in range(synapse.shape[0]):
        k, e = synapse[g], np.int64(emission[g])
        n = np.int64(rows.post[k])
        arrival = sent.time[e] + delay_of(rows, k)
        j = np.int64(pieces.first[n])
        while arrival >= pieces.below[b, j]:
            j += 1
        i = state_of(tables, rows, k)
        respond(tables, tables.kind[n], i, pieces.time[b, j] - arrival, out)
        t_dot = sent.dot[e] + direction.delay[k]
        w = np.float64(rows.weight[k])
        add_one(tables, direction, Place(row, j, n, i), w, direction.weight[k], t_dot, out)


@phase_kernel
def visit_targets(tables, direction, row, at, post, window, out):
    """Bring all targets of a segment, ``post``, to the begin of ``window``."""
    for k in range(np.uint64(0), np.uint64(post.shape[0])):
        visit(tables, direction, row, at, np.int64(post[k]), window, out)
