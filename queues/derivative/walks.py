"""Cotangents that go back through a queue: in where an entry was popped, out at its push.

A run of a queue is a list of events in order of time: the number ``k >= 0`` is the k-th push, and
``-1 - k`` is where that entry was popped. Backwards in time the roles change, and so may the
structure: entries that left in order of push come back through a FIFO, those that left in reverse
order through a stack, and any through a heap that gives back the latest push first, since
backwards the pushes come in falling order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queues.compiled.jit import inner_kernel, jit
from queues.exact import fifo, heap
from queues.exact.chains import NONE
from queues.types import Index

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@jit
def through_stack(events: Ints, popped: Ints, popped_bar: Floats, pushed_bar: Floats) -> Index:
    """Fill ``pushed_bar``; return the first push whose cotangent is not on top, or NONE."""
    order = np.empty(popped.size, np.int64)
    value = np.empty(popped.size, np.float64)
    size = np.int64(0)
    for i in range(events.size - 1, -1, -1):
        event = events[i]
        if event < 0:
            order[size] = -1 - event
            value[size] = popped_bar[popped[-1 - event]]
            size += 1
        elif popped[event] >= 0:
            if order[size - 1] != event:
                return event
            size -= 1
            pushed_bar[event] = value[size]
    return NONE


@jit
def through_fifo(events: Ints, popped: Ints, popped_bar: Floats, pushed_bar: Floats) -> Index:
    """Fill ``pushed_bar``; return the first push whose cotangent is not in front, or NONE."""
    queue = fifo.empty(popped.size)
    for i in range(events.size - 1, -1, -1):
        event = events[i]
        if event < 0:
            order = -1 - event
            fifo.add(queue, 0.0, order, popped[order], popped_bar[popped[order]])
        elif popped[event] >= 0:
            row = fifo.top(queue)
            if queue.order[row] != event:
                return event
            pushed_bar[event] = queue.tangent[row]
            fifo.pop(queue)
    return NONE


@jit
def through_heap(events: Ints, popped: Ints, popped_bar: Floats, pushed_bar: Floats) -> Index:
    """Fill ``pushed_bar`` through a heap with the latest push on top; return NONE."""
    queue = heap.empty(popped.size)
    for i in range(events.size - 1, -1, -1):
        event = events[i]
        if event < 0:
            order = -1 - event
            heap.add(queue, -1.0 * order, order, popped[order], popped_bar[popped[order]])
        elif popped[event] >= 0:
            row = heap.top(queue)
            if queue.order[row] != event:
                return event
            pushed_bar[event] = queue.tangent[row]
            heap.pop(queue)
    return NONE


@inner_kernel
def _remove(order, value, size, row):
    """Take out a row; those behind it move up."""
    for i in range(row, size - 1):
        order[i] = order[i + 1]
        value[i] = value[i + 1]


@inner_kernel
def _victim(value, new, by_size):
    """Return the row of a full list that is lost for a new value, or its length for the new one.

    That is the row inserted first or, by size, the smallest: of equal ones the one inserted last.
    """
    if not by_size:
        return np.int64(0)
    victim = np.int64(value.size)
    smallest = abs(new)
    for row in range(value.size - 1, -1, -1):
        if abs(value[row]) < smallest:
            smallest = abs(value[row])
            victim = np.int64(row)
    return victim


@jit
def through_list(
    events: Ints,
    popped: Ints,
    popped_bar: Floats,
    pushed_bar: Floats,
    capacity: int,
    by_size: bool,
) -> Index:
    """Fill ``pushed_bar`` through a list of ``capacity`` rows; return how many were lost."""
    order = np.empty(capacity, np.int64)  # in order of insertion
    value = np.empty(capacity, np.float64)
    size = np.int64(0)
    lost = np.int64(0)
    for i in range(events.size - 1, -1, -1):
        event = events[i]
        if event < 0:
            new = popped_bar[popped[-1 - event]]
            if size == capacity:
                lost += 1
                row = _victim(value, new, by_size)
                if row == capacity:
                    continue
                _remove(order, value, size, row)
                size -= 1
            order[size] = -1 - event
            value[size] = new
            size += 1
            continue
        for row in range(size):
            if order[row] == event:
                pushed_bar[event] = value[row]
                _remove(order, value, size, row)
                size -= 1
                break
    return lost
