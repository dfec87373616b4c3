"""The compact form of synapses: rows by source and block of targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.row_sort import Merging, count_rows, fill_rows, number_values, order_rows
from refsim.types import Float, Int, Rows
from refsim.validate import MOST, integer, shown

_MOST_BLOCKS = 8  # states of an eighth of 10^5 neurons fit the cache of a core
_ROW = 32  # synapses of a row on average: shorter rows cost more to begin than blocks save
_MOST_CODES = 2**16  # values that 16 bits number
_CHUNK = 2**16  # synapses whose indices, which NumPy widens, stay in the cache


def blocks(n_sources: int, size: int) -> int:
    """Return the number of blocks of targets for ``size`` synapses: a power of two."""
    count = 1
    while count < _MOST_BLOCKS and n_sources * 2 * count * _ROW <= size:
        count *= 2
    return count


def gathered(values: NDArray[Any], index: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Return ``values[index]`` without an index of 64 bits for all of them at once."""
    if values.strides == (0,):
        return np.full(len(index), values[0] if len(values) else 0, dtype)
    out = np.empty(len(index), dtype)
    for first in range(0, len(index), _CHUNK):
        part = slice(first, first + _CHUNK)
        out[part] = values[index[part]]
    return out


def pack(
    n_neurons: int,
    n_sources: int,
    columns: Any,
    weight_dtype: DTypeLike = np.float64,
    n_blocks: int | None = None,
) -> tuple[Rows, NDArray[np.int32]]:
    """Return rows and, at each place, the number of its synapse as given.

    ``columns`` has pre, post, weight, delay and port; indices are known to be in range.
    """
    size = integer("number of synapses", len(columns.pre), 0, MOST)
    n_blocks = blocks(n_sources, size) if n_blocks is None else n_blocks
    edge = np.arange(n_blocks + 1) * n_neurons // n_blocks
    value, code, bits = _delays(columns.delay)
    start, number = sorted_rows(n_sources, columns, edge, code, bits, True)
    delay = gathered(columns.delay, number, np.float64) if len(bits) else value
    rows = Rows(
        start=start,
        edge=edge,
        post=gathered(columns.post, number, np.int32),
        weight=narrow_weight(columns.weight, number, weight_dtype),
        delay=delay,
        group=gathered(code, number, np.uint16) if len(code) else code,
        **_ports(columns.port, number),
    )
    return rows, number


def sorted_rows(
    n_sources: int,
    columns: Any,
    edge: Int,
    code: NDArray[np.uint16],
    bits: Int,
    by_post: bool,
) -> tuple[Int, NDArray[np.int32]]:
    """Return where the row of each source and block begins, and numbers of synapses in order."""
    n_blocks = len(edge) - 1
    block = np.repeat(np.arange(n_blocks, dtype=np.uint8), np.diff(edge))
    pre = np.ascontiguousarray(columns.pre, np.int32)
    post = np.ascontiguousarray(columns.post, np.int32)
    start = np.zeros(n_sources * n_blocks + 1, np.int64)
    count_rows(pre, post, block, n_blocks, start)
    np.cumsum(start, out=start)
    number = np.empty(len(pre), np.int32)
    fill_rows(pre, post, block, n_blocks, start[:-1].copy(), number)
    longest = int(np.diff(start).max(initial=0))
    room = Merging(
        np.empty(longest, np.int64),
        np.empty(longest, np.int32),
        np.empty(longest, np.int64),
        np.empty(longest, np.int32),
    )
    order_rows(start, post, code, bits, by_post, room, number)
    return start, number


def bits_of(delay: Float) -> Int:
    """Return the bits of delays, or nothing if they are all equal."""
    if len(delay) == 0 or delay.strides == (0,) or delay.min() == delay.max():
        return np.zeros(0, np.int64)
    return np.ascontiguousarray(delay).view(np.int64)


def _delays(delay: Float) -> tuple[Float, NDArray[np.uint16], Int]:
    """Return the values of delays, and for each its number among them or its bits."""
    none = np.zeros(0, np.uint16)
    bits = bits_of(delay)
    if len(bits) == 0:
        return delay[:1].copy(), none, bits
    # Eight bytes a value and two a synapse, against eight a synapse.
    most = min(_MOST_CODES, 3 * len(delay) // 4)
    table = np.full(2 * _MOST_CODES, -1, np.int64)
    value = np.empty(most, np.int64)
    code = np.empty(len(delay), np.uint16)
    found = number_values(bits, table, np.empty(len(table), np.int64), value, code)
    if found < 0:
        return delay[:0], none, bits
    order = np.argsort(value[:found])
    rank = np.empty(found, np.uint16)
    rank[order] = np.arange(found)
    values = np.ascontiguousarray(value[order]).view(np.float64)
    return values, gathered(rank, code, np.uint16), bits[:0]


def narrow_weight(
    weight: NDArray[Any], number: NDArray[np.int32], dtype: DTypeLike
) -> NDArray[Any]:
    """Return weights in order and in the precision asked for."""
    kind = _float_kind(dtype)
    if kind == np.float32 and len(weight):
        _check_float32(weight)
    return gathered(weight, number, kind)


def _float_kind(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        kind = np.dtype(dtype) if dtype is not None else None
    except TypeError:
        kind = None
    if kind is None or kind not in (np.float32, np.float64):
        raise InvalidTypeError(f"weight_dtype is {shown(dtype)}; expected float32 or float64")
    return kind


def _check_float32(weight: NDArray[Any]) -> None:
    most = float(np.finfo(np.float32).max)
    for first in range(0, len(weight), _CHUNK):
        bad = np.flatnonzero(np.abs(weight[first : first + _CHUNK]) > most)
        if bad.size:
            i = first + int(bad[0])
            raise InvalidValueError(
                f"weight[{i}] is {weight[i]:.17g}; expected at most {most:.9g} either way: "
                "weight_dtype is float32"
            )


def _ports(port: NDArray[Any], number: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
    low, high = (int(port.min()), int(port.max())) if len(port) else (0, 0)
    integer("port", high, 0, 2**16 - 1)
    if low == high:
        return {"port": np.zeros(0, np.uint16), "only_port": np.array([low])}
    return {"port": gathered(port, number, np.uint16), "only_port": np.array([-1])}
