"""One rule for an arrival, a spike and a release: forms of windows against those of events.

The event engine lets an arrival change, or read, the state of its time. By windows it changes, or
reads, what holds at the end of the window, or of a piece of it: the rule and the flow in one.
"""

from typing import Any, NamedTuple

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

import refsim
from adjoint.windows import reads, reads_any
from adjoint.windows.forward import arrivals
from adjoint.windows.forward.types import Direction
from adjoint.windows.responses import respond_exactly, window_tables
from adjoint.windows.types import Adjoints, AdjointsAndRates, SynapseBars, room_for_chunk
from queues.compiled.jit import jit
from refsim.models import lif
from refsim.models.lif.response import respond
from refsim.types import ModelTangent, NeuronArrays, PortArrays

DIGITS = 40
number = st.floats(-2.0, 2.0).map(lambda u: round(u, 6))


@jit
def arrive_and_flow_jvp(model, dot, p, weight, weight_dot, t_dot, v_dot, x, x_dot, dt):
    """An arrival at a neuron without anything else, and the flow after it; return V's tangent."""
    v_dot -= lif.arrive_jvp(model, 0, p, weight, weight_dot, t_dot, x_dot)
    lif.arrive(model, p, weight, x)
    drive = model.neurons.drive[0]
    v_dot = lif.flow_voltage_jvp(model, dot, 0, drive, v_dot, x, x_dot, dt)
    lif.flow_current_jvp(model, dot, x, x_dot, dt)
    lif.flow_current(model, x, dt)
    return v_dot


@jit
def add_to_row(tables, direction, row, i, w, w_dot, t_dot, dt, out):
    respond_exactly(tables, 0, i, dt, out)
    at = arrivals.Place(row, np.int64(0), np.int64(0), i)
    arrivals.add_one(tables, direction, at, w, w_dot, t_dot, out)


@jit
def arrive_vjp(model, adj, bar, p, weight, t):
    return lif.arrive_vjp(model, adj, bar, 0, p, weight, t)


@jit
def read_row(tables, into, i, weight, dt, out):
    respond_exactly(tables, 0, i, dt, out)
    at = reads_any.Place(into.adjoints.row, np.int64(0), np.int64(0), i)
    return reads_any._read_one(tables, into, at, np.int64(0), weight, out)


@jit
def read_row_of_one_port(tables, into, weight, dt, out):
    respond_exactly(tables, 0, 0, dt, out)
    rates = tables.rate[0], tables.decay_rate[0]
    unit = reads.unit_of(into.adjoints, rates, out)
    row, zero = into.adjoints.row, np.uint64(0)
    return reads._read_one(into, row, zero, zero, weight, unit, 0.0)


@jit
def at(tables, i, u, out):
    respond_exactly(tables, 0, i, u, out)


@jit
def later_by(short, slope):
    return lif.later_by(short, slope)


@st.composite
def neurons(draw):
    """Draw a model of one neuron with one to three ports, and a time of a window."""
    taus = st.sampled_from([2.0, 5.0, 5.0 + 1e-7, 11.0])
    ports = [
        refsim.ExpPort(draw(taus))
        if draw(st.booleans())
        else refsim.DoubleExpPort(draw(taus), draw(taus))
        for _ in range(draw(st.integers(1, 3)))
    ]
    network = refsim.Network(1, ports=ports, tau_m=draw(taus), i_ext=0.3)
    return (
        network.model,
        draw(st.integers(0, len(ports) - 1)),
        draw(st.sampled_from([0.0, 0.01, 1.0, 6.0])),
    )


def tangents(draw, model):
    n_states, n_ports = len(model.ports.rate), len(model.ports.order)
    rate = np.array([draw(number)])
    ports = PortArrays(
        model.ports.first,
        model.ports.order,
        np.array([draw(number) for _ in range(n_states)]),
        np.where(model.ports.order == 2, draw(number), 0.0) * np.ones(n_ports),
    )
    return ModelTangent(NeuronArrays(rate, *np.zeros((4, 1))), ports)


@settings(max_examples=200, deadline=None)
@given(neurons(), st.data())
def test_the_tangent_of_an_arrival_is_that_of_events(drawn, data):
    model, p, dt = drawn
    draw = data.draw
    n_states = len(model.ports.rate)
    dot = tangents(draw, model)
    weight, weight_dot, t_dot = draw(number), draw(number), draw(number)
    x, x_dot = np.zeros(n_states), np.zeros(n_states)
    # At rest, without a tangent: all that there is comes from the arrival.
    v_dot = arrive_and_flow_jvp(model, dot, p, weight, weight_dot, t_dot, 0.0, x, x_dot, dt)
    tables = window_tables(model, 8.0, True)
    gain = np.zeros(n_states)
    first = model.ports.first
    gain[first] = dot.ports.gain / np.where(model.ports.order == 2, model.ports.gain, 1.0)
    direction = Direction(dot.neurons, dot.ports.rate, gain, np.zeros(1), np.zeros(1))
    row = np.zeros((1, 2 * (1 + n_states)))
    add_to_row(tables, direction, row, first[p], weight, weight_dot, t_dot, dt, np.zeros(9))
    size = 1.0 + np.abs(row).max()
    np.testing.assert_allclose(row[0, 0], v_dot, rtol=1e-12, atol=1e-14 * size)
    np.testing.assert_allclose(row[0, 1 : 1 + n_states], x_dot, rtol=1e-12, atol=1e-14 * size)
    np.testing.assert_allclose(row[0, 2 + n_states :], x, rtol=1e-14, atol=1e-300)


