"""The voltage that one arrival makes, in closed form, with its derivatives to any digits."""

from __future__ import annotations

from typing import NamedTuple

from validation.oracle.events import EventLoop, Neuron
from validation.oracle.model import Real, require_mpmath


class Weight:
    """A weight, and the currents of the port that it enters: amplitude c, rate r, index of tau."""

    def __init__(self, loop: EventLoop, neuron: Neuron, synapse: int) -> None:
        self.weight = loop.weights[synapse]
        columns = neuron.port_slices[loop.model.port[synapse]]
        self.indices = range(columns.start, columns.stop)
        self.rates = [1 / neuron.taus[i] for i in self.indices]
        self.factors = neuron.factors[columns]

    def by_rates(self) -> list[list[Real]]:
        """Return d c_i / d r_j."""
        if len(self.rates) == 1:
            return [[0 * self.rates[0]]]
        mp = require_mpmath()
        r, s = self.rates
        peak = mp.log(r / s) / (r - s)
        q = mp.exp(-peak * s) - mp.exp(-peak * r)
        # The peak is a maximum: that it moves changes nothing.
        by_r, by_s = peak * mp.exp(-peak * r) / q**2, -peak * mp.exp(-peak * s) / q**2
        return [[by_r, by_s], [-by_r, -by_s]]


class Share(NamedTuple):
    """Derivatives of the share of one arrival in a voltage."""

    by_weight: Real
    by_arrival: Real
    by_begin: Real  # by the time from which the voltage has followed the current
    by_a: Real
    by_rate: dict[int, Real]  # by index of the time constant


def share(weight: Weight, a: Real, arrived: Real, begin: Real, time: Real) -> Share:
    """Differentiate sum_i w c_i e^{-r_i (begin - arrived)} g(time - begin; a, r_i)."""
    exp = require_mpmath().exp
    by_factors = weight.by_rates()
    early = begin != arrived
    by_weight = by_arrival = by_begin = by_a = 0 * a
    by_rate = dict.fromkeys(weight.indices, 0 * a)
    for i, (c, r) in enumerate(zip(weight.factors, weight.rates, strict=True)):
        g, by_span, g_a, g_r = _response(time - begin, a, r)
        left = exp(-r * (begin - arrived))
        amplitude = weight.weight * c * left
        by_weight += c * left * g
        by_a += amplitude * g_a
        if early:
            by_arrival += amplitude * r * g
            by_begin -= amplitude * (r * g + by_span)
        else:
            by_arrival -= amplitude * by_span
        by_rate[weight.indices[i]] += amplitude * (g_r - (begin - arrived) * g)
        for index, dc in zip(weight.indices, by_factors[i], strict=True):
            by_rate[index] += weight.weight * dc * left * g
    return Share(by_weight, by_arrival, by_begin, by_a, by_rate)


def _response(span: Real, a: Real, r: Real) -> tuple[Real, Real, Real, Real]:
    """Return g = a (e^{-r D} - e^{-a D})/(a - r) at D = span, and its derivatives by D, a, r."""
    exp = require_mpmath().exp
    ea, er, gap = exp(-a * span), exp(-r * span), a - r
    ratio = (er - ea) / gap
    by_span = a * (a * ea - r * er) / gap
    by_a = ratio + a * (span * ea - ratio) / gap
    by_r = a * (ratio - span * er) / gap
    return a * ratio, by_span, by_a, by_r
