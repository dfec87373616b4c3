"""Hints to the processor that some of an array will be read and written soon.

Short rows at random places of large arrays end before the processor has learned where they go on;
to wait for their first lines took longer than the work on them. A hint changes no result, and there
is none in interpreted runs.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from queues.jit import is_compiled

_LINE = 64  # bytes of the lines of a cache

_BYTE, _INT = ir.IntType(8).as_pointer(), ir.IntType(32)
_FOR_WRITING, _KEEP, _DATA = 1, 3, 1


@intrinsic
def _prefetch_range(typing_context, array, begin, end):
    """Emit a loop of hints from element ``begin`` to before ``end`` of a contiguous array."""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [_BYTE, _INT, _INT, _INT])
        hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        array = context.make_array(signature.args[0])(context, builder, args[0])
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        step = context.get_constant(types.intp, max(1, _LINE // size))
        with cgutils.for_range_slice(builder, args[1], args[2], step, inc=True) as (k, _):
            element = builder.bitcast(builder.gep(array.data, [k]), _BYTE)
            flags = [ir.Constant(_INT, value) for value in (_FOR_WRITING, _KEEP, _DATA)]
            builder.call(hint, [element, *flags])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), generate


def _prefetch_nothing(array: Any, begin: int, end: int) -> None:
    """Do nothing, in an interpreted run."""


prefetch: Any = _prefetch_range if is_compiled() else _prefetch_nothing
