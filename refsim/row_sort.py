"""Synapses into rows by counting, and each row into order by merging.

Delays, which are zero or more, are compared by their bits, which have the same order.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queues.jit import inner_kernel, kernel
from refsim.types import Int

_RUN = 16  # entries that are sorted by insertion before merging: 8 to 32 are equally fast
_SIGN = 0x7FFFFFFFFFFFFFFF  # takes the sign off the bits of -0.0


class Merging(NamedTuple):
    """Room for the longest row."""

    key: Int
    item: NDArray[np.int32]
    other_key: Int
    other_item: NDArray[np.int32]


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
def _merge(key, item, first, middle, stop, key_out, item_out):
    """Merge two sorted runs that follow each other; of equal keys the left one comes first."""
    left = first
    right = middle
    for k in range(first, stop):
        if left < middle and (right >= stop or key[left] <= key[right]):
            key_out[k] = key[left]
            item_out[k] = item[left]
            left += 1
        else:
            key_out[k] = key[right]
            item_out[k] = item[right]
            right += 1


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


@kernel
def order_rows(start, post, code, bits, by_post, room, number):
    """Order each row by delay, then by target if so asked, then by number as before.

    Delays are given by the order of their values, or by their bits, or are all equal.
    """
    by_code = code.shape[0] > 0
    by_bits = bits.shape[0] > 0
    for row in range(start.shape[0] - 1):
        first = start[row]
        size = start[row + 1] - first
        if size < 2:
            continue
        if by_post:
            for k in range(size):
                s = number[first + k]
                room.key[k] = np.int64(post[s])
                if by_code:
                    room.key[k] |= np.int64(code[s]) << 32
            _sort_if_needed(room, number, first, size)
        if by_bits:
            for k in range(size):
                room.key[k] = bits[number[first + k]] & _SIGN
            _sort_if_needed(room, number, first, size)


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
