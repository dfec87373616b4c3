"""fma(a, b, c) is a b + c, rounded once: half of the operations of a polynomial, and more digits.

Its bits are the same whether it is an instruction of the processor, a function of the library of C,
or done by exact fractions.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from numba.core import types
from numba.extending import intrinsic

from queues.compiled.jit import is_compiled


@intrinsic
def _fma_instruction(typing_context, a, b, c):
    number = types.float64
    return number(number, number, number), lambda context, builder, signature, args: builder.fma(
        *args
    )


def _fma_of_fractions(a: float, b: float, c: float) -> float:
    """Return the same by fractions, which know no rounding."""
    a, b, c = float(a), float(b), float(c)
    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        return a * b + c
    value = Fraction(a) * Fraction(b) + Fraction(c)
    if value == 0:
        return a * b + c  # which has the right sign
    try:
        return float(value)
    except OverflowError:
        return -math.inf if value < 0 else math.inf


def _fma_of_c() -> Callable[[float, float, float], float] | None:
    """Return the function of the library of C, if there is one."""
    try:
        function = ctypes.CDLL(ctypes.util.find_library("m")).fma
    except (OSError, AttributeError, TypeError):
        return None
    function.restype = ctypes.c_double
    function.argtypes = [ctypes.c_double] * 3
    return function


# The function of Python's own library, which is new in 3.13, raises where a result is infinite.
fma: Any = _fma_instruction if is_compiled() else _fma_of_c() or _fma_of_fractions
