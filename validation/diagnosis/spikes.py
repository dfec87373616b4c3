"""Causes that show in the spikes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refsim.engine import simulate
from refsim.errors import RefsimError
from refsim.network.network import Network
from validation.comparison.certificate import in_words
from validation.comparison.comparison import (
    compared,
    first_difference,
    largest,
    same_spikes,
    scales,
)
from validation.comparison.judging import PRECISIONS, ROUNDINGS
from validation.comparison.lateness import LEFT_BY_ROUNDING
from validation.comparison.shifts import differences, shifts
from validation.diagnosis.causes import Explanation, Suspect, explanation

# Back ends without a step are as exact as the reference: a shift explains all or nothing.
SHIFT_LEFT = 1e-3

# Usual steps in ms, from long to short: what falls on a long one falls on shorter ones too.
STEPS = tuple(m * 10.0**k for k in (0, -1, -2, -3) for m in (1.0, 0.5, 0.25, 0.2, 0.125))
BY_CHANCE = 1e-6  # with which times that are on no grid would be taken for multiples of a step

LEAST_OF_FLOAT32 = 1e-9  # relative: a sixtieth of what rounding to 24 bits does to one number


def of_spikes(suspect: Suspect) -> Iterator[Explanation]:
    """Return explanations of spikes that differ."""
    if "spike_times" in suspect.answer.problems:
        yield explanation("unsorted spikes", suspect.answer.problems["spike_times"])
        return
    yield from _other_units(suspect)
    yield from _on_a_grid(suspect)
    yield from _permuted(suspect)
    yield from _late(suspect)
    yield from _other_parameters(suspect)
    yield from _missing_or_extra(suspect)


def tolerance(suspect: Suspect) -> float:
    """Return the tolerance of spike times in ms."""
    return suspect.measure.moved * scales(suspect.reference)["spike_times"]


def _other_units(suspect: Suspect) -> Iterator[Explanation]:
    times = compared(suspect.reference, suspect.answer).get("spike_times")
    if times is None or not len(times.reference):
        return
    for unit, factor in (("seconds", 1e3), ("microseconds", 1e-3)):
        if largest(factor * times.answer - times.reference) <= tolerance(suspect):
            yield explanation("other units", f"spike times are in {unit}; expected ms")


def _on_a_grid(suspect: Suspect) -> Iterator[Explanation]:
    """Look for a step of which all spike times are multiples, and those of the reference not."""
    times, ours = suspect.answer.time, suspect.reference.simulation.spikes.time
    if suspect.on_grid or len(times) < 2:
        return
    step = step_of(times)
    if step is not None and 2 * np.count_nonzero(_off_grid(ours, step) > 0.0) > len(ours):
        text = f"all spike times are multiples of {step:g} ms; expected steps=, or --steps"
        yield explanation("time grid without steps", text, 1e-3)


def step_of(times: NDArray[np.float64]) -> float | None:
    """Return the longest of `STEPS` of which all times are multiples, and hardly by chance."""
    for step in STEPS:
        by_chance = np.prod(2.0 * _rounding(times, step))
        if by_chance < BY_CHANCE and np.all(_off_grid(times, step) <= 0.0):
            return step
    return None


def _off_grid(times: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Return by how much times are further from multiples of a step than rounding, in steps."""
    number = times / step
    return np.abs(number - np.rint(number)) - _rounding(times, step)


