"""The oracle as a judge: spikes, voltages and a directional derivative to 40 digits.

The derivative along one random direction through all parameters is taken from the oracle by a
one-sided difference of second order, whose step of 1e-14 leaves an error below 1e-20. Every group
has a share of comparable size in the direction, so an error in any of them shows.

Where a sample coincides with an event of its neuron, the side is taken that leaves the event before
the sample. The oracle takes numbers as exact decimals, whose sums coincide where those in floating
point do not, and the reverse: it says nothing of samples that come after other events there.
"""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

import numpy as np

from adjoint.check import Evaluation, Judgement
from adjoint.types import Parameters
from refsim.cases import to_dict
from refsim.network.parameters import BOUNDED, OF_NEURONS, OF_SYNAPSES
from validation.judges.duality import random_direction
from validation.perturbation import PatternChangedError, events_before_samples, value_of
from validation.tolerances import gradient_rounding, slope_condition

DIGITS = 40
STEP = Fraction(1, 10**14)
# Multiples of the rounding weight of validation.tolerances: spike times carry the rounding of
# their slope, and errors made early are handed on to later spikes.
TOLERANCE = 1e-12
_ROUNDED = "by rounding a sample is on the other side of an event of its neuron"
# The oracle visits every neuron at every event: some milliseconds each.
LARGEST = 10_000


def _shifted(data: dict[str, Any], case: Any, direction: Parameters, h: Fraction) -> dict[str, Any]:
    """Return the case document with all parameters moved, as exact fractions in decimal."""
    moved = {
        name: [
            str_exact(Fraction(repr(float(x))) + h * Fraction(float(d)))
            for x, d in zip(value_of(case, name), values, strict=True)
        ]
        for name, values in direction.items()
    }
    neurons = data["neurons"] | {name: moved[name] for name in OF_NEURONS}
    taus = iter(moved["tau"])
    neurons["ports"] = [
        {key: value if key == "kind" else next(taus) for key, value in port.items()}
        for port in neurons["ports"]
    ]
    synapses = data["synapses"] | {name: moved[name] for name in OF_SYNAPSES}
    inputs = data["inputs"] | {"times": moved["input_times"]}
    return data | {"neurons": neurons, "synapses": synapses, "inputs": inputs}


def str_exact(value: Fraction) -> str:
    """Return a decimal string good to 60 digits."""
    context = Context(prec=60)
    return str(context.divide(Decimal(value.numerator), Decimal(value.denominator)))


def _direction(evaluation: Evaluation, sign: int) -> Parameters:
    """Return a random direction, or its opposite, that stays in the domain of every parameter."""
    drawn = random_direction(evaluation, np.random.default_rng(5))
    shares = {name: sign * values for name, values in drawn.items()}
    for name in BOUNDED:
        at_zero = value_of(evaluation.case, name) == 0.0
        shares[name] = np.where(at_zero, np.abs(shares[name]), shares[name])
    return Parameters(**shares)


def reason_of_absence() -> str:
    """Return why this judge cannot be asked, "" if it can."""
    return "" if find_spec("mpmath") else 'needs mpmath: pip install "refsim[oracle]"'


def judge(evaluation: Evaluation) -> Judgement:
    """Compare spikes, voltages and one directional derivative with the oracle."""
    case, simulation = evaluation.case, evaluation.simulation
    name = "mpmath oracle"

    def skip(note: str) -> Judgement:
        return Judgement(case.name, name, "skip", np.nan, TOLERANCE, "", note)

    if reason_of_absence():
        return skip(reason_of_absence())
    size = case.network.n_neurons * (simulation.counts.arrivals + simulation.counts.spikes)
    if size > LARGEST:
        return skip(f"too large for the oracle ({size} neuron-events, at most {LARGEST})")
    return _compare(evaluation, name)


