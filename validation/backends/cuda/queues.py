"""Batched bounded queues on a device of CUDA: one thread pushes to and polls one queue.

The queues are those of :class:`queues.Batch`, in the same arrays and by the same functions. All
steps are played in one launch, as in the inner loop of a simulator with a time grid.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba.cuda
import numpy as np
from numpy.typing import NDArray

from queues.bounded import dispatch as bounded_dispatch
from queues.bounded.dispatch import BOUNDED, checked_capacity, empty
from queues.exact.chains import NONE
from refsim.errors import InvalidValueError
from refsim.validate import choice
from validation.backends.cuda.target import check_available, configured, share_kernels, to_device

share_kernels()

cuda: Any = numba.cuda
THREADS = 128  # of a block
STRUCTURES = tuple(name for name in BOUNDED if name != "bit_array")  # a bit holds no number


class Played(NamedTuple):
    """What n queues have lost and given in T steps, by the number of the step of the push."""

    lost: NDArray[np.int64]  # (T, n) the push that was lost by the push of each step, -1 for none
    found: NDArray[np.int64]  # (T, n) the push that the poll of each step has found, -1 for none
    dropped: NDArray[np.int64]  # (n,) pushes lost in all


@cuda.jit
def play_queues(queues, time, now, lost, found):
    """Play the steps of one queue a thread: a push where ``time`` is a number, then a poll."""
    q = cuda.grid(1)
    if q < queues.queues.size.shape[0]:
        for step in range(now.shape[0]):
            lost[step, q] = NONE
            found[step, q] = NONE
            t = time[step, q]
            if t == t:
                lost[step, q] = bounded_dispatch.push(queues, q, t, step, step, 0.0)
            row = bounded_dispatch.due(queues, q, now[step])
            if row != NONE:
                found[step, q] = queues.queues.payload[row]
                bounded_dispatch.take(queues, q, row)


def launch(queues: Any, time: Any, now: Any, lost: Any, found: Any) -> None:
    """Launch the kernel on arrays of the device, and do not wait for it."""
    configured(play_queues, time.shape[1], THREADS)(queues, time, now, lost, found)


def play(structure: str, capacity: int | None, time: Any, now: Any) -> Played:
    """Play pushes and polls of many queues on the device.

    Parameters
    ----------
    structure : str
        One of `queues.bounded.dispatch.BOUNDED`, except "bit_array".
    capacity : int or None
        Of each queue, where the structure has one.
    time : (T, n) float
        In ms, what each queue is pushed in each step; nan for no push.
    now : (T,) float
        In ms, when all queues are polled in each step, behind the push.
    """
    choice("structure", structure, STRUCTURES)
    times = np.ascontiguousarray(time, dtype=np.float64)
    polls = np.ascontiguousarray(now, dtype=np.float64)
    if times.ndim != 2 or polls.shape != times.shape[:1] or not times.size:
        raise InvalidValueError(
            f"time has shape {times.shape} and now {polls.shape}; expected (T, n) and (T,)"
        )
    check_available()
    queues = empty(structure, times.shape[1], checked_capacity(structure, capacity))
    on_device = to_device(queues)
    lost, found = (cuda.device_array(times.shape, np.int64) for _ in Played._fields[:2])
    launch(on_device, to_device(times), to_device(polls), lost, found)
    dropped = on_device.queues.dropped.copy_to_host()
    return Played(lost.copy_to_host(), found.copy_to_host(), dropped)
