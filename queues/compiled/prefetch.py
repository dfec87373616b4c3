"""Hints to the processor that some of an array will be read, or written, soon.

Rows at random places of large arrays end before the processor has learned where they go on; to wait
for their lines took longer than the work on them. What is only read should be asked for as such:
to own a line takes longer. A hint changes no result, may lie past the end, and there is none in
interpreted runs.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from queues.compiled.jit import is_compiled

_LINE = 64  # bytes of the lines of a cache

_BYTE, _INT = ir.IntType(8).as_pointer(), ir.IntType(32)
_READ, _WRITE = 0, 1
_KEEP, _DATA = 3, 1


def _emit(builder, data, k, purpose):
    """Emit one hint, for element ``k`` of an array."""
    kind = ir.FunctionType(ir.VoidType(), [_BYTE, _INT, _INT, _INT])
    hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    element = builder.bitcast(builder.gep(data, [k]), _BYTE)
    builder.call(hint, [element, *(ir.Constant(_INT, value) for value in (purpose, _KEEP, _DATA))])


def _of_line(purpose):
    """Return an intrinsic (array, k) that asks for the line of one element."""

    @intrinsic
    def ask(typing_context, array, k):
        def generate(context, builder, signature, args):
            data = context.make_array(signature.args[0])(context, builder, args[0]).data
            _emit(builder, data, args[1], purpose)
            return context.get_dummy_value()

        return types.void(array, types.uintp), generate

    return ask


def _of_range(purpose):
    """Return an intrinsic (array, begin, end) that asks for all lines of some elements."""

    @intrinsic
    def ask(typing_context, array, begin, end):
        def generate(context, builder, signature, args):
            data = context.make_array(signature.args[0])(context, builder, args[0]).data
            size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
            step = context.get_constant(types.intp, max(1, _LINE // size))
            with cgutils.for_range_slice(builder, args[1], args[2], step, inc=True) as (k, _):
                _emit(builder, data, k, purpose)
            return context.get_dummy_value()

        return types.void(array, types.intp, types.intp), generate

    return ask


def _nothing(array: Any, *where: int) -> None:
    """Do nothing, in an interpreted run."""


# prefetch(array, begin, end) and prefetch_line(array, k) come before reads, the others before
# writes.
prefetch: Any = _of_range(_READ) if is_compiled() else _nothing
prefetch_to_write: Any = _of_range(_WRITE) if is_compiled() else _nothing
prefetch_line: Any = _of_line(_READ) if is_compiled() else _nothing
prefetch_line_to_write: Any = _of_line(_WRITE) if is_compiled() else _nothing
