"""Sorting and grouping of a few numbers, in arrays that are there already."""

import numpy as np

from queues.compiled.jit import inner_kernel, phase_kernel

_RUN = 16  # rows that are sorted by insertion


@inner_kernel
def group(member, low, high, first, stop, item):
    """Group the rows ``low`` to ``high`` of ``member`` by their value, each group in their order.

    Those of value m are ``item[first[m]:stop[m]]``.
    """
    for m in range(first.shape[0]):
        stop[m] = 0
    for i in range(low, high):
        stop[member[i]] += 1
    place = np.int64(0)
    for m in range(first.shape[0]):
        first[m] = place
        place += stop[m]
        stop[m] = first[m]
    for i in range(low, high):
        m = member[i]
        item[stop[m]] = i
        stop[m] += 1


@inner_kernel
def _insert(key, item, low, high):
    """Sort rows ``low`` to ``high`` by insertion."""
    for i in range(low + 1, high):
        k = key[i]
        of_k = item[i]
        j = i
        while j > low and key[j - 1] > k:
            key[j] = key[j - 1]
            item[j] = item[j - 1]
            j -= 1
        key[j] = k
        item[j] = of_k


@inner_kernel
def _merge(key, item, low, middle, high, spare_key, spare_item):
    """Merge two sorted parts that lie one behind the other."""
    if key[middle - 1] <= key[middle]:
        return
    for i in range(low, middle):
        spare_key[i] = key[i]
        spare_item[i] = item[i]
    i, j, place = low, middle, low
    while i < middle and j < high:
        if spare_key[i] <= key[j]:
            key[place] = spare_key[i]
            item[place] = spare_item[i]
            i += 1
        else:
            key[place] = key[j]
            item[place] = item[j]
            j += 1
        place += 1
    while i < middle:
        key[place] = spare_key[i]
        item[place] = spare_item[i]
        i += 1
        place += 1


@phase_kernel
def sort(key, item, count, spare_key, spare_item):
    """Sort ``count`` rows by ``key``, those of equal keys in their order."""
    low = np.int64(0)
    while low < count:
        _insert(key, item, low, min(low + _RUN, count))
        low += _RUN
    length = np.int64(_RUN)
    while length < count:
        low = np.int64(0)
        while low + length < count:
            high = min(low + 2 * length, count)
            _merge(key, item, low, low + length, high, spare_key, spare_item)
            low += 2 * length
        length *= 2
