"""Known values: spike times, voltages and gradients that come with a case."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adjoint.check import Evaluation, Judgement
from validation.tolerances import gradient_rounding, time_rounding, voltage_rounding

# More where a crossing grazes, see `validation.tolerances`.
SPIKE_TOLERANCE = 1e-12
GRADIENT_TOLERANCE = 1e-10


def relative(ours: NDArray[np.float64], known: NDArray[np.float64]) -> float:
    """Return the largest difference relative to the largest known value."""
    if not len(known):
        return 0.0
    difference = float(np.max(np.abs(ours - known)))
    size = float(np.max(np.abs(known)))
    return difference / size if size > 0.0 else difference


def _without_half(
    ours: NDArray[np.float64], known: NDArray[np.float64], at_bound: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], bool]:
    """Undo the halving of derivatives at the end of a parameter's domain.

    A central difference across a bound at zero, with values below clamped to zero, is the mean of
    the derivative from the right and of zero. Where all such entries are half of ours, the file
    was made in that way, and they are doubled.
    """
    if not at_bound.any() or not np.any(known[at_bound]):
        return known, False
    scale = np.max(np.abs(ours))
    halved = np.abs(2.0 * known - ours)[at_bound] <= GRADIENT_TOLERANCE * scale
    if not halved.all():
        return known, False
    return np.where(at_bound, 2.0 * known, known), True


def _other_spikes(evaluation: Evaluation) -> str:
    """Return how our spikes differ from the known ones in number or order, "" if they do not."""
    known, spikes = evaluation.case.expected, evaluation.simulation.spikes
    if known.spike_times is None:
        return ""
    if len(known.spike_times) != len(spikes.time):
        return f"{len(spikes.time)} spikes, {len(known.spike_times)} in the file"
    if known.spike_neurons is None or np.array_equal(spikes.neuron, known.spike_neurons):
        return ""
    k = int(np.flatnonzero(spikes.neuron != known.spike_neurons)[0])
    return f"spike {k} is of neuron {spikes.neuron[k]}, {known.spike_neurons[k]} in the file"


def judge(evaluation: Evaluation) -> Judgement:
    """Compare with the known values; each error is given as a multiple of its tolerance."""
    case, simulation = evaluation.case, evaluation.simulation
    known = case.expected
    errors: dict[str, tuple[float, float]] = {}
    notes = []
    difference = _other_spikes(evaluation)
    if difference:
        return Judgement(case.name, "known values", "fail", np.inf, 0.0, "spikes", difference)
    of_voltages = max(SPIKE_TOLERANCE, voltage_rounding(simulation))
    of_gradient = max(GRADIENT_TOLERANCE, gradient_rounding(simulation))
    if known.spike_times is not None:
        late = np.abs(simulation.spikes.time - known.spike_times)
        size = np.abs(simulation.spikes.time) + time_rounding(simulation) / SPIKE_TOLERANCE
        errors["spike_times"] = (float(np.max(late / size, initial=0.0)), SPIKE_TOLERANCE)
    if known.voltages is not None:
        errors["voltages"] = (relative(simulation.voltages, known.voltages), of_voltages)
    bounds = {"t_ref": case.network.t_ref == 0.0, "delay": case.network.delay == 0.0}
    for name, values in known.gradient.items():
        ours = getattr(evaluation.gradient, name)
        if name in bounds:
            values, halved = _without_half(ours, values, bounds[name])
            if halved:
                notes.append(f"{name} at 0: file holds half of the derivative from the right")
        errors[name] = (relative(ours, values), of_gradient)
    if not errors:
        return Judgement(case.name, "known values", "skip", np.nan, np.nan, "", "none in the case")
    worst = max(errors, key=lambda name: errors[name][0] / errors[name][1])
    error, tolerance = errors[worst]
    verdict = "pass" if error <= tolerance else "fail"
    return Judgement(case.name, "known values", verdict, error, tolerance, worst, "; ".join(notes))
