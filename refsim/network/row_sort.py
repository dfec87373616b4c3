"""Synapses into rows by counting, and each row into order by merging.

Delays, which are zero or more, are compared by their bits, which have the same order.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queues.compiled.jit import inner_kernel, kernel
from refsim.types import Int

_RUN = 16  # entries that are sorted by insertion before merging; 8 are as fast, 4 slower
_LOW = 0xFFFFFFFF  # the lower half of a key: the place of an entry in its row
SIGN = 0x7FFFFFFFFFFFFFFF  # takes the sign off the bits of -0.0


class Keys(NamedTuple):
    """What rows are sorted by, for each synapse; what is not used is empty."""

    post: NDArray[np.int32]
    code: NDArray[np.uint16]  # number of the delay among all in ascending order
    bits: Int  # of the delay
    low: int  # the least of the bits
    shift: int  # leaves 31 of the bits above the least


class Sorted(NamedTuple):
    """Synapses in order of their rows; what is not used is empty."""

    number: NDArray[np.int32]
    post: NDArray[np.int32]
    code: NDArray[np.uint16]
    bits: Int


class Room(NamedTuple):
    """Room for the longest row."""

    key: Int  # what to sort by, 31 bits, then the place in the row: so sorting is stable
    merged: Int
    number: NDArray[np.int32]


@kernel
def count_rows(pre, post, block, n_blocks, start):
    """Count the synapses of each row, one place late: sums over ``start`` are where rows begin."""
    for s in range(pre.shape[0]):
        start[pre[s] * n_blocks + block[post[s]] + 1] += 1


@kernel
def fill_rows(pre, post, block, n_blocks, place, number):
    """Write the number of each synapse at the next place of its row, so as to keep their order."""
    for s in range(pre.shape[0]):
        row = pre[s] * n_blocks + block[post[s]]
        number[place[row]] = s
        place[row] += 1


@kernel
def take(values, number, out):
    """Write ``values[number]``: three times as fast as NumPy, and without indices of 64 bits."""
    for k in range(number.shape[0]):
        out[k] = values[number[k]]


@inner_kernel
def _sort_run(key, first, stop):
    """Sort by insertion."""
    for i in range(first + 1, stop):
        moving = key[i]
        k = i
        while k > first and key[k - 1] > moving:
            key[k] = key[k - 1]
            k -= 1
        key[k] = moving


@inner_kernel
def _copy(key, first, stop, out, k):
    for i in range(first, stop):
        out[k + i - first] = key[i]


@inner_kernel
def _merge(key, first, middle, stop, out):
    """Merge two sorted runs that follow each other.

    Choices instead of branches, which would be mispredicted every other time: a third faster.
    """
    left = first
    right = middle
    k = first
    while left < middle and right < stop:
        is_left = key[left] < key[right]
        out[k] = key[left] if is_left else key[right]
        left += np.int64(is_left)
        right += np.int64(1) - np.int64(is_left)
        k += 1
    _copy(key, left, middle, out, k)
    _copy(key, right, stop, out, k + middle - left)


@inner_kernel
def _merge_runs(key, width, size, out):
    first = np.int64(0)
    while first < size:
        middle = min(first + width, size)
        stop = min(middle + width, size)
        _merge(key, first, middle, stop, out)
        first = stop


@inner_kernel
def _sort(room, size):
    """Sort the first ``size`` keys."""
    first = np.int64(0)
    while first < size:
        _sort_run(room.key, first, min(first + _RUN, size))
        first += _RUN
    width = np.int64(_RUN)
    while width < size:
        _merge_runs(room.key, width, size, room.merged)
        _merge_runs(room.merged, 2 * width, size, room.key)
        width *= 4


@inner_kernel
def _order(room, number, first, size):
    """Order the numbers of a row by the keys in ``room``."""
    k = np.int64(1)
    while k < size and room.key[k - 1] < room.key[k]:
        k += 1
    if k >= size:
        return
    _sort(room, size)
    for i in range(size):
        room.number[i] = number[first + (room.key[i] & _LOW)]
    for i in range(size):
        number[first + i] = room.number[i]


@inner_kernel
def _order_by(values, room, number, first, size):
    """Order the numbers of a row by their values, which are less than 2^31."""
    for k in range(size):
        room.key[k] = np.int64(values[number[first + k]]) << 32 | k
    _order(room, number, first, size)


@inner_kernel
def _is_ascending(bits, number, first, size):
    for k in range(first + 1, first + size):
        if bits[number[k - 1]] & SIGN > bits[number[k]] & SIGN:
            return False
    return True


@inner_kernel
def _order_by_bits(keys, room, number, first, size):
    """Order by the upper bits of delays; where that does not settle it, by 31 bits at a time."""
    bits = keys.bits
    for k in range(size):
        upper = ((bits[number[first + k]] & SIGN) - keys.low) >> keys.shift
        room.key[k] = upper << 32 | k
    _order(room, number, first, size)
    if _is_ascending(bits, number, first, size):
        return
    for place in range(0, 63, 31):
        for k in range(size):
            part = (bits[number[first + k]] & SIGN) >> place & 0x7FFFFFFF
            room.key[k] = part << 32 | k
        _order(room, number, first, size)


@kernel
def order_rows(start, keys, room, out):
    """Order each row by delay, then by target if so asked, then by number as before.

    Delays are given by the order of their values, or by their bits, or are all equal.
    """
    by_post = out.post.shape[0] > 0
    by_code = out.code.shape[0] > 0
    by_bits = out.bits.shape[0] > 0
    number = out.number
    for row in range(start.shape[0] - 1):
        first = start[row]
        size = start[row + 1] - first
        if by_post:
            _order_by(keys.post, room, number, first, size)
        if by_code:
            _order_by(keys.code, room, number, first, size)
        if by_bits:
            _order_by_bits(keys, room, number, first, size)
        for k in range(first, first + size):
            s = number[k]
            if by_post:
                out.post[k] = keys.post[s]
            if by_code:
                out.code[k] = keys.code[s]
            if by_bits:
                out.bits[k] = keys.bits[s] & SIGN


@inner_kernel
def _slot(value, size):
    """Return where in a table of a power of two of places to look for a value first."""
    return (value ^ (value >> 17) ^ (value >> 35)) & (size - 1)


@kernel
def number_values(bits, table, rank, value, code):
    """Give different values numbers as they come; return how many, or -1 if ``value`` has no room.

    ``table``, at least twice as long, is full of -1, which no delay is.
    """
    found = np.int64(0)
    for s in range(bits.shape[0]):
        bit = bits[s] & SIGN
        k = _slot(bit, table.shape[0])
        while table[k] >= 0 and table[k] != bit:
            k = (k + 1) & (table.shape[0] - 1)
        if table[k] < 0:
            if found == value.shape[0]:
                return np.int64(-1)
            table[k] = bit
            rank[k] = found
            value[found] = bit
            found += 1
        code[s] = rank[k]
    return found
