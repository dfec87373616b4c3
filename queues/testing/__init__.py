"""A conformance kit: run any queue with our protocol through scripts of operations.

A script is a list of `Push`, `Pop`, `Peek` and `Clear`. It is played on a queue and on a model of
`queues.testing.models`, a sorted list that anyone can believe, and both must agree after each
operation. `assert_conforms` looks for a script on which they do not and prints the shortest as a
test. `scripts`, `run_script` and `QueueMachine` are its parts, for tests of one's own. Needs
hypothesis.

Stepped scripts are for queues that are asked at each time step what is due: they consist of `Push`
and `PopDue`, and a queue needs no other method for them.
"""

from __future__ import annotations

try:
    import hypothesis  # noqa: F401
except ImportError as error:
    raise ImportError('queues.testing needs hypothesis: pip install "refsim[test]"') from error

from queues.testing.conform import assert_conforms
from queues.testing.models import (
    SEMANTICS,
    BitArrayModel,
    BoundedFifoModel,
    BoundedHeapModel,
    BoundedSortedArrayModel,
    ExactModel,
    FifoModel,
    LossyModel,
    LossyRingModel,
    NullModel,
    RingBufferModel,
    SingleSpikeKeepModel,
    SingleSpikeModel,
)
from queues.testing.operations import Clear, Peek, Pop, PopDue, Push
from queues.testing.player import ConformanceError, run_script
from queues.testing.state_machine import QueueMachine, machine
from queues.testing.strategies import scripts, stepped_scripts, times

__all__ = [
    "SEMANTICS",
    "BitArrayModel",
    "BoundedFifoModel",
    "BoundedHeapModel",
    "BoundedSortedArrayModel",
    "Clear",
    "ConformanceError",
    "ExactModel",
    "FifoModel",
    "LossyModel",
    "LossyRingModel",
    "NullModel",
    "Peek",
    "Pop",
    "PopDue",
    "Push",
    "QueueMachine",
    "RingBufferModel",
    "SingleSpikeKeepModel",
    "SingleSpikeModel",
    "assert_conforms",
    "machine",
    "run_script",
    "scripts",
    "stepped_scripts",
    "times",
]
