"""A judge of spikes: decimals of many digits, and a search that bounds the voltage everywhere.

Neurons have no synapses onto each other here, so each is simulated by itself. Between two events
V - v_th is a sum of exponentials, each of which lies between its values at the ends of an interval.
So the sum and its slope are bounded from both sides; intervals are halved until it is certain that
they hold no crossing, or one. There is no theory of roots, and nothing of the packages is imported.

Everything is computed twice, with a voltage raised and lowered by what rounding may do, relative to
the distances that the given numbers allow to know: a right spike lies in between. Where the pattern
hangs on rounding, both patterns are right.
"""

import math
from decimal import Decimal, getcontext, localcontext
from typing import NamedTuple

DIGITS = 50  # beyond those by which a distance from the drive has become small
_EXACT = 1200  # digits of sums of numbers of float64, all of them
EPS = 2.0**-53
_DEPTH = 300  # of halving
_RESOLUTION = Decimal("1e-28")  # of a crossing


class Undecided(Exception):  # noqa: N818
    """The voltage touches the threshold, to many more digits than float64 has."""


class Leeway(NamedTuple):
    """What rounding may do."""

    relative: float  # to distances and weights
    voltage: float  # to the voltage at an arrival, for a weight of 1
    ulps: float  # to a spike


class Cell(NamedTuple):
    """One neuron; the excess of the drive over the threshold, and distances below the latter."""

    tau_m: Decimal
    excess: Decimal
    start: Decimal
    reset: Decimal
    t_ref: Decimal
    rates: list  # of the currents
    factors: list  # by which they drive the voltage
    ports: list  # slices of the currents


def _exp(x):
    return x.exp()


def _port(port):
    """Return (tau, factor) of each current of a port, given as its time constants."""
    if len(port) == 1:
        return [(Decimal(port[0]), Decimal(1))]
    rise, decay = map(Decimal, port)
    peak = rise * decay / (decay - rise) * (decay / rise).ln()
    q = _exp(-peak / decay) - _exp(-peak / rise)
    return [(rise, -1 / q), (decay, 1 / q)]


def cell_of(parameters, ports, leeway, way):
    """Return a neuron with its voltages raised (``way`` 1) or lowered (-1) by the leeway."""
    own = {name: Decimal(float(value)) for name, value in parameters.items()}
    currents = [current for port in ports for current in _port(port)]
    ends = [sum(map(len, ports[: i + 1])) for i in range(len(ports))]
    with localcontext() as exactly:
        exactly.prec = _EXACT
        excess = own["v_rest"] + own["i_ext"] - own["v_th"]
        start, reset = (own[name] - own["v_th"] for name in ("v0", "v_reset"))
    part = way * Decimal(leeway.relative)
    # A drive below the threshold is where voltages are measured from.
    size = abs(excess) if excess <= 0 else 0
    return Cell(
        tau_m=own["tau_m"],
        excess=excess + part * abs(excess),
        start=start + part * (abs(start) + size),
        reset=reset + part * (abs(reset) + size),
        t_ref=own["t_ref"],
        rates=[1 / tau for tau, _ in currents],
        factors=[factor for _, factor in currents],
        ports=[slice(end - len(port), end) for end, port in zip(ends, ports, strict=True)],
    )


class Piece:
    """The voltage from an event on: distance from the threshold as a sum of exponentials."""

    def __init__(self, cell, below, currents):
        self.a = 1 / cell.tau_m
        pushes = zip(cell.rates, cell.factors, currents, strict=True)
        self.pushes = [(r, self.a * c * i) for r, c, i in pushes if i]
        self.forced = [(r, push / (self.a - r)) for r, push in self.pushes]
        self.excess, self.below = cell.excess, below
        self.own = below - cell.excess  # distance from the drive
        if self.forced and self.own:  # what currents do at first is as small as that
            getcontext().prec = max(getcontext().prec, DIGITS - self.own.adjusted())
        self.terms = [(self.a, self.own - sum(g for _, g in self.forced)), *self.forced]

    def parts(self, t):
        return [g * _exp(-r * t) for r, g in self.terms]

    def value(self, t):
        """Return the distance; what has decayed to 1e-400 still counts at the beginning."""
        decay = _exp(-self.a * t)
        forced = sum(g * (_exp(-r * t) - decay) for r, g in self.forced)
        return self.own * decay + forced + self.excess

    def slope(self, t):
        """Return the slope, in which pushes that cancel leave nothing at the beginning."""
        a, decay = self.a, _exp(-self.a * t)
        forced = sum(push * ((a * decay - r * _exp(-r * t)) / (a - r)) for r, push in self.pushes)
        return forced - a * self.own * decay

    def crossing(self, until):
        """Return the first time up to ``until`` at which the voltage passes the threshold."""
        if until <= 0:
            return None
        if self.below >= 0:
            return Decimal(0)
        return self._search(Decimal(0), until, self.parts(Decimal(0)), self.parts(until), 0)

    def _is_above(self, t, parts):
        total = self.excess + sum(parts)
        if abs(total) < Decimal("1e-30") * sum(map(abs, parts)):  # which has cancelled
            total = self.value(t)
        return total >= 0

    def _slopes(self, parts):
        return [-r * part for (r, _), part in zip(self.terms, parts, strict=True)]

    def _search(self, low, high, at_low, at_high, depth):
        pairs = list(zip(at_low, at_high, strict=True))
        if self.excess + sum(max(pair) for pair in pairs) < 0:
            return None
        slopes = list(zip(self._slopes(at_low), self._slopes(at_high), strict=True))
        if sum(max(pair) for pair in slopes) <= 0:
            return None
        bends = [
            [r * r * part for part in pair] for (r, _), pair in zip(self.terms, pairs, strict=True)
        ]
        slope = self.slope(low)
        if slope <= 0 and sum(map(max, bends)) <= 0:
            return None
        if sum(map(min, slopes)) >= 0 or (slope >= 0 and sum(map(min, bends)) >= 0):
            return self._solved(low, high) if self._is_above(high, at_high) else None
        if depth == _DEPTH:
            raise Undecided
        middle = (low + high) / 2
        at_middle = self.parts(middle)
        found = self._search(low, middle, at_low, at_middle, depth + 1)
        if found is not None:
            return found
        if self._is_above(middle, at_middle):
            raise Undecided  # it fell from where it was not found to be
        return self._search(middle, high, at_middle, at_high, depth + 1)

    def _solved(self, low, high):
        """Return the crossing on a monotone piece, by Newton's method within a bracket."""
        t = high
        while high - low > _RESOLUTION * high:
            f = self.value(t)
            low, high = (low, t) if f >= 0 else (t, high)
            slope = self.slope(t)
            following = t - f / slope if slope > 0 else low
            if not low < following < high:
                following = (low + high) / 2
            if abs(following - t) <= _RESOLUTION * high:
                return following
            t = following
        return high


