"""Steps of arrivals, and the calendar of spikes under way: a list of entries for each step.

A spike has one entry. Its synapses are sorted by delay; the entry delivers those that arrive in one
step and goes to the list of the next. Nothing is ever lost: the ring of lists spans the longest
delay.
"""

from __future__ import annotations

import numpy as np

from queues.compiled.jit import inner_kernel
from queues.exact.chains import NONE
from refsim.grid.types import Calendar
from refsim.transit.arrivals import rounded


def empty_calendar(n_slots: int, room: int) -> Calendar:
    """Return a calendar for arrivals less than ``n_slots`` steps ahead, for ``room`` emissions."""
    rows = np.zeros((3, room), dtype=np.int64)
    lists = np.full((2, n_slots), NONE, dtype=np.int64)
    return Calendar(*lists, *rows)


@inner_kernel
def arrival_step(rules, emitted, delay, earliest, n_steps):
    """Return the step in which a spike arrives; n_steps + 1 stands for all that are later."""
    steps = rounded((emitted + delay) / rules.dt) + float(rules.latency)
    if steps > float(n_steps):
        return np.int64(n_steps + 1)
    return max(np.int64(steps), np.int64(earliest))


@inner_kernel
def enter(calendar, entry, step):
    """Append an entry to the list of a step."""
    slot = step % calendar.first.shape[0]
    calendar.link[entry] = NONE
    if calendar.first[slot] == NONE:
        calendar.first[slot] = entry
    else:
        calendar.link[calendar.last[slot]] = entry
    calendar.last[slot] = entry


@inner_kernel
def take(calendar, step):
    """Empty the list of a step, and return its first entry."""
    slot = step % calendar.first.shape[0]
    entry = calendar.first[slot]
    calendar.first[slot] = NONE
    return entry


@inner_kernel
def emission_of(wiring, inputs, tape, origin):
    """Return time, source and earliest step of arrival of a spike, or of an input spike."""
    if origin >= 0:
        return tape.time[origin], tape.neuron[origin], tape.step[origin] + 1
    return inputs.time[-1 - origin], inputs.source[-1 - origin], np.int64(0)
