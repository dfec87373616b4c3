"""Random pairs of sources and targets, in time linear in their number.

Random numbers come from NumPy, in portions, so that compiled and interpreted runs draw the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from queues.compiled.jit import kernel, plain

_PORTION = 2**18  # random numbers drawn together: they stay in the cache
_FEW = 5_000  # picks that plain Python makes in milliseconds, for which nothing is compiled
_LARGEST = 2**62  # that sums of gaps may become


@kernel
def pick_sources(uniform, sources, order, place, barred, first, stop, picked):
    """Pick different sources for each target: shuffle so many of them to the front.

    ``order`` holds the numbers of sources and ``place`` where each is in it. They are shuffled on
    from target to target: whatever the order before, all choices are equally likely. The sources
    ``barred[first[i]:stop[i]]`` of target i are put last first, and left out.
    """
    degree = uniform.shape[1]
    for i in range(uniform.shape[0]):
        free = np.int64(order.shape[0])
        for b in range(first[i], stop[i]):
            free -= 1
            here, x, y = place[barred[b]], barred[b], order[free]
            order[here], order[free] = y, x
            place[x], place[y] = free, here
        for k in range(degree):
            there = k + np.int64(uniform[i, k] * (free - k))
            x, y = order[k], order[there]
            order[k], order[there] = y, x
            place[x], place[y] = there, k
            picked[i * degree + k] = sources[order[k]]


def barred_sources(
    sources: NDArray[np.int64], targets: NDArray[np.int64], autapses: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return numbers of sources, and for each target where those equal to it begin and end."""
    if autapses:
        none = np.zeros(len(targets), np.int64)
        return np.zeros(0, np.int64), none, none
    by_source = np.argsort(sources, kind="stable")
    first, stop = (
        np.searchsorted(sources, targets, side, sorter=by_source).astype(np.int64)
        for side in ("left", "right")
    )
    return by_source, first, stop


def fixed_in_degree(
    rng: np.random.Generator,
    degree: int,
    sources: NDArray[np.integer],
    barred: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
) -> NDArray[np.integer]:
    """Return ``degree`` different sources for each target, one target after the other."""
    numbers, first, stop = barred
    picked = np.empty(len(first) * degree, sources.dtype)
    order = np.arange(len(sources), dtype=np.int32)
    place = order.copy()
    step = max(1, _PORTION // max(degree, 1))
    pick = plain(pick_sources) if len(picked) <= _FEW else pick_sources
    for i in range(0, len(first) if degree else 0, step):
        uniform = rng.random((min(step, len(first) - i), degree))
        part = slice(i, i + len(uniform))
        out = picked[i * degree : (i + len(uniform)) * degree]
        pick(uniform, sources, order, place, numbers, first[part], stop[part], out)
    return picked


def independent_pairs(
    rng: np.random.Generator, share: float, n_pairs: int
) -> Iterator[NDArray[np.int64]]:
    """Yield the numbers of pairs, ascending, each chosen with a probability of ``share``.

    The gaps between them are drawn, which are geometric.
    """
    if share == 0.0:
        return
    step = max(1, min(_PORTION, _LARGEST // (n_pairs + 1)))
    last = -1
    while last < n_pairs - 1:
        gaps = np.minimum(rng.geometric(share, step), n_pairs + 1)
        numbers = last + np.cumsum(gaps)
        last = int(numbers[-1])
        yield numbers[: np.searchsorted(numbers, n_pairs)]
