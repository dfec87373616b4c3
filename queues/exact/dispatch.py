"""One queue of events in a compiled loop, of any exact structure: chosen by the type of its arrays.

What is chosen here is chosen while the loop is compiled (`queues.compiled.jit.by_type`). Structures
whose rows lie in columns and that have the kernels ``add``, ``pop``, ``top`` and ``grown`` need no
more than a line in the table.

In a structure of lanes every event has one; elsewhere lanes have no meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from queues.compiled.jit import by_type
from queues.exact import (
    batch_heap,
    calendar,
    dary_heap,
    fifo_merge,
    heap_or_ring,
    pairing_heap,
    ring_buffer,
)
from queues.types import (
    BatchHeapArrays,
    CalendarArrays,
    DaryHeapArrays,
    FifoMergeArrays,
    HeapOrRingArrays,
    PairingHeapArrays,
    RingBufferArrays,
)

_MODULES: dict[type, Any] = {
    HeapOrRingArrays: heap_or_ring,
    DaryHeapArrays: dary_heap,
    PairingHeapArrays: pairing_heap,
    CalendarArrays: calendar,
    FifoMergeArrays: fifo_merge,
    BatchHeapArrays: batch_heap,
    RingBufferArrays: ring_buffer,
}
_CALENDAR_DAY = 1.0  # ms, to begin with
_GROUP = 32  # rows of a node of a batch heap


class Structure(NamedTuple):
    """What a loop needs to know of a structure before it is compiled."""

    empty: Callable[[int, int, int], Any]  # (capacity, number of lanes, steps in a window)
    in_order: bool = False  # whether times must never decrease from one push to the next
    in_lanes: bool = False  # whether they must not in any lane
    in_steps: bool = False  # whether times are steps, all of them pushed when first known


STRUCTURES: dict[str, Structure] = {
    "heap": Structure(lambda room, _, __: heap_or_ring.empty(room, heap_or_ring.HEAP)),
    "fifo": Structure(lambda room, _, __: heap_or_ring.empty(room, heap_or_ring.FIFO), True),
    "sorted_array": Structure(lambda room, _, __: heap_or_ring.empty(room, heap_or_ring.SORTED)),
    "dary_heap_4": Structure(lambda room, _, __: dary_heap.empty(room, 2)),
    "dary_heap_8": Structure(lambda room, _, __: dary_heap.empty(room, 3)),
    "pairing_heap": Structure(lambda room, _, __: pairing_heap.empty(room)),
    "calendar": Structure(lambda room, _, __: calendar.empty(room, _CALENDAR_DAY)),
    "batch_heap": Structure(lambda room, _, __: batch_heap.empty(room, _GROUP)),
    "fifo_merge": Structure(lambda room, lanes, _: fifo_merge.empty(lanes, room), in_lanes=True),
    "ring_buffer": Structure(
        lambda room, _, steps: ring_buffer.empty(steps, room, 0), in_steps=True
    ),
}


def grown(queue: Any) -> Any:
    """Return a copy of the queue with twice the room."""
    return _MODULES[type(queue)].grown(queue)


@by_type
def add(arrays: type) -> Callable[..., None]:
    """Add a row of (queue, time, order, payload, tangent, lane) where there is room."""
    kernel = _MODULES[arrays].add
    if arrays is FifoMergeArrays:
        return lambda queue, time, order, payload, tangent, lane: kernel(
            queue, time, order, payload, tangent, lane
        )
    return lambda queue, time, order, payload, tangent, lane: kernel(
        queue, time, order, payload, tangent
    )


@by_type
def pop(arrays: type) -> Callable[..., None]:
    """Remove the first row of a queue that has one."""
    kernel = _MODULES[arrays].pop
    return lambda queue: kernel(queue)


@by_type
def top(arrays: type) -> Callable[..., int]:
    """Return the index of the first row of a queue that has one."""
    kernel = _MODULES[arrays].top
    return lambda queue: kernel(queue)


@by_type
def replace_top(arrays: type) -> Callable[..., None]:
    """Put a row, not before the first one, in the place of the first one."""
    module = _MODULES[arrays]
    if hasattr(module, "replace_top"):
        whole = module.replace_top
        return lambda queue, time, order, payload, tangent, lane: whole(
            queue, time, order, payload, tangent
        )

    def in_two(queue, time, order, payload, tangent, lane):
        pop(queue)
        add(queue, time, order, payload, tangent, lane)

    return in_two
