"""Spikes and voltages of a case to any digits, event by event.

Between two events of a neuron ``V - v_th`` is a sum of exponentials, whose roots are all found, and
so is every spike. Nothing of an event queue or of a compiled kernel is used here.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from refsim.network.parameters import OF_NEURONS
from validation.oracle.model import GUARD, Model, Real, lost_digits, real, require_mpmath, separated
from validation.oracle.roots import Terms, derivative, first_crossing, value

# Rank of a pending event among those of the same time; crossings come before all of them.
RELEASE, INPUT, ARRIVAL, SAMPLE = range(4)


class OracleRun(NamedTuple):
    """What a simulation saw, each number good to about `digits` digits."""

    spike_times: list[Real]  # ms, sorted by (time, neuron)
    spike_neurons: list[int]
    slopes: list[Real]  # dV/dt just before each spike
    voltages: list[Real]  # of the case's ``voltage_samples``, in their order
    before: list[tuple[int, int, int]]  # spikes, releases and arrivals before each of these
    digits: int


class Neuron:
    """One neuron: its state at its own last event, and the closed form from there."""

    def __init__(self, model: Model, index: int, taus: Sequence[Fraction], digits: int) -> None:
        column = {group: real(model.values[group][index]) for group in OF_NEURONS}
        self.index = index
        self.v_th, self.v_reset, self.v = column["v_th"], column["v_reset"], column["v0"]
        self.drive, self.t_ref = column["v_rest"] + column["i_ext"], column["t_ref"]
        self.tau_m, *self.taus = map(real, taus)
        self.factors, self.port_slices = _port_factors(model.port_kinds, self.taus)
        self.currents = [0 * tau for tau in self.taus]
        self.epsilon = require_mpmath().mpf(10) ** -digits  # of the way from v_reset to v_th
        self.time = 0 * self.v
        self.n_spikes = self.n_releases = self.n_arrivals = 0
        self.held = False
        self.crossing: Real | None = None

    def terms(self) -> Terms:
        """Return ``V - v_th`` as a sum of exponentials in the time since `time`."""
        forced = [
            (1 / tau, c * current * tau / (tau - self.tau_m))
            for c, current, tau in zip(self.factors, self.currents, self.taus, strict=True)
        ]
        own = self.v - self.drive - sum(a for _, a in forced)
        return sorted([(0 * own, self.drive - self.v_th), (1 / self.tau_m, own), *forced])

    def voltage(self, time: Real) -> Real:
        """Return the voltage at a time before the neuron's next event."""
        if self.held:
            return self.v
        return self.v_th + value(self.terms(), time - self.time)

    def events_so_far(self) -> tuple[int, int, int]:
        """Return numbers of spikes, releases and arrivals; of the last none while it is held."""
        return self.n_spikes, self.n_releases, 0 if self.held else self.n_arrivals

    def advance(self, time: Real) -> None:
        """Move the state to a time before the neuron's next event."""
        exp = require_mpmath().exp
        self.v = self.voltage(time)
        pairs = zip(self.currents, self.taus, strict=True)
        self.currents = [i * exp(-(time - self.time) / tau) if i else i for i, tau in pairs]
        self.time = time

    def predict(self, horizon: Real) -> None:
        """Find the crossing, if any, up to the horizon."""
        t = None
        if not self.held:
            terms = [(r, a / (self.v_th - self.v_reset)) for r, a in self.terms()]
            t = first_crossing(terms, horizon - self.time, self.epsilon)
        self.crossing = None if t is None else self.time + t


def _port_factors(kinds: Iterable[str], taus: Sequence[Real]) -> tuple[list[Real], list[slice]]:
    """Return the factors c_k of all currents, and which currents belong to each port."""
    mp = require_mpmath()
    factors: list[Real] = []
    slices = []
    for kind in kinds:
        first = len(factors)
        if kind == "exp":
            factors.append(mp.mpf(1))
        else:
            rise, decay = taus[first : first + 2]
            peak = rise * decay / (decay - rise) * mp.log(decay / rise)
            q = mp.exp(-peak / decay) - mp.exp(-peak / rise)
            factors += [-1 / q, 1 / q]
        slices.append(slice(first, len(factors)))
    return factors, slices


def run_model(model: Model, digits: int) -> OracleRun:
    """Simulate at a working precision that leaves `digits` good ones."""
    tau_m, tau = model.values["tau_m"], model.values["tau"]
    taus = [separated([own, *tau], digits) for own in tau_m]
    with require_mpmath().workdps(digits + GUARD + max(lost_digits(own) for own in taus)):
        neurons = [Neuron(model, i, taus[i], digits) for i in range(len(taus))]
        return EventLoop(model, neurons).finish(digits)


