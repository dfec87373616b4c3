"""Every bug that is planted in a correct back end is found, and given its name."""

import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import grid_example
import numpy as np
import planted_bugs
import pytest
from certify_tools import (
    by_neuron,
    in_float32,
    late,
    one_added,
    one_dropped,
    ours,
    renumbered,
    spoiled,
    times,
    with_groups,
)

import refsim
from refsim.cases import make_case
from refsim.grid.scheme import GridScheme
from validation.backends import refsim_grid
from validation.case_suite.stored import given_cases
from validation.case_suite.zoo import feed_forward_chain, two_ports
from validation.certification.certify import certify
from validation.comparison.backend import Answer, LossCotangents
from validation.diagnosis.diagnose import CAUSES
from validation.diagnosis.spikes import step_of

HERE = Path(__file__).parents[1] / "tools"
CASES = [*given_cases(), feed_forward_chain(), two_ports()]
BY_NAME = {case.name: case for case in CASES}


def causes(backend, cases=CASES, **options):
    """Return (verdict, name of the cause) of every case."""
    found = certify(backend, cases, **options).cases
    return [(case.verdict, case.cause.name if case.cause else None) for case in found]


def scaled_by_tau_m(values, network):
    return values * network.tau_m


def sorted_by_target(values, network):
    return values[np.argsort(-network.post, kind="stable")]


def nothing_for_none(values, network):
    return None


