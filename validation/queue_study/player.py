"""Our bounded queues and our ring buffer, many at once, on sequences of pushes and polls."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from queues.bounded import bit_array, dispatch as bounded_dispatch
from queues.bounded.dispatch import BOUNDED, OF_ONE, BitArrayQueues, checked_capacity
from queues.compiled.jit import by_type, kernel
from queues.errors import checked_count
from queues.exact import ring_buffer
from queues.exact.chains import NONE
from refsim.errors import InvalidValueError
from validation.queue_study.sequences import POLL, PUSH, Answers, Sequences


class _Codes(NamedTuple):
    """What stands for an operation, as an argument: compiled code would keep a constant."""

    push: int
    poll: int


CODES = _Codes(PUSH, POLL)


def play(structure: str, capacity: int, sequences: Sequences) -> Answers:
    """Play each sequence on an empty queue of its own.

    Parameters
    ----------
    structure
        One of `queues.bounded.dispatch.BOUNDED`, or ``"ring_buffer"``, whose polls take all events
        of their step and tell no time.
    capacity
        Of each queue; those of one place ignore it. Slots of a ring buffer.
    sequences
        For a ``"bit_array"`` and a ``"ring_buffer"`` those within a window of ``capacity`` steps.
    """
    if structure not in (*BOUNDED, "ring_buffer"):
        names = ", ".join([*BOUNDED, "ring_buffer"])
        raise InvalidValueError(f"structure is {structure!r}; expected one of {names}")
    n, m = sequences.kind.shape
    hits = np.zeros((n, m), np.int64)
    answers = Answers(hits, np.zeros_like(hits), np.zeros((n, m)))
    if structure == "ring_buffer":
        ring = ring_buffer.empty(checked_count("capacity", capacity, 1), m, 0)
        _play_ring(ring, np.int64(0), CODES, sequences, answers)
        return answers
    rows = checked_capacity(structure, None if structure in OF_ONE else capacity)
    _play(bounded_dispatch.empty(structure, n, rows), CODES, sequences, answers)
    return answers


@kernel
def _play(queues, codes, sequences, answers):
    for q in range(sequences.kind.shape[0]):
        for k in range(sequences.kind.shape[1]):
            time = float(sequences.time[q, k])
            if sequences.kind[q, k] == codes.push:
                tangent = sequences.tangent[q, k]
                bounded_dispatch.push(queues, q, time, k, k, tangent)
            elif sequences.kind[q, k] == codes.poll:
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


@kernel
def _play_ring(queue, start, codes, sequences, answers):
    for q in range(sequences.kind.shape[0]):
        ring_buffer.restart(queue, start)
        for k in range(sequences.kind.shape[1]):
            step = sequences.time[q, k]
            if sequences.kind[q, k] == codes.push:
                tangent = sequences.tangent[q, k]
                ring_buffer.add(queue, float(step), k, k, tangent)
            elif sequences.kind[q, k] == codes.poll:
                hits, total = ring_buffer.take(queue, step)
                answers.hits[q, k] = hits
                answers.tangent[q, k] = total
