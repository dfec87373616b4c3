"""Arbitrary-precision oracle: spikes, voltages and gradients of a case file, to any digits.

The model is the leaky integrate-and-fire neuron with exponential synaptic currents

    tau_m V'  = -(V - v_rest) + i_ext + sum_k c_k I_k,        tau_k I_k' = -I_k,

so that between two events of a neuron ``V - v_th`` is a sum of exponentials ``sum a_i e^{-r_i t}``.
Such a sum with n terms has at most n - 1 roots: multiplied by ``e^{r_0 t}`` and differentiated it
loses a term, and between two roots of that derivative it is monotone (Rolle). The recursion finds
every root, hence every spike, with nothing to tune. Gradients are central differences of the whole
simulation: nothing of an adjoint, an event queue or a compiled kernel is used here.

Parameters are exact decimals. *Equal time constants* make the coefficients ``a_i`` infinite. One of
two equal ones is then moved by the relative amount ``10^-(digits + GUARD)``. The voltage is an
analytic function of the time constants, so it moves by no more than about as much, below the digits
asked for. The coefficients lose as many digits to cancellation as the gaps between time constants
have leading zeros, and the working precision is raised by just that number, for equal and for
nearly equal ones alike. It is the one treatment that also serves the differences that are taken
across equality.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from types import ModuleType
from typing import Any, NamedTuple

FORMAT = "snn-gradient-case/1"
GUARD = 15  # decimal digits carried beyond those asked for
NEURON_GROUPS = ("tau_m", "v_th", "v_reset", "v_rest", "i_ext", "t_ref", "v0")
GROUPS = ("weight", "delay", "tau_m", "tau", *NEURON_GROUPS[1:], "input_times")
BOUNDED = ("delay", "t_ref", "input_times")  # admissible from zero upwards
PORT_TAUS = {"exp": ("tau",), "double_exp": ("tau_rise", "tau_decay")}

# Rank of a pending event among those of the same time; crossings come before all of them.
RELEASE, INPUT, ARRIVAL, SAMPLE = range(4)

Real = Any  # an mpmath.mpf; mpmath is optional, so the type has no name here
Terms = list[tuple[Real, Real]]  # (rate r, coefficient a) of a e^{-r t}, by increasing rate


class PatternChangedError(ValueError):
    """A difference step made a spike appear or vanish: there is no gradient to compare with."""


class OracleRun(NamedTuple):
    """What a simulation saw, each number good to about `digits` digits."""

    spike_times: list[Real]  # ms, sorted by (time, neuron)
    spike_neurons: list[int]
    slopes: list[Real]  # dV/dt just before each spike
    voltages: list[Real]  # of the case's ``voltage_samples``, in their order
    digits: int


class Model(NamedTuple):
    """A case with its numbers as exact fractions."""

    values: dict[str, list[Fraction]]  # by gradient group
    port_kinds: list[str]
    pre: list[int]  # neurons, then input channels
    post: list[int]
    port: list[int]
    input_channels: list[int]
    samples: list[tuple[Fraction, int]]  # (time, neuron)
    duration: Fraction


def simulate(case: Mapping[str, Any], digits: int = 50) -> OracleRun:
    """Simulate a case.

    Parameters
    ----------
    case : mapping
        A parsed ``snn-gradient-case/1`` file. Its numbers are taken as exact decimals: strings,
        integers, or floats (which mean their shortest decimal form).
    digits : int
        Decimal digits wanted.

    Returns
    -------
    OracleRun
        Spikes up to and including the duration, slopes before them, and sampled voltages.
    """
    return run_model(read_model(case), digits)


def loss(case: Mapping[str, Any], run: OracleRun) -> Real:
    """Cotangents times spike times plus sample cotangents times voltages."""
    return weighed_loss(case, run.spike_times, run.voltages, run.digits)


def gradient(
    case: Mapping[str, Any],
    entries: Mapping[str, Iterable[int]] | None = None,
    digits: int = 50,
    step: Real | None = None,
) -> dict[str, list[Real] | dict[int, Real]]:
    """Differentiate `loss` by central differences at high precision.

    Parameters
    ----------
    case : mapping
        As for `simulate`, with ``cotangent`` and, where it has samples, theirs.
    entries : mapping of str to iterable of int, optional
        The entries wanted, by group; all by default.
    digits : int
        Digits of each simulation. The gradient is good to about two thirds as many.
    step : number or str, optional
        Step relative to ``max(1, |x|)``; ``10^-(digits/3)`` by default, where truncation and
        rounding balance.

    Returns
    -------
    dict
        By group, a list of all derivatives, or with `entries` a dictionary of index to derivative.
        ``tau`` counts the time constants of the ports in order, rise before decay.

    Raises
    ------
    PatternChangedError
        If a neuron spikes more or less often after a step.

    Notes
    -----
    A delay, a refractory time or an input time of zero cannot be made smaller. Its derivative is
    the one from the right, ``(-3 L(0) + 4 L(h) - L(2h)) / 2h``, also of second order.
    """
    mp = require_mpmath()
    model = read_model(case)
    base = run_model(model, digits)
    relative = Fraction(1, 10 ** (digits // 3)) if step is None else Fraction(str(step))
    wanted = {group: range(len(model.values[group])) for group in GROUPS}
    chosen = wanted if entries is None else entries

    def shifted_loss(group: str, index: int, shift: Fraction) -> Real:
        run = run_model(_shifted(model, group, index, shift), digits)
        return weighed_loss(case, matched(base, run, f"{group}[{index}]"), run.voltages, digits)

    def derivative(group: str, index: int) -> Real:
        value = model.values[group][index]
        h = relative * max(Fraction(1), abs(value))
        right = shifted_loss(group, index, h)
        if group in BOUNDED and value < h:
            right2 = shifted_loss(group, index, 2 * h)
            change = 4 * right - right2 - 3 * loss(case, base)
        else:
            change = right - shifted_loss(group, index, -h)
        return change / (2 * real(h))

    with mp.workdps(digits + GUARD):
        table = {group: {i: derivative(group, i) for i in chosen[group]} for group in chosen}
    if entries is not None:
        return dict(table)
    return {group: list(column.values()) for group, column in table.items()}


# --- reading ------------------------------------------------------------------------------------


def require_mpmath() -> ModuleType:
    """Import mpmath, or say how to get it."""
    try:
        import mpmath
    except ImportError as error:
        raise ImportError('the oracle needs mpmath: pip install "refsim[oracle]"') from error
    return mpmath


def real(value: Fraction) -> Real:
    """Round an exact number to the current precision."""
    return require_mpmath().mpf(value.numerator) / value.denominator


def _exact(values: Iterable[Any]) -> list[Fraction]:
    """Read decimals without rounding; a float means its shortest decimal form."""
    return [Fraction(str(value)) for value in values]


def read_model(case: Mapping[str, Any]) -> Model:
    """Check a case and take its numbers as exact fractions."""
    neurons, synapses, inputs = case["neurons"], case["synapses"], case["inputs"]
    if case.get("format", FORMAT) != FORMAT or neurons.get("model", "lif") != "lif":
        raise ValueError(f"the oracle reads cases of format {FORMAT} with model 'lif'")
    ports = neurons["ports"]
    unknown = {port["kind"] for port in ports} - set(PORT_TAUS)
    if unknown:
        raise ValueError(f"unknown port kinds {sorted(unknown)}; known are {sorted(PORT_TAUS)}")
    values = {group: _exact(neurons[group]) for group in NEURON_GROUPS}
    values["weight"], values["delay"] = _exact(synapses["weight"]), _exact(synapses["delay"])
    values["tau"] = _exact(port[name] for port in ports for name in PORT_TAUS[port["kind"]])
    values["input_times"] = _exact(inputs["times"])
    samples = case.get("voltage_samples") or []
    model = Model(
        values=values,
        port_kinds=[port["kind"] for port in ports],
        pre=synapses["pre"],
        post=synapses["post"],
        port=synapses["port"],
        input_channels=[neurons["n"] + source for source in inputs["sources"]],
        samples=[(_exact([sample["time"]])[0], sample["neuron"]) for sample in samples],
        duration=_exact([case["duration"]])[0],
    )
    check_model(model)
    return model


def check_model(model: Model) -> None:
    """Refuse what has no meaning."""
    values = model.values
    if len({len(values[group]) for group in NEURON_GROUPS}) > 1:
        raise ValueError(f"{', '.join(NEURON_GROUPS)} must have one entry for each neuron")
    synapses: list[Sequence[Any]] = [model.pre, model.post, model.port]
    synapses += [values["weight"], values["delay"]]
    if len({len(column) for column in synapses}) > 1:
        raise ValueError("pre, post, port, weight and delay must have one entry for each synapse")
    if min(values["tau_m"] + values["tau"]) <= 0:
        raise ValueError("time constants must be positive")
    if any(value < 0 for group in BOUNDED for value in values[group]):
        raise ValueError("delays, refractory times and input times must not be negative")
    for v_th, v0, v_reset in zip(values["v_th"], values["v0"], values["v_reset"], strict=True):
        if max(v0, v_reset) >= v_th:
            raise ValueError("v0 and v_reset must lie below v_th")
    if any(not 0 <= time <= model.duration for time, _ in model.samples):
        raise ValueError("voltage samples must lie between 0 and the duration")


def _shifted(model: Model, group: str, index: int, shift: Fraction) -> Model:
    """Copy a model with one number changed."""
    column = list(model.values[group])
    column[index] += shift
    changed = model._replace(values={**model.values, group: column})
    check_model(changed)
    return changed


def separated(taus: Iterable[Fraction], digits: int) -> list[Fraction]:
    """Separate equal time constants by less than the digits asked for can see."""
    distinct: list[Fraction] = []
    for tau in taus:
        while tau in distinct:
            tau += tau / 10 ** (digits + GUARD)
        distinct.append(tau)
    return distinct


def lost_digits(taus: Iterable[Fraction]) -> int:
    """Count the digits that coefficients lose to the gaps between neighbouring time constants."""
    gaps = ((high - low) / high for low, high in pairwise(sorted(taus)))
    return sum(math.ceil(-math.log10(gap)) for gap in gaps)


# --- roots of sums of exponentials --------------------------------------------------------------


def _value(terms: Terms, t: Real) -> Real:
    """Evaluate a sum of exponentials."""
    exp = require_mpmath().exp
    return sum(a * exp(-r * t) if r else a for r, a in terms)


def _derivative(terms: Terms) -> Terms:
    """Differentiate a sum of exponentials."""
    return [(r, -r * a) for r, a in terms if r]


def _roots(terms: Terms, end: Real, epsilon: Real) -> list[Real]:
    """Find all sign changes of a sum of exponentials in (0, end), in order."""
    terms = [(r, a) for r, a in terms if a]
    if not any((a < 0) != (b < 0) for (_, a), (_, b) in pairwise(terms)):
        return []  # no more roots than sign changes: Descartes' rule for exponentials
    slowest = terms[0][0]
    terms = [(r - slowest, a) for r, a in terms]
    if len(terms) == 2:
        (_, a), (r, b) = terms
        t = require_mpmath().log(-b / a) / r
        return [t] if 0 < t < end else []
    breaks = [end * 0, *_roots(_derivative(terms), end, epsilon), end]
    values = [_value(terms, t) for t in breaks]
    return [
        _solve(terms, breaks[i : i + 2], f, epsilon)
        for i, (f, g) in enumerate(pairwise(values))
        if (f < 0) != (g < 0)
    ]


def _solve(terms: Terms, bracket: Sequence[Real], f_low: Real, epsilon: Real) -> Real:
    """Solve for the root on a monotone piece by Newton, kept inside the bracket by bisection."""
    exp = require_mpmath().exp
    low, high = bracket
    t, step = (low + high) / 2, high - low
    # Well above rounding, which is GUARD digits away; the last step was quadratic and goes beyond.
    accuracy = step * epsilon / 10 ** (GUARD // 2)
    while abs(step) > accuracy:
        parts = [(r, a * exp(-r * t)) for r, a in terms]
        f, slope = sum(a for _, a in parts), -sum(r * a for r, a in parts)
        low, high = (t, high) if (f < 0) == (f_low < 0) else (low, t)
        newton = t - f / slope if slope else low
        following = newton if low < newton < high else (low + high) / 2
        step, t = following - t, following
    return t


def _first_crossing(terms: Terms, end: Real, epsilon: Real) -> Real | None:
    """Find where a sum of exponentials first goes above zero in (0, end].

    It must not be above zero at 0. A maximum within `epsilon` of zero is a touch from below, no
    crossing; on the way up at `end` it is one, because crossings precede the event that ends here.
    """
    if end <= 0:
        return None
    slope = _derivative(terms)
    low, f_low = end * 0, _value(terms, end * 0)
    for high in [*_roots(slope, end, epsilon), end]:
        f_high = _value(terms, high)
        if f_high > epsilon:
            return _solve(terms, (low, high), f_low, epsilon) if f_low < 0 else low
        low, f_low = high, f_high
    rising = abs(f_low) <= epsilon and _value(slope, end) * end > epsilon
    return end if rising else None


# --- the simulation -----------------------------------------------------------------------------


class Neuron:
    """One neuron: its state at its own last event, and the closed form from there."""

    def __init__(self, model: Model, index: int, taus: Sequence[Fraction], digits: int) -> None:
        column = {group: real(model.values[group][index]) for group in NEURON_GROUPS}
        self.index = index
        self.v_th, self.v_reset, self.v = column["v_th"], column["v_reset"], column["v0"]
        self.drive, self.t_ref = column["v_rest"] + column["i_ext"], column["t_ref"]
        self.tau_m, *self.taus = map(real, taus)
        self.factors, self.port_slices = _port_factors(model.port_kinds, self.taus)
        self.currents = [0 * tau for tau in self.taus]
        self.epsilon = require_mpmath().mpf(10) ** -digits  # of the way from v_reset to v_th
        self.time = 0 * self.v
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
        return self.v_th + _value(self.terms(), time - self.time)

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
            t = _first_crossing(terms, horizon - self.time, self.epsilon)
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

    def emit(self, time: Real, source: int) -> None:
        """Send a spike over all synapses of its source."""
        for synapse, pre in enumerate(self.model.pre):
            if pre == source:
                self.schedule(time + self.delays[synapse], ARRIVAL, self.emitted, synapse)
        self.emitted += 1

    def spike(self, neuron: Neuron, time: Real) -> None:
        """Record, reset, hold, send."""
        slope = _value(_derivative(neuron.terms()), time - neuron.time)
        self.spikes.append((time, neuron.index, slope))
        neuron.advance(time)
        neuron.v = neuron.v_reset
        self.emit(time, neuron.index)
        neuron.held = neuron.t_ref > 0
        if neuron.held:
            self.schedule(time + neuron.t_ref, RELEASE, 0, neuron.index)
        self.predict(neuron)

    def handle(self, time: Real, rank: int, order: int, index: int) -> None:
        """Let one pending event happen."""
        if rank == INPUT:
            self.emit(time, index)
        elif rank == SAMPLE:
            self.voltages[order] = self.neurons[index].voltage(time)
        elif rank == RELEASE:
            self.neurons[index].advance(time)
            self.neurons[index].held = False
            self.predict(self.neurons[index])
        else:
            neuron = self.neurons[self.model.post[index]]
            neuron.advance(time)
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
            digits=digits,
        )


# --- the loss -----------------------------------------------------------------------------------


def weighed_loss(
    case: Mapping[str, Any], times: Sequence[Real], voltages: Sequence[Real], digits: int
) -> Real:
    """Weigh spike times and voltages with the cotangents of the case."""
    cotangents = _exact(case["cotangent"])
    sampled = _exact(sample["cotangent"] for sample in case.get("voltage_samples") or [])
    if len(cotangents) != len(times):
        raise ValueError(f"{len(cotangents)} cotangents for {len(times)} spikes")
    mp = require_mpmath()
    with mp.workdps(digits + GUARD):
        return mp.fdot(map(real, cotangents), times) + mp.fdot(map(real, sampled), voltages)


def matched(base: OracleRun, run: OracleRun, what: str) -> list[Real]:
    """Put the spike times of a run in the order of the base run, by neuron and ordinal."""
    if sorted(base.spike_neurons) != sorted(run.spike_neurons):
        raise PatternChangedError(f"the spike pattern changes with {what}")
    trains: dict[int, list[Real]] = {}
    for time, neuron in zip(run.spike_times, run.spike_neurons, strict=True):
        trains.setdefault(neuron, []).append(time)
    ordered = {neuron: iter(train) for neuron, train in trains.items()}
    return [next(ordered[neuron]) for neuron in base.spike_neurons]
