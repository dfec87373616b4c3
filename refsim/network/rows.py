"""The compact form of synapses: rows by source and block of targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.network.row_sort import (
    SIGN,
    Keys,
    Room,
    Sorted,
    count_rows,
    fill_rows,
    number_values,
    order_rows,
    take,
)
from refsim.types import Float, Int, Rows, Wiring
from refsim.validate import MOST, check_indices, freeze_all, frozen, integer, shown

_MOST_BLOCKS = 8  # states of an eighth of 10^5 neurons fit the cache of a core
_ROW = 256  # synapses of a row on average: shorter rows cost more to begin than blocks save
_MOST_CODES = 2**16  # values that 16 bits number
# Synapses that NumPy sorts, in some milliseconds: kernels do it in a tenth of that, once they have
# been compiled for two seconds (benchmarks/first_calls.py).
_FEW = 20_000


def blocks(n_sources: int, size: int) -> int:
    """Return the number of blocks of targets for ``size`` synapses: a power of two."""
    count = 1
    while count < _MOST_BLOCKS and n_sources * 2 * count * _ROW <= size:
        count *= 2
    return count


def _read(array: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Return a read-only array in one piece: for Numba a writable one is of another type."""
    view = np.ascontiguousarray(array, dtype).view()
    view.setflags(write=False)
    return view


