"""All arrivals at a neuron, from what its sources have sent."""

import numpy as np

from queues.compiled.jit import inner_kernel
from refsim.layers.order import group, sort


@inner_kernel
def enter_inputs(inputs, low, high, emitted):
    """Enter input spikes ``low`` to ``high``, by channel, as the first emissions."""
    group(inputs.source, low, high, emitted.first, emitted.stop, emitted.row)
    for e in range(high - low):
        i = emitted.row[e]
        emitted.time[e] = inputs.time[i]
        emitted.row[e] = -1 - i


@inner_kernel
def most_arrivals(into, emitted, n):
    """Return how many arrivals neuron ``n`` has, those after the end among them."""
    count = np.int64(0)
    for k in range(into.start[n], into.start[n + 1]):
        s = into.source[k]
        count += emitted.stop[s] - emitted.first[s]
    return count


@inner_kernel
def gather(wiring, into, emitted, n, t_end, hits):
    """Write the arrivals at neuron ``n`` up to ``t_end`` in order of time; return their number."""
    count = np.int64(0)
    for k in range(into.start[n], into.start[n + 1]):
        s = into.source[k]
        synapse = into.synapse[k]
        delay = wiring.delay[synapse]
        for e in range(emitted.first[s], emitted.stop[s]):
            t = emitted.time[e] + delay
            if t > t_end:
                break
            hits.time[count] = t
            hits.order[count] = count
            hits.place[count] = e
            hits.synapse[count] = synapse
            count += 1
    sort(hits.time, hits.order, count, hits.spare_time, hits.spare_order)
    return count


@inner_kernel
def enter_spikes(tape, low, high, place, emitted, spare):
    """Enter rows ``low`` to ``high`` of a tape in order of time, by neuron, from ``place`` on.

    ``spare`` has first and stop of as many neurons as there are.
    """
    row = emitted.row[place:]
    group(tape.neuron, low, high, spare.first, spare.stop, row)
    for n in range(spare.first.shape[0]):
        emitted.first[n] = place + spare.first[n]
        emitted.stop[n] = place + spare.stop[n]
    for e in range(place, place + high - low):
        emitted.time[e] = tape.time[emitted.row[e]]