CHANGES = {
    "sign of all": (times(-1.0), "wrong sign"),
    "sign of delays": (times(-1.0, "delay"), "wrong sign"),
    "sign of two": (times(-1.0, "v_th", "input_times"), "wrong sign"),
    "no delays": (times(0.0, "delay"), "delay gradient lost"),
    "None for delays": (with_groups(nothing_for_none, ["delay"]), "delay gradient lost"),
    "no weights": (times(0.0, "weight"), "gradient lost"),
    "all zero": (times(0.0), "gradient lost"),
    "1/dt": (times(1 / 0.025, "delay", "input_times"), "factor 1/dt"),
    "dt": (times(0.1), "factor 1/dt"),
    "seconds": (times(1e-3, "tau_m", "tau"), "constant factor"),
    "half": (times(0.5, "v_reset"), "constant factor"),
    "a factor": (times(1.0 + 1e-6, "weight"), "constant factor"),
    "log of weight": (
        with_groups(lambda values, network: values * network.weight, ["weight"]),
        "scaled by a parameter",
    ),
    "order of synapses": (with_groups(sorted_by_target, ["weight", "delay"]), "permuted entries"),
    "float32": (in_float32, "float32"),
    "a spike dropped": (one_dropped, "spike dropped"),
    "a spike added": (one_added, "spurious spike"),
    "neurons renumbered": (renumbered, "permuted neurons"),
    "sorted by neuron": (by_neuron, "unsorted spikes"),
    "late": (late, "off by one step"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_answers_is_named(change):
    spoil, name = CHANGES[change]
    assert set(causes(spoiled(spoil))) == {("fail", name)}


@pytest.mark.parametrize(("unit", "factor"), [("seconds", 1e-3), ("microseconds", 1e3)])
def test_times_in_other_units_are_named(unit, factor):
    def backend(*asked):
        answer = ours(*asked)
        return answer._replace(time=factor * answer.time)

    for case in certify(backend, CASES).cases:
        assert (case.verdict, case.cause.name) == ("fail", "other units")
        assert f"in {unit}; expected ms" in case.cause.evidence


@pytest.mark.parametrize("dt", [0.1, 0.125, 0.01])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_grid_that_certify_was_not_told_of_is_named(dt, dtype):
    """Rules that put spikes on the grid, with the first of some step sizes."""

    def backend(*asked):
        answer = refsim_grid.backend(*asked, dt=dt, scheme=GridScheme(spike_time="end"))
        return answer._replace(time=answer.time.astype(dtype))

    cases = [case for case in CASES if case.name != "yin-yang"]
    for case in certify(backend, cases).cases:
        assert (case.verdict, case.cause.name) == ("fail", "time grid without steps")
        assert f"multiples of {dt:g} ms" in case.cause.evidence


def test_two_times_find_no_step_by_chance():
    rng = np.random.default_rng(0)
    steps = [step_of(rng.uniform(20.0, 100.0, 2)) for _ in range(1000)]
    assert steps.count(None) == 1000
    assert step_of(np.array([3.2, 41.7])) == 0.1


def test_a_factor_near_one_is_named_by_its_difference():
    case = certify(spoiled(times(1.0 + 3e-7, "weight")), CASES[:1]).cases[0]
    assert case.cause.evidence == "multiplied: weight by 1 + 3e-07"


def test_arrivals_late_by_a_step_are_named():
    def backend(network, *rest):
        return ours(network.replace(delay=network.delay + 0.1), *rest)

    assert set(causes(backend)) == {("fail", "off by one step")}


@pytest.mark.parametrize("name", ["t_ref", "v_reset", "delay", "v0"])
def test_a_parameter_that_is_ignored_is_named(name):
    def backend(network, *rest):
        return ours(network.replace(**{name: 0.0}), *rest)

    cases = [case for case in CASES if np.ptp(getattr(case.network, name)) > 0.0]
    found = certify(backend, cases).cases
    assert len(found) > 1
    assert {case.verdict for case in found} == {"fail"}
    named = [case for case in found if case.cause and case.cause.name == "parameter ignored"]
    assert len(named) == len(found), [case.cause for case in found]
    assert all(f"{name} = 0" in case.cause.evidence for case in named)


def test_voltage_samples_that_are_ignored_are_named():
    def backend(network, inputs, duration, asked):
        silent = np.zeros(len(asked.voltage))
        bars = LossCotangents(asked.time, asked.neuron, asked.nth, asked.samples, silent)
        return ours(network, inputs, duration, bars)

    cases = [case for case in CASES if case.voltage_bar.any()]
    assert set(causes(backend, cases)) == {("fail", "cotangents ignored")}


def test_a_gradient_from_the_future_is_named():
    """As in a backward solver that adds what a spike has ended to the next event in the queue."""

    def backend(network, inputs, duration, asked):
        answer = ours(network, inputs, duration, asked)
        found = answer.gradient["input_times"].copy()
        bars = asked.of_spikes(answer.neuron)
        for time, bar in zip(answer.time, bars, strict=True):
            later = np.flatnonzero(inputs.times > time)
            if later.size:
                found[later[np.argmin(inputs.times[later])]] -= bar
        return answer._replace(gradient={**answer.gradient, "input_times": found})

    cases = [case for case in CASES if case.inputs.times.max() > 20.0]
    found = certify(backend, cases).cases
    assert {case.cause.name for case in found if case.verdict == "fail"} == {"acausal gradient"}
    assert sum(case.verdict == "fail" for case in found) >= 5


def test_derivatives_halved_at_the_end_of_a_domain_are_named():
    case = feed_forward_chain()
    delay = np.where(np.arange(len(case.network.delay)) % 3 == 0, 0.0, case.network.delay)
    network = case.network.replace(delay=delay)
    case = make_case("zero delays", network, case.inputs, case.duration)

    def halved(values, network):
        return np.where(network.delay == 0.0, 0.5 * values, values)

    backend = spoiled(with_groups(halved, ["delay"]))
    assert causes(backend, [case]) == [("fail", "clamped at zero")]


# --- terms of the adjoint, planted in our own backward pass ---------------------------------------


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Answers of our backward pass with one rule changed, by case and bug."""
    out = tmp_path_factory.mktemp("planted") / "answers.pickle"
    env = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, str(HERE / "planted_bugs.py"), str(out)], check=True, env=env)
    return pickle.loads(out.read_bytes())


TERMS = {
    "no reset term": "missing reset term",
    "no reset term nor t_ref": "missing reset term",
    "no slope": "missing division by the slope",
    "no release term": "refractory release term missing",
    "no boundary term": "missing boundary term of arrivals",
    "no arrival times": "arrival times have no gradient",
    "constant gain": "normalisation taken as constant",
}


@pytest.mark.parametrize("bug", ["", *planted_bugs.BUGS])
def test_a_term_left_out_of_our_own_backward_pass_is_named(answers, bug):
    found = []
    for case in given_cases():
        network, bar, time, neuron, voltages, gradient = answers[case.name, bug]
        case = make_case(
            case.name, network, case.inputs, case.duration, case.samples, bar, case.voltage_bar
        )
        answer = Answer(time, neuron, gradient, voltages)
        found += causes(lambda *asked, answer=answer: answer, [case])
    if not bug:
        assert set(found) == {("pass", None)}
        return
    assert ("fail", TERMS[bug]) in found
    # without a double_exp there is no normalisation to forget, and so on
    assert set(found) <= {("fail", TERMS[bug]), ("pass", None)}
    if bug != "constant gain":
        assert found.count(("fail", TERMS[bug])) >= 5


def test_a_path_through_spikes_that_is_cut_is_named():
    """Every neuron alone, with all that it receives as inputs: their times are constants."""

    def backend(network, inputs, duration, asked):
        full = ours(network, inputs, duration, asked)
        spike_bar = asked.of_spikes(full.neuron)
        rows, channels, times_in = [], [], []
        for synapse, pre in enumerate(network.pre):
            sources = (
                full.time[full.neuron == pre]
                if pre < network.n_neurons
                else inputs.times[inputs.sources == pre - network.n_neurons]
            )
            rows += [synapse] * len(sources)
            channels += [synapse] * len(sources)
            times_in += list(sources)
        size = len(network.pre)
        alone = network.replace(
            n_inputs=size,
            synapses=refsim.Synapses(
                network.n_neurons + np.arange(size),
                network.post,
                network.weight,
                network.delay,
                network.port,
            ),
        )
        train = refsim.SpikeTrain(times_in, channels, size)
        run, pullback = refsim_vjp(alone, train, duration, asked.samples)
        gradient = dict(pullback(spike_bar, asked.voltage).items())
        of_inputs = np.zeros(len(inputs))
        for row, (channel, time) in enumerate(zip(inputs.sources, inputs.times, strict=True)):
            for synapse in np.flatnonzero(network.pre == network.n_neurons + channel):
                same = (np.array(rows) == synapse) & (np.array(times_in) == time)
                of_inputs[row] += gradient["input_times"][same].sum()
        gradient["input_times"] = of_inputs
        return Answer(run.spikes.time, run.spikes.neuron, gradient, run.voltages)

    cases = [BY_NAME[name] for name in ("driven-9", "two_ports-38", "feed-forward chain")]
    assert set(causes(backend, cases)) == {("fail", "arrival times have no gradient")}


def refsim_vjp(network, inputs, duration, samples):
    import adjoint

    return adjoint.vjp(network, inputs, duration, samples=samples)


# --- the same in a back end with a time step ------------------------------------------------------

STEPS = (0.05, 0.025, 0.0125)
SCHEMES = [GridScheme(spike_time=name) for name in ("start", "linear", "end")]
# Steps this long resolve these; what they do not resolve is skipped.
ON_GRID = [BY_NAME[name] for name in ("chain-8", "driven-9", "voltage-7")]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (times(-1.0), "wrong sign"),
        (times(-1.0, "delay"), "wrong sign"),
        (times(0.0, "delay"), "delay gradient lost"),
        (one_dropped, "spike dropped"),
    ],
    ids=["sign", "sign of delays", "no delays", "a spike dropped"],
)
def test_changes_of_answers_on_a_grid_are_named(change, name):
    backend = spoiled(change, grid_example.backend)
    assert set(causes(backend, ON_GRID, steps=STEPS)) == {("fail", name)}


@pytest.mark.parametrize(
    "bug", [{"reset_term": 0.0}, {"reset_term": 0.0, "passes": 1.0}], ids=["left out", "passes"]
)
def test_the_reset_term_is_missed_on_a_grid(bug):
    def backend(*asked, dt):
        return grid_example.backend(*asked, dt=dt, **bug)

    cases = ON_GRID[:2]
    assert set(causes(backend, cases, steps=STEPS)) == {("fail", "missing reset term")}


def test_a_correct_grid_passes():
    found = certify(grid_example.backend, CASES, steps=STEPS).cases
    assert {case.case.name: case.verdict for case in found if case.verdict != "pass"} == {
        "equal_tau-3691": "skip",
        "two_ports-38": "skip",
    }
    assert all(case.order["weight"] > 0.5 for case in found[:3])
    (unresolved,) = certify(grid_example.backend, [BY_NAME["equal_tau-3691"]], steps=[0.1]).cases
    assert unresolved.verdict == "skip"
    assert "does not resolve" in unresolved.note


HALF_OFF = {
    "no gradient": (times(0.0), STEPS),
    "no weights": (times(0.0, "weight"), STEPS),
    "weights negated": (times(-1.0, "weight"), STEPS),
    "weights negated, one step": (times(-1.0, "weight"), STEPS[-1:]),
    "weights half as much again": (times(1.5, "weight"), STEPS),
}


@pytest.mark.parametrize("name", HALF_OFF)
def test_a_gradient_that_is_off_by_half_never_passes(name):
    """Even where a step leaves open what is right."""
    change, steps = HALF_OFF[name]
    cases = [BY_NAME[name] for name in ("driven-9", "equal_tau-3691", "two_ports-38", "voltage-7")]
    found = certify(spoiled(change, grid_example.backend), cases, steps=steps).cases
    assert "pass" not in {case.verdict for case in found}


@pytest.mark.parametrize("rtol", [{"weight": 10.0}, {"spike_times": 1.0}], ids=str)
def test_a_tolerance_for_one_group_leaves_the_others_as_they_are(rtol):
    backend = spoiled(times(-1.0, "delay"), grid_example.backend)
    found = certify(backend, ON_GRID, steps=STEPS, rtol=rtol).cases
    assert {case.verdict for case in found} == {"fail"}


def test_a_factor_of_the_step_is_named():
    def backend(*asked, dt):
        answer = grid_example.backend(*asked, dt=dt)
        return times(1.0 / dt, "weight", "delay")(answer, asked[0])

    assert set(causes(backend, ON_GRID, steps=STEPS)) == {("fail", "factor 1/dt")}


def test_delivery_a_step_too_late_is_named():
    def backend(*asked, dt):
        return grid_example.backend(*asked, dt=dt, delay_steps=1)

    cases = [BY_NAME["driven-9"], BY_NAME["refractory-7"]]  # first spikes of several neurons
    steps = (0.05, 0.04, 0.03, 0.025, 0.02, 0.0125)
    assert set(causes(backend, cases, steps=steps)) == {("fail", "off by one step")}


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.spike_time)
def test_rounding_to_either_end_of_a_step_is_no_mistake(scheme):
    backend = partial(refsim_grid.backend, scheme=scheme)
    found = certify(backend, ON_GRID, steps=STEPS).cases
    assert {case.verdict for case in found} == {"pass"}


@pytest.mark.parametrize("rule", [{"receive": "current"}, {"reset": "none"}], ids=str)
def test_rules_that_lose_a_term_are_named(rule):
    """On the engine of refsim itself, with networks whose ports make the terms matter."""
    backend = partial(refsim_grid.backend, scheme=GridScheme(**rule))
    name = "missing boundary term of arrivals" if "receive" in rule else "missing reset term"
    assert ("fail", name) in set(causes(backend, ON_GRID, steps=STEPS))


def test_small_errors_in_float64_are_not_taken_for_float32():
    """Spikes of a root finder of finite accuracy, and noise of difference quotients."""
    rng = np.random.default_rng(3)

    def noisy(answer, network):
        weight = answer.gradient["weight"] * (1.0 + 1e-4 * rng.normal(size=network.n_synapses))
        return answer._replace(gradient={**answer.gradient, "weight": weight})

    def inexact(answer, network):
        return answer._replace(time=answer.time + 1e-9 * rng.random(len(answer.time)))

    for change in (noisy, inexact):
        found = causes(spoiled(change), given_cases()[:3])
        assert {verdict for verdict, _ in found} == {"fail"}
        assert "float32" not in {name for _, name in found}


def test_an_error_of_a_tenth_at_all_steps_does_not_pass():
    backend = spoiled(times(1.1, "weight"), refsim_grid.backend)
    (case,) = certify(backend, ["driven"], steps=[0.01, 0.005, 0.0025]).cases
    assert case.verdict == "skip"
    assert "whatever the step: wrong, or not resolved" in case.note


def test_every_cause_is_planted_here():
    named = {name for _, name in CHANGES.values()} | set(TERMS.values())
    named |= {"parameter ignored", "cotangents ignored", "acausal gradient", "clamped at zero"}
    named |= {"other units", "time grid without steps"}
    assert named == set(CAUSES)
