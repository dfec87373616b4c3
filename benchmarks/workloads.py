"""Networks on which simulators are compared, as plain arrays that every one of them can load.

Leaky integrate-and-fire neurons with exponential currents (C_m 250 pF, tau_m 20 ms, tau_s 2 ms,
threshold 20 mV, reset 0, t_ref 2 ms, potentials relative to rest), on which current goes on
arriving while they are refractory:

* A, balanced: 80 % excitatory, an in-degree of 10 % of each population, inhibition 7 times as
  strong, constant drive, a delay of 1.5 ms for all. Without random input, it is deterministic.
* B: as A, with continuous delays between 0.5 and 5 ms.
* C, sparse: an in-degree of 40 excitatory and 10 inhibitory neurons, and 50 of 1,000 Poisson
  sources of 4 Hz; delays as in B.

Everything is drawn once, here. Only NumPy is needed, since each simulator runs in an environment
of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

C_M, TAU_M, TAU_S, V_TH, V_RESET, T_REF = 250.0, 20.0, 2.0, 20.0, 0.0, 2.0
GRID = 0.1  # ms, the step of simulators that have one
MV_PER_PA = TAU_M / C_M  # a current, in the unit of the voltage to which it drives a neuron
DEAD_TIME = 2 * GRID  # of a Poisson source: Brian2 takes one spike of a source in a step


class Workload(NamedTuple):
    """A network and its input; sources are neurons, then input channels."""

    n: int
    n_inputs: int
    duration: float  # ms
    i_ext: float  # pA
    pre: np.ndarray  # (S,) int32
    post: np.ndarray  # (S,) int32
    weight: np.ndarray  # (S,) pA
    delay: np.ndarray  # (S,) ms
    v0: np.ndarray  # (n,) mV
    input_time: np.ndarray  # (I,) ms, sorted
    input_channel: np.ndarray  # (I,) int32

    @property
    def has_equal_delays(self):
        return bool(np.all(self.delay == self.delay[0]))

    def events(self, spiking):
        """Return the synaptic events of the spikes of some neurons, and of the input."""
        out_degree = np.bincount(self.pre, minlength=self.n + self.n_inputs)
        return int(out_degree[spiking].sum() + out_degree[self.n + self.input_channel].sum())

    def save(self, path):
        np.savez(path, **self._asdict())

    @classmethod
    def load(cls, path):
        with np.load(path) as found:
            arrays = (found[name] for name in cls._fields)
            return cls(*(array if array.ndim else array.item() for array in arrays))


def distinct(rng, targets, first, size, degree):
    """Draw, for each target, so many different sources of [first, first + size), not itself.

    Repeated draws are drawn again until there are none. All sources are treated alike, so all
    sets of sources are equally likely.
    """
    if degree > size // 2:
        raise ValueError(f"{degree} of {size} sources; expected at most half, to draw few again")
    inside = (targets >= first) & (targets < first + size)
    choices = np.where(inside, size - 1, size)[:, None]
    found = rng.integers(0, choices, (len(targets), degree), dtype=np.int32)
    rows = np.arange(len(targets))
    while len(rows):
        part = np.sort(found[rows], axis=1)
        again = np.zeros(part.shape, dtype=bool)
        again[:, 1:] = part[:, 1:] == part[:, :-1]
        bad = np.nonzero(again)
        part[bad] = rng.integers(0, choices[rows[bad[0]], 0], dtype=np.int32)
        found[rows] = part
        rows = rows[again.any(axis=1)]
    found += inside[:, None] & (found >= (targets - first)[:, None])
    return found + np.int32(first)


def connections(rng, n, groups):
    """Connect every neuron to groups (first, size, degree); return sources and targets.

    They are sorted, by source first: Brian2 keeps the order, and takes five times as long over
    synapses of a source that are not neighbours in memory.
    """
    targets = np.arange(n, dtype=np.int32)
    pre = np.hstack([distinct(rng, targets, *group) for group in groups])
    pairs = (pre.astype(np.int64) * n + targets[:, None]).ravel()
    pairs.sort()
    pre, post = np.divmod(pairs, n)
    return pre.astype(np.int32), post.astype(np.int32)


def strengths(rng, mean, size):
    """Draw weights of 10 % spread, at least a tenth of the mean."""
    weight = rng.standard_normal(size)
    weight *= 0.1
    weight += 1.0
    np.maximum(weight, 0.1, out=weight)
    return mean * weight


def balanced(n, delays="equal", seed=1, in_degree=None, duration=None, i_ext=None):
    """Draw workload A (``delays="equal"``) or B (``"spread"``)."""
    rng = np.random.default_rng(seed)
    n_exc = 4 * n // 5
    in_degree = n // 10 if in_degree is None else in_degree
    k_exc = 4 * in_degree // 5
    groups = (0, n_exc, k_exc), (n_exc, n - n_exc, in_degree - k_exc)
    pre, post = connections(rng, n, groups)
    weight = strengths(rng, 50.0 * np.sqrt(1000.0 / in_degree), len(pre))
    weight[pre >= n_exc] *= -7.0
    size = len(pre)
    return Workload(
        n=n,
        n_inputs=0,
        duration=(1000.0 if n <= 1000 else 200.0) if duration is None else duration,
        i_ext=(500.0 if n <= 1000 else 900.0) if i_ext is None else i_ext,
        pre=pre,
        post=post,
        weight=weight,
        delay=np.full(size, 1.5) if delays == "equal" else rng.uniform(0.5, 5.0, size),
        v0=rng.uniform(0.0, 19.0, n),
        input_time=np.zeros(0),
        input_channel=np.zeros(0, dtype=np.int32),
    )


def poisson(rng, channels, rate, duration):
    """Draw Poisson trains with a dead time; return times and channels, sorted by time."""
    count = rng.poisson(rate * duration / 1000.0, channels)
    channel = np.repeat(np.arange(channels, dtype=np.int32), count)
    time = rng.uniform(GRID, duration, len(channel))
    order = np.lexsort((time, channel))
    time, channel = time[order], channel[order]
    keep = np.ones(len(time), dtype=bool)
    keep[1:] = (channel[1:] != channel[:-1]) | (np.diff(time) > DEAD_TIME)
    order = np.argsort(time[keep])
    return time[keep][order], channel[keep][order]


def sparse(n=10_000, channels=1000, rate=4.0, duration=1000.0, seed=1):
    """Draw workload C."""
    rng = np.random.default_rng(seed)
    n_exc = 4 * n // 5
    groups = (0, n_exc, 40), (n_exc, n - n_exc, 10), (n, channels, 50)
    pre, post = connections(rng, n, groups)
    weight = strengths(rng, 300.0, len(pre))
    weight[(pre >= n_exc) & (pre < n)] *= -8.0
    input_time, input_channel = poisson(rng, channels, rate, duration)
    return Workload(
        n=n,
        n_inputs=channels,
        duration=duration,
        i_ext=0.0,
        pre=pre,
        post=post,
        weight=weight,
        delay=rng.uniform(0.5, 5.0, len(pre)),
        v0=rng.uniform(0.0, 10.0, n),
        input_time=input_time,
        input_channel=input_channel,
    )


NAMED = {
    "A1000": lambda: balanced(1000),
    "B1000": lambda: balanced(1000, "spread"),
    "A10000": lambda: balanced(10_000),
    "B10000": lambda: balanced(10_000, "spread"),
    "C": sparse,
}
