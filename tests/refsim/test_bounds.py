"""Bounds of the voltage and searches for crossings, in every form, against sums in 40 digits."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

import refsim
from queues.compiled.jit import jit
from refsim.models.lif import bound, crossing, flow, one_port, response
from refsim.types import NeuronArrays
from refsim.windows import replay, sleep, sweep, visit
from refsim.windows.plan import window_tables
from refsim.windows.types import Lists, Neurons, OneExp
from validation.oracle.roots import derivative, first_crossing, value

DIGITS = 40
# Distances of the threshold from the highest voltage, as shares of the sizes of what adds up to it.
NEXT_TO = [0.0, 1e-15, 1e-13, 1e-12, 1e-9, 1e-3, 1.0]
NEXT_TO += [-1e-15, -1e-13, -1e-12, -1e-9, -1e-3, -0.02, -0.02, -0.1]


@jit
def never(model, v, x):
    return crossing.earliest_crossing(model, 0, v, x)


@jit
def searched(model, v, x, until, scratch):
    return crossing.next_crossing(model, 0, v, x, until, scratch)


@jit
def is_quiet(model, table, neurons):
    return visit.is_quiet(model, table, neurons, 0)


@jit
def may_fire(shape, drive, v_th, v, x):
    return sleep.may_fire(shape, drive, v_th, v, x, -1.0)


@jit
def may_reach_in_window(model, table, neurons, exciting, inhibiting):
    v, drive, v_th = neurons.v[0], model.neurons.drive[0], model.neurons.v_th[0]
    end = v + visit.rise_of(model, table, neurons, 0)
    highest = sweep.bound_of(model, table, 0, v, end, neurons.x)
    return bound.may_reach(v_th, v, drive, highest, exciting, inhibiting)


@jit
def one_may_reach_in_window(shape, drive, v_th, v, x, exciting, inhibiting):
    highest, _ = sleep.foresee(shape, drive, v, x)
    return bound.may_reach(v_th, v, drive, highest, exciting, inhibiting)


@jit
def certainly_below(model, v, x, dt):
    after = flow.flow_voltage(model, 0, v, x, dt)
    return replay.certainly_below(model, 0, v, x, after, dt)


@jit
def course_of(model, shape, v, x, dt):
    """What the replay of a neuron with one port computes before it searches."""
    a, r = shape.rate_v, shape.rate_x
    drive, v_th = model.neurons.drive[0], model.neurons.v_th[0]
    lost_a, lost_r = -np.expm1(-a * dt), -np.expm1(-r * dt)
    h = shape.ratio * x
    g = drive - v - h
    after, x_after = v + (g * lost_a + h * lost_r), x - x * lost_r
    slope, slope_after = a * (drive - v + x), a * (drive - after + x_after)
    return one_port.Course(a, r, v - v_th, g, h), after - v_th, slope, slope_after


@jit
def below_its_tangent(course, after, slope, dt):
    return bound.stays_below_its_tangent(course.below, after, slope, dt)


@jit
def one_searched(course, after, slope, slope_after, dt):
    return one_port.crossing_of(course, dt, after, slope, slope_after)


class Truth:
    """V - level of one neuron in 40 digits, as the oracle's sums of exponentials."""

    def __init__(self, model, v, x):
        self.model = model
        self.v, self.x = mp.mpf(v), [mp.mpf(value) for value in x]
        self.rate = mp.mpf(model.neurons.rate[0])
        self.drive = mp.mpf(model.neurons.drive[0])

    def _currents(self):
        """Return (rate, amplitude) of the exponentials of the current, and by state."""
        ports = self.model.ports
        for i, order, gain in zip(ports.first, ports.order, ports.gain, strict=True):
            r = mp.mpf(ports.rate[i])
            if order == 1:
                yield r, self.x[i]
                continue
            s = mp.mpf(ports.rate[i + 1])
            fed = mp.mpf(gain) * self.x[i] / (s - r)
            yield r, fed
            yield s, self.x[i + 1] - fed

    def terms(self, level=0.0):
        """Return V - level as a sum of exponentials."""
        a = self.rate
        forced = [(r, a * c / (a - r)) for r, c in self._currents()]
        own = self.v - self.drive - sum(c for _, c in forced)
        return sorted([(0 * own, self.drive - mp.mpf(level)), (a, own), *forced])

    def advance(self, dt):
        self.v = value(self.terms(), dt)
        ports, exp = self.model.ports, mp.exp
        for i, order, gain in zip(ports.first, ports.order, ports.gain, strict=True):
            r = mp.mpf(ports.rate[i])
            if order == 2:
                s = mp.mpf(ports.rate[i + 1])
                fed = mp.mpf(gain) * self.x[i] * (exp(-r * dt) - exp(-s * dt)) / (s - r)
                self.x[i + 1] = self.x[i + 1] * exp(-s * dt) + fed
            self.x[i] *= exp(-r * dt)

    def highest(self, until):
        """Return the highest voltage from now to ``until``."""
        terms = self.terms()
        slope, turns, low = derivative(terms), [], mp.mpf(0)
        while True:
            # Turns are crossings of V', upwards or, turned round, downwards.
            rest = [(r, c * mp.exp(-r * low)) for r, c in slope]
            sign = 1 if value(rest, mp.mpf(0)) < 0 else -1
            turn = first_crossing([(r, sign * c) for r, c in rest], until - low, mp.mpf(0))
            if not turn or turn < mp.mpf(10) ** -20:
                break
            low += turn
            turns.append(low)
        return max(value(terms, t) for t in [mp.mpf(0), *turns, mp.mpf(until)])