def gathered(values: NDArray[Any], number: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Return ``values[number]`` in a type of choice."""
    if len(values) == 0 or values.strides == (0,):
        return np.full(len(number), values[0] if len(values) else 0, dtype)
    if len(number) <= _FEW:
        return values[number].astype(dtype, copy=False)
    out = np.empty(len(number), dtype)
    if values.dtype == out.dtype and out.itemsize == 8:  # one compiled kernel for all of 64 bits
        take(_read(values, dtype).view(np.int64), _read(number, number.dtype), out.view(np.int64))
    else:
        take(_read(values, values.dtype), _read(number, number.dtype), out)
    return out


def pack(
    n_neurons: int,
    n_sources: int,
    columns: Any,
    weight_dtype: DTypeLike = np.float64,
    n_blocks: int | None = None,
) -> tuple[Rows, NDArray[np.int32]]:
    """Return rows and, at each place, the number of its synapse as given; all read-only.

    ``columns`` has pre, post, weight, delay and port, known to be in range.
    """
    _check_sizes(n_sources, len(columns.pre))
    kind = _float_kind(weight_dtype)
    check_weight(columns.weight, kind)
    n_blocks = blocks(n_sources, len(columns.pre)) if n_blocks is None else n_blocks
    edge = np.arange(n_blocks + 1) * n_neurons // n_blocks
    value, code, bits = _delays(columns.delay)
    start, order = sorted_rows(n_sources, columns, edge, code, bits, True)
    rows = Rows(
        start=start,
        edge=edge,
        post=order.post,
        weight=gathered(columns.weight, order.number, kind),
        delay=order.bits.view(np.float64) if len(bits) else value,
        group=order.code,
        **ports(columns.port, order.number),
    )
    freeze_all((rows, order.number))
    return rows, order.number


def _check_sizes(n_sources: int, size: int) -> None:
    """Keep numbers of sources and of synapses within 32 bits."""
    integer("number of neurons and inputs", n_sources, 0, MOST)
    integer("number of synapses", size, 0, MOST)


def wire(n_neurons: int, n_sources: int, columns: Any) -> Wiring:
    """Return synapses sorted by source, delay and number, as the event engine takes them."""
    _check_sizes(n_sources, len(columns.pre))
    edge = np.array([0, n_neurons])
    code = np.zeros(0, np.uint16)
    start, order = sorted_rows(n_sources, columns, edge, code, _bits(columns.delay), False)
    return wiring_of(columns, start, order.number)


def wiring_of(columns: Any, start: Int, number: NDArray[np.int32]) -> Wiring:
    """Return synapses as the event engine takes them, in an order that is known."""
    return Wiring(
        start=start,
        post=gathered(columns.post, number, np.int64),
        port=gathered(columns.port, number, np.int64),
        weight=gathered(columns.weight, number, np.float64),
        delay=gathered(columns.delay, number, np.float64),
        number=number.astype(np.int64),
    )


def sorted_rows(
    n_sources: int,
    columns: Any,
    edge: Int,
    code: NDArray[np.uint16],
    bits: Int,
    by_post: bool,
) -> tuple[Int, Sorted]:
    """Return where the row of each source and block begins, and synapses in order of the rows."""
    n_blocks = len(edge) - 1
    block = np.repeat(np.arange(n_blocks, dtype=np.uint8), np.diff(edge))
    pre, post = _read(columns.pre, np.int32), _read(columns.post, np.int32)
    if len(pre) <= _FEW:
        row = pre.astype(np.int64) * n_blocks + block[post]
        start = np.zeros(n_sources * n_blocks + 1, np.int64)
        np.cumsum(np.bincount(row, minlength=len(start) - 1), out=start[1:])
        return start, _sorted_by_numpy(row, post, code, bits, by_post)
    start = np.zeros(n_sources * n_blocks + 1, np.int64)
    count_rows(pre, post, block, n_blocks, start)
    np.cumsum(start, out=start)
    out = Sorted(
        np.empty(len(pre), np.int32),
        np.empty(len(pre) if by_post else 0, np.int32),
        np.empty_like(code),
        np.empty(len(bits), np.int64),
    )
    fill_rows(pre, post, block, n_blocks, start[:-1].copy(), out.number)
    longest = int(np.diff(start).max(initial=0))
    ints = np.empty((2, longest), np.int64)
    room = Room(ints[0], ints[1], np.empty(longest, np.int32))
    low, shift = _upper_bits(columns.delay) if len(bits) else (0, 0)
    keys = Keys(post, _read(code, np.uint16), _read(bits, np.int64), low, shift)
    order_rows(start, keys, room, out)
    return start, out


def _sorted_by_numpy(
    row: Int, post: NDArray[np.int32], code: NDArray[np.uint16], bits: Int, by_post: bool
) -> Sorted:
    """Return what `row_sort.order_rows` writes; ``lexsort`` is stable as that is."""
    bits = bits & SIGN
    keys: list[NDArray[Any]] = [post] if by_post else []
    keys += [key for key in (code, bits) if len(key)]
    number = np.lexsort((*keys, row)).astype(np.int32)
    return Sorted(
        number,
        post[number] if by_post else post[:0].copy(),
        code[number] if len(code) else code.copy(),
        bits[number] if len(bits) else bits,
    )


def _upper_bits(delay: Float) -> tuple[int, int]:
    """Return the least bits of delays, and the shift that leaves 31 bits of those above it."""
    low, high = (int(bits) for bits in np.abs([delay.min(), delay.max()]).view(np.int64))
    return low, max(0, (high - low).bit_length() - 31)


def _bits(delay: Float) -> Int:
    """Return the bits of delays, or nothing if they are all equal."""
    if len(delay) == 0 or delay.strides == (0,) or delay.min() == delay.max():
        return np.zeros(0, np.int64)
    return _read(delay, np.float64).view(np.int64)


def _delays(delay: Float) -> tuple[Float, NDArray[np.uint16], Int]:
    """Return the values of delays, and for each its number among them or its bits."""
    none = np.zeros(0, np.uint16)
    bits = _bits(delay)
    if len(bits) == 0:
        return delay[:1].copy(), none, bits
    # Eight bytes a value and two a synapse, against eight a synapse.
    most = min(_MOST_CODES, (3 * len(delay) - 1) // 4)
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


def _float_kind(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        kind = np.dtype(dtype) if dtype is not None else None
    except TypeError:
        kind = None
    if kind is None or kind not in (np.float32, np.float64):
        raise InvalidTypeError(f"weight_dtype is {shown(dtype)}; expected float32 or float64")
    return kind


def check_weight(weight: NDArray[Any], kind: np.dtype[Any]) -> None:
    """Refuse weights that are too large for float32, if that is to hold them."""
    most = float(np.finfo(kind).max)
    if len(weight) == 0 or (weight.min() >= -most and weight.max() <= most):
        return
    i = int(np.flatnonzero((weight < -most) | (weight > most))[0])
    raise InvalidValueError(
        f"weight[{i}] is {weight[i]:.17g}; expected at most {most:.9g} either way, as weight_dtype "
        f"is {kind}"
    )


def ports(port: NDArray[Any], number: NDArray[np.int32] | None = None) -> dict[str, NDArray[Any]]:
    """Return ports in the order of ``number`` as rows hold them."""
    check_indices("port", port, 2**16)
    low, high = (port.min(), port.max()) if len(port) else (0, 0)
    if low == high:
        made = np.zeros(0, np.uint16)
    else:
        made = port.astype(np.uint16) if number is None else gathered(port, number, np.uint16)
    only = np.array([low if low == high else -1], np.int64)
    return {"port": frozen(made), "only_port": frozen(only)}


def shortest_delay(rows: Rows, n_neurons: int) -> float:
    """Return the shortest delay between neurons in ms, inf if there is none."""
    between = rows.start[n_neurons * (len(rows.edge) - 1)]
    if between == 0:
        return np.inf
    if len(rows.group):
        return float(rows.delay[rows.group[:between].min()])
    return float(rows.delay[:between].min())
