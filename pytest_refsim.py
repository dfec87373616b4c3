"""The entry point through which pytest finds the fixture ``refsim_case``.

Its name is ours alone: a file ``validation.py`` or ``queues.py`` in a folder of tests must not end
every pytest there. It only fails what asks for the fixture, and says why.
"""

from __future__ import annotations

from pathlib import Path
from runpy import run_path
from typing import NoReturn

import pytest

_RULE = run_path(str(Path(__file__).resolve().parent / "refsim" / "neighbours.py"))
_WHY = next(filter(None, map(_RULE["hidden"], _RULE["PACKAGES"])), "")

if _WHY:

    @pytest.fixture
    def refsim_case() -> NoReturn:
        """Fail with what hides a package of refsim."""
        pytest.fail(f"refsim_case: {_WHY}", pytrace=False)

else:
    pytest_plugins = ("validation.pytest_plugin",)