@settings(max_examples=200, deadline=None)
@given(neurons(), st.data())
def test_the_adjoint_of_an_arrival_is_that_of_events(drawn, data):
    model, p, dt = drawn
    draw = data.draw
    n_states, n_ports = len(model.ports.rate), len(model.ports.order)
    weight = draw(number)
    adj, bar = lif.adjoint_state(1, n_states, n_ports, dt)
    columns = [adj.v, adj.x, adj.rate_v, adj.rate_x, adj.own, adj.cross]
    for column in columns:
        column.ravel()[:] = [draw(number) for _ in range(column.size)]
    # ``cross`` is of the first filter of two alone.
    is_first = np.zeros(n_states, dtype=bool)
    is_first[model.ports.first[model.ports.order == 2]] = True
    adj.cross[:] *= is_first
    weight_bar, time_bar = arrive_vjp(model, adj, bar, p, weight, 0.0)
    tables = window_tables(model, 8.0, True)
    row = np.zeros((1, 3 + 4 * n_states))
    row[0, :-1] = np.concatenate([column.ravel() for column in columns])
    i = model.ports.first[p]
    into = reads.Reading(
        AdjointsAndRates(row),
        SynapseBars(np.zeros(1), np.zeros(1)),
        np.zeros(1),
        np.zeros(n_states),
    )
    found = read_row(tables, into, i, weight, dt, np.zeros(9))
    close = {"rtol": 1e-12, "atol": 1e-14 * (1.0 + np.abs(row).max() * (1.0 + dt))}
    np.testing.assert_allclose(into.bars.weight[0], weight_bar, **close)
    np.testing.assert_allclose([found, into.bars.delay[0]], [time_bar] * 2, **close)
    np.testing.assert_allclose(row[0, -1], bar.rate[0], **close)
    np.testing.assert_allclose(into.rate_bar, bar.port_rate, **close)


@settings(max_examples=100, deadline=None)
@given(neurons())
def test_both_passes_have_the_same_responses(drawn):
    model, p, u = drawn
    tables = window_tables(model, 8.0, False)
    forwards, back = np.zeros(3), np.zeros(3)
    respond(model, float(model.neurons.rate[0]), p, u, forwards)
    at(tables, model.ports.first[p], u, back)
    np.testing.assert_allclose(back, forwards, rtol=4.0 * 2.0**-52, atol=0.0)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([2.0, 5.0]), st.sampled_from([2.0, 3.0]), number, st.data())
