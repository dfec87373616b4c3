"""Distances of spike trains and their derivatives by the times of the spikes.

Kernels go through cells: the spikes of one neuron in one run, and those that are wanted there, each
in order of time, end to end with those of other cells.
"""

import math

import numpy as np

from queues.compiled.jit import kernel


@kernel
def van_rossum(time, start, target, target_start, tau, value, slope):
    """Write the distance of each cell to ``value`` and its derivatives to ``slope``.

    With signs s, 1 for spikes that are there and -1 for those that are wanted, the distance is half
    the sum over all pairs of s_i s_j exp(-|t_i - t_j|/tau). A sum over the spikes before is carried
    along, and on the way back one over those after: one exponential for each spike. Of two spikes
    at one time the derivative is taken as 0, the mean of both sides.
    """
    for c in range(value.shape[0]):
        i = start[c]
        j = target_start[c]
        last = -math.inf
        carried = 0.0
        tied = 0.0
        total = 0.0
        while i < start[c + 1] or j < target_start[c + 1]:
            is_there = j == target_start[c + 1] or (i < start[c + 1] and time[i] <= target[j])
            now = time[i] if is_there else target[j]
            if now > last:
                carried *= math.exp((last - now) / tau)
                tied = 0.0
                last = now
            sign = 1.0 if is_there else -1.0
            total += 0.5 + sign * carried
            if is_there:
                slope[i] = (tied - carried) / tau
                i += 1
            else:
                j += 1
            carried += sign
            tied += sign
        value[c] = total
        last = math.inf
        carried = 0.0
        tied = 0.0
        while i > start[c] or j > target_start[c]:
            is_there = j == target_start[c] or (i > start[c] and time[i - 1] >= target[j - 1])
            now = time[i - 1] if is_there else target[j - 1]
            if now < last:
                carried *= math.exp((now - last) / tau)
                tied = 0.0
                last = now
            sign = 1.0 if is_there else -1.0
            if is_there:
                i -= 1
                slope[i] += (carried - tied) / tau
            else:
                j -= 1
            carried += sign
            tied += sign


@kernel
def victor_purpura(time, start, target, target_start, cost, room, value, slope):
    """Write the distance of each cell to ``value`` and its derivatives to ``slope``.

    ``room`` has a row for each spike of the largest cell and one more, and a column for each that
    is wanted and one more: the least cost of making the first spikes into the first that are
    wanted. From its end, the way back says which spikes are moved.
    """
    for c in range(value.shape[0]):
        a = start[c]
        b = target_start[c]
        m = start[c + 1] - a
        n = target_start[c + 1] - b
        for i in range(m + 1):
            room[i, 0] = i
        for j in range(n + 1):
            room[0, j] = j
        for i in range(1, m + 1):
            for j in range(1, n + 1):
                moved = room[i - 1, j - 1] + cost * abs(time[a + i - 1] - target[b + j - 1])
                room[i, j] = min(moved, 1.0 + min(room[i - 1, j], room[i, j - 1]))
        value[c] = room[m, n]
        i = m
        j = n
        while i > 0:
            moved = math.inf
            distance = 0.0
            if j > 0:
                distance = time[a + i - 1] - target[b + j - 1]
                moved = room[i - 1, j - 1] + cost * abs(distance)
            if room[i, j] == moved:
                slope[a + i - 1] = cost * np.int64(distance > 0.0) - cost * np.int64(distance < 0.0)
                i -= 1
                j -= 1
            elif j > 0 and room[i, j] == 1.0 + room[i, j - 1]:
                j -= 1
            else:
                slope[a + i - 1] = 0.0
                i -= 1
