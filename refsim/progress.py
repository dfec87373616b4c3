"""A progress bar for long simulations, and none for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from refsim.errors import MissingExtraError

Report = Callable[[float], None]


def no_report(time: float) -> None:
    """Take the time that a simulation has reached, and do nothing."""


@contextmanager
def no_progress(duration: float) -> Iterator[Report]:
    """Show nothing."""
    yield no_report


@contextmanager
def progress_bar(duration: float) -> Iterator[Report]:
    """Show a bar of simulated seconds up to ``duration`` ms; yield what takes the time reached."""
    try:
        from tqdm import tqdm
    except ImportError:
        raise MissingExtraError(
            "progress needs tqdm, which is not installed: pip install 'refsim[progress]'"
        ) from None
    total = 1e-3 * duration
    layout = "{l_bar}{bar}| {n:.3g}/{total:.3g} s simulated [{elapsed}<{remaining}]"
    from queues.compiled import notice as compile_notice

    with compile_notice.wanted(), tqdm(total=total, bar_format=layout) as bar:

        def report(time: float) -> None:
            bar.update(max(min(1e-3 * time, total) - bar.n, 0.0))

        yield report
