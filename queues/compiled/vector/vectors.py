"""Operations on vectors of eight numbers, for the intrinsics that are made of them.

LLVM unrolls a loop over eight numbers before it could turn it into vectors, and Numba does not let
it join single operations; so what is to be done in vectors is written as such.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

LANES = 8
NUMBER = ir.DoubleType()
INDEX = ir.IntType(64)

_VECTOR = ir.VectorType(NUMBER, LANES)
_PLACE = ir.IntType(32)
_BYTES = 8  # of a number


class VectorBuilder:
    """Emits operations on vectors; what it does not have is that of a builder of llvmlite."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.builder = context, builder
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        name = f"llvm.fma.v{LANES}f64"
        self.function = cgutils.get_or_insert_function(builder.module, kind, name)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Return a b + c, rounded once."""
        return self.builder.call(self.function, [a, b, c])

    def data(self, kind: Any, array: Any) -> Any:
        """Return where the elements of an array begin."""
        return self.context.make_array(kind)(self.context, self.builder, array).data

    def size(self, kind: Any, array: Any) -> Any:
        """Return the number of elements of an array."""
        return self.context.make_array(kind)(self.context, self.builder, array).nitems

    def all_of(self, number: Any) -> Any:
        """Return a vector of one number."""
        nothing = ir.Constant(_VECTOR, ir.Undefined)
        one = self.builder.insert_element(nothing, number, ir.Constant(_PLACE, 0))
        places = ir.Constant(ir.VectorType(_PLACE, LANES), None)
        return self.builder.shuffle_vector(one, nothing, places)

    def all_of_element(self, data: Any, k: Any) -> Any:
        """Return a vector of element ``k``."""
        return self.all_of(self.builder.load(self.builder.gep(data, [k])))

    def load(self, data: Any, k: Any) -> Any:
        """Return the elements from ``k`` on."""
        place = self.builder.bitcast(self.builder.gep(data, [k]), _VECTOR.as_pointer())
        return self.builder.load(place, typ=_VECTOR, align=_BYTES)

    def store(self, values: Any, data: Any, k: Any) -> None:
        """Write the elements from ``k`` on."""
        place = self.builder.bitcast(self.builder.gep(data, [k]), _VECTOR.as_pointer())
        self.builder.store(values, place, align=_BYTES)
