"""Cases of several neurons, drawn with `random.Random`, whose numbers do not change."""

from __future__ import annotations

from random import Random
from typing import Any

from validation.case_suite.document import Document, channel, document, double_exp, exp


def _poisson(rng: Random, n_channels: int, rate: float, duration: float) -> list[tuple[float, int]]:
    """Draw input spikes at ``rate`` per ms and channel, in order of time."""
    spikes = []
    for k in range(n_channels):
        time = rng.expovariate(rate)
        while time < duration:
            spikes.append((round(time, 2), k))
            time += rng.expovariate(rate)
    return sorted(spikes)


def _rounded(rng: Random, low: float, high: float, n: int, digits: int = 2) -> list[float]:
    """Draw n numbers of few digits."""
    return [round(rng.uniform(low, high), digits) for _ in range(n)]


def _wires(
    rng: Random,
    pairs: list[tuple[int, int]],
    weights: tuple[float, float],
    delays: tuple[float, float],
    port: int = 0,
) -> list[Any]:
    """Draw weights and delays of synapses between pairs."""
    return [
        (
            pre,
            post,
            round(rng.uniform(*weights), 2),
            round(rng.uniform(*delays), 2),
            port,
        )
        for pre, post in pairs
    ]


def _neurons(rng: Random, n: int, **given: Any) -> dict[str, Any]:
    """Draw parameters of n neurons that are all different."""
    drawn = {
        "tau_m": _rounded(rng, 6.0, 20.0, n),
        "v_th": _rounded(rng, 0.9, 1.1, n),
        "v_reset": _rounded(rng, -0.4, 0.3, n),
        "v_rest": _rounded(rng, -0.1, 0.1, n),
        "i_ext": _rounded(rng, 0.0, 0.3, n),
        "v0": _rounded(rng, -0.4, 0.5, n),
    }
    return drawn | given


def layers() -> Document:
    """Two channels, three layers of four, three and two neurons, one delay for each layer."""
    rng = Random(1)
    first = [(channel(c), j) for c in range(2) for j in range(4)]
    second = [(i, j) for i in range(4) for j in (4, 5, 6)]
    third = [(i, j) for i in (4, 5, 6) for j in (7, 8)]
    rows = _wires(rng, first, (2.0, 4.0), (1.0, 1.0))
    rows += _wires(rng, second, (1.0, 2.5), (0.5, 0.5))
    rows += _wires(rng, third, (1.0, 2.5), (1.5, 1.5))
    return document(exp(), _poisson(rng, 2, 0.15, 20.0), rows, 25.0, n=9, **_neurons(rng, 9))


def ring() -> Document:
    """A pulse goes round a ring of six neurons with heterogeneous delays."""
    rng = Random(2)
    rows = [
        (channel(0), 0, 8.0, 0.5),
        *_wires(rng, [(i, (i + 1) % 6) for i in range(6)], (7, 8), (0.25, 4)),
    ]
    return document(
        exp(), [(1.0, 0)], rows, 60.0, n=6, v_reset=-1.0, t_ref=_rounded(rng, 3.0, 7.0, 6)
    )


def recurrent_exp() -> Document:
    """Eight neurons, all connected, excitatory and inhibitory: errors grow from spike to spike."""
    rng = Random(3)
    pairs = [(i, j) for i in range(8) for j in range(8) if i != j]
    rows = _wires(rng, pairs, (-1.8, 1.2), (0.3, 4.0))
    rows += _wires(
        rng, [(channel(c), j) for c in range(2) for j in range(8)], (1.5, 4.0), (0.1, 2.0)
    )
    return document(exp(), _poisson(rng, 2, 0.15, 30.0), rows, 30.0, n=8, **_neurons(rng, 8))


def recurrent_double_exp() -> Document:
    """Six neurons, all connected over double exponential ports."""
    rng = Random(4)
    pairs = [(i, j) for i in range(6) for j in range(6)]
    rows = _wires(rng, pairs, (-0.8, 1.0), (0.3, 4.0))
    rows += _wires(
        rng, [(channel(c), j) for c in range(2) for j in range(6)], (0.8, 2.0), (0.1, 2.0)
    )
    inputs = _poisson(rng, 2, 0.15, 20.0)
    return document(double_exp(1.5, 6.0), inputs, rows, 25.0, n=6, **_neurons(rng, 6))


def recurrent_strong() -> Document:
    """Five neurons whose weights are three times as strong, held by refractoriness."""
    rng = Random(5)
    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    rows = _wires(rng, pairs, (-5.0, 4.0), (0.5, 3.0))
    rows += _wires(rng, [(channel(0), j) for j in range(5)], (4.0, 8.0), (0.1, 2.0))
    neurons = _neurons(rng, 5, t_ref=_rounded(rng, 1.0, 3.0, 5))
    return document(exp(), _poisson(rng, 1, 0.2, 30.0), rows, 40.0, n=5, **neurons)


