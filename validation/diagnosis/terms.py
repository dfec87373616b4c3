"""Causes that are terms of the adjoint: what a gradient would be without them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from refsim.errors import RefsimError
from validation.comparison.backend import LossCotangents
from validation.comparison.comparison import largest
from validation.diagnosis import plain, variants
from validation.diagnosis.causes import Explanation, Suspect, explanation

# Spikes and arrivals of a case whose variants are computed: a second or two.
LARGEST = 10_000
RESET, RELEASE = "missing reset term", "refractory release term missing"
ARRIVALS = "arrival times have no gradient"
CAUSE_OF = {
    "no_reset_term": RESET,
    "no_reset_term_nor_t_ref": RESET,
    "reset_passes": RESET,
    "no_release_term": RELEASE,
    "release_at_spike": RELEASE,
    "no_hold": RELEASE,
    "no_slope": "missing division by the slope",
    "no_boundary_term": "missing boundary term of arrivals",
    "no_arrival_times": ARRIVALS,
    "no_path_through_spikes": ARRIVALS,
    "constant_gain": "normalisation taken as constant",
}


def of_terms(suspect: Suspect) -> Iterator[Explanation]:
    """Return explanations by a term that is left out, or wrong."""
    counts = suspect.reference.simulation.counts
    if not suspect.failing or counts.spikes + counts.arrivals > LARGEST:
        return
    reference = suspect.reference
    spikes = reference.simulation.spikes
    log = plain.simulate(reference.case)
    if not np.array_equal(np.sort(log.neuron), np.sort(spikes.neuron)):
        return
    cotangents = LossCotangents.of(reference.case, spikes.neuron)
    time_bar = cotangents.of_spikes(log.neuron)
    for bug, cause in CAUSE_OF.items():
        supposed = variants.gradient(log, time_bar, cotangents.voltage, [bug])
        left = suspect.left(dict(supposed.items()))
        if left is not None:
            yield explanation(cause, f"the answer is as if {variants.BUGS[bug]}", left)


def of_loss(suspect: Suspect) -> Iterator[Explanation]:
    """Return explanations by a part of the loss that is left out."""
    reference = suspect.reference
    time_bar, voltage_bar = reference.time_bar, reference.case.voltage_bar
    ones = np.ones_like(time_bar)
    parts = {
        "the voltage samples are left out": (time_bar, 0.0 * voltage_bar),
        "the spike times are left out": (0.0 * time_bar, voltage_bar),
        "every spike had the cotangent 1": (ones, voltage_bar),
    }
    for text, bars in parts.items():
        try:
            supposed = dict(reference.pullback(*bars).items())
        except RefsimError:
            continue
        left = suspect.left(supposed)
        if left is not None:
            yield explanation("cotangents ignored", f"as if {text}", left)


def of_the_future(suspect: Suspect) -> Iterator[Explanation]:
    """Ask for the gradient of the first spike alone, which no later input can have."""
    reference = suspect.reference
    case, spikes = reference.case, reference.simulation.spikes
    later = case.inputs.times > spikes.time[0] if len(spikes.time) else np.zeros(0, bool)
    if "input_times" not in suspect.answer.gradient or not later.any():
        return
    first = np.zeros(len(spikes.time))
    first[0] = 1.0
    alone = replace(case, time_bar=first, voltage_bar=np.zeros(len(case.samples)))
    try:
        answer = suspect.ask(LossCotangents.of(alone, spikes.neuron))
    except Exception:  # whatever it raises: a back end may not answer twice, and has its verdict
        return
    found = answer.gradient.get("input_times", np.zeros(len(later)))
    if largest(found[later]) > 1e-6 * max(1.0, largest(found)):
        row = int(np.argmax(np.where(later, np.abs(found), 0.0)))
        yield explanation(
            "acausal gradient",
            f"the spike at {spikes.time[0]:.6g} ms has dt/d(input) = {found[row]:.3g} by the "
            f"input at {case.inputs.times[row]:.6g} ms",
            0.02,
        )
