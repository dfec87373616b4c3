"""Our bounded queues, many at once, on sequences of pushes and polls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from queues import bit_array, bounded_dispatch
from queues.bounded_dispatch import BOUNDED, OF_ONE, BitArrayQueues, checked_capacity
from queues.buffer import NONE
from queues.jit import by_type, kernel
from refsim.errors import InvalidValueError
from validation.queue_sequences import POLL, PUSH, Answers, Sequences


def play(structure: str, capacity: int, sequences: Sequences) -> Answers:
    """Play each sequence on an empty queue of its own.

    Parameters
    ----------
    structure
        One of `queues.bounded_dispatch.BOUNDED`.
    capacity
        Of each queue; those of one place ignore it.
    sequences
        For a ``"bit_array"``, of which it is the window, with a poll at every step.
    """
    if structure not in BOUNDED:
        names = ", ".join(BOUNDED)
        raise InvalidValueError(f"structure is {structure!r}; expected one of {names}")
    n, m = sequences.kind.shape
    rows = checked_capacity(structure, None if structure in OF_ONE else capacity)
    hits = np.zeros((n, m), np.int64)
    answers = Answers(hits, np.zeros_like(hits), np.zeros((n, m)))
    _play(bounded_dispatch.empty(structure, n, rows), sequences, answers)
    return answers


@kernel
def _play(queues, sequences, answers):
    for q in range(sequences.kind.shape[0]):
        for k in range(sequences.kind.shape[1]):
            time = float(sequences.time[q, k])
            if sequences.kind[q, k] == PUSH:
                tangent = sequences.tangent[q, k]
                bounded_dispatch.push(queues, q, time, np.int64(k), np.int64(0), tangent)
            elif sequences.kind[q, k] == POLL:
                row = bounded_dispatch.due(queues, q, time)
                if row != NONE:
                    answers.hits[q, k] = 1
                    _note(queues, row, answers, q, k)
                    bounded_dispatch.take(queues, q, row)


@by_type
def _note(arrays: type) -> Callable[..., None]:
    """Write the time and the tangent of a row as the answer to operation k of queue q."""
    if arrays is BitArrayQueues:

        def note_step(queues, row, answers, q, k):
            answers.time[q, k] = bit_array.step(queues.queues, q, row)

        return note_step

    def note(queues, row, answers, q, k):
        answers.time[q, k] = np.int64(queues.queues.time[row])
        answers.tangent[q, k] = queues.queues.tangent[row]

    return note