def _compare(evaluation: Evaluation, name: str) -> Judgement:
    from validation import oracle

    case, simulation = evaluation.case, evaluation.simulation
    data = to_dict(case)
    base = oracle.simulate(data, DIGITS)
    if base.spike_neurons != simulation.spikes.neuron.tolist():
        note = f"{len(simulation.spikes.time)} spikes, {len(base.spike_times)} by the oracle"
        return Judgement(case.name, name, "fail", np.inf, TOLERANCE, "spikes", note)
    kappa = float(np.max(slope_condition(simulation), initial=1.0))
    errors = {"spike_times": 0.0, "voltages": 0.0}
    for time, known in zip(simulation.spikes.time, base.spike_times, strict=True):
        error = abs(float(known - float(time))) / (float(known) * kappa)
        errors["spike_times"] = max(errors["spike_times"], error)
    is_same = [
        tuple(ours) == theirs
        for ours, theirs in zip(events_before_samples(simulation).T, base.before, strict=True)
    ]
    for i in np.flatnonzero(is_same):
        voltage, known = simulation.voltages[i], base.voltages[i]
        reach = np.maximum(np.abs(case.network.v_th), case.network.v_th - case.network.v_reset)
        scale = float(np.max(reach)) * kappa
        errors["voltages"] = max(errors["voltages"], abs(float(known - float(voltage))) / scale)
    note = ""
    if 0.0 in (simulation.conditioning.min_gap, simulation.conditioning.min_release_gap):
        note = "spikes only: an arrival coincides with a crossing or a release"
    elif not all(is_same):
        note = f"spikes and other voltages only: {_ROUNDED}"
    else:
        try:
            errors["gradient"] = _gradient_error(evaluation, data, base, kappa)
        except PatternChangedError as error:
            note = f"spikes and voltages only: {error}"
    worst = max(errors, key=lambda key: errors[key])
    verdict = "pass" if errors[worst] <= TOLERANCE else "fail"
    return Judgement(case.name, name, verdict, errors[worst], TOLERANCE, worst, note)


def _gradient_error(evaluation: Evaluation, data: dict[str, Any], base: Any, kappa: float) -> float:
    import mpmath

    from validation import oracle

    case = evaluation.case

    def moved(sign: int) -> tuple[Parameters, list[tuple]]:
        direction = _direction(evaluation, sign)
        near, far = (
            oracle.simulate(_shifted(data, case, direction, k * STEP), DIGITS) for k in (1, 2)
        )
        return direction, _matched(evaluation, base, near, far)

    try:
        direction, rows = moved(1)
    except PatternChangedError:
        direction, rows = moved(-1)
    with mpmath.workdps(DIGITS):
        known = sum(
            float((4 * b - 3 * a - c) * int(1 / (2 * STEP))) * float(bar) for bar, a, b, c in rows
        )
    terms = np.concatenate(
        [values * getattr(direction, name) for name, values in evaluation.gradient.items()]
    )
    weight = float(np.abs(terms).sum())
    difference = abs(float(terms.sum()) - known)
    allowed = max(kappa, gradient_rounding(evaluation.simulation) / TOLERANCE)
    return difference / (weight * allowed) if weight > 0.0 else difference


def _matched(evaluation: Evaluation, *runs: Any) -> list[tuple]:
    """Return (cotangent, value in each run) for every spike and sample."""
    case = evaluation.case
    if len({tuple(sorted(run.spike_neurons)) for run in runs}) > 1:
        raise PatternChangedError("a step of 1e-14 changes the spike pattern")
    if any(run.before != runs[0].before for run in runs):
        raise PatternChangedError("some events pass a sample of their neuron either way")
    orders = [np.argsort(run.spike_neurons, kind="stable") for run in runs]
    rows = []
    for indices in zip(*orders, strict=True):
        values = [run.spike_times[i] for run, i in zip(runs, indices, strict=True)]
        rows.append((evaluation.time_bar[indices[0]], *values))
    for i, bar in enumerate(case.voltage_bar):
        rows.append((bar, *(run.voltages[i] for run in runs)))
    return rows