def size_of(model, v, x):
    """Return the sizes of what adds up to a voltage."""
    gain = [
        share
        for rate, feed, order in zip(
            model.ports.rate[model.ports.first], model.ports.gain, model.ports.order, strict=True
        )
        for share in ([1.0] if order == 1 else [feed / rate, 1.0])
    ]
    return abs(v) + abs(model.neurons.drive[0]) + float(np.abs(x) @ np.array(gain))


unit = st.floats(-1.0, 1.0).map(lambda u: round(u, 6))


@st.composite
def neurons(draw, one_port=False):
    """Draw one neuron below a threshold that is next to the highest voltage of a window, or ever.

    Return its model, tables, voltage, states, and arrivals (port, time, weight) in the window.
    """
    taus = st.floats(0.7, 30.0).map(lambda tau: round(tau, 3))
    ports = [refsim.ExpPort(draw(taus))]
    if not one_port:
        ports += [
            refsim.DoubleExpPort(draw(taus), draw(taus))
            if draw(st.booleans())
            else refsim.ExpPort(draw(taus))
            for _ in range(draw(st.integers(0, 2)))
        ]
        ports = draw(st.permutations(ports))
    tau_m = draw(taus)
    every = [tau_m, *(tau for port in ports for tau in port.time_constants)]
    apart = [abs(a - b) / (a + b) for i, a in enumerate(every) for b in every[:i]]
    assume(min(apart) > (0.02 if one_port else 1e-6))  # of those who agree mpmath has no quotient
    delay = draw(st.sampled_from([0.1, 0.5, 2.0, 8.0]))
    network = refsim.Network(
        1, refsim.Synapses([0], [0], [0.0], [delay], [0]), ports=ports, tau_m=tau_m
    )
    tables = window_tables(network)
    model, length = network.model, tables.length
    size = draw(st.sampled_from([1.0, 1.0, 1e-6, 1e6]))  # of the drive
    drive, v = size * draw(unit), draw(unit)
    x = np.array([draw(st.sampled_from([0.0, 1.0, 3.0])) * draw(unit) for _ in model.ports.rate])
    base = NeuronArrays(
        model.neurons.rate, np.array([drive]), np.array([1e9]), np.array([-1e9]), np.zeros(1)
    )
    arrivals = sorted(
        (
            length * draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])),
            draw(st.integers(0, len(ports) - 1)),
            draw(unit),
        )
        for _ in range(draw(st.sampled_from([0, 0, 1, 3])))
    )
    ever = draw(st.booleans())
    with mp.workdps(DIGITS):
        truth = Truth(model._replace(neurons=base), v, x)
        until = 60.0 * max(every) if ever else length
        top = float(truth.highest(mp.mpf(until)))
    total = size_of(model._replace(neurons=base), v, x)
    v_th = top + draw(st.sampled_from(NEXT_TO)) * total
    assume(v < v_th)
    return (
        model._replace(neurons=base._replace(v_th=np.array([v_th]))),
        tables,
        v,
        x,
        arrivals,
        total,
    )


