"""The command ``refsim``, which lives above this package: also ``python -m refsim``."""

from __future__ import annotations

import sys
from importlib import import_module

from refsim.neighbours import PACKAGES, hidden

_EXIT_USAGE = 2


def main() -> int:
    """Run the command line and return its exit code."""
    for name in PACKAGES:
        why = hidden(name)
        if why:
            print(f"refsim: error: {why}", file=sys.stderr)
            return _EXIT_USAGE
    return int(import_module("validation.cli").main())


if __name__ == "__main__":
    sys.exit(main())
