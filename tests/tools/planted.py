"""Certificates of answers whose errors are known, for tests of what is made of certificates.

The answers are those of refsim itself: exact, or of another network or on a grid of time, so that
their errors look as errors of a simulator do.
"""

from dataclasses import replace

import numpy as np

import adjoint
import refsim
from adjoint.check import evaluate
from validation.comparison.backend import Answer, nth_of_neuron
from validation.comparison.certificate import (
    CaseVerdict,
    Cause,
    Certificate,
    GroupVerdict,
    SpikeDifference,
    StepErrors,
)

TOLERANCE = 1e-9
GRID_TOLERANCE = 0.05
STEPS = (0.4, 0.2, 0.1, 0.05)  # ms


def answer(case, bars=None, **options):
    """Return what refsim answers, with cotangents by (neuron, number of the spike)."""
    run, pullback = adjoint.vjp(
        case.network, case.inputs, case.duration, samples=case.samples, **options
    )
    keys = zip(run.spikes.neuron, nth_of_neuron(run.spikes.neuron), strict=True)
    bar = case.time_bar if bars is None else [bars.get(key, 0.0) for key in keys]
    gradient = dict(pullback(bar, case.voltage_bar).items())
    return Answer(run.spikes.time, run.spikes.neuron, gradient, run.voltages)


def bars_of(evaluation):
    neuron = evaluation.simulation.spikes.neuron
    keys = zip(neuron, nth_of_neuron(neuron), strict=True)
    return dict(zip(keys, evaluation.time_bar, strict=True))


def exact(evaluation):
    return answer(evaluation.case)


def turned_delays(evaluation):
    """Return the exact answer with the gradient of delays of the wrong sign."""
    right = exact(evaluation)
    return right._replace(gradient=right.gradient | {"delay": -right.gradient["delay"]})


def raised_threshold(evaluation):
    """Return the answer of a network whose thresholds are 3 % higher: spikes move and go."""
    network = evaluation.case.network
    other = replace(evaluation.case, network=network.replace(v_th=1.03 * network.v_th))
    return answer(other, bars_of(evaluation))


def without_voltages(evaluation):
    return exact(evaluation)._replace(voltages=None)


def on_grid(evaluation, dt):
    """Return the answer of a simulation whose arrivals wait for the next point of a grid."""
    return answer(evaluation.case, bars_of(evaluation), engine=refsim.Events(dt=dt))


def error_of(reference, given):
    if given.shape != reference.shape or not reference.size:
        return (0.0 if given.shape == reference.shape else np.inf), -1
    error = np.abs(given - reference)
    worst = int(np.argmax(error))
    scale = np.abs(reference).max()
    return float(error[worst] / scale if scale else error[worst]), worst


def group(name, reference, given, tolerance):
    if given is None:
        return GroupVerdict(
            name, "skip", np.nan, tolerance, -1, reference, np.zeros(0), "not offered"
        )
    given = np.asarray(given, dtype=np.float64)
    error, worst = error_of(reference, given)
    verdict = "pass" if error <= tolerance else "fail"
    return GroupVerdict(name, verdict, error, tolerance, worst, reference, given)


def groups_of(evaluation, said, tolerance):
    spikes = evaluation.simulation.spikes
    known = dict(evaluation.gradient.items())
    return (
        group("spike_times", spikes.time, said.time, tolerance),
        group("voltages", evaluation.simulation.voltages, said.voltages, tolerance),
        *(group(name, ref, said.gradient.get(name), tolerance) for name, ref in known.items()),
    )


def first_difference(evaluation, said, tolerance):
    """Return the first spike that is missing, extra or moved."""
    spikes = evaluation.simulation.spikes
    columns = ((spikes.neuron, spikes.time), (said.neuron, said.time))
    reference, given = (
        {(int(n), int(i)): t for n, i, t in zip(neuron, nth_of_neuron(neuron), time, strict=True)}
        for neuron, time in columns
    )
    found = []
    for key in reference.keys() | given.keys():
        ours, theirs = reference.get(key, np.nan), given.get(key, np.nan)
        if not abs(ours - theirs) <= tolerance:
            kind = "extra" if np.isnan(ours) else "missing" if np.isnan(theirs) else "moved"
            found.append(SpikeDifference(kind, *key, float(ours), float(theirs)))
    return min(found, key=lambda d: np.nanmin([d.reference, d.answer]), default=None)


def verdict_of(evaluation, said, tolerance=TOLERANCE, **more):
    spikes = evaluation.simulation.spikes
    groups = groups_of(evaluation, said, tolerance)
    failed = [g.group for g in groups if g.verdict == "fail"]
    return CaseVerdict(
        case=evaluation.case,
        verdict="fail" if failed else "pass",
        note=f"{', '.join(failed)} beyond tolerance" if failed else "",
        conditioning=evaluation.simulation.conditioning,
        reference_time=spikes.time,
        reference_neuron=spikes.neuron,
        answer_time=np.asarray(said.time),
        answer_neuron=np.asarray(said.neuron),
        groups=groups,
        first_difference=first_difference(evaluation, said, 100.0 * tolerance),
        seconds=0.0125,
        **more,
    )


def skipped(evaluation):
    spikes = evaluation.simulation.spikes
    none = np.zeros(0)
    return CaseVerdict(
        case=evaluation.case,
        verdict="skip",
        note="refractory times are not offered",
        conditioning=evaluation.simulation.conditioning,
        reference_time=spikes.time,
        reference_neuron=spikes.neuron,
        answer_time=none,
        answer_neuron=none.astype(np.int64),
    )


def stepped(evaluation):
    """Return the verdict on a simulator with a grid, and its errors for several steps."""
    counts = np.bincount(evaluation.simulation.spikes.neuron)
    steps, said = [], None
    for dt in STEPS:
        said = on_grid(evaluation, dt)
        same = np.array_equal(np.bincount(np.asarray(said.neuron)), counts)
        groups = groups_of(evaluation, said, GRID_TOLERANCE)
        error = {g.group: g.error for g in groups if g.answer.shape == g.reference.shape}
        steps.append(StepErrors(dt, same, error))
    order = {}
    for name, last in steps[-1].error.items():
        before = steps[-2].error.get(name, np.inf)
        if 0.0 < last < np.inf and 0.0 < before < np.inf:
            order[name] = float(np.log2(before / last))
    return verdict_of(evaluation, said, GRID_TOLERANCE, steps=tuple(steps), order=order)


TURNED = Cause("wrong sign", "every entry of delay is the reference times -1.000")


def certificate(backend, cases):
    versions = {backend: "0.3", "refsim": "0.1.0", "python": "3.11.2", "numpy": "2.4.0"}
    return Certificate(backend, versions, "x86_64, 2 cores", "2026-01-02T03:04:05Z", tuple(cases))


def certificates(cases):
    """Return certificates of a simulator with planted errors, and of one with a time step."""
    evaluations = [evaluate(case) for case in cases]
    planted = []
    for i, evaluation in enumerate(evaluations):
        if i % 5 == 1:
            planted.append(verdict_of(evaluation, turned_delays(evaluation), cause=TURNED))
        elif i % 5 == 2:
            planted.append(verdict_of(evaluation, raised_threshold(evaluation)))
        elif i % 5 == 3:
            planted.append(skipped(evaluation))
        else:
            planted.append(verdict_of(evaluation, without_voltages(evaluation)))
    return [
        certificate("planted", planted),
        certificate("grid", [stepped(evaluation) for evaluation in evaluations]),
    ]
