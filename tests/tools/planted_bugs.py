"""Bugs planted in a copy of a correct back end: our own backward pass, with one rule changed.

Run as a script, interpreted (NUMBA_DISABLE_JIT=1), so that the rules of `refsim.models.lif` can be
replaced: ``python planted.py OUT`` writes the answers to the stored cases by bug, as a pickle.
Nothing of `validation.diagnosis.variants` is used.
"""

import pickle
import sys

import numpy as np

import adjoint
import refsim
from refsim.models import lif as model
from validation.case_suite.stored import given_cases

FIRE, ARRIVE = model.fire_vjp, model.arrive_vjp


def fire(adj, bar, n, slope_before, slope_after, time_bar, reset=1.0, t_ref=1.0):
    """The rule of a spike, with factors of its terms."""
    after = adj.after[n]
    moved = after * slope_after
    q = (time_bar - reset * moved) / slope_before
    bar.v_th[n] += q
    bar.v_reset[n] += after
    bar.t_ref[n] -= t_ref * moved
    adj.v[n] = -q
    adj.after[n] = 0.0
    adj.held[n] = 0


def without_reset(*given):
    fire(*given, reset=0.0)


def without_reset_nor_t_ref(*given):
    fire(*given, reset=0.0, t_ref=0.0)


def without_slope(adj, bar, n, slope_before, slope_after, time_bar):
    FIRE(adj, bar, n, 1.0, slope_after, time_bar)


def at_refractory_neurons(network):
    def rule(adj, bar, n, *rest):
        kept = 0.0 if network.t_ref[n] > 0.0 else 1.0
        fire(adj, bar, n, *rest, reset=kept, t_ref=kept)

    return rule


def without_boundary(problem_model, adj, bar, n, p, weight, t):
    of_weight, _ = ARRIVE(problem_model, adj, bar, n, p, weight, t)
    rate = problem_model.ports.rate[problem_model.ports.first[p]]
    return of_weight, weight * rate * of_weight


def without_time(*given):
    return ARRIVE(*given)[0], 0.0


def with_constant_gain(problem_model, adj, bar, *rest):
    gain = bar.port_gain.copy()
    found = ARRIVE(problem_model, adj, bar, *rest)
    bar.port_gain[:] = gain
    return found


BUGS = {
    "no reset term": ("fire_vjp", lambda network: without_reset),
    "no reset term nor t_ref": ("fire_vjp", lambda network: without_reset_nor_t_ref),
    "no slope": ("fire_vjp", lambda network: without_slope),
    "no release term": ("fire_vjp", at_refractory_neurons),
    "no boundary term": ("arrive_vjp", lambda network: without_boundary),
    "no arrival times": ("arrive_vjp", lambda network: without_time),
    "constant gain": ("arrive_vjp", lambda network: with_constant_gain),
}
RULES = {"fire_vjp": FIRE, "arrive_vjp": ARRIVE}


def some_refractory(case):
    """Return a case in which every second neuron has no refractoriness."""
    t_ref = 1.5 * (np.arange(case.network.n_neurons) % 2)
    return case.network.replace(t_ref=t_ref)


def answer(case, network, bug):
    """Return (network, times, neurons, voltages, gradient) of a case with a bug."""
    name, make = BUGS[bug] if bug else ("fire_vjp", lambda network: FIRE)
    setattr(model, name, make(network))
    run, pullback = adjoint.vjp(
        network, case.inputs, case.duration, samples=case.samples, engine=refsim.Events()
    )
    bar = np.random.default_rng(0).normal(size=len(run.spikes.time))
    gradient = dict(pullback(bar, case.voltage_bar).items())
    setattr(model, name, RULES[name])
    return network, bar, run.spikes.time, run.spikes.neuron, run.voltages, gradient


def main(out):
    answers = {}
    for case in given_cases():
        for bug in ["", *BUGS]:
            network = some_refractory(case) if bug == "no release term" else case.network
            answers[case.name, bug] = answer(case, network, bug)
    with open(out, "wb") as stream:
        pickle.dump(answers, stream)


if __name__ == "__main__":
    main(sys.argv[1])
