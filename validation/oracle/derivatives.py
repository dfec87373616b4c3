"""Exact gradients of a case to any digits, by the implicit function theorem.

Between two of its own spikes the voltage of a neuron is a closed-form sum over its arrivals, a
function F of the time, of the arrival times and of the parameters. A spike time t obeys F = v_th,
so its derivative by any of these is -F_x/F_t, and a sampled voltage has the derivative F_x. Arrival
times are spike times plus delays: the spikes of a run form a graph in which every derivative is
known, and one sweep against the order of events adds up the gradient of the loss.

This is neither the differential equation of the adjoint that `refsim` integrates, nor a difference
quotient. `validation.oracle.events` finds the events; here no threshold is searched and no state
carried.

A delay, a refractory time or an input time of zero has the derivative from the right. A sample at
the time of an event comes after it, and so do its derivatives. Where an
arrival coincides with a crossing or a release of its neuron, derivatives from the right by
different parameters belong to different orders of the two; such a case gets no gradient.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from refsim.network.parameters import NAMES
from validation.oracle.events import (
    ARRIVAL,
    INPUT,
    RELEASE,
    SAMPLE,
    EventLoop,
    Neuron,
    OracleRun,
)
from validation.oracle.model import (
    GUARD,
    Model,
    Real,
    lost_digits,
    read_model,
    real,
    require_mpmath,
    separated,
)
from validation.oracle.responses import Weight, share

Key = tuple[str, int]  # a group of parameters, or "spike", and an index
Partials = dict[Key, Real]


class Arrival(NamedTuple):
    """A spike that has arrived at a neuron."""

    time: Real
    origin: Key  # ("spike", k) in order of emission, or ("input_times", i)
    synapse: int


class Reading(NamedTuple):
    """A crossing or a sample: what the voltage there depends on."""

    neuron: int
    time: Real
    last_spike: int  # of the neuron, in order of emission; -1 for none
    n_early: int  # arrivals before the release from that spike; -1 if not released yet
    n_arrivals: int  # before this reading
    slope: Real  # dV/dt of a crossing, 0 of a sample


class Recorder(EventLoop):
    """An event loop that remembers of what each spike and each sample is made."""

    def __init__(self, model: Model, neurons: list[Neuron]) -> None:
        n = len(neurons)
        self.arrivals: list[list[Arrival]] = [[] for _ in range(n)]
        self.origins: list[Key] = []  # by emission
        self.crossings: list[Reading] = []
        self.samples: dict[int, Reading] = {}
        self.last_spike = [-1] * n
        self.n_early = [0] * n
        self.source: Key = ("spike", 0)
        super().__init__(model, neurons)

    def emit(self, time: Real, source: int, given: Fraction | None = None) -> None:
        """Remember where an emission comes from."""
        self.origins.append(self.source)
        super().emit(time, source, given)

    def reading(self, neuron: int, time: Real) -> Reading:
        """Return what the voltage of a neuron depends on now."""
        last, early = self.last_spike[neuron], self.n_early[neuron]
        return Reading(neuron, time, last, early, len(self.arrivals[neuron]), 0 * time)

    def spike(self, neuron: Neuron, time: Real) -> None:
        """Remember a crossing."""
        i, k = neuron.index, len(self.crossings)
        crossing = self.reading(i, time)
        self.crossings.append(crossing)
        self.last_spike[i] = k
        self.n_early[i] = -1 if neuron.t_ref > 0 else len(self.arrivals[i])
        self.source = ("spike", k)
        super().spike(neuron, time)
        self.crossings[k] = crossing._replace(slope=self.spikes[k][2])

    def handle(self, time: Real, rank: int, order: int, index: int) -> None:
        """Remember an event before it happens."""
        if rank == INPUT:
            self.source = ("input_times", order)
        elif rank == ARRIVAL:
            post = self.model.post[index]
            self.arrivals[post].append(Arrival(time, self.origins[order], index))
        elif rank == RELEASE:
            self.n_early[index] = len(self.arrivals[index])
        elif rank == SAMPLE:
            self.samples[order] = self.reading(index, time)
        super().handle(time, rank, order, index)


class Gradient(NamedTuple):
    """A run with the gradient of the loss, and how well both are conditioned."""

    run: OracleRun
    groups: dict[str, list[Real]]  # empty if events coincide
    min_slope: Real | None  # smallest dV/dt at a crossing, in (v_th - v_reset)/tau_m
    min_gap: Real | None  # ms, between an arrival and a crossing or a release of its neuron


def differentiate(case: Mapping[str, Any], digits: int = 50) -> Gradient:
    """Simulate a case and differentiate its loss by all parameters.

    Parameters
    ----------
    case : mapping
        As for `validation.oracle.simulate`, with ``cotangent`` and, where it has samples, theirs.
    digits : int
        Decimal digits wanted.

    Returns
    -------
    Gradient
        By group a list of all derivatives; without any where events coincide.
    """
    model = read_model(case)
    mp = require_mpmath()
    taus = [separated([own, *model.values["tau"]], digits) for own in model.values["tau_m"]]
    # A derivative by a time constant has the square of the gaps in its denominators.
    lost = 3 * max(map(lost_digits, taus))
    with mp.workdps(digits + GUARD + lost):
        neurons = [Neuron(model, i, own, digits) for i, own in enumerate(taus)]
        loop = Recorder(model, neurons)
        run = loop.finish(digits)
        slopes = [_steepness(loop, crossing) for crossing in loop.crossings]
        gap = min(_gaps(loop), default=None)
        tied = gap is not None and gap < mp.mpf(10) ** -digits
        groups = {} if tied else _swept(case, loop)
        return Gradient(run, groups, min(slopes, default=None), gap)


def _steepness(loop: Recorder, crossing: Reading) -> Real:
    """Return the slope of a crossing in (v_th - v_reset)/tau_m."""
    neuron = loop.neurons[crossing.neuron]
    return crossing.slope * neuron.tau_m / (neuron.v_th - neuron.v_reset)


def _gaps(loop: Recorder) -> list[Real]:
    """Return the distances of arrivals from the crossings and releases of their neurons.

    What a spike sends to its own neuron follows the crossing whatever is moved: there is no gap.
    """
    moments: dict[int, list[tuple[Real, Key | None]]] = defaultdict(list)
    for k, crossing in enumerate(loop.crossings):
        release = crossing.time + loop.neurons[crossing.neuron].t_ref
        moments[crossing.neuron] += [(crossing.time, ("spike", k)), (release, None)]
    return [
        abs(moment - arrival.time)
        for neuron, times in moments.items()
        for arrival in loop.arrivals[neuron]
        for moment, of_spike in times
        if arrival.origin != of_spike
    ]


def _swept(case: Mapping[str, Any], loop: Recorder) -> dict[str, list[Real]]:
    """Add up the gradient, against the order of events."""
    zero = 0 * loop.duration
    bars: Partials = defaultdict(lambda: zero)
    by_time = sorted(range(len(loop.spikes)), key=lambda k: loop.spikes[k][:2])
    for k, bar in zip(by_time, case["cotangent"], strict=True):
        bars["spike", k] = real(Fraction(str(bar)))
    for order, sample in enumerate(case.get("voltage_samples") or []):
        bar = real(Fraction(str(sample["cotangent"])))
        for key, value in partials(loop, loop.samples[order]).items():
            bars[key] += bar * value
    for k in range(len(loop.crossings) - 1, -1, -1):
        crossing = loop.crossings[k]
        bar = bars["spike", k] / crossing.slope
        bars["v_th", crossing.neuron] += bar
        for key, value in partials(loop, crossing).items():
            bars[key] -= bar * value
    sizes = {group: len(loop.model.values[group]) for group in NAMES}
    return {group: [bars[group, i] for i in range(n)] for group, n in sizes.items()}


def partials(loop: Recorder, reading: Reading) -> Partials:
    """Return the derivatives of the voltage at a fixed time by all that it depends on."""
    n, k = reading.neuron, reading.last_spike
    if reading.n_early < 0:
        return {("v_reset", n): real(Fraction(1))}
    exp = require_mpmath().exp
    neuron = loop.neurons[n]
    a = 1 / neuron.tau_m
    begin = loop.crossings[k].time + neuron.t_ref if k >= 0 else 0 * reading.time
    start = ("v_reset", n) if k >= 0 else ("v0", n)
    v = neuron.v_reset if k >= 0 else real(loop.model.values["v0"][n])
    span = reading.time - begin
    decay = exp(-a * span)
    found: Partials = defaultdict(lambda: 0 * a)
    found[start] = decay
    found["v_rest", n] = found["i_ext", n] = 1 - decay
    by_a = -span * (v - neuron.drive) * decay
    by_begin = a * (v - neuron.drive) * decay
    for i, arrival in enumerate(loop.arrivals[n][: reading.n_arrivals]):
        early = i < reading.n_early
        weight = Weight(loop, neuron, arrival.synapse)
        response = share(weight, a, arrival.time, begin if early else arrival.time, reading.time)
        found["weight", arrival.synapse] += response.by_weight
        found["delay", arrival.synapse] += response.by_arrival
        found[arrival.origin] += response.by_arrival
        for index, value in response.by_rate.items():
            found["tau", index] -= value / neuron.taus[index] ** 2
        by_a += response.by_a
        by_begin += response.by_begin
    found["tau_m", n] = -by_a * a**2
    if k >= 0:
        found["spike", k] += by_begin
        found["t_ref", n] += by_begin
    return found
