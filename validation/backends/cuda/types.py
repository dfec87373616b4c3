"""Arrays that the kernels of CUDA work on; sizes and units as in refsim.types, B samples.

Rows of a thread are those of the CPU with one axis more behind, the number of the thread: element k
of all threads lies together, so that those that are at the same one read one piece of memory.
"""

from __future__ import annotations

from typing import NamedTuple

from adjoint.batch.loop import BackCursor
from adjoint.events.loop import Pending
from queues.types import HeapOrRingArrays, IndexedHeapArrays
from refsim.batch.loop import Cursor
from refsim.events.loop import Counts, Margins
from refsim.models.lif.adjoint import AdjointState
from refsim.types import Float, InputArrays, Int, Model, SampleArrays, Scratch, State, Tape, Wiring


class Given(NamedTuple):
    """What all threads are given: one network, and the inputs of all samples end to end."""

    model: Model
    wiring: Wiring
    inputs: InputArrays
    samples: SampleArrays
    t_end: float  # ms
    dt: float  # step of the grid of arrivals in ms, 0 for none
    max_spikes: int  # of a sample


class ForwardRows(NamedTuple):
    """What the threads of a forward pass change: each array has an axis of threads behind."""

    state: State
    crossings: IndexedHeapArrays
    is_exact: Int
    tape: Tape
    origin: Int
    counts: Counts
    margins: Margins
    scratch: Scratch
    queue: HeapOrRingArrays
    cursor: Cursor


class BackRows(NamedTuple):
    """What the threads of a backward pass change: each array has an axis of threads behind."""

    adjoint: AdjointState
    queue: HeapOrRingArrays
    last: Pending  # the last arrival of each emission
    spikes: Int  # (1,) spikes not yet reached
    samples: Int  # (1,) samples not yet reached
    pending: Int  # (1,) emissions entered
    cursor: BackCursor


class Bars(NamedTuple):
    """Cotangents: given, and found."""

    sample: Float  # (V,) dL/d(sampled voltage), in order of sample and time
    spike: Float  # (k,) dL/d(spike time): given, and in the end complete
    input: Float  # (I,) dL/d(input time), in order of sample and time