def heterogeneous() -> Document:
    """Six neurons with everything different: three ports, all parameters, weights and delays."""
    rng = Random(6)
    ports = [exp(3.0), double_exp(1.25, 8.0), double_exp(0.75, 18.0)]
    inward = [(channel(c), j) for c in range(3) for j in range(6)]
    between = [(i, j) for i in range(6) for j in range(6) if (i + 2 * j) % 3]
    rows = _wires(rng, inward[:9], (2.0, 5.0), (0.0, 5.0), 0)
    rows += _wires(rng, inward[9:], (0.8, 2.0), (0.0, 5.0), 1)
    rows += _wires(rng, between[::2], (0.3, 1.2), (0.0, 8.0), 1)
    rows += _wires(rng, between[1::2], (-0.4, -0.1), (0.0, 8.0), 2)
    neurons = _neurons(rng, 6, t_ref=_rounded(rng, 0.0, 3.0, 6))
    samples = [(i, round(5.0 * i + 7.5, 2)) for i in range(6)]
    inputs = _poisson(rng, 3, 0.12, 40.0)
    return document(ports, inputs, rows, 50.0, n=6, samples=samples, **neurons)


def heterogeneous_delays() -> Document:
    """Eight sparse recurrent neurons, delays from 0.1 to 15 ms with uniform logarithm."""
    rng = Random(7)
    pairs = [(i, j) for i in range(8) for j in range(8) if rng.random() < 0.4]
    pairs += [(channel(c), j) for c in range(2) for j in range(8)]
    rows = [
        (
            pre,
            post,
            round(rng.uniform(-0.5, 2.2) if pre >= 0 else rng.uniform(1.5, 3.5), 2),
            round(0.1 * 150.0 ** rng.random(), 2),
        )
        for pre, post in pairs
    ]
    inputs = _poisson(rng, 2, 0.12, 40.0)
    return document(exp(4.0), inputs, rows, 50.0, n=8, **_neurons(rng, 8))


def inhibition_of_winners() -> Document:
    """Four driven neurons inhibit each other; who fires first keeps the others silent."""
    rows = [(i, j, -4.0, 0.5) for i in range(4) for j in range(4) if i != j]
    drive = [1.5, 1.4375, 1.375, 1.3125]
    start = [0.25, 0.125, 0.1875, 0.25]
    return document(exp(8.0), [], rows, 60.0, n=4, i_ext=drive, v0=start)


def long_run() -> Document:
    """Three neurons for 400 ms: derivatives pass some hundred resets."""
    rng = Random(8)
    rows = [(0, 1, -0.5, 1.5), (1, 2, 0.75, 2.5), (2, 0, -0.75, 0.75), (channel(0), 0, 1.0, 0.5)]
    inputs = _poisson(rng, 1, 0.02, 400.0)
    drive = [1.5, 1.75, 1.25]
    return document(exp(), inputs, rows, 400.0, n=3, i_ext=drive, t_ref=[1.0, 0.0, 2.0])


def hundred_sparse() -> Document:
    """A hundred neurons, 80 excitatory and 20 inhibitory, three synapses each."""
    rng = Random(9)
    rows = []
    for i in range(100):
        targets = [(i, rng.randrange(100)) for _ in range(3)]
        rows += _wires(rng, targets, (0.4, 1.2) if i < 80 else (-3.0, -1.0), (0.2, 5.0))
    given = [(channel(c), rng.randrange(100)) for c in range(10) for _ in range(12)]
    rows += _wires(rng, given, (3.0, 6.0), (0.2, 3.0))
    t_ref = _rounded(rng, 0.5, 2.0, 100)
    inputs = _poisson(rng, 10, 0.06, 25.0)
    return document(exp(), inputs, rows, 30.0, n=100, **_neurons(rng, 100, t_ref=t_ref))


def hundred_equal() -> Document:
    """A hundred equal neurons in a ring, equal weights and delays; waves in both directions."""
    rows = [(channel(0), 0, 7.0, 0.5), (channel(0), 50, 7.0, 0.75)]
    rows += [(i, (i + 1) % 100, 7.0, 0.5) for i in range(100)]
    rows += [(i, (i - 1) % 100, 7.0, 0.5) for i in range(100)]
    return document(exp(), [(1.0, 0)], rows, 30.0, n=100, t_ref=4.0)


CASES = [
    *(layers, ring, recurrent_exp, recurrent_double_exp, recurrent_strong, heterogeneous),
    *(heterogeneous_delays, inhibition_of_winners, long_run, hundred_sparse, hundred_equal),
]
