"""A line while kernels are compiled for the first time, for whoever waits at a terminal.

It comes once in a process, when compilation has taken some seconds, and goes to standard error if
that is a terminal or belongs to a notebook, or if a progress bar is shown: what programs read stays
as it is. ``REFSIM_QUIET=1`` turns it off.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

from numba.core import event

PATIENCE = 2.0  # s of compilation, in which most kernels are done
TEXT = (
    "refsim: compiling kernels, once for this version, which can take a minute "
    "(`refsim warmup` compiles all beforehand; REFSIM_QUIET=1 hides this line)"
)
_ours: WeakSet[Any] = WeakSet()


def watch(dispatcher: Any) -> None:
    """Count the compilation of a kernel, and of those that it calls."""
    _ours.add(dispatcher)


@contextmanager
def wanted() -> Iterator[None]:
    """Show the line wherever standard error goes."""
    previous = _watcher.is_wanted
    _watcher.is_wanted = True
    try:
        yield
    finally:
        _watcher.is_wanted = previous


def _has_reader() -> bool:
    return "ipykernel" in sys.modules or bool(sys.stderr and sys.stderr.isatty())


class _Watcher(event.Listener):
    """Adds up how long kernels have been compiled for, and says so when it is long."""

    def __init__(self) -> None:
        self.is_wanted = False
        self.is_told = False
        self.spent = 0.0  # s, until the kernel that is compiled now
        self.begun: float | None = None
        self.outermost: Any = None

    def on_start(self, event: Any) -> None:
        """Take note that a function is going to be compiled."""
        if self.is_told:
            return
        if self.begun is None:
            self.outermost = event.data["dispatcher"]
            if self.outermost in _ours:
                self.begun = time.perf_counter()
        elif self.spent + time.perf_counter() - self.begun > PATIENCE:
            self._tell()

    def on_end(self, event: Any) -> None:
        """Take note that a function has been compiled."""
        if self.begun is not None and event.data["dispatcher"] is self.outermost:
            self.spent += time.perf_counter() - self.begun
            self.begun = self.outermost = None

    def _tell(self) -> None:
        quiet = os.environ.get("REFSIM_QUIET", "0") not in ("", "0")
        if not quiet and (self.is_wanted or _has_reader()):
            self.is_told = True
            with suppress(OSError, ValueError):  # nobody may be there to read it
                print(TEXT, file=sys.stderr, flush=True)


_watcher = _Watcher()
event.register("numba:compile", _watcher)
