"""Polynomials at eight points at once, in vector instructions that multiply and add."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from queues.compiled.jit import inner_kernel, is_compiled
from queues.compiled.vector.fused import fma
from queues.compiled.vector.vectors import INDEX, LANES, NUMBER, VectorBuilder

TERMS = 10
_AT_ONCE = 2  # groups, for an operation waits for the one before it
SEVERAL = _AT_ONCE * LANES


def _emit_polynomial(emit, terms, z, fifth):
    """Emit the operations of `polynomial`."""
    parts = []
    for last in (4, 9):
        value = emit.all_of_element(terms, ir.Constant(INDEX, last))
        for d in range(last - 1, last - 5, -1):
            value = emit.fma(value, z, emit.all_of_element(terms, ir.Constant(INDEX, d)))
        parts.append(value)
    return emit.fma(parts[1], fifth, parts[0])


@intrinsic
def _respond_in_vectors(
    typing_context, delay, k, time, until, scale, lift_terms, fade_terms, lift, fade
):
    def generate(context, builder, signature, args):
        delay, k, time, until, scale, *arrays = args
        emit = VectorBuilder(context, builder)
        kinds = signature.args
        arrays = [emit.data(kind, a) for kind, a in zip(kinds[5:], arrays, strict=True)]
        arrival = builder.fadd(emit.all_of(time), emit.load(emit.data(kinds[0], delay), k))
        since = builder.fsub(emit.all_of(until), arrival)
        z = emit.fma(since, emit.all_of(scale), emit.all_of(ir.Constant(NUMBER, -1.0)))
        square = builder.fmul(z, z)
        fifth = builder.fmul(builder.fmul(square, square), z)
        for terms, out in zip(arrays[:2], arrays[2:], strict=True):
            emit.store(_emit_polynomial(emit, terms, z, fifth), out, ir.Constant(INDEX, 0))
        return context.get_dummy_value()

    number = types.float64
    return types.void(
        delay, types.uintp, number, number, number, lift_terms, fade_terms, lift, fade
    ), generate


@intrinsic
def _evaluate_in_vectors(typing_context, terms, z, i, out):
    def generate(context, builder, signature, args):
        emit = VectorBuilder(context, builder)
        n_terms = emit.size(signature.args[0], args[0])
        terms, z, out = (emit.data(signature.args[j], args[j]) for j in (0, 1, 3))
        places = [builder.add(args[2], ir.Constant(INDEX, n * LANES)) for n in range(_AT_ONCE)]
        points = [emit.load(z, place) for place in places]
        one = ir.Constant(INDEX, 1)
        last = emit.all_of_element(terms, builder.sub(n_terms, one))
        values = [cgutils.alloca_once_value(builder, last) for _ in places]
        with cgutils.for_range(builder, builder.sub(n_terms, one)) as loop:
            d = builder.sub(n_terms, builder.add(loop.index, ir.Constant(INDEX, 2)))
            term = emit.all_of_element(terms, d)
            for value, point in zip(values, points, strict=True):
                builder.store(emit.fma(builder.load(value), point, term), value)
        for value, place in zip(values, places, strict=True):
            emit.store(builder.load(value), out, place)
        return context.get_dummy_value()

    return types.void(terms, z, types.uintp, out), generate


@inner_kernel
def polynomial(c, z):
    """Return a polynomial of ten terms ``c`` at ``z``."""
    low = fma(fma(fma(fma(c[4], z, c[3]), z, c[2]), z, c[1]), z, c[0])
    high = fma(fma(fma(fma(c[9], z, c[8]), z, c[7]), z, c[6]), z, c[5])
    square = z * z
    return fma(high, square * square * z, low)


@inner_kernel
def scaled(since, scale):
    """Return a time in [0, 2/scale] as a number from -1 to 1."""
    return fma(since, scale, -1.0)


def _respond_one_by_one(
    delay: Any, k: int, time: float, until: float, scale: float,
    lift_terms: Any, fade_terms: Any, lift: Any, fade: Any,
) -> None:  # fmt: skip
    for j in range(LANES):
        z = scaled(until - (time + delay[int(k) + j]), scale)
        lift[j], fade[j] = polynomial(lift_terms, z), polynomial(fade_terms, z)


# respond_to_group(delay, k, time, until, scale, lift_terms, fade_terms, lift, fade) writes two
# polynomials of the times from arrivals ``time + delay[k + j]`` to ``until``, for j below LANES.
respond_to_group: Any = _respond_in_vectors if is_compiled() else _respond_one_by_one


def _evaluate_one_by_one(terms: Any, z: Any, i: int, out: Any) -> None:
    for j in range(int(i), int(i) + SEVERAL):
        value = terms[-1]
        for d in range(len(terms) - 2, -1, -1):
            value = fma(value, z[j], terms[d])
        out[j] = value


# evaluate_several(terms, z, i, out) writes a polynomial at SEVERAL numbers of ``z``, from ``i`` on.
evaluate_several: Any = _evaluate_in_vectors if is_compiled() else _evaluate_one_by_one
