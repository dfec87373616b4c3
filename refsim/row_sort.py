"""Synapses into rows by counting, and each row into order by merging.

Delays, which are zero or more, are compared by their bits, which have the same order.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queues.jit import inner_kernel, kernel
from refsim.types import Int

_RUN = 16  # entries that are sorted by insertion before merging; 8 are as fast, 4 slower
_LOW = 0xFFFFFFFF  # the lower half of a key
_SIGN = 0x7FFFFFFFFFFFFFFF  # takes the sign off the bits of -0.0


class Merging(NamedTuple):
    """Room for the longest row."""

    key: Int
    item: NDArray[np.int32]
    other_key: Int
    other_item: NDArray[np.int32]


class Sorted(NamedTuple):
    """Synapses in order of their rows; what is not asked for is empty."""

    number: NDArray[np.int32]
    post: NDArray[np.int32]  # if rows are also ordered by target
    code: NDArray[np.uint16]  # of the delay
    bits: Int  # of the delay


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
def _sort_run(key, item, first, stop):
    """Sort by insertion."""
    for i in range(first + 1, stop):
        moving, moving_item = key[i], item[i]
        k = i
        while k > first and key[k - 1] > moving:
            key[k] = key[k - 1]
            item[k] = item[k - 1]
            k -= 1
        key[k] = moving
        item[k] = moving_item


@inner_kernel
def _copy(key, item, first, stop, key_out, item_out, k):
    for i in range(first, stop):
        key_out[k + i - first] = key[i]
        item_out[k + i - first] = item[i]


@inner_kernel
def _merge(key, item, first, middle, stop, key_out, item_out):
    """Merge two sorted runs that follow each other; of equal keys the left one comes first.

    Choices instead of branches, which would be mispredicted every other time: a third faster.
    """
    left = first
    right = middle
    k = first
    while left < middle and right < stop:
        is_left = key[left] <= key[right]
        chosen = left if is_left else right
        key_out[k] = key[chosen]
        item_out[k] = item[chosen]
        left += np.int64(is_left)
        right += np.int64(1) - np.int64(is_left)
        k += 1
    _copy(key, item, left, middle, key_out, item_out, k)
    _copy(key, item, right, stop, key_out, item_out, k + middle - left)


@inner_kernel
def _merge_runs(key, item, width, size, key_out, item_out):
    first = np.int64(0)
    while first < size:
        middle = min(first + width, size)
        stop = min(middle + width, size)
        _merge(key, item, first, middle, stop, key_out, item_out)
        first = stop


@inner_kernel
def _sort(room, size):
    """Sort the first ``size`` keys and items of ``room``; equal keys keep their order."""
    first = np.int64(0)
    while first < size:
        _sort_run(room.key, room.item, first, min(first + _RUN, size))
        first += _RUN
    width = np.int64(_RUN)
    while width < size:
        _merge_runs(room.key, room.item, width, size, room.other_key, room.other_item)
        _merge_runs(room.other_key, room.other_item, 2 * width, size, room.key, room.item)
        width *= 4


@inner_kernel
def _sort_if_needed(room, number, first, size):
    """Order the numbers of a row by the keys in ``room``."""
    k = np.int64(1)
    while k < size and room.key[k - 1] <= room.key[k]:
        k += 1
    if k >= size:
        return
    for i in range(size):
        room.item[i] = number[first + i]
    _sort(room, size)
    for i in range(size):
        number[first + i] = room.item[i]


@inner_kernel
def _order_by_post(post, code, by_code, room, first, size, out):
    """Order a row by target; by the code of the delay before that."""
    for k in range(size):
        s = out.number[first + k]
        room.key[k] = np.int64(post[s])
        if by_code:
            room.key[k] |= np.int64(code[s]) << 32
    _sort_if_needed(room, out.number, first, size)
    for k in range(size):
        out.post[first + k] = room.key[k] & _LOW
        if by_code:
            out.code[first + k] = room.key[k] >> 32


@inner_kernel
def _order_by_bits(bits, room, first, size, out):
    """Order a row by delay."""
    for k in range(size):
        room.key[k] = bits[out.number[first + k]] & _SIGN
    _sort_if_needed(room, out.number, first, size)
    for k in range(size):
        out.bits[first + k] = room.key[k]


@kernel
def order_rows(start, post, code, bits, room, out):
    """Order each row by delay, then by target if so asked, then by number as before.

    Delays are given by the order of their values, or by their bits, or are all equal.
    """
    by_post = out.post.shape[0] > 0
    by_code = out.code.shape[0] > 0
    by_bits = out.bits.shape[0] > 0
    for row in range(start.shape[0] - 1):
        first = start[row]
        size = start[row + 1] - first
        if by_post:
            _order_by_post(post, code, by_code, room, first, size, out)
        if by_bits:
            _order_by_bits(bits, room, first, size, out)
        if by_post and by_bits:
            for k in range(first, first + size):
                out.post[k] = post[out.number[k]]


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
        bit = bits[s] & _SIGN
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
