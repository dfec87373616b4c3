"""Operations in vectors: to the last bit what they are one by one, and fma what its name says."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from queues.compiled.jit import is_compiled, jit
from queues.compiled.vector import fused, masks as byte_mask, polynomials, reached
from queues.compiled.vector.vectors import LANES

needs_compiler = pytest.mark.skipif(not is_compiled(), reason="kernels are not compiled")

numbers = st.floats(-1e150, 1e150, allow_subnormal=True)
unit = st.floats(-1.0, 1.0)
several = st.lists(unit, min_size=polynomials.SEVERAL, max_size=polynomials.SEVERAL)


@jit
def multiply_and_add(a, b, c):
    return fused.fma(a, b, c)


@jit
def respond(delay, k, time, until, scale, lift_terms, fade_terms, lift, fade):
    polynomials.respond_to_group(
        delay, np.uint64(k), time, until, scale, lift_terms, fade_terms, lift, fade
    )


@jit
def evaluate(terms, z, i, out):
    polynomials.evaluate_several(terms, z, np.uint64(i), out)


@jit
def count(delay, k, time, limit):
    return reached.count_reached(delay, np.uint64(k), time, limit)


@jit
def list_set(flag, i, out):
    mask = byte_mask.mask_of(flag, np.uint64(i))
    size = 0
    while mask != 0:
        out[size] = byte_mask.lowest_of(mask)
        mask &= mask - np.uint64(1)
        size += 1
    return size


def rounded_once(a, b, c):
    """Return a b + c by integers: the definition."""
    value = Fraction(a) * Fraction(b) + Fraction(c)
    return value.numerator / value.denominator if value else a * b + c


@settings(deadline=None)  # the first call compiles
@given(a=numbers, b=numbers, c=numbers)
def test_fma_rounds_once(a, b, c):
    assert multiply_and_add(a, b, c) == rounded_once(a, b, c)


@settings(deadline=None)
@given(x=st.floats(0.5, 1.0), y=st.floats(0.5, 1.0))
def test_fma_returns_the_rounding_of_a_product(x, y):
    """What remains of x y, exactly: where a product and a sum of two roundings return zero."""
    assert multiply_and_add(x, y, -(x * y)) == float(Fraction(x) * Fraction(y) - Fraction(x * y))


@given(a=numbers, b=numbers, c=numbers)
def test_all_ways_to_multiply_and_add_agree(a, b, c):
    of_c = fused._fma_of_c()
    if of_c is None:
        pytest.skip("no library of C here")
    assert of_c(a, b, c) == fused._fma_of_fractions(a, b, c) == rounded_once(a, b, c)


def test_fma_keeps_the_sign_of_zero():
    for fma in (multiply_and_add, fused._fma_of_fractions):
        assert math.copysign(1.0, fma(-1.0, 0.0, -0.0)) == -1.0
        assert math.copysign(1.0, fma(2.0, 3.0, -6.0)) == 1.0


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_fma_passes_on_what_is_no_number(bad):
    for fma in (multiply_and_add, fused._fma_of_fractions):
        assert str(fma(bad, 1.0, 1.0)) == str(bad)
        assert math.isnan(fma(bad, 0.0, 1.0))


def test_fma_overflows_as_products_do():
    for fma in (multiply_and_add, fused._fma_of_fractions):
        assert fma(1e300, -1e300, 1.0) == -math.inf


@settings(deadline=None)
@given(data=st.data(), delays=several, k=st.integers(0, polynomials.SEVERAL - LANES))
def test_responses_of_a_group_are_those_of_each(data, delays, k):
    terms = np.array(data.draw(st.lists(unit, min_size=20, max_size=20))).reshape(2, 10)
    delay, out = np.array(delays), np.zeros((2, LANES))
    respond(delay, k, 1.5, 3.0, 0.5, *terms, *out)
    for j in range(LANES):
        z = fused._fma_of_fractions(3.0 - (1.5 + delay[k + j]), 0.5, -1.0)
        assert list(out[:, j]) == [by_fractions(c, z) for c in terms]


def by_fractions(c, z):
    """Return what `polynomials.polynomial` does, by fractions."""
    halves = []
    for last in (4, 9):
        value = c[last]
        for d in range(last - 1, last - 5, -1):
            value = fused._fma_of_fractions(value, z, c[d])
        halves.append(value)
    square = z * z
    return fused._fma_of_fractions(halves[1], square * square * z, halves[0])


@settings(deadline=None)
@given(z=several, terms=st.lists(unit, min_size=1, max_size=15), i=st.integers(0, 5))
def test_polynomials_at_several_places_are_those_at_each(z, terms, i):
    terms, z = np.array(terms), np.concatenate([np.zeros(i), z])
    out = np.zeros(len(z))
    evaluate(terms, z, i, out)
    for at, value in zip(z[i:], out[i:], strict=True):
        expected = terms[-1]
        for c in terms[-2::-1]:
            expected = fused._fma_of_fractions(expected, at, c)
        assert value == expected


@settings(deadline=None)
@given(
    delays=st.lists(st.floats(0.0, 4.0), min_size=24, max_size=24),
    k=st.integers(0, 24 - reached.AT_ONCE),
    time=st.floats(-1.0, 1.0),
    limit=st.one_of(st.floats(-1.0, 5.0), st.sampled_from([math.inf, -math.inf])),
)
def test_counts_of_what_is_reached(delays, k, time, limit):
    delay = np.sort(delays)
    expected = int(np.sum(time + delay[k : k + reached.AT_ONCE] < limit))
    assert count(delay, k, time, limit) == reached._count(delay, k, time, limit) == expected


def test_counts_end_at_the_first_that_is_not_reached():
    delay = np.array([0.0, 1.0, 9.0] + [0.0] * 13)  # the next row begins after the third
    assert count(delay, 0, 0.0, 2.0) == reached._count(delay, 0, 0.0, 2.0) == 2


@settings(deadline=None)
@given(places=st.sets(st.integers(0, byte_mask.WIDTH + 2)), i=st.integers(0, 3))
def test_lists_of_bytes_that_are_set(places, i):
    flag = np.zeros(byte_mask.WIDTH + 3, np.uint8)
    flag[list(places)] = 1
    out = np.zeros(byte_mask.WIDTH, np.int64)
    size = list_set(flag, i, out)
    assert list(out[:size]) == sorted(p - i for p in places if i <= p < i + byte_mask.WIDTH)


@needs_compiler
def test_compiled_masks_are_those_of_python():
    flag = (np.random.default_rng(0).random(byte_mask.WIDTH) < 0.3).astype(np.uint8)
    out = np.zeros(byte_mask.WIDTH, np.int64)
    mask, found = byte_mask._mask_of(flag, 0), []
    while mask:
        found.append(byte_mask._lowest_of(mask))
        mask &= mask - 1
    assert list(out[: list_set(flag, 0, out)]) == found == list(np.flatnonzero(flag))