class EventLoop:
    """All neurons and one sorted list of pending events ``(time, rank, order, index)``."""

    def __init__(self, model: Model, neurons: list[Neuron]) -> None:
        self.model, self.neurons = model, neurons
        self.duration = real(model.duration)
        self.weights = [real(weight) for weight in model.values["weight"]]
        self.delays = [real(delay) for delay in model.values["delay"]]
        self.pending: list[tuple[Real, int, int, int]] = []
        self.emitted = 0
        self.spikes: list[tuple[Real, int, Real]] = []  # (time, neuron, slope)
        self.voltages: dict[int, Real] = {}  # by sample
        self.before: dict[int, tuple[int, int, int]] = {}  # by sample
        for order, time in enumerate(model.values["input_times"]):
            self.schedule(real(time), INPUT, order, model.input_channels[order])
        for order, (time, neuron) in enumerate(model.samples):
            self.schedule(real(time), SAMPLE, order, neuron)
        for each in neurons:
            self.predict(each)

    def schedule(self, time: Real, rank: int, order: int, index: int) -> None:
        """Keep an event that happens before the end."""
        if time <= self.duration:
            insort(self.pending, (time, rank, order, index))

    def predict(self, neuron: Neuron) -> None:
        """Look for a crossing up to the neuron's next known arrival."""
        arrivals = (
            time
            for time, rank, _, synapse in self.pending
            if rank == ARRIVAL and self.model.post[synapse] == neuron.index
        )
        neuron.predict(next(arrivals, self.duration))

    def emit(self, time: Real, source: int, given: Fraction | None = None) -> None:
        """Send a spike over all synapses of its source.

        The time of an input spike is ``given`` exactly, and so are its arrivals: whether one
        coincides with a sample is not for rounding to say.
        """
        for synapse, pre in enumerate(self.model.pre):
            if pre == source:
                arrival = time + self.delays[synapse]
                if given is not None:
                    arrival = real(given + self.model.values["delay"][synapse])
                self.schedule(arrival, ARRIVAL, self.emitted, synapse)
        self.emitted += 1

    def spike(self, neuron: Neuron, time: Real) -> None:
        """Record, reset, hold, send."""
        slope = value(derivative(neuron.terms()), time - neuron.time)
        self.spikes.append((time, neuron.index, slope))
        neuron.advance(time)
        neuron.v = neuron.v_reset
        self.emit(time, neuron.index)
        neuron.held = neuron.t_ref > 0
        neuron.n_spikes += 1
        neuron.n_releases += not neuron.held
        if neuron.held:
            self.schedule(time + neuron.t_ref, RELEASE, 0, neuron.index)
        self.predict(neuron)

    def handle(self, time: Real, rank: int, order: int, index: int) -> None:
        """Let one pending event happen."""
        if rank == INPUT:
            self.emit(time, index, self.model.values["input_times"][order])
        elif rank == SAMPLE:
            self.voltages[order] = self.neurons[index].voltage(time)
            self.before[order] = self.neurons[index].events_so_far()
        elif rank == RELEASE:
            self.neurons[index].advance(time)
            self.neurons[index].held = False
            self.neurons[index].n_releases += 1
            self.predict(self.neurons[index])
        else:
            neuron = self.neurons[self.model.post[index]]
            neuron.advance(time)
            neuron.n_arrivals += 1
            port = neuron.port_slices[self.model.port[index]]
            neuron.currents[port] = [i + self.weights[index] for i in neuron.currents[port]]
            self.predict(neuron)

    def finish(self, digits: int) -> OracleRun:
        """Run to the end."""
        while True:
            crossings = [(n.crossing, n.index) for n in self.neurons if n.crossing is not None]
            if crossings and (not self.pending or min(crossings)[0] <= self.pending[0][0]):
                time, index = min(crossings)
                self.spike(self.neurons[index], time)
            elif self.pending:
                self.handle(*self.pending.pop(0))
            else:
                break
        self.spikes.sort(key=lambda spike: spike[:2])
        return OracleRun(
            spike_times=[time for time, _, _ in self.spikes],
            spike_neurons=[neuron for _, neuron, _ in self.spikes],
            slopes=[slope for _, _, slope in self.spikes],
            voltages=[self.voltages[order] for order in range(len(self.model.samples))],
            before=[self.before[order] for order in range(len(self.model.samples))],
            digits=digits,
        )
