"""When to keep the state of a long simulation, and from where to simulate it again.

The schedule is that of Griewank and Walther, "Algorithm 799: revolve" (ACM Trans. Math. Software
26, 2000): with s snapshots, that of the beginning included, and no piece of the simulation run more
than r times before its tape is wanted, a span of binomial(s + r, s) pieces can be gone through.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.files.output import checked_path
from refsim.validate import integer, shown

MOST_PIECES = 1_000_000


@dataclass(frozen=True)
class Checkpoint:
    """How to keep a long simulation for its gradient: as snapshots of the state, and no tape.

    Between snapshots the simulation is run again on the way back, piece by piece. Give either a
    number of snapshots or a budget of memory.

    Parameters
    ----------
    snapshots : int, optional
        Most snapshots at any time, that of the beginning included.
    pieces : int, optional
        Number of pieces, equal in time, into which the simulation is divided; one for each
        snapshot by default, so that the simulation is run twice in all. With more pieces than
        snapshots, the tape is shorter and some pieces are run more often. There may be a million
        of either.
    memory : int, optional
        Bytes for snapshots and the tape of a piece, in place of ``snapshots`` and ``pieces``;
        pieces are as long as their spikes allow. The gradient itself, and the synapses, come on
        top.
    directory : path, optional
        Existing folder for the snapshots, which stay in memory without one.
    """

    snapshots: int | None = None
    pieces: int | None = None
    memory: int | None = None
    directory: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if (self.snapshots is None) == (self.memory is None):
            raise InvalidTypeError(
                "Checkpoint needs one of snapshots and memory: a number of snapshots, or bytes"
            )
        if self.snapshots is not None:
            integer("snapshots", self.snapshots, 1, MOST_PIECES)
        if self.memory is not None:
            integer("memory", self.memory, 1)
        if self.pieces is not None:
            if self.snapshots is None:
                raise InvalidTypeError("pieces go with snapshots; expected no memory, or no pieces")
            integer("pieces", self.pieces, self.snapshots, MOST_PIECES)
        if self.directory is not None and not os.path.isdir(checked_path(self.directory)):
            raise InvalidValueError(
                f"directory is {shown(os.fspath(self.directory))}; expected an existing folder"
            )

    @property
    def folder(self) -> Path | None:
        """The folder for snapshots."""
        return None if self.directory is None else Path(self.directory)


def as_checkpoint(checkpoint: Any) -> Checkpoint:
    """Return what was given as a Checkpoint; a number is one of snapshots."""
    if isinstance(checkpoint, Checkpoint):
        return checkpoint
    if isinstance(checkpoint, bool) or not hasattr(type(checkpoint), "__index__"):
        raise InvalidTypeError(
            f"checkpoint is {shown(checkpoint)}; expected a number of snapshots, or a Checkpoint"
        )
    return Checkpoint(snapshots=integer("checkpoint", checkpoint, 1, MOST_PIECES))


def split(pieces: int, free: int) -> int:
    """Return after how many pieces to take a snapshot, for fewest pieces run again in all.

    Parameters
    ----------
    pieces : int
        At least 2, behind a snapshot.
    free : int
        At least 1, the snapshots that may be added.
    """
    kept, repeats = free + 1, 1
    while math.comb(kept + repeats, kept) < pieces:
        repeats += 1
    longest = math.comb(kept + repeats - 1, kept)
    return min(longest, pieces - math.comb(free + repeats - 1, free))


def first_descent(pieces: int, snapshots: int) -> list[int]:
    """Return the pieces before which a first run takes its snapshots, the first included."""
    places = [0]
    while len(places) < snapshots and pieces - places[-1] > 1:
        places.append(places[-1] + split(pieces - places[-1], snapshots - len(places)))
    return places
