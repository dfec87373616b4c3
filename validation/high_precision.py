"""The oracle as a judge: spikes, voltages and a directional derivative to 40 digits.

The derivative along one random direction through all parameters is taken from the oracle by a
one-sided difference of second order, whose step of 1e-14 leaves an error below 1e-20. Every group
has a share of comparable size in the direction, so an error in any of them shows.
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
from validation.duality import random_direction
from validation.perturbation import BOUNDED, PatternChangedError, value_of
from validation.tolerances import gradient_rounding, slope_condition

DIGITS = 40
STEP = Fraction(1, 10**14)
# Multiples of the rounding weight of validation.tolerances: spike times carry the rounding of
# their slope, and errors made early are handed on to later spikes.
TOLERANCE = 1e-12
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
    neurons = dict(data["neurons"])
    for name in ("tau_m", "v_th", "v_reset", "v_rest", "i_ext", "t_ref", "v0"):
        neurons[name] = moved[name]
    taus = iter(moved["tau"])
    neurons["ports"] = [
        {key: value if key == "kind" else next(taus) for key, value in port.items()}
        for port in neurons["ports"]
    ]
    synapses = data["synapses"] | {"weight": moved["weight"], "delay": moved["delay"]}
    inputs = data["inputs"] | {"times": moved["input_times"]}
    return data | {"neurons": neurons, "synapses": synapses, "inputs": inputs}


def str_exact(value: Fraction) -> str:
    """Return a decimal string good to 60 digits."""
    context = Context(prec=60)
    return str(context.divide(Decimal(value.numerator), Decimal(value.denominator)))


def _direction(evaluation: Evaluation) -> Parameters:
    """Return a random direction that stays inside the domain of every parameter."""
    drawn = random_direction(evaluation, np.random.default_rng(5))
    shares = dict(drawn.items())
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
    for voltage, known in zip(simulation.voltages, base.voltages, strict=True):
        reach = np.maximum(np.abs(case.network.v_th), case.network.v_th - case.network.v_reset)
        scale = float(np.max(reach)) * kappa
        errors["voltages"] = max(errors["voltages"], abs(float(known - float(voltage))) / scale)
    note = ""
    if simulation.conditioning.has_ties:
        note = "spikes only: an arrival coincides with a crossing or a release"
    else:
        try:
            errors["gradient"] = _gradient_error(evaluation, data, base, kappa)
        except PatternChangedError as error:
            note = f"spikes only: {error}"
    worst = max(errors, key=lambda key: errors[key])
    verdict = "pass" if errors[worst] <= TOLERANCE else "fail"
    return Judgement(case.name, name, verdict, errors[worst], TOLERANCE, worst, note)


def _gradient_error(evaluation: Evaluation, data: dict[str, Any], base: Any, kappa: float) -> float:
    import mpmath

    from validation import oracle

    case = evaluation.case
    direction = _direction(evaluation)
    near = oracle.simulate(_shifted(data, case, direction, STEP), DIGITS)
    far = oracle.simulate(_shifted(data, case, direction, 2 * STEP), DIGITS)
    with mpmath.workdps(DIGITS):
        known = sum(
            float((4 * b - 3 * a - c) * int(1 / (2 * STEP))) * float(bar)
            for bar, a, b, c in _matched(evaluation, base, near, far)
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
    orders = [np.argsort(run.spike_neurons, kind="stable") for run in runs]
    rows = []
    for indices in zip(*orders, strict=True):
        values = [run.spike_times[i] for run, i in zip(runs, indices, strict=True)]
        rows.append((evaluation.time_bar[indices[0]], *values))
    for i, bar in enumerate(case.voltage_bar):
        rows.append((bar, *(run.voltages[i] for run in runs)))
    return rows
