"""How often a correct time grid is taken for a late one, and how late a wrong one must be.

Motivation: the decisions of `validation.comparison.lateness` rest on a model of what a grid
does. Random networks of the Hypothesis strategies, of all kinds, are certified with grids of many
rules that are right: none may fail for being late. Then lateness is planted.

    nice python benchmarks/lateness.py --networks 500
    nice python benchmarks/lateness.py --planted
"""

from __future__ import annotations

import argparse
import time
import warnings
from functools import partial
from itertools import cycle

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings

import adjoint
from adjoint.check import evaluate
from refsim import Events, GridScheme
from refsim.cases import load
from refsim.errors import RefsimError
from validation import Answer
from validation.backends import refsim_grid
from validation.case_suite.stored import given_cases, paths_of_cases
from validation.certification.certify import _cotangents
from validation.comparison.answers import checked_answer
from validation.comparison.lateness import Evidence, evidence_of, lateness_of
from validation.strategies import cases

STEPS = ((0.1, 0.05, 0.025), (0.02, 0.01, 0.005), (0.2, 0.13, 0.07), (0.05,))
LATE_CASES = ("one_spike_each", "one_spike_each_double_exp", "one_spike_handed_on")


def exact(arrivals=0.0, reports=0.0, rounded=False):
    """Return a back end that interpolates everything, and is late by so many steps."""

    def backend(network, inputs, duration, cotangents, *, dt):
        moved = network.replace(delay=np.maximum(network.delay + arrivals * dt, 0.0))
        engine = Events(dt=dt) if rounded else "auto"
        run, pullback = adjoint.vjp(
            moved, inputs, duration, samples=cotangents.samples, engine=engine
        )
        gradient = pullback(cotangents.of_spikes(run.spikes.neuron), cotangents.voltage)
        time = run.spikes.time + reports * dt
        return Answer(time, run.spikes.neuron, dict(gradient.items()), run.voltages)

    return backend


def grid(arrivals=0.0, reports=0.0, **rules):
    """Return a time grid with arrivals moved by so many steps before they are rounded."""

    def backend(network, inputs, duration, cotangents, *, dt):
        moved = network.replace(delay=np.maximum(network.delay + arrivals * dt, 0.0))
        answer = refsim_grid.backend(
            moved, inputs, duration, cotangents, dt=dt, scheme=GridScheme(**rules)
        )
        return answer._replace(time=np.maximum(answer.time + reports * dt, 0.0))

    return backend


CORRECT = {
    "exact, linear": (grid(), 0.0),
    "exact, start": (grid(spike_time="start"), 0.0),
    "exact, end": (grid(spike_time="end"), 0.0),
    "exact, hold": (grid(hold=True), 0.0),
    "exponential, linear": (grid(membrane="exponential"), 0.0),
    "exponential, end": (grid(membrane="exponential", spike_time="end"), 0.0),
    "Euler, linear": (grid(membrane="euler"), 0.0),
    "Euler, start": (grid(membrane="euler", spike_time="start"), 0.0),
    "Euler, end": (grid(membrane="euler", spike_time="end"), 0.0),
    "arrivals at the next point": (grid(arrivals=0.5), 0.0),
    "arrivals at the last point": (grid(arrivals=-0.5), 0.0),
    "next point, end": (grid(arrivals=0.5, spike_time="end"), 0.0),
    "event by event, next point": (exact(rounded=True), 0.0),
    "event by event": (exact(), 0.0),
    "adseq, latency declared": (partial(refsim_grid.backend, scheme=GridScheme.adseq()), 1.0),
}
PLANTED = {
    "interpolated, arrivals 1 late": exact(1.0),
    "interpolated, arrivals 0.5 late": exact(0.5),
    "interpolated, arrivals 0.25 late": exact(0.25),
    "interpolated, arrivals 1 early": exact(-1.0),
    "interpolated, reports 1 late": exact(0.0, 1.0),
    "interpolated, reports 0.5 late": exact(0.0, 0.5),
    "interpolated, reports 0.25 late": exact(0.0, 0.25),
    "rounded, arrivals 1 late": grid(latency=1),
    "rounded, arrivals 1 early": grid(-1.0),
    "rounded, arrivals 0.5 late (the next point)": grid(0.5),
    "rounded, arrivals 0.25 late": grid(0.25),
    "rounded, reports 1 late": grid(0.0, 1.0),
    "rounded, reports 0.5 late": grid(0.0, 0.5),
    "rounded, reports 0.25 late": grid(0.0, 0.25),
    "Euler, arrivals 1 late": grid(membrane="euler", latency=1),
    "Euler, arrivals 1 early": grid(-1.0, membrane="euler"),
    "exponential, arrivals 1 late": grid(membrane="exponential", latency=1),
    "spikes at the end, arrivals 1 late": grid(spike_time="end", latency=1),
    "spikes at the end, arrivals 1 early (the start)": grid(-1.0, spike_time="end"),
    "spikes at the start, arrivals 1 late (the end)": grid(spike_time="start", latency=1),
    "adseq, latency not declared": partial(refsim_grid.backend, scheme=GridScheme.adseq()),
}


