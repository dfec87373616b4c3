"""e^{-z} by operations that a loop can do in vectors, to about a unit in the last place.

With a whole number k, -z = k log 2 + u and |u| <= log(2)/2, where log 2 is the sum of two numbers
of which the first has enough trailing zeros for k times it to be exact (W. J. Cody and W. Waite,
Software Manual for the Elementary Functions, 1980, chapter 6). The Taylor polynomial of degree 13
is within (log(2)/2)^14/14! < 5e-18 of e^u.
"""

from __future__ import annotations

import struct
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from queues.compiled.jit import inner_kernel, is_compiled
from queues.compiled.vector.fused import fma

LONGEST = 708.0  # from here on e^{-z} is below normal numbers, and taken for 0

_LOG2_E = 1.4426950408889634
_LOG2_HIGH, _LOG2_LOW = 0.6931471803691238, 1.9082149292705877e-10
# Added to a number below 2^51 it leaves the nearest whole number, in the last bits of the sum.
_ROUNDER = 6755399441055744.0


@intrinsic
def _power_of_bits(typing_context, shifted):
    """Return 2^k for the sum of k and the rounder, whose lowest bits are those of k."""

    def generate(context, builder, signature, args):
        bits = builder.bitcast(args[0], ir.IntType(64))
        biased = builder.add(bits, ir.Constant(ir.IntType(64), 1023))
        moved = builder.shl(biased, ir.Constant(ir.IntType(64), 52))
        return builder.bitcast(moved, ir.DoubleType())

    return types.float64(types.float64), generate


def _power(shifted: float) -> float:
    bits = struct.unpack("<q", struct.pack("<d", shifted))[0]
    biased = ((bits + 1023) << 52) & 0xFFFFFFFFFFFFFFFF
    return float(struct.unpack("<d", struct.pack("<Q", biased))[0])


power: Any = _power_of_bits if is_compiled() else _power


@inner_kernel
def decay(z):
    """Return e^{-z} for ``z`` >= 0, and 0 from LONGEST on."""
    held = z if z < LONGEST else LONGEST
    shifted = fma(held, -_LOG2_E, _ROUNDER)
    k = shifted - _ROUNDER
    u = fma(k, -_LOG2_LOW, fma(k, -_LOG2_HIGH, -held))
    # By parts that do not wait for each other (G. Estrin, Proc. Western Joint IRE-AIEE-ACM 1960).
    u2 = u * u
    u4 = u2 * u2
    p_23 = fma(1.6666666666666666e-01, u, 0.5)
    p_45 = fma(8.333333333333333e-03, u, 4.1666666666666664e-02)
    p_67 = fma(1.984126984126984e-04, u, 1.388888888888889e-03)
    p_89 = fma(2.7557319223985893e-06, u, 2.48015873015873e-05)
    p_ab = fma(2.505210838544172e-08, u, 2.755731922398589e-07)
    p_cd = fma(1.6059043836821613e-10, u, 2.08767569878681e-09)
    low = fma(p_45, u2, p_23)
    middle = fma(p_89, u2, p_67)
    high = fma(p_cd, u2, p_ab)
    p = fma(fma(fma(high, u4, middle), u4, low), u2, u) + 1.0
    value = p * power(shifted)
    return value if z < LONGEST else 0.0
