"""Cases that show by how much a simulator with a time step is late.

Many neurons spike once, each at a moment of its own in the time step, and none of them knows of
what another has done: so many independent measurements of the time from an arrival to a spike.
Responses take from a fraction of a millisecond to several, which tells a constant lateness from
what a rule of integration does, since that grows with the response.
"""

from __future__ import annotations

from random import Random

from validation.case_suite.document import Document, Port, channel, document, double_exp, exp

N = 100
HELD = 100.0  # ms, refractory time: one spike each
DIGITS = 5  # decimals of times in ms: no usual step divides them


def _uniform(rng: Random, low: float, high: float, n: int, digits: int = DIGITS) -> list[float]:
    return [round(rng.uniform(low, high), digits) for _ in range(n)]


def _spread(rng: Random, low: float, high: float, n: int) -> list[float]:
    """Draw numbers whose logarithms are uniform."""
    return [round(low * (high / low) ** rng.random(), 3) for _ in range(n)]


def _one_spike_each(rng: Random, port: Port, low: float, high: float) -> Document:
    """Return neurons that each get one input spike over a synapse of their own."""
    inputs = sorted((time, k) for k, time in enumerate(_uniform(rng, 0.0, 10.0, N)))
    weights = _spread(rng, low, high, N)
    delays = _uniform(rng, 0.5, 10.0, N)
    rows = [(channel(k), k, weights[k], delays[k]) for k in range(N)]
    tau_m = _uniform(rng, 5.0, 25.0, N, 2)
    return document(port, inputs, rows, 40.0, n=N, tau_m=tau_m, t_ref=HELD)


def one_spike_each() -> Document:
    """A hundred neurons get one input spike each, and spike once: measures lateness of arrivals."""
    return _one_spike_each(Random(11), exp(4.0), 9.0, 120.0)


def one_spike_each_double_exp() -> Document:
    """The same over a double exponential port, whose responses begin without a kink."""
    return _one_spike_each(Random(12), double_exp(1.5, 6.0), 7.0, 150.0)


def one_spike_handed_on() -> Document:
    """Fifty neurons that a current drives spike once, and make fifty others spike once."""
    rng = Random(13)
    n = N // 2
    weights, delays = _spread(rng, 9.0, 120.0, n), _uniform(rng, 0.5, 10.0, n)
    rows = [(k, n + k, weights[k], delays[k]) for k in range(n)]
    drive = _uniform(rng, 1.2, 3.0, n, 3)
    start = _uniform(rng, -0.5, 0.9, n)
    tau_m = _uniform(rng, 5.0, 25.0, N, 2)
    return document(
        exp(4.0),
        [],
        rows,
        60.0,
        n=N,
        tau_m=tau_m,
        t_ref=HELD,
        i_ext=drive + [0.0] * n,
        v0=start + [0.0] * n,
    )


CASES = [one_spike_each, one_spike_each_double_exp, one_spike_handed_on]
