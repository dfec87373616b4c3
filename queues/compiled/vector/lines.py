"""What a spike reads of all neurons of a full layer on the way back, in vector instructions.

Each neuron has two numbers, m and q; the spike reads x = slow m + fast q. Sums over the
neurons are those of LANES interleaved parts, added up in the end.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from queues.compiled.jit import is_compiled
from queues.compiled.vector.fused import fma
from queues.compiled.vector.vectors import INDEX, LANES, NUMBER, VectorBuilder


def _emit_read(emit, k, factors, arrays):
    """Add x to the gradient of eight weights; return x and the first part of it."""
    m, q, bar = arrays
    slow, fast = factors
    part = emit.builder.fmul(emit.load(m, k), slow)
    x = emit.fma(emit.load(q, k), fast, part)
    emit.store(emit.builder.fadd(emit.load(bar, k), x), bar, k)
    return x, part


@intrinsic
def _read_in_vectors(typing_context, m, q, slow, fast, bar):
    def generate(context, builder, signature, args):
        emit = VectorBuilder(context, builder)
        kinds = signature.args
        size = emit.size(kinds[0], args[0])
        m, q, bar = (emit.data(kinds[j], args[j]) for j in (0, 1, 4))
        factors = emit.all_of(args[2]), emit.all_of(args[3])
        lanes = ir.Constant(INDEX, LANES)
        with cgutils.for_range(builder, builder.udiv(size, lanes)) as loop:
            _emit_read(emit, builder.mul(loop.index, lanes), factors, (m, q, bar))
        return context.get_dummy_value()

    return types.void(m, q, types.float64, types.float64, bar), generate


@intrinsic
def _weigh_in_vectors(typing_context, m, q, slow, fast, bar, weight, by_x, by_part, by_time):
    def generate(context, builder, signature, args):
        emit = VectorBuilder(context, builder)
        kinds = signature.args
        size = emit.size(kinds[0], args[0])
        m, q, bar, weight, by_time = (emit.data(kinds[j], args[j]) for j in (0, 1, 4, 5, 8))
        factors = emit.all_of(args[2]), emit.all_of(args[3])
        by_x, by_part = emit.all_of(args[6]), emit.all_of(args[7])
        lanes = ir.Constant(INDEX, LANES)
        total = cgutils.alloca_once_value(builder, emit.all_of(ir.Constant(NUMBER, 0.0)))
        with cgutils.for_range(builder, builder.udiv(size, lanes)) as loop:
            k = builder.mul(loop.index, lanes)
            x, part = _emit_read(emit, k, factors, (m, q, bar))
            change = emit.fma(by_x, x, builder.fmul(by_part, part))
            moved = builder.fmul(emit.load(weight, k), change)
            emit.store(builder.fadd(emit.load(by_time, k), moved), by_time, k)
            builder.store(builder.fadd(builder.load(total), moved), total)
        result, parts = ir.Constant(NUMBER, 0.0), builder.load(total)
        for lane in range(LANES):
            one = builder.extract_element(parts, ir.Constant(ir.IntType(32), lane))
            result = builder.fadd(result, one)
        return result

    number = types.float64
    return number(m, q, number, number, bar, weight, number, number, by_time), generate


def _read(m: Any, q: Any, slow: float, fast: float, bar: Any) -> None:
    for k in range(len(m)):
        bar[k] += fma(q[k], fast, m[k] * slow)


def _weigh(
    m: Any, q: Any, slow: float, fast: float, bar: Any, weight: Any, by_x: float, by_part: float,
    by_time: Any,
) -> float:  # fmt: skip
    total = [0.0] * LANES
    for k in range(len(m)):
        part = m[k] * slow
        x = fma(q[k], fast, part)
        bar[k] += x
        moved = weight[k] * fma(by_x, x, by_part * part)
        by_time[k] += moved
        total[k % LANES] += moved
    result = 0.0
    for value in total:
        result += value
    return result


# read_line(m, q, slow, fast, bar) adds x to ``bar``. weigh_line(m, q, slow, fast, bar, weight,
# by_x, by_part, by_time) does so too, adds what each weight makes of (by_x x + by_part slow m) to
# ``by_time``, and returns the sum of that. The arrays have a multiple of LANES elements.
read_line: Any = _read_in_vectors if is_compiled() else _read
weigh_line: Any = _weigh_in_vectors if is_compiled() else _weigh
