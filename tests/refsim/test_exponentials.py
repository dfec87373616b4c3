"""Convolutions of exponentials against high precision, equal and nearly equal rates included."""

import itertools
import math

import pytest
from hypothesis import given, settings, strategies as st

from refsim.models.lif.exponentials import convolve2, convolve3, convolve4
from refsim.models.lif.flow import cascade_gain, cascade_gain_derivatives

mpmath = pytest.importorskip("mpmath")

EPS = 2.0**-52
RATES = st.sampled_from([0.0, 1e-15, 1e-9, 1e-5, 1e-3, 0.1, 0.5, 1.0, 3.0, 10.0])


def exact(rates, dt):
    """Divided difference of exp(-x dt), by confluent recursion at a precision that forgives it."""
    with mpmath.workdps(250):
        points = sorted(mpmath.mpf(rate) for rate in rates)
        # Equal points are moved apart by 1e-35: the error is of that order, the loss 105 digits.
        points = [x * (1 + mpmath.mpf(10) ** -35 * k) for k, x in enumerate(points)]
        table = [mpmath.exp(-x * dt) for x in points]
        for level in range(1, len(points)):
            table = [
                (table[k] - table[k + 1]) / (points[k + level] - points[k])
                for k in range(len(table) - 1)
            ]
        return table[0]


@pytest.mark.parametrize(("function", "size"), [(convolve2, 2), (convolve3, 3), (convolve4, 4)])
@settings(deadline=None, max_examples=200)
@given(
    base=st.floats(1e-3, 10.0),
    offsets=st.lists(RATES, min_size=4, max_size=4),
    dt=st.floats(1e-6, 200.0),
)
def test_convolutions(function, size, base, offsets, dt):
    rates = [base * (1.0 + offset) for offset in offsets[:size]]
    known = exact(rates, dt)
    if known < 1e-290:
        return
    # exp(-x dt) has a relative error of eps x dt from the rounding of x dt; the recursion loses a
    # factor of a few at each of up to two levels.
    tolerance = EPS * (60.0 + 3.0 * min(rates) * dt)
    found = function(*rates, dt)
    assert abs(found - known) <= tolerance * known


@settings(deadline=None, max_examples=100)
@given(rates=st.lists(st.floats(1e-2, 10.0), min_size=4, max_size=4), dt=st.floats(1e-3, 50.0))
def test_convolutions_do_not_depend_on_the_order_of_rates(rates, dt):
    assert len({convolve4(*order, dt) for order in itertools.permutations(rates)}) == 1
    assert len({convolve3(*order, dt) for order in itertools.permutations(rates[:3])}) == 1
    assert convolve2(rates[0], rates[1], dt) == convolve2(rates[1], rates[0], dt)


def test_convolutions_at_zero_and_far_away():
    for function, size in [(convolve2, 2), (convolve3, 3), (convolve4, 4)]:
        assert function(*[1.0] * size, 0.0) == 0.0
        assert function(*[1.0] * size, 1e12) == 0.0
        assert function(*[1.0, 2.0, 3.0, 4.0][:size], 1e12) == 0.0


@settings(deadline=None, max_examples=200)
@given(s=st.floats(1e-3, 10.0), z=st.floats(-0.999999, 1e6) | RATES | st.floats(-1e-3, 1e-3))
def test_gain_of_a_cascade_gives_unit_peak(s, z):
    r = s * (1.0 + z)
    with mpmath.workdps(80):
        exact_r, exact_s = mpmath.mpf(r), mpmath.mpf(s)
        if r == s:
            exact_r = exact_s * (1 + mpmath.mpf(10) ** -30)

        def gain(a, b):
            peak = mpmath.log(a / b) / (a - b)
            return (a - b) / (mpmath.exp(-b * peak) - mpmath.exp(-a * peak))

        # gain = r e^u: u = log(r/s)/z carries its own rounding into the exponential.
        loss = 1.0 + abs(math.log(r / s))
        assert abs(cascade_gain(r, s) / gain(exact_r, exact_s) - 1) < 8 * EPS * loss
        step = mpmath.mpf(10) ** -18
        by_r = (gain(exact_r + step, exact_s) - gain(exact_r - step, exact_s)) / (2 * step)
        by_s = (gain(exact_r, exact_s + step) - gain(exact_r, exact_s - step)) / (2 * step)
        found_r, found_s = cascade_gain_derivatives(r, s)
        size = loss * gain(exact_r, exact_s) / min(exact_r, exact_s)
        # The derivative cancels where |z| > 0.2 by no more than 1/z^2 < 25.
        assert abs(found_r - by_r) < 100 * EPS * size
        assert abs(found_s - by_s) < 100 * EPS * size * (1.0 + abs(z))