def row(late):
    return "; ".join(
        f"{each.late:+.2f} ± {each.error:.2f} ({each.least:.2f})"
        + ("!" if each.verdict == "fail" else "")
        for each in late
    )


def random_networks(number):
    """Certify random networks by correct grids, and count those that fail for being late."""
    total = {name: Evidence.none() for name in CORRECT}
    failed, measured, judged = [], 0, 0
    order = cycle((name, steps) for steps in STEPS for name in CORRECT)

    @settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(max_spikes=60))
    def network(case):
        nonlocal measured, judged
        try:
            reference = evaluate(case)
        except RefsimError:
            return
        for _ in range(3):
            name, steps = next(order)
            backend, latency = CORRECT[name]
            try:
                found = evidence(backend, reference, steps)
            except RefsimError:  # a step that is too long for Euler's rule
                continue
            late = lateness_of(found, latency)
            total[name] += found
            judged += 1
            measured += bool(late)
            if is_late(late):
                failed.append((case.name, name, steps, row(late)))
                print("LATE", *failed[-1], flush=True)

    network()
    print(f"{judged} certifications, lateness measured in {measured}, failed in {len(failed)}")
    for name, (_, latency) in CORRECT.items():
        print(f"{name:<28} {row(lateness_of(total[name], latency))}")


def evidence(backend, reference, steps):
    case, asked = reference.case, _cotangents(reference)
    answers = [
        (dt, checked_answer(backend(case.network, case.inputs, case.duration, asked, dt=dt), case))
        for dt in steps
    ]
    return evidence_of(reference, answers)


def planted():
    """Certify back ends that are late, by the cases made for it and by those that were given."""
    made = [evaluate(load(path)) for path in paths_of_cases(LATE_CASES)]
    given_ones = [evaluate(case) for case in given_cases()]
    for steps in STEPS[:2]:
        for name, backend in PLANTED.items():
            cells = []
            for some in (made, given_ones):
                found = [evidence(backend, reference, steps) for reference in some]
                late = [is_late(lateness_of(each)) for each in found]
                together = lateness_of(sum(found, Evidence.none()))
                verdict = "FAIL" if is_late(together) or any(late) else "pass"
                cells += [f"{verdict} ({sum(late)} of {len(late)} alone)", row(together)]
            print(f"{steps[0]:<5} {name:<48} {' | '.join(cells)}", flush=True)


def is_late(rows):
    return any(each.verdict == "fail" for each in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=0)
    parser.add_argument("--planted", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    started = time.process_time()
    if arguments.networks:
        random_networks(arguments.networks)
    if arguments.planted:
        planted()
    print(f"{time.process_time() - started:.0f} CPU s")


if __name__ == "__main__":
    main()
