"""Room in which passes by windows work."""

from __future__ import annotations

import numpy as np

from adjoint.windows.segments import CHUNK
from adjoint.windows.types import Chunk, Found, Pieces
from refsim.types import Float, Rows


def room_for_pieces(n_blocks: int, n: int, width: int, room: int) -> Pieces:
    """Return room for the pieces of neurons with events of their own in one window."""
    return Pieces(
        row=np.zeros((n_blocks, room, width)),
        time=np.zeros((n_blocks, room)),
        below=np.zeros((n_blocks, room)),
        neuron=np.zeros((n_blocks, room), dtype=np.int64),
        first=np.zeros(n, dtype=np.uint32),
        is_special=np.zeros(n, dtype=np.uint8),
    )


def room_for_chunk(n_blocks: int, n_responses: int) -> Chunk:
    """Return room for arrivals that are read together."""
    shape = (n_blocks, CHUNK)
    return Chunk(
        end=np.zeros(shape, dtype=np.uint64),
        start=np.zeros((n_blocks, CHUNK + 1), dtype=np.uint64),
        emitted=np.zeros(shape),
        place=np.zeros(shape, dtype=np.uint64),
        since=np.zeros(shape),
        scaled=np.zeros(shape),
        response=np.zeros((n_blocks, n_responses, CHUNK)),
    )


def aligned_zeros(n: int, width: int) -> Float:
    """Return zeros (n, width) from the begin of a cache line."""
    flat = np.zeros(n * width + 7)
    skip = -(flat.ctypes.data // 8) % 8
    return flat[skip : skip + n * width].reshape(n, width)


def room_for_found(n_blocks: int, rows: Rows) -> Found:
    """Return room for the synapses of a chunk, and of the longest row."""
    room = CHUNK + max(CHUNK, int(np.diff(rows.start).max(initial=0)))
    return Found(
        synapse=np.zeros((n_blocks, room), dtype=np.uint64),
        emitted=np.zeros((n_blocks, room)),
        place=np.zeros((n_blocks, room), dtype=np.uint64),
        piece=np.zeros((n_blocks, CHUNK), dtype=np.uint64),
        since=np.zeros((n_blocks, CHUNK)),
    )