def first_of(model, v, x, until, arrivals=(), slack=0.0):
    """Return when the voltage first exceeds its threshold by ``slack`` in [0, until], or None."""
    truth, now = Truth(model, v, x), mp.mpf(0)
    level = mp.mpf(model.neurons.v_th[0]) + mp.mpf(slack)
    for time, port, weight in [*arrivals, (until, None, 0.0)]:
        dt = mp.mpf(time) - now
        if truth.v > level:
            return now
        found = first_crossing(truth.terms(level), dt, mp.mpf(0))
        if found is not None:
            return now + found
        truth.advance(dt)
        now += dt
        if port is not None:
            truth.x[model.ports.first[port]] += mp.mpf(weight)
    return None


def state(model, v, x):
    """Return the neuron as the window engine has it."""
    n = len(x)
    low, ints = np.zeros(1), np.zeros(1, dtype=np.int64)
    return Neurons(
        np.array([v]), x.copy(), low, np.zeros(n), ints, np.array([-1.0]), ints, low, ints
    )


def sums(model, length, arrivals):
    """Return what arrivals add to the voltage by the end of a window, by sign."""
    out, added = np.zeros(3), [0.0, 0.0]
    rate = float(model.neurons.rate[0])
    for time, port, weight in arrivals:
        response.respond(model, rate, port, length - time, out)
        added[weight < 0.0] += weight * out[0]
    return added


usual = settings(max_examples=150, deadline=None)
FOREVER = 2000.0


@usual
@given(neurons())
def test_no_crossing_comes_before_its_bound(drawn):
    model, tables, v, x, _, size = drawn
    earliest = never(model, v, x)
    with mp.workdps(DIGITS):
        first = first_of(model, v, x, FOREVER, slack=1e-14 * size)
    assert first is None or earliest <= first
    # The form on tables sums in another order.
    if is_quiet(model, tables.propagator, state(model, v, x)):
        with mp.workdps(DIGITS):
            assert first_of(model, v, x, FOREVER) is None
        assert earliest > FOREVER


@usual
@given(neurons())
def test_no_crossing_comes_in_a_window_that_a_bound_excludes(drawn):
    model, tables, v, x, arrivals, size = drawn
    neuron, length = state(model, v, x), tables.length
    exciting, inhibiting = sums(model, length, arrivals)
    marked = may_reach_in_window(model, tables.propagator, neuron, exciting, inhibiting)
    with mp.workdps(DIGITS):
        if not marked:
            assert first_of(model, v, x, length, arrivals) is None
        if certainly_below(model, v, x, length):
            assert first_of(model, v, x, length, slack=1e-14 * size) is None


@usual
@given(neurons(one_port=True))
def test_bounds_of_one_port_exclude_no_crossing(drawn):
    model, tables, v, x, arrivals, size = drawn
    shape, length = tables.shape, tables.length
    assume(isinstance(shape, OneExp))
    drive, v_th = model.neurons.drive[0], model.neurons.v_th[0]
    exciting, inhibiting = sums(model, length, arrivals)
    marked = one_may_reach_in_window(shape, drive, v_th, v, x[0], exciting, inhibiting)
    course, after, slope, _ = course_of(model, shape, v, x[0], length)
    with mp.workdps(DIGITS):
        if not marked:
            assert first_of(model, v, x, length, arrivals) is None
        if not may_fire(shape, drive, v_th, v, x[0]):
            assert first_of(model, v, x, FOREVER, slack=1e-14 * size) is None
        if below_its_tangent(course, after, slope, length):
            assert first_of(model, v, x, length, slack=1e-14 * size) is None


@usual
@given(neurons(one_port=True))
def test_the_two_searches_find_the_crossing(drawn):
    model, tables, v, x, _, size = drawn
    shape, length = tables.shape, tables.length
    assume(isinstance(shape, OneExp))
    scratch = crossing.scratch(1)
    by_chain = searched(model, v, x, length, scratch)
    course, after, slope, slope_after = course_of(model, shape, v, x[0], length)
    by_losses = one_searched(course, after, slope, slope_after, length)
    rounding = 8.0 * 2.0**-52 * size
    with mp.workdps(DIGITS):
        # What is as near to the threshold as rounding may be found or not.
        above, below = (first_of(model, v, x, length, slack=s) for s in (rounding, -rounding))
        for found in (by_chain, by_losses):
            if above is not None:
                assert float(below) * (1.0 - 1e-14) <= found <= float(above) * (1.0 + 1e-14)
            if below is None:
                assert found == np.inf


