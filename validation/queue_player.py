"""Our bounded queues, many at once, on sequences of pushes and polls."""

from __future__ import annotations

import numpy as np

from queues import (
    bit_array,
    bounded,
    bounded_fifo,
    bounded_heap,
    bounded_sorted_array,
    lossy_ring,
    null,
    single_spike,
    single_spike_keep,
)
from queues.buffer import NONE
from queues.errors import checked_count
from queues.jit import inner_kernel, kernel
from refsim.errors import InvalidValueError
from validation.queue_sequences import POLL, PUSH, Answers, Sequences

_NULL, _SINGLE, _KEEP, _FIFO, _SORTED, _HEAP, _RING = range(7)
_STRUCTURES = {
    "null": _NULL,
    "single_spike": _SINGLE,
    "single_spike_keep": _KEEP,
    "bounded_fifo": _FIFO,
    "bounded_sorted_array": _SORTED,
    "bounded_heap": _HEAP,
    "lossy_ring": _RING,
}


def play(structure: str, capacity: int, sequences: Sequences) -> Answers:
    """Play each sequence on an empty queue of its own.

    Parameters
    ----------
    structure
        ``"null"``, ``"single_spike"``, ``"single_spike_keep"``, ``"bounded_fifo"``,
        ``"bounded_sorted_array"``, ``"bounded_heap"``, ``"lossy_ring"`` or ``"bit_array"``.
    capacity
        Of each queue; those of one place ignore it.
    sequences
        For a ``"bit_array"``, of which it is the window, with a poll at every step.
    """
    if structure not in (*_STRUCTURES, "bit_array"):
        names = ", ".join([*_STRUCTURES, "bit_array"])
        raise InvalidValueError(f"structure is {structure!r}; expected one of {names}")
    n, m = sequences.kind.shape
    hits = np.zeros((n, m), np.int64)
    answers = Answers(hits, np.zeros_like(hits), np.zeros((n, m)))
    if structure == "bit_array":
        _play_bits(bit_array.empty(n, checked_count("capacity", capacity, 1)), sequences, answers)
        return answers
    chosen = np.int64(_STRUCTURES[structure])
    rows = 1 if chosen <= _KEEP else checked_count("capacity", capacity, 1)
    _play(chosen, bounded.empty(n, rows), sequences, answers)
    return answers


@kernel
def _play(structure, queues, sequences, answers):
    for q in range(sequences.kind.shape[0]):
        for k in range(sequences.kind.shape[1]):
            time = float(sequences.time[q, k])
            if sequences.kind[q, k] == PUSH:
                _push(structure, queues, q, time, k, sequences.tangent[q, k])
            elif sequences.kind[q, k] == POLL:
                row = _due(structure, queues, q, time)
                if row != NONE:
                    answers.hits[q, k] = 1
                    answers.time[q, k] = np.int64(queues.time[row])
                    answers.tangent[q, k] = queues.tangent[row]
                    _take(structure, queues, q, row)


@kernel
def _play_bits(queues, sequences, answers):
    for q in range(sequences.kind.shape[0]):
        for k in range(sequences.kind.shape[1]):
            time = float(sequences.time[q, k])
            if sequences.kind[q, k] == PUSH:
                bit_array.push(queues, q, time, k, 0, 0.0)
            elif sequences.kind[q, k] == POLL:
                row = bit_array.due(queues, q, time)
                if row != NONE:
                    answers.hits[q, k] = 1
                    answers.time[q, k] = bit_array.step(queues, q, row)
                    bit_array.take(queues, q, row)


@inner_kernel
def _push(structure, queues, q, time, order, tangent):
    if structure == _NULL:
        null.push(queues, q, time, order, 0, tangent)
    elif structure == _SINGLE:
        single_spike.push(queues, q, time, order, 0, tangent)
    elif structure == _KEEP:
        single_spike_keep.push(queues, q, time, order, 0, tangent)
    elif structure == _FIFO:
        bounded_fifo.push(queues, q, time, order, 0, tangent)
    elif structure == _SORTED:
        bounded_sorted_array.push(queues, q, time, order, 0, tangent)
    elif structure == _HEAP:
        bounded_heap.push(queues, q, time, order, 0, tangent)
    else:
        lossy_ring.push(queues, q, time, order, 0, tangent)


@inner_kernel
def _due(structure, queues, q, now):
    if structure == _NULL:
        return null.due(queues, q, now)
    if structure == _SINGLE:
        return single_spike.due(queues, q, now)
    if structure == _KEEP:
        return single_spike_keep.due(queues, q, now)
    if structure == _FIFO:
        return bounded_fifo.due(queues, q, now)
    if structure == _SORTED:
        return bounded_sorted_array.due(queues, q, now)
    if structure == _HEAP:
        return bounded_heap.due(queues, q, now)
    return lossy_ring.due(queues, q, now)


@inner_kernel
def _take(structure, queues, q, row):
    if structure == _SINGLE:
        single_spike.take(queues, q, row)
    elif structure == _KEEP:
        single_spike_keep.take(queues, q, row)
    elif structure == _FIFO:
        bounded_fifo.take(queues, q, row)
    elif structure == _SORTED:
        bounded_sorted_array.take(queues, q, row)
    elif structure == _HEAP:
        bounded_heap.take(queues, q, row)
    elif structure == _RING:
        lossy_ring.take(queues, q, row)
