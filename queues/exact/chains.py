"""What the structures share: columns that grow, and rows chained by index instead of by pointer."""

from __future__ import annotations

from typing import Any

import numpy as np

from queues.compiled.jit import kernel

NONE = np.int64(-1)  # the index that ends a chain
ROW = ("time", "order", "payload", "tangent")


def lengthened(arrays: Any, room: int, *more: str) -> Any:
    """Return a copy of the arrays of a structure with ``room`` rows, of which the rest is not set.

    Rows lie in the columns of `ROW`, and in those that are named in ``more``.
    """
    longer = []
    for name, column in zip(arrays._fields, arrays, strict=True):
        if hasattr(column, "_fields"):  # rows apart, which stay as many
            longer.append(lengthened(column, column.time.size))
            continue
        lacking = room - column.size if name in (*ROW, *more) else 0
        longer.append(np.concatenate([column, np.empty(lacking, column.dtype)]))
    return type(arrays)(*longer)


@kernel
def chain_free(link, start, free):
    """Chain the rows from ``start`` on, all of them free, and behind them the chain ``free``."""
    for row in range(start, link.size):
        link[row] = row + 1
    link[link.size - 1] = free


def assert_in_order(queue: Any, first: np.ndarray, then: np.ndarray) -> None:
    """Assert that each of the rows ``first`` leaves before its row among ``then``."""
    time, order = queue.time, queue.order
    ordered = (time[first] < time[then]) | (
        (time[first] == time[then]) & (order[first] < order[then])
    )
    assert ordered.all(), f"rows {then[~ordered]} come too late"


def chained(link: np.ndarray, start: int) -> list[int]:
    """Return the rows of a chain, or assert that it ends."""
    rows: list[int] = []
    row = int(start)
    while row != NONE:
        rows.append(row)
        assert len(rows) <= link.size, f"a chain from row {start} runs in a circle"
        row = int(link[row])
    return rows