def cell_spikes(cell, arrivals, duration, leeway, way):
    """Return the spikes of one neuron; ``arrivals`` are (time, port, weight) in order of time."""
    below, currents = cell.start, [Decimal(0)] * len(cell.rates)
    now, held_until = Decimal(0), None
    pending = [(Decimal(t), p, Decimal(w)) for t, p, w in arrivals]
    spikes = []

    def shift(t):
        return way * Decimal(leeway.ulps * math.ulp(float(t)))

    def slope_at_release(currents):
        forced = sum(c * i for c, i in zip(cell.factors, currents, strict=True))
        return (cell.excess - cell.reset + forced) / cell.tau_m

    end = Decimal(duration) + shift(duration)
    while True:
        following = min([pending[0][0] if pending else end, end])
        if held_until is not None and held_until <= following:
            following = held_until
        elapsed = following - now
        if held_until is None:
            piece = Piece(cell, below, currents)
            found = piece.crossing(elapsed)
            if found is not None:
                elapsed = found
        else:
            found = None
        if found is None and following >= end:
            return spikes
        decays = [_exp(-r * elapsed) for r in cell.rates]
        if held_until is None and found is None:
            below = piece.value(elapsed)
        currents = [i * decay for i, decay in zip(currents, decays, strict=True)]
        now += elapsed
        if found is not None:
            spikes.append(max(now - shift(now), Decimal(0)))
            below, held_until = cell.reset, now + cell.t_ref
        elif held_until is not None and following == held_until:
            # The release may be a few last bits sooner or later, whichever is the higher voltage.
            below += shift(now) * abs(slope_at_release(currents))
            held_until = None
        else:
            _, p, w = pending.pop(0)
            below += way * Decimal(leeway.voltage) * abs(w)
            w += way * Decimal(leeway.relative) * abs(w)
            for k in range(cell.ports[p].start, cell.ports[p].stop):
                currents[k] += w


def bounds_of(network, inputs, duration, leeway):
    """Return for each neuron the spikes of the raised voltage, and those of the lowered one.

    ``network`` may have synapses from input channels alone, but for those of weight 0.
    """
    names = ("tau_m", "v_rest", "v_th", "v_reset", "i_ext", "t_ref", "v0")
    ports = [port.time_constants for port in network.ports]
    arrivals = [[] for _ in range(network.n_neurons)]
    for time, channel in zip(inputs.times, inputs.sources, strict=True):
        for s in range(len(network.pre)):
            if network.pre[s] == network.n_neurons + channel:
                row = (float(time) + float(network.delay[s]), int(network.port[s]))
                arrivals[network.post[s]].append((*row, float(network.weight[s])))
    with localcontext() as context:
        context.prec = DIGITS
        found = []
        for n in range(network.n_neurons):
            context.prec = DIGITS
            parameters = {name: getattr(network, name)[n] for name in names}
            rows = sorted(row for row in arrivals[n] if row[0] <= duration)
            found.append(
                tuple(
                    cell_spikes(cell_of(parameters, ports, leeway, w), rows, duration, leeway, w)
                    for w in (1, -1)
                )
            )
        return found


def objections(spikes_of, bounds, duration, rounding=0.0):
    """Say what is wrong with the spikes of each neuron, a list of arrays; "" if nothing is."""
    wrong = []
    for n, (spikes, (raised, lowered)) in enumerate(zip(spikes_of, bounds, strict=True)):
        if not len(lowered) <= len(spikes) <= len(raised):
            wrong.append(f"neuron {n}: {len(spikes)} spikes, not {len(lowered)} to {len(raised)}")
            continue
        for k, t in enumerate(map(float, spikes)):
            ends = float(raised[k]), float(lowered[k]) if k < len(lowered) else duration
            low, high = min(ends) - rounding, max(ends) + rounding
            if not low <= t <= high:
                wrong.append(f"neuron {n}, spike {k}: {t!r} is not in [{low!r}, {high!r}]")
                break
    return "; ".join(wrong)
