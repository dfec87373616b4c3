"""The mathematics of full layers: what decides whether and when a voltage crosses a level."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from queues.compiled.jit import kernel
from queues.compiled.vector.decay import LONGEST, decay
from queues.compiled.vector.lines import read_line, weigh_line
from refsim.layers.dense.rise import crossing, fade, may_pass, solve, summit, tangents
from refsim.layers.order import group, sort

usual = settings(deadline=None, max_examples=60)


@kernel
def decays(z, out):
    for i in range(z.shape[0]):
        out[i] = decay(z[i])


@kernel
def passes(p, q, lines, slow, fast, level, out):
    for i in range(slow.shape[0]):
        out[i] = may_pass(1.0 - p / q, lines, p * slow[i], q * fast[i], slow[i], level[i])


def lines_of(p, q):
    return tuple(tangents(np.array([p]), np.array([q]))[0].tolist())


@kernel
def summits(p, q, slow, fast, out):
    for i in range(slow.shape[0]):
        out[i, 0], out[i, 1] = summit(p, q, slow[i], fast[i])


@kernel
def solved(p, q, slow, fast, level, until, found):
    wait, left, one = found
    solve(p, q, 1.0, slow.shape[0], slow, fast, level, until, wait, left)
    for i in range(slow.shape[0]):
        one[i] = crossing(p, q, slow[i], fast[i], level[i], until[i])


@kernel
def faded(p, q, wait, slow, fast):
    fade(p, q, wait.shape[0], wait, slow, fast)


@kernel
def sorted_rows(key, item, spare_key, spare_item):
    sort(key, item, key.shape[0], spare_key, spare_item)


@kernel
def grouped(member, first, stop, item):
    group(member, np.int64(0), member.shape[0], first, stop, item)


@kernel
def read(m, q, slow, fast, bar):
    read_line(m, q, slow, fast, bar)


@kernel
def weigh(m, q, factors, bar, weight, by_time):
    slow, fast, by_x, by_part = factors
    return weigh_line(m, q, slow, fast, bar, weight, by_x, by_part, by_time)


def test_exponentials_are_within_a_unit_in_the_last_place():
    rng = np.random.default_rng(0)
    z = np.concatenate(
        [rng.uniform(0, 1, 500), rng.uniform(0, 708, 500), [0.0, 1e-300, 0.5, 707.9]]
    )
    out = np.zeros(len(z))
    decays(z, out)
    with mpmath.workdps(40):
        exact = [mpmath.exp(-mpmath.mpf(x)) for x in z.tolist()]
        off = [abs(mpmath.mpf(y) / x - 1) for x, y in zip(exact, out.tolist(), strict=True)]
    assert max(off) < 1.2 * 2.0**-52
    assert out[z == 0.0].tolist() == [1.0]


def test_what_is_below_normal_numbers_is_nothing():
    out = np.ones(3)
    decays(np.array([LONGEST, 1e3, 1e300]), out)
    assert out.tolist() == [0.0, 0.0, 0.0]


@st.composite
def rises(draw):
    """Draw rates and voltages that rise at first, below their level."""
    p = draw(st.floats(0.01, 2.0))
    q = p * draw(st.sampled_from([1.02, 1.1, 1.5, 2.0, 4.0, 40.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    slow = 10.0 ** rng.uniform(-3, 3, 12)
    fast = slow * (p / q + (1.0 + 3.0 * rng.uniform(0, 1, 12) - p / q) * rng.uniform(0, 1, 12) ** 3)
    fast *= 1.0 + 1e-9
    height = np.array([_summit(p, q, a, c)[1] for a, c in zip(slow, fast, strict=True)])
    start = slow - fast
    share = draw(st.sampled_from([0.0, 1e-12, 1e-6, 0.1, 0.5]))
    level = height - share * (height - start)
    keep = (level > 0.0) & (level > start) & (q * fast > p * slow)
    return p, q, slow[keep], fast[keep], level[keep]


def _summit(p, q, a, c):
    """Return time and height of the summit in many digits."""
    with mpmath.workdps(40):
        p, q, a, c = map(mpmath.mpf, (p, q, a, c))
        t = mpmath.log(q * c / (p * a)) / (q - p)
        return float(t), float(a * mpmath.exp(-p * t) - c * mpmath.exp(-q * t))


@usual
@given(rises())
def test_no_voltage_that_crosses_is_let_pass(drawn):
    p, q, slow, fast, level = drawn
    assume(len(slow))
    out = np.zeros(len(slow))
    passes(p, q, lines_of(p, q), slow, fast, level, out)
    assert out.all()


def test_most_voltages_that_stay_below_are_let_pass():
    rng = np.random.default_rng(1)
    slow = rng.uniform(0.5, 2.0, 10_000)
    fast = slow * rng.uniform(0.4, 1.0, 10_000)
    found = np.zeros((10_000, 2))
    summits(0.05, 0.2, slow, fast, found)
    level = found[:, 1] + 0.1
    out = np.zeros(10_000)
    passes(0.05, 0.2, lines_of(0.05, 0.2), slow, fast, level, out)
    assert out.mean() < 0.1


@usual
@given(rises())
def test_summits(drawn):
    p, q, slow, fast, _ = drawn
    found = np.zeros((len(slow), 2))
    summits(p, q, slow, fast, found)
    for i, (a, c) in enumerate(zip(slow, fast, strict=True)):
        t, height = _summit(p, q, a, c)
        # The logarithm of a ratio near 1 is as good as the ratio.
        assert found[i, 0] == pytest.approx(t, rel=1e-13, abs=1e-15 / (q - p))
        assert found[i, 1] == pytest.approx(height, rel=1e-13)


@usual
@given(rises())
def test_crossings_are_those_of_many_digits(drawn):
    p, q, slow, fast, level = drawn
    assume(len(slow))
    tops = np.zeros((len(slow), 2))
    summits(p, q, slow, fast, tops)
    keep = tops[:, 1] > level * (1.0 + 1e-13)
    slow, fast, level, until = (x[keep].copy() for x in (slow, fast, level, tops[:, 0]))
    size = len(slow)
    wait, left, one = (np.zeros(size) for _ in range(3))
    solved(p, q, slow, fast, level, until, (wait, left, one))
    for i in range(size):
        exact, rounding = _crossing(p, q, slow[i], fast[i], level[i], until[i])
        assert abs(one[i] - exact) <= rounding
        if left[i] <= 2e-17:
            assert abs(wait[i] - exact) <= rounding + 1e-16 * (1.0 + exact)


def _crossing(p, q, a, c, level, until):
    """Return the crossing in many digits, and what the rounding of a voltage makes of it."""
    with mpmath.workdps(40):
        p, q, a, c, level = map(mpmath.mpf, (p, q, a, c, level))

        def f(s):
            return a * mpmath.exp(-p * s) - c * mpmath.exp(-q * s) - level

        low, high = mpmath.mpf(0), mpmath.mpf(until)
        if f(high) <= 0:
            return float(high), 1e-6 * float(high)
        for _ in range(110):
            middle = (low + high) / 2
            low, high = (low, middle) if f(middle) > 0 else (middle, high)
        x, y = a * mpmath.exp(-p * high), c * mpmath.exp(-q * high)
        slope, bend = q * y - p * x, abs(p * p * x - q * q * y)
        noise = 4e-16 * (x + y + level)
        # f = slope s - bend s^2/2: where the slope is small, the root is off by a square root.
        off = noise / slope if slope > 0 else mpmath.inf
        return float(high), float(min(4 * off, 4 * mpmath.sqrt(noise / bend) + off)) + 1e-300


def test_fading():
    wait = np.array([0.0, 1.0, 5.0, 2e5])
    slow, fast = np.zeros(4), np.zeros(4)
    faded(0.05, 0.2, wait, slow, fast)
    np.testing.assert_allclose(slow, np.exp(-0.05 * wait), rtol=1e-15)
    np.testing.assert_allclose(fast, np.exp(-0.2 * wait), rtol=1e-15)


@usual
@given(st.lists(st.integers(0, 9), max_size=150))
def test_sorting_keeps_the_order_of_equal_keys(keys):
    key = np.array(keys, dtype=float)
    item = np.arange(len(keys))
    sorted_rows(key, item, np.zeros(len(keys)), np.zeros(len(keys), dtype=np.int64))
    expected = np.argsort(keys, kind="stable")
    assert item.tolist() == expected.tolist()
    assert key.tolist() == sorted(keys)


@usual
@given(st.lists(st.integers(0, 5), max_size=30))
def test_grouping(members):
    first, stop = np.zeros((2, 6), dtype=np.int64)
    item = np.zeros(len(members), dtype=np.int64)
    grouped(np.array(members, dtype=np.int64), first, stop, item)
    for m in range(6):
        expected = [i for i, member in enumerate(members) if member == m]
        assert item[first[m] : stop[m]].tolist() == expected


def test_lines_are_sums_of_products():
    rng = np.random.default_rng(2)
    m, q, weight, bar, other, by_time = rng.normal(size=(6, 48))
    slow, fast, by_x, by_part = rng.normal(size=4)
    x = slow * m + fast * q
    before, times = bar.copy(), by_time.copy()
    read(m, q, slow, fast, bar)
    np.testing.assert_allclose(bar, before + x, rtol=0, atol=1e-14)
    total = weigh(m, q, (slow, fast, by_x, by_part), other, weight, by_time)
    moved = weight * (by_x * x + by_part * slow * m)
    np.testing.assert_allclose(by_time, times + moved, rtol=0, atol=1e-14)
    assert total == pytest.approx(math.fsum(moved), abs=1e-13)