def test_the_reach_is_the_peak_of_a_response():
    for tau_m, tau in ((20.0, 2.0), (3.0, 17.0), (10.0, 9.0)):
        network = refsim.Network(
            1, refsim.Synapses([0], [0], [0.0], [1.0], [0]), ports=refsim.ExpPort(tau), tau_m=tau_m
        )
        tables = window_tables(network)
        with mp.workdps(DIGITS):
            a, r = 1 / mp.mpf(tau_m), 1 / mp.mpf(tau)
            peak = float((a / r) ** (r / (r - a)))
        assert peak <= tables.shape.reach <= peak * (1.0 + 2e-12)
        assert tables.propagator.reach[0, 0] >= peak
        assert tables.propagator.reach[0, 0] == pytest.approx(min(1.0, tau / tau_m), rel=1e-15)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.999, 1.001, 1.5])
@pytest.mark.parametrize("drive", [-5.0, -1.0, -0.2])
def test_a_summit_within_a_window_is_seen(share, drive):
    """Threshold at a share of the way to a summit, from both of whose sides the ends are below."""
    network = refsim.Network(
        1, refsim.Synapses([0], [0], [0.0], [9.0], [0]), ports=refsim.ExpPort(2.0), tau_m=10.0
    )
    shape, v, x = window_tables(network).shape, 0.0, np.array([6.0])
    model = network.model
    base = NeuronArrays(model.neurons.rate, np.array([drive]), *np.zeros((3, 1)))
    model, until = model._replace(neurons=base), 9.0
    with mp.workdps(DIGITS):
        top = float(Truth(model, v, x).highest(mp.mpf(until)))
    model = model._replace(neurons=base._replace(v_th=np.array([share * top])))
    course, after, slope, slope_after = course_of(model, shape, v, x[0], until)
    with mp.workdps(DIGITS):
        first = first_of(model, v, x, until)
    assert (first is not None) == (share < 1.0)
    if share < 1.0:
        assert not below_its_tangent(course, after, slope, until)
        assert not certainly_below(model, v, x, until)
        found = one_searched(course, after, slope, slope_after, until)
        assert found == pytest.approx(float(first), rel=4e-15)
        scratch = crossing.scratch(1)
        assert searched(model, v, x, until, scratch) == pytest.approx(found, rel=4e-15)


@jit
def swept(shape, neurons, parameters, flag, sums, t1):
    half = sums.shape[0] >> 1
    part = sweep.Swept(
        parameters.drive, parameters.v_th, neurons.v, neurons.x, neurons.release, flag,
        sums[:half], sums[half:],
    )  # fmt: skip
    sweep._end_all(shape, part, t1)


@jit
def settled(shape, neurons, lists, parameters, sums, t1, now):
    visits = np.int64(0), np.int64(neurons.v.shape[0])
    return sleep.settle_visited(shape, neurons, lists, parameters, sums, visits, t1, now)


def test_a_sweep_and_visits_do_the_same_to_the_last_bit():
    rng, n = np.random.default_rng(4), 503
    network = refsim.Network(
        1, refsim.Synapses([0], [0], [0.0], [1.0], [0]), ports=refsim.ExpPort(2.0), tau_m=20.0
    )
    tables = window_tables(network)
    shape, t1 = tables.shape, 7.0 * tables.length
    drive, v_th = rng.uniform(-1.0, 1.5, n), np.ones(n)
    parameters = NeuronArrays(np.full(n, 0.05), drive, v_th, np.zeros(n), np.zeros(n))
    release = np.where(rng.random(n) < 0.2, t1 + rng.uniform(-0.1, 1.0, n), -1.0)
    sums = np.concatenate([rng.exponential(0.05, 2 * n), -rng.exponential(0.05, 2 * n)])
    flags = (rng.random(n) < 0.05).astype(np.uint8)
    v, x = rng.uniform(-1.0, 1.0, n), rng.normal(0.0, 1.0, n)
    results = []
    for by_sweep in (True, False):
        ints = np.zeros((5, n), dtype=np.int64)
        none = np.zeros(0)
        neurons = Neurons(
            v.copy(), x.copy(), none, none, ints[0], release.copy(), ints[1], none, ints[2]
        )
        lists = Lists(np.arange(n), ints[3], flags.copy(), ints[4], np.zeros(n, dtype=np.int32))
        if by_sweep:
            swept(shape, neurons, parameters, lists.flag, sums.copy(), t1)
        else:
            marked, _ = settled(shape, neurons, lists, parameters, sums.copy(), t1, 6)
            assert sorted(lists.replays[:marked]) == np.flatnonzero(lists.flag).tolist()
        results.append([neurons.v, neurons.x, lists.flag])
    assert 0.05 * n < results[0][2].sum() < 0.9 * n
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
