"""Arbitrary-precision oracle: spikes, voltages and gradients of a case file, to any digits.

The model is the leaky integrate-and-fire neuron with exponential synaptic currents

    tau_m V'  = -(V - v_rest) + i_ext + sum_k c_k I_k,        tau_k I_k' = -I_k,

so that between two events of a neuron ``V - v_th`` is a sum of exponentials. Every root of it is
found (`validation.oracle.roots`), hence every spike (`validation.oracle.events`). Parameters are
exact decimals (`validation.oracle.model`). Gradients are central differences of the whole
simulation: nothing of an adjoint is used here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from refsim.models.lif.parameters import BOUNDED, NAMES
from validation.oracle.events import OracleRun, run_model
from validation.oracle.model import GUARD, Real, exact, read_model, real, require_mpmath, shifted


class PatternChangedError(ValueError):
    """A difference step made a spike appear or vanish, or pass a sample: there is no gradient."""


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
        If a neuron spikes more or less often after a step, or an event passes a sample of its
        neuron whichever way the step goes.

    Notes
    -----
    A delay, a refractory time or an input time of zero cannot be made smaller. Its derivative is
    the one from the right, ``(-3 L(0) + 4 L(h) - L(2h)) / 2h``, also of second order. So it is
    where a sample coincides with an event of its neuron, with a step of the sign that leaves the
    event before the sample.
    """
    mp = require_mpmath()
    model = read_model(case)
    base = run_model(model, digits)
    relative = Fraction(1, 10 ** (digits // 3)) if step is None else Fraction(str(step))
    wanted = {group: range(len(model.values[group])) for group in NAMES}
    chosen = wanted if entries is None else entries

    def shifted_loss(group: str, index: int, shift: Fraction) -> Real:
        run = run_model(shifted(model, group, index, shift), digits)
        return weighed_loss(case, matched(base, run, f"{group}[{index}]"), run.voltages, digits)

    def to_one_side(group: str, index: int, h: Fraction) -> Real:
        once, twice = (shifted_loss(group, index, k * h) for k in (1, 2))
        return (4 * once - twice - 3 * loss(case, base)) / (2 * real(h))

    def central(group: str, index: int, h: Fraction) -> Real:
        right, left = (shifted_loss(group, index, k * h) for k in (1, -1))
        return (right - left) / (2 * real(h))

    def derivative(group: str, index: int) -> Real:
        value = model.values[group][index]
        h = relative * max(Fraction(1), abs(value))
        if group in BOUNDED and value < h:
            return to_one_side(group, index, h)
        try:
            return central(group, index, h)
        except PatternChangedError:
            if len(base.before) == 0:
                raise
        try:
            return to_one_side(group, index, h)
        except PatternChangedError:
            return to_one_side(group, index, -h)

    with mp.workdps(digits + GUARD):
        table = {group: {i: derivative(group, i) for i in chosen[group]} for group in chosen}
    if entries is not None:
        return dict(table)
    return {group: list(column.values()) for group, column in table.items()}


def weighed_loss(
    case: Mapping[str, Any], times: Sequence[Real], voltages: Sequence[Real], digits: int
) -> Real:
    """Weigh spike times and voltages with the cotangents of the case."""
    cotangents = exact(case["cotangent"])
    sampled = exact(sample["cotangent"] for sample in case.get("voltage_samples") or [])
    if len(cotangents) != len(times):
        raise ValueError(f"{len(cotangents)} cotangents for {len(times)} spikes")
    mp = require_mpmath()
    with mp.workdps(digits + GUARD):
        return mp.fdot(map(real, cotangents), times) + mp.fdot(map(real, sampled), voltages)


def matched(base: OracleRun, run: OracleRun, what: str) -> list[Real]:
    """Put the spike times of a run in the order of the base run, by neuron and ordinal."""
    if sorted(base.spike_neurons) != sorted(run.spike_neurons):
        raise PatternChangedError(f"the spike pattern changes with {what}")
    if base.before != run.before:
        raise PatternChangedError(f"an event passes a sample of its neuron with {what}")
    trains: dict[int, list[Real]] = {}
    for time, neuron in zip(run.spike_times, run.spike_neurons, strict=True):
        trains.setdefault(neuron, []).append(time)
    ordered = {neuron: iter(train) for neuron, train in trains.items()}
    return [next(ordered[neuron]) for neuron in base.spike_neurons]