def test_the_loops_of_one_port_read_as_those_of_any(tau_m, tau, weight, data):
    model = refsim.Network(1, ports=refsim.ExpPort(tau), tau_m=tau_m).model
    tables = window_tables(model, 8.0, True)
    dt = data.draw(st.sampled_from([0.0, 0.3, 4.0]))
    values = [data.draw(number) for _ in range(7)]
    results = []
    for one_port in (True, False):
        row = np.zeros((1, 8))
        row[0, :6] = values[:6]
        bars = SynapseBars(np.zeros(1), np.zeros(1))
        into = reads.Reading(AdjointsAndRates(row), bars, np.zeros(1), np.zeros(1))
        if one_port:
            time_bar, own = read_row_of_one_port(tables, into, weight, dt, np.zeros(9))
        else:
            time_bar = read_row(tables, into, np.int64(0), weight, dt, np.zeros(9))
            own = into.rate_bar[0]
        results.append([time_bar, own, row[0, 6], bars.weight[0], bars.delay[0]])
    np.testing.assert_allclose(*results, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("with_rates", [False, True])
def test_what_an_arrival_reads_is_what_the_oracle_has(with_rates):
    """A unit of V is read from as much of it as an arrival brings about, by sums in 40 digits."""
    tau_m, tau, weight, dt = 10.0, 3.0, 1.7, 2.5
    model = refsim.Network(1, ports=refsim.ExpPort(tau), tau_m=tau_m).model
    tables = window_tables(model, 8.0, with_rates)
    kind, width = (AdjointsAndRates, 8) if with_rates else (Adjoints, 2)
    row = np.zeros((1, width))
    row[0, 0] = 1.0
    bars = SynapseBars(np.zeros(1), np.zeros(1))
    into = reads.Reading(kind(row), bars, np.zeros(1), np.zeros(1))
    read_row_of_one_port(tables, into, weight, dt, np.zeros(9))
    with mp.workdps(DIGITS):
        a, r = mp.mpf(model.neurons.rate[0]), mp.mpf(model.ports.rate[0])

        def lift(t):
            return a * (mp.exp(-r * t) - mp.exp(-a * t)) / (a - r)

        by_weight, by_time = float(lift(dt)), float(-weight * mp.diff(lift, dt))
    assert bars.weight[0] == pytest.approx(by_weight, rel=1e-14)
    assert bars.delay[0] == pytest.approx(by_time, rel=1e-14)


@settings(max_examples=50, deadline=None)
@given(number, st.floats(0.1, 3.0).map(lambda u: round(u, 3)))
def test_a_spike_comes_later_by_what_is_short(v_th_dot, drive):
    """V = drive (1 - e^{-t}) crosses 0.05: implicit derivative by the threshold, in 40 digits."""
    assume(drive > 0.1)
    with mp.workdps(DIGITS):
        level, top = mp.mpf("0.05"), mp.mpf(drive)
        slope = float(top - level)
        by_level = mp.diff(lambda u: -mp.log(1 - u / top), level)
        expected = float(by_level * mp.mpf(v_th_dot))
    assert later_by(v_th_dot, slope) == pytest.approx(expected, rel=1e-14, abs=0.0)
    assert later_by(0.0, 0.0) == 0.0


def test_a_release_and_a_spike_are_transposed():
    """<bar, tangent> of reset, hold and release is the same forwards and backwards."""
    model = refsim.Network(1, tau_m=7.0, i_ext=2.0, t_ref=1.5, v_reset=-0.4).model
    before, after = 0.31, 0.27
    v_dot, v_th_dot, v_reset_dot, t_ref_dot = 0.7, -0.2, 0.9, 0.4
    dot = NeuronArrays(
        *(np.array([value]) for value in (0.0, 0.0, v_th_dot, v_reset_dot, t_ref_dot))
    )
    t_dot = later_by(v_th_dot - v_dot, before)
    v_after = v_reset_dot - after * (t_dot + t_ref_dot)
    assert release(dot, after, t_dot + t_ref_dot) == v_after
    adj, bar = lif.adjoint_state(1, 1, 1, 0.0)
    adj.v[0], time_bar = 1.3, 0.6
    lif.release_vjp(model, adj, bar, 0)
    lif.fire_vjp(adj, bar, 0, before, after, time_bar)
    forwards = 1.3 * v_after + time_bar * t_dot
    backwards = adj.v[0] * v_dot + bar.v_th[0] * v_th_dot
    backwards += bar.v_reset[0] * v_reset_dot + bar.t_ref[0] * t_ref_dot
    assert backwards == pytest.approx(forwards, rel=1e-14)


@jit
def release(dot, slope, release_dot):
    return lif.release_jvp(dot, 0, slope, release_dot)


@jit
def add_all(tables, direction, rows, chunk, form, times, t_dots, out):
    """Add all synapses of one segment, one by one, or by the loops of one port."""
    row = rows[form]
    size = chunk.post.shape[0]
    rates = tables.rate[0], tables.decay_rate[0]
    targets = arrivals.Targets(chunk.post, chunk.weight, direction.weight, direction.delay)
    if form == 0:
        for k in range(size):
            respond_exactly(tables, 0, 0, times[k], out)
            n = np.int64(chunk.post[k])
            at = arrivals.Place(row, n, n, np.int64(0))
            t_dot = t_dots[0] + direction.delay[k]
            arrivals.add_one(
                tables, direction, at, chunk.weight[k], direction.weight[k], t_dot, out
            )
    elif form == 1:
        respond_exactly(tables, 0, 0, times[0], out)
        arrivals._add_alike(row, targets, 0, size, t_dots[0], out, rates)
    else:
        for k in range(size):
            respond_exactly(tables, 0, 0, times[k], out)
            chunk.given.response[0, 0, k] = out[0]
            chunk.given.response[0, 1, k] = out[1]
        arrivals._add_apart(row, targets, chunk.given, 0, 1, rates)


class Segment(NamedTuple):
    post: Any
    weight: Any
    given: Any


def test_the_loops_of_tangents_add_what_one_arrival_after_the_other_adds():
    rng, size, n = np.random.default_rng(0), 40, 7
    model = refsim.Network(n, ports=refsim.ExpPort(3.0), tau_m=11.0).model
    tables = window_tables(model, 8.0, False)
    dot = NeuronArrays(*np.zeros((5, n)))
    direction = Direction(
        dot, np.zeros(1), np.zeros(1), rng.normal(size=size), rng.normal(size=size)
    )
    given = room_for_chunk(1, 3)
    given.start[0, 1], given.emitted[0, 0] = size, 0.7
    post = rng.integers(0, n, size).astype(np.int32)
    segment = Segment(post, rng.normal(size=size), given)
    for times, form in ((np.full(size, 2.5), 1), (rng.uniform(0.0, 8.0, size), 2)):
        rows = np.zeros((3, n, 2))
        for chosen in (0, form):
            add_all(tables, direction, rows, segment, chosen, times, np.array([0.7]), np.zeros(3))
        scale = np.abs(rows[0]).max()
        np.testing.assert_allclose(rows[form], rows[0], rtol=1e-13, atol=1e-15 * scale)
        assert scale > 0.1
