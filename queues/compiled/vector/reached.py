"""How many of the next delays of a sorted row have been reached, several compared at once."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from queues.compiled.jit import is_compiled
from queues.compiled.vector.vectors import INDEX, LANES, VectorBuilder

_PARTS = 2
AT_ONCE = _PARTS * LANES


@intrinsic
def _count_in_vectors(typing_context, delay, k, time, limit):
    def generate(context, builder, signature, args):
        emit = VectorBuilder(context, builder)
        data, time, limit = emit.data(signature.args[0], args[0]), args[2], args[3]
        # A bit for each delay that is not reached, and one more, for there may be none.
        beyond = ir.Constant(INDEX, 1 << AT_ONCE)
        for part in range(_PARTS):
            place = builder.add(args[1], ir.Constant(INDEX, part * LANES))
            arrival = builder.fadd(emit.all_of(time), emit.load(data, place))
            late = builder.fcmp_unordered("uge", arrival, emit.all_of(limit))
            bits = builder.zext(builder.bitcast(late, ir.IntType(LANES)), INDEX)
            beyond = builder.or_(beyond, builder.shl(bits, ir.Constant(INDEX, part * LANES)))
        return builder.cttz(beyond, ir.Constant(ir.IntType(1), 1))

    number = types.float64
    return types.uint64(delay, types.uintp, number, number), generate


def _count(delay: Any, k: int, time: float, limit: float) -> int:
    reached = 0
    while reached < AT_ONCE and time + delay[int(k) + reached] < limit:
        reached += 1
    return reached


# count_reached(delay, k, time, limit): how many of the delays from ``k`` on, AT_ONCE at most, come
# before the first for which ``time + delay < limit`` does not hold.
count_reached: Any = _count_in_vectors if is_compiled() else _count
