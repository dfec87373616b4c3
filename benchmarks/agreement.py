"""How well two simulators agree: rates, and spike by spike until chaos parts them."""

from __future__ import annotations

import numpy as np

PARTED = 1e-3  # ms, by which a spike differs when the two no longer show the same spikes


def numbered(time, neuron):
    """Sort spikes by neuron, then time; return times, and neuron and number as one integer."""
    order = np.lexsort((time, neuron))
    time, neuron = time[order], neuron[order].astype(np.int64)
    first = np.searchsorted(neuron, neuron)
    return time, (neuron << 32) + np.arange(len(neuron)) - first


def compare(one, other, duration):
    """Compare the k-th spike of each neuron with the k-th of the other simulator.

    The largest difference is that of all spikes before the first that one has and the other has
    not, or that differs by more than ``PARTED``.
    """
    time_one, key_one = numbered(*one)
    time_other, key_other = numbered(*other)
    _, at_one, at_other = np.intersect1d(key_one, key_other, return_indices=True)
    apart = np.abs(time_one[at_one] - time_other[at_other])
    earlier = np.minimum(time_one[at_one], time_other[at_other])
    until = min(
        duration,
        earlier[apart > PARTED].min(initial=np.inf),
        np.delete(time_one, at_one).min(initial=np.inf),
        np.delete(time_other, at_other).min(initial=np.inf),
    )
    before = earlier < until
    return {
        "spikes": [len(time_one), len(time_other)],
        "agree_until_ms": float(until),
        "spikes_until_then": int(before.sum()),
        "largest_difference_ms": float(apart[before].max(initial=0.0)),
        "median_difference_ms": float(np.median(apart[before])) if before.any() else 0.0,
    }


def rates(rows, limits):
    """Say by how much each simulator's rate differs from the reference, and whether it may."""
    (reference,) = (row["rate_hz"] for row in rows if row["simulator"] == "refsim")
    found = []
    for row in rows:
        shift = row["rate_hz"] / reference - 1.0
        limit = limits[row["simulator"]]
        found.append(
            {"simulator": row["simulator"], "shift": shift, "fine": bool(abs(shift) <= limit)}
        )
    return found
