"""The window engine as a user asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from refsim.validate import checked_threads


@dataclass(frozen=True)
class Windows:
    """The window engine: all arrivals of a window as long as the shortest delay at once.

    It finds the spikes of the event engine, to rounding, and is faster where a spike has many
    targets.

    Parameters
    ----------
    threads : int, optional
        Most threads; as many as there are processors by default. Results are the same to the last
        bit for any number.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        If ``threads`` is no number of threads.
    """

    threads: int | None = None

    def __post_init__(self) -> None:
        checked_threads(self.threads)
