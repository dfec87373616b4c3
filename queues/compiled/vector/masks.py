"""Which of 64 bytes are not zero, as the bits of one number, in a few vector instructions.

A list of the few that are set is then as long to write as they are many, and no byte is a branch.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from queues.compiled.jit import is_compiled

WIDTH = 64

_BYTES = ir.VectorType(ir.IntType(8), WIDTH)
_MASK = ir.IntType(WIDTH)


@intrinsic
def _mask_of_vector(typing_context, array, i):
    """Compare 64 elements of a contiguous array of uint8 with zero."""

    def generate(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(data, [args[1]]), _BYTES.as_pointer())
        values = builder.load(place, typ=_BYTES, align=1)
        return builder.bitcast(
            builder.icmp_unsigned("!=", values, ir.Constant(_BYTES, None)), _MASK
        )

    return types.uint64(array, types.uintp), generate


@intrinsic
def _count_zeros(typing_context, mask):
    def generate(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


def _mask_of(array: Any, i: int) -> int:
    return sum(1 << j for j in range(WIDTH) if array[int(i) + j] != 0)


def _lowest_of(mask: int) -> int:
    return (int(mask) & -int(mask)).bit_length() - 1


# mask_of(array, i): bit j is set where element i + j is not zero. lowest_of(mask): the place of the
# lowest bit that is set; the mask is not zero.
mask_of: Any = _mask_of_vector if is_compiled() else _mask_of
lowest_of: Any = _count_zeros if is_compiled() else _lowest_of
