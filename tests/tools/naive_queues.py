"""The semantics of bounded queues and queues of steps, each in a few lines over a list."""

from bisect import insort
from operator import itemgetter

import numpy as np

from validation.queue_study.sequences import POLL, PUSH, Answers

TIME = itemgetter(0)


class Null:
    """Keeps nothing."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.held = []  # (time, tangent), the one that leaves next first

    def push(self, time, tangent):
        pass

    def poll(self, now):
        """Remove what is due and return it as a list."""
        due = self.held and TIME(self.held[0]) <= now
        return [self.held.pop(0)] if due else []


class SingleSpike(Null):
    def push(self, time, tangent):
        self.held = [(time, tangent)]


class BoundedFifo(Null):
    def push(self, time, tangent):
        if len(self.held) < self.capacity:
            self.held.append((time, tangent))


class BoundedHeap(Null):
    def push(self, time, tangent):
        if len(self.held) < self.capacity:
            insort(self.held, (time, tangent), key=TIME)


class BoundedSortedArray(Null):
    def push(self, time, tangent):
        insort(self.held, (time, tangent), key=TIME)
        del self.held[self.capacity :]


class LossyRing(Null):
    def slot(self, time):
        return [event for event in self.held if (TIME(event) - time) % self.capacity == 0]

    def push(self, time, tangent):
        for event in self.slot(time):
            self.held.remove(event)
        self.held.append((time, tangent))

    def poll(self, now):
        due = [event for event in self.slot(now) if TIME(event) <= now]
        for event in due:
            self.held.remove(event)
        return due


class RingBuffer(Null):
    """On its domain: every step is polled, and nothing lies outside its window."""

    def push(self, time, tangent):
        self.held.append((time, tangent))

    def poll(self, now):
        due = [event for event in self.held if TIME(event) == now]
        self.held = [event for event in self.held if TIME(event) != now]
        return due


class BitArray(RingBuffer):
    def push(self, time, tangent):
        if not any(TIME(event) == time for event in self.held):
            self.held.append((time, tangent))


NAIVE = {
    "null": Null,
    "single_spike": SingleSpike,
    "single_spike_keep": BoundedFifo,  # of capacity 1
    "bounded_fifo": BoundedFifo,
    "bounded_sorted_array": BoundedSortedArray,
    "bounded_heap": BoundedHeap,
    "lossy_ring": LossyRing,
    "ring_buffer": RingBuffer,
    "bit_array": BitArray,
}


def play(semantics, capacity, sequences):
    """Play sequences on a model, one after the other."""
    answers = Answers(*(np.zeros(sequences.kind.shape, dtype) for dtype in (int, int, float)))
    for row, operations in enumerate(zip(*(column.tolist() for column in sequences), strict=True)):
        queue = NAIVE[semantics](capacity)
        for k, (kind, time, tangent) in enumerate(zip(*operations, strict=True)):
            if kind == PUSH:
                queue.push(time, tangent)
            elif kind == POLL and (found := queue.poll(time)):
                answers.hits[row, k] = len(found)
                answers.time[row, k] = sum(map(TIME, found))
                answers.tangent[row, k] = sum(tangent for _, tangent in found)
    return answers