def _rounding(times: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Return how far from a multiple rounding to float32 may take times, in steps."""
    return 1e-6 + 2.0**-24 * (times / step)


def _permuted(suspect: Suspect) -> Iterator[Explanation]:
    spikes, answer = suspect.reference.simulation.spikes, suspect.answer
    if len(answer.time) != len(spikes.time) or not len(spikes.time):
        return
    if largest(np.sort(answer.time) - np.sort(spikes.time)) > tolerance(suspect):
        return
    n = suspect.reference.case.network.n_neurons
    ours = [spikes.time[spikes.neuron == i] for i in range(n)]
    theirs = [answer.time[answer.neuron == i] for i in range(n)]
    renamed = {}
    for i, train in enumerate(ours):
        same = [
            j
            for j in range(n)
            if len(theirs[j]) == len(train) and largest(theirs[j] - train) <= tolerance(suspect)
        ]
        if not same:
            yield explanation(
                "permuted neurons", "spike times agree, their neurons are mixed up", 1e-3
            )
            return
        renamed[i] = i if i in same else same[0]
    changed = [f"{i} as {j}" for i, j in renamed.items() if i != j and len(ours[i])]
    if changed:
        yield explanation("permuted neurons", "spike times agree; neuron " + ", ".join(changed[:4]))


def _late(suspect: Suspect) -> Iterator[Explanation]:
    if suspect.on_grid:
        failing = [row for row in suspect.late if row.verdict == "fail"]
        if failing:
            yield explanation("off by one step", in_words(failing), LEFT_BY_ROUNDING)
        return
    for fit in shifts(suspect.reference, suspect.answer):
        rounding = 100.0 * tolerance(suspect)
        left = fit.left * largest(differences(suspect.reference, suspect.answer))
        if abs(fit.shift) > rounding and left <= max(rounding, SHIFT_LEFT * abs(fit.shift)):
            yield explanation(
                "off by one step",
                f"every {fit.what} is {_late_or_early(fit.shift)}, which explains all spike times",
                fit.left,
            )


def _late_or_early(shift: float) -> str:
    return f"{abs(shift):.6g} ms {'late' if shift > 0 else 'early'}"


def _missing_or_extra(suspect: Suspect) -> Iterator[Explanation]:
    if same_spikes(suspect.reference, suspect.answer):
        return
    first = first_difference(suspect.reference, suspect.answer, tolerance(suspect))
    ours, theirs = len(suspect.reference.simulation.spikes.time), len(suspect.answer.time)
    if first is None or first.kind == "moved":
        return
    count = f"{theirs} spikes, the reference has {ours}"
    if first.kind == "missing":
        text = f"spike {first.nth} of neuron {first.neuron} at {first.reference:.6g} ms is missing"
        yield explanation("spike dropped", f"{text}; {count}", 0.01)
    else:
        text = f"neuron {first.neuron} spikes at {first.answer:.6g} ms"
        yield explanation("spurious spike", f"{text}; {count}", 0.01)


def _other_parameters(suspect: Suspect) -> Iterator[Explanation]:
    """Look for a value of one parameter with which the reference gives these spikes."""
    if suspect.on_grid:
        return
    case, answer = suspect.reference.case, suspect.answer
    for text, network in _others(case.network):
        try:
            run = simulate(
                network, case.inputs, case.duration, max_spikes=10 * len(answer.time) + 1000
            )
        except RefsimError:
            continue
        if not np.array_equal(run.spikes.neuron, answer.neuron):
            continue
        if largest(run.spikes.time - answer.time) <= 100.0 * tolerance(suspect):
            yield explanation("parameter ignored", f"the spikes are those of {text}")


def _others(network: Network) -> Iterator[tuple[str, Network]]:
    """Return networks in which one parameter is not what it should be."""
    changes: dict[str, dict[str, Any]] = {
        "t_ref = 0": {"t_ref": 0.0},
        "delay = 0": {"delay": 0.0},
        "i_ext = 0": {"i_ext": 0.0},
        "v_reset = 0": {"v_reset": 0.0},
        "v_reset = v_rest": {"v_reset": network.v_rest},
        "v0 = 0": {"v0": 0.0},
        "v0 = v_rest": {"v0": network.v_rest},
        "v0 = v_reset": {"v0": network.v_reset},
        "v_rest = 0": {"v_rest": 0.0},
    }
    for name in ("tau_m", "v_th", "v_reset", "t_ref", "delay"):
        values = getattr(network, name)
        if len(values):
            changes[f"{name} = {values[0]:g} everywhere"] = {name: values[0]}
            changes[f"{name} = its mean, {np.mean(values):g}, everywhere"] = {
                name: float(np.mean(values))
            }
    for text, change in changes.items():
        if all(np.all(getattr(network, name) == value) for name, value in change.items()):
            continue
        try:
            yield text, network.replace(**change)
        except RefsimError:
            continue


def _rounded(suspect: Suspect) -> bool:
    """Return whether spike times and most groups are as inexact as float32 makes them."""
    errors = {row.group: row.error for row in suspect.groups if not np.isnan(row.error)}
    if len(suspect.answer.time) and errors.get("spike_times", np.inf) < LEAST_OF_FLOAT32:
        return False
    wrong = [error for error in errors.values() if error > 0.0]
    return 2 * sum(error > LEAST_OF_FLOAT32 for error in wrong) >= len(wrong)


def of_rounding(suspect: Suspect) -> Iterator[Explanation]:
    """Return "float32" if all errors are small enough for it, and none too small."""
    if suspect.on_grid or not (suspect.answer.in_float32 or _rounded(suspect)):
        return
    exact, single = PRECISIONS["float64"], PRECISIONS["float32"]
    worst = 0.0
    for row in suspect.groups:
        if not np.isfinite(row.error):
            if row.verdict == "fail":
                return
            continue
        excess = max(0.0, row.tolerance - exact.floor_of(row.group))
        if row.error > single.tolerance(row.group, excess / (ROUNDINGS * exact.eps)):
            return
        worst = max(worst, row.error)
    numbers = "every number is one that float32 can hold, and " if suspect.answer.in_float32 else ""
    yield explanation(
        "float32",
        f"{numbers}the largest error is {worst:.1e}, as rounding to 24 bits gives",
        0.02 if suspect.answer.in_float32 else 0.5,
    )
