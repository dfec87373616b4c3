"""Sums of pairs: two numbers that lie side by side grow together, in one vector instruction.

Numba does not let LLVM join such operations by itself. The bits are those of two operations.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from queues.compiled.jit import is_compiled

_PAIR = ir.VectorType(ir.DoubleType(), 2)
_BYTES_APART = 8


@intrinsic
def _add_scaled_vector(typing_context, array, i, factor, first, second):
    """Emit operations on a vector of two elements of a contiguous array."""

    def generate(context, builder, signature, args):
        array, i, factor, first, second = args

        def pair(low, high):
            vector = ir.Constant(_PAIR, ir.Undefined)
            for place, value in enumerate((low, high)):
                vector = builder.insert_element(vector, value, ir.Constant(ir.IntType(32), place))
            return vector

        data = context.make_array(signature.args[0])(context, builder, array).data
        place = builder.bitcast(builder.gep(data, [i]), _PAIR.as_pointer())
        added = builder.fmul(pair(factor, factor), pair(first, second))
        before = builder.load(place, typ=_PAIR, align=_BYTES_APART)
        builder.store(builder.fadd(before, added), place, align=_BYTES_APART)
        return context.get_dummy_value()

    number = types.float64
    return types.void(array, types.uintp, number, number, number), generate


def _add_scaled(array: Any, i: int, factor: float, first: float, second: float) -> None:
    array[i] += factor * first
    array[i + 1] += factor * second


# add_scaled_pair(array, i, factor, first, second): array[i] += factor * first, and array[i + 1] +=
# factor * second.
add_scaled_pair: Any = _add_scaled_vector if is_compiled() else _add_scaled
