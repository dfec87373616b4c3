"""What the columns of a saved state have to be; what is not so is named with its place and value.

Kernels take a state as it is. One that no run can have reached would not fail there, but give
spikes that nobody should trust, so that all that can be seen of it is looked at before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def copies(arrays: Any, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Return copies of some columns of a run, by name."""
    return {name: getattr(arrays, name).copy() for name in names}


def check_columns(
    state: Any, shapes: Mapping[str, tuple[int, ...]], usual: tuple[int, ...], floats: Any
) -> None:
    """Raise ValueError unless all columns have their type and shape, ``usual`` if not named."""
    for name, column in state._asdict().items():
        kind, shape = np.float64 if name in floats else np.int64, shapes.get(name, usual)
        if column.dtype != kind or column.shape != shape:
            raise ValueError(
                f"{name} is {column.dtype} of shape {column.shape}; expected {np.dtype(kind)} of "
                f"shape {shape}"
            )


def check(name: str, column: NDArray[Any], is_right: Any, expected: str) -> None:
    """Raise ValueError for the first entry that is wrong, if there is one."""
    wrong = np.argwhere(~np.broadcast_to(is_right, column.shape))
    if len(wrong):
        place = tuple(map(int, wrong[0]))
        raise ValueError(
            f"{name}[{', '.join(map(str, place))}] is {column[place].item()!r}; expected {expected}"
        )


def check_within(name: str, column: NDArray[Any], low: Any, high: Any) -> None:
    """Raise ValueError for the first entry that is not within bounds, NaN among them."""
    is_right = (column >= low) & (column <= high)
    both = np.ndim(low) == np.ndim(high) == 0
    check(name, column, is_right, f"{low} to {high}" if both else "what the other columns allow")


def check_finite(state: Any, names: Any) -> None:
    """Raise ValueError for numbers that are not finite."""
    for name in names:
        check(name, getattr(state, name), np.isfinite(getattr(state, name)), "a finite number")
