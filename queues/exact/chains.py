"""What the structures share: columns that grow, and rows chained by index instead of by pointer."""

from __future__ import annotations

import numpy as np

from queues.compiled.jit import jit, kernel

NONE = np.int64(-1)  # the index that ends a chain


@jit
def lengthened(column, room):
    """Return ``column`` in a new array of ``room`` elements, of which the rest is not set."""
    longer = np.empty(room, column.dtype)
    for i in range(column.size):
        longer[i] = column[i]
    return longer


@kernel
def chain_free(link, start, free):
    """Chain the rows from ``start`` on, all of them free, and behind them the chain ``free``."""
    for row in range(start, link.size):
        link[row] = row + 1
    link[link.size - 1] = free


def chained(link: np.ndarray, start: int) -> list[int]:
    """Return the rows of a chain, or assert that it ends."""
    rows: list[int] = []
    row = int(start)
    while row != NONE:
        rows.append(row)
        assert len(rows) <= link.size, f"a chain from row {start} runs in a circle"
        row = int(link[row])
    return rows
