"""Import of packages that are extras."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from refsim.errors import MissingExtraError


def modules(extra: str, *names: str) -> list[Any]:
    """Import modules by name.

    Raises
    ------
    MissingExtraError
        If one of them is not installed; the message names the extra.
    """
    try:
        return [import_module(name) for name in names]
    except ImportError as error:
        raise MissingExtraError(
            f"the back end {extra} needs {names[-1].split('.')[0]} ({error}): "
            f'pip install "refsim[{extra}]"'
        ) from None
