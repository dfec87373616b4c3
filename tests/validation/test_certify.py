"""`validation.certify`: no false alarm, no exception, and tolerances that mean something."""

import pickle
import re
import warnings
from dataclasses import replace

import grid_example
import numpy as np
import pytest
from certify_tools import in_float32, ours, spoiled, times, with_groups
from hypothesis import HealthCheck, given, settings

import adjoint
import refsim
import validation
from refsim.cases import make_case, save
from validation import Answer, CertificationInterrupted, NotExpressibleError, certify
from validation.case_suite.stored import given_cases
from validation.case_suite.zoo import feed_forward_chain
from validation.certification.request import checked_steps
from validation.diagnosis import variants
from validation.strategies import cases

CASE = given_cases()[0]


def quietly(function, *arguments, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", refsim.IllConditionedWarning)
        return function(*arguments, **keywords)


def only(backend, case=CASE, **options):
    return certify(backend, [case], **options).cases[0]


def group(verdict, name):
    return next(row for row in verdict.groups if row.group == name)


# --- cases at the ends of their domains -----------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{"t_ref": 1e12}, {"time_bar": 1e100}, {"delay": 1e12}],
    ids=["t_ref", "bar", "delay"],
)
def test_a_case_whose_numbers_cannot_be_moved_further_is_judged(changes):
    """Moves that measure conditioning end where numbers do."""
    t_ref, bar = changes.get("t_ref", 0.0), changes.get("time_bar", 1.0)
    net = refsim.Network(
        2,
        refsim.connect([2, 0], [0, 1], [40.0, 40.0], [1.0, changes.get("delay", 1.0)]),
        n_inputs=1,
        t_ref=t_ref,
    )
    case = make_case("far", net, refsim.SpikeTrain([1.0], [0], 1), 20.0)
    n = len(refsim.simulate(net, case.inputs, 20.0).spikes.time)
    case = replace(case, time_bar=np.full(n, bar))
    assert only(ours, case).verdict == "pass"

    assert only(spoiled(times(1.001, "weight")), case).verdict == "fail"


# --- no false alarm -------------------------------------------------------------------------------


def never_fails(case):
    verdict = quietly(only, variants.backend, case)
    assert verdict.verdict != "fail", verdict.note
    assert verdict.cause is None


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_a_correct_back_end_never_fails(case):
    """One that shares no formula with the engine, on networks of all kinds."""
    never_fails(case)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases(conditioning="good", max_spikes=40))
def test_a_correct_back_end_passes_whatever_is_well_conditioned(case):
    """A certificate that skipped everything would not fail either."""
    verdict = quietly(only, variants.backend, case)
    assert verdict.verdict == "pass", verdict.note
    assert {row.verdict for row in verdict.groups} == {"pass"}


@pytest.mark.slow
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_a_correct_back_end_never_fails_at_length(case):
    never_fails(case)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_a_correct_back_end_in_float32_never_fails(case):
    """Rounded results are the least that float32 does; the tolerance has to forgive that."""
    backend = spoiled(in_float32, lambda *asked: quietly(ours, *asked))
    verdict = quietly(only, backend, case, precision="float32")
    assert verdict.verdict != "fail", verdict.note


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(cases(max_spikes=40))
def test_a_correct_grid_never_fails(case):
    """What a step explains is estimated: here the same networks are drawn every time."""
    verdict = quietly(only, grid_example.backend, case, steps=[0.2, 0.1, 0.05])
    assert verdict.verdict != "fail", verdict.note


def test_the_standard_suite_passes():
    seen = []
    certificate = certify(ours, on_case=seen.append)
    assert certificate.verdict == "pass"
    assert tuple(seen) == certificate.cases
    assert len(seen) >= 20
    assert all(case.verdict == "pass" for case in certificate.cases)
    assert certificate.backend == "ours"
    assert set(certificate.versions) >= {"refsim", "python", "numpy", "numba"}


# --- the least error that is seen -----------------------------------------------------------------


@pytest.mark.parametrize("case", given_cases(), ids=lambda case: case.name)
def test_an_error_of_a_few_parts_in_a_thousand_million_is_seen(case):
    for name in ("weight", "delay", "tau", "v_th"):
        verdict = only(spoiled(times(1.0 + 3e-9, name)), case)
        assert verdict.verdict == "fail", name
        failed = [row.group for row in verdict.groups if row.verdict == "fail"]
        assert failed == [name]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases(conditioning="good", max_spikes=40))
def test_an_error_is_seen_whatever_is_well_conditioned(case):
    verdict = only(spoiled(times(1.0 + 1e-8)), case)
    off = [row for row in verdict.groups if row.error > 1e-9]
    assert all(row.verdict == "fail" or "one-sided" in row.note for row in off)
    # A group may be negligible beside the others, but not all of them.
    gradient = [row for row in verdict.groups if row.group not in ("spike_times", "voltages")]
    assert off or not any(row.reference.any() for row in gradient)


def test_a_spike_that_is_late_by_a_nanosecond_is_seen():
    verdict = only(spoiled(lambda answer, _: answer._replace(time=answer.time + 1e-6)))
    assert verdict.verdict == "fail"
    first = verdict.first_difference
    assert first.kind == "moved"
    assert first.answer - first.reference == pytest.approx(1e-6, rel=1e-3)
    assert first.reference == verdict.reference_time[0]


def test_single_entries_are_seen():
    def one_wrong(values, network):
        return np.where(np.arange(len(values)) == 2, values + 1e-3, values)

    row = group(only(spoiled(with_groups(one_wrong, ["weight"]))), "weight")
    assert (row.verdict, row.worst) == ("fail", 2)
    assert row.answer[2] - row.reference[2] == pytest.approx(1e-3)


def test_float32_is_judged_as_such():
    backend = spoiled(in_float32)
    assert only(backend).verdict == "fail"
    assert only(backend, precision="float32").verdict == "pass"
    backend.precision = "float32"
    assert only(backend).verdict == "pass"
    wrong = spoiled(times(1.01, "weight"), backend)
    assert only(wrong, precision="float32").verdict == "fail"


def test_tolerances_can_be_given():
    wrong = spoiled(times(1.001, "weight"))
    assert only(wrong, rtol=1e-2).verdict == "pass"
    assert only(wrong, rtol={"weight": 1e-2}).verdict == "pass"
    assert only(wrong, rtol={"delay": 1e-2}).verdict == "fail"


# --- answers in any form --------------------------------------------------------------------------


def test_tuples_and_parameters_are_answers():
    def with_parameters(network, inputs, duration, asked):
        run, pullback = adjoint.vjp(network, inputs, duration, samples=asked.samples)
        return run.spikes, pullback(asked.of_spikes(run.spikes.neuron), asked.voltage)

    assert only(with_parameters).verdict == "pass"
    assert only(spoiled(lambda a, _: ((a.time, a.neuron), a.gradient))).verdict == "pass"
    assert only(spoiled(lambda a, _: (a, a.gradient, a.voltages))).verdict == "pass"


def test_groups_that_are_not_offered_are_skipped_unless_they_are_asked_for():
    weights = spoiled(lambda a, _: ((a.time, a.neuron), {"weight": a.gradient["weight"]}))
    verdict = only(weights)
    assert verdict.verdict == "pass"
    assert group(verdict, "delay")[:2] == ("delay", "skip")
    assert only(weights, groups=["weight"]).verdict == "pass"
    verdict = only(weights, groups=["weight", "delay"])
    assert verdict.verdict == "fail"
    assert group(verdict, "delay").note == "not offered"


def test_nothing_counts_as_zero():
    def nothing(answer, network):
        return answer._replace(gradient={**answer.gradient, "t_ref": None})

    quiet = make_case("quiet", refsim.Network(2, i_ext=0.5), None, 20.0, ([0], [10.0]), [], [1.0])
    assert only(spoiled(nothing), quiet).verdict == "pass"
    verdict = only(spoiled(nothing))
    assert verdict.verdict == "fail"
    assert "None was given" in group(verdict, "t_ref").note


# --- whatever a back end does becomes a verdict ---------------------------------------------------


def raising(error):
    def backend(*asked):
        raise error

    return backend


def replaced(**parts):
    return spoiled(lambda answer, _: answer._replace(**parts))


def changed_group(name, value):
    return spoiled(lambda answer, _: answer._replace(gradient={**answer.gradient, name: value}))


FAULTS = {
    "raises": (raising(ZeroDivisionError("by my own making")), "ZeroDivisionError: by my own"),
    "exits": (raising(SystemExit(3)), "SystemExit: 3"),
    "ends a test": (raising(pytest.skip.Exception("not today")), "Skipped: not today"),
    "returns nothing": (lambda *asked: None, "the answer is a NoneType; expected an Answer"),
    "returns one": (lambda *asked: ((),), "a tuple of 1"),
    "no pair": (lambda *asked: ([1.0], {}), "the spikes are [1.0]; expected a pair"),
    "nan times": (
        spoiled(lambda a, _: a._replace(time=a.time * np.nan)),
        "spike times hold nan at index 0",
    ),
    "times of text": (replaced(time=["a"] * 12), "spike times have dtype <U1"),
    "ragged": (replaced(time=[[1.0], [1.0, 2.0]]), "cannot be read as an array"),
    "float neurons": (
        spoiled(lambda a, _: a._replace(neuron=a.neuron + 0.5)),
        "dtype float64; expected integers",
    ),
    "unknown neuron": (
        spoiled(lambda a, _: a._replace(neuron=a.neuron + 50)),
        "expected 0 to 3",
    ),
    "lengths": (spoiled(lambda a, _: a._replace(neuron=a.neuron[1:])), "expected (k,) twice"),
    "nan weight": (
        spoiled(times(np.nan, "weight")),
        "weight: numbers hold nan at index 0",
    ),
    "shape": (changed_group("weight", np.zeros((3, 3))), "weight: the shape is (3, 3); expected"),
    "unknown group": (changed_group("tau_mem", [1.0]), "'tau_mem' is not a group"),
    "no mapping": (replaced(gradient=[1.0]), "the gradient is a list"),
    "unsorted": (
        spoiled(lambda a, _: a._replace(time=a.time[::-1], neuron=a.neuron[::-1])),
        "spikes are not sorted",
    ),
    "wants more": (lambda network: None, "TypeError"),
}


@pytest.mark.parametrize("factor", [1e200, 1e300, np.finfo(float).max])
@pytest.mark.parametrize("steps", [None, [0.2, 0.1]])
def test_huge_answers_fail_in_silence(factor, steps):
    def huge(values, network):
        return np.full(len(values), factor)

    spoil = with_groups(huge, ["weight", "delay"])
    backend = spoiled(spoil, grid_example.backend if steps else ours)
    assert only(backend, steps=steps).verdict == "fail"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_back_end_is_a_verdict_with_a_note(fault):
    backend, note = FAULTS[fault]
    verdict = only(backend)
    assert verdict.verdict == "fail"
    assert note in verdict.note


def test_other_groups_are_judged_beside_a_malformed_one():
    verdict = only(changed_group("weight", [1.0]))
    assert group(verdict, "weight").verdict == "fail"
    assert group(verdict, "delay").verdict == "pass"


def test_what_cannot_be_expressed_is_skipped_with_its_reason():
    verdict = only(raising(NotExpressibleError("two ports are one too many")))
    assert (verdict.verdict, verdict.note) == ("skip", "two ports are one too many")
    assert certify(raising(NotExpressibleError("none")), [CASE]).verdict == "inconclusive"


def test_what_was_done_before_an_interrupt_is_kept():
    def press(verdict):
        if verdict.case.name == given_cases()[1].name:
            raise KeyboardInterrupt

    with pytest.raises(CertificationInterrupted, match="2 of 3 cases were judged") as stopped:
        certify(ours, given_cases()[:3], on_case=press)
    assert [case.verdict for case in stopped.value.partial.cases] == ["pass", "pass"]
    again = pickle.loads(pickle.dumps(stopped.value))
    assert len(again.partial.cases) == 2


def test_properties_that_fail_say_nothing():
    class Shy:
        def __call__(self, *asked):
            return ours(*asked)

        @property
        def name(self):
            raise RuntimeError("no name")

        versions = precision = name

    certificate = certify(Shy(), [CASE])
    assert (certificate.backend, certificate.verdict) == ("Shy", "pass")


def test_an_interrupt_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt):
        certify(raising(KeyboardInterrupt()), [CASE])


def test_a_back_end_cannot_spoil_what_it_is_given():
    def vandal(network, inputs, duration, asked):
        answer = ours(network, inputs, duration, asked)
        asked.time[:] = 0.0
        return answer

    assert "read-only" in only(vandal).note
    assert only(ours).verdict == "pass"


def test_a_case_near_a_change_of_its_pattern_excuses_a_correct_answer_and_no_other():
    """An arrival coincides with the end of refractoriness: two derivatives, from either side."""
    synapses = refsim.connect([1, 0], [0, 0], weight=[4.0, 0.5], delay=[0.0, 2.0])
    network = refsim.Network(1, synapses, n_inputs=1, t_ref=2.0, tau_m=10.0)
    inputs = refsim.SpikeTrain([1.0, 3.0, 5.0, 7.0], [0] * 4, 1)
    case = make_case("tie", network, inputs, 30.0)
    other_side = network.replace(delay=network.delay - np.array([0.0, 1e-9]))

    def backend(network, *rest):
        return ours(other_side, *rest)

    assert quietly(only, ours, case).verdict == "pass"
    verdict = quietly(only, backend, case, rtol=1e-6)
    assert verdict.verdict == "skip"
    assert "one-sided" in verdict.note
    far_off = spoiled(times(1e6), backend)
    assert quietly(only, far_off, case, rtol=1e-6).verdict == "fail"


# --- cases and arguments --------------------------------------------------------------------------


def test_cases_are_files_as_well(tmp_path):
    path = tmp_path / "case.json"
    save(CASE, path)
    assert certify(ours, [path, str(path), CASE]).verdict == "pass"
    assert len(certify(ours, path).cases) == 1
    with pytest.raises(refsim.InvalidValueError, match=r"nothing\.json"):
        certify(raising(AssertionError("nothing is asked")), [CASE, tmp_path / "nothing.json"])


def test_a_case_without_reference_is_skipped():
    network = CASE.network
    wrong = make_case("short", network, CASE.inputs, CASE.duration, time_bar=[1.0])
    verdict = only(raising(AssertionError("nothing is asked")), wrong)
    assert verdict.verdict == "skip"
    assert "cotangent has 1 entries" in verdict.note


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"backend": 3}, "backend is 3"),
        ({"cases": [3]}, r"cases\[0\] is 3"),
        ({"steps": [0.1, -1.0]}, r"steps\[1\] is -1.0"),
        ({"steps": []}, "steps is empty"),
        ({"steps": [0.1, 0.2, 0.1]}, r"steps\[2\] is 0.1, as steps\[0\] is; expected each"),
        ({"groups": ["tau_mem"]}, r"groups\[0\] is 'tau_mem'"),
        ({"rtol": 0.0}, "rtol is 0"),
        ({"rtol": {"weights": 1.0}}, "'weights'"),
        ({"precision": "float16"}, "precision is 'float16'"),
    ],
)
def test_wrong_arguments_are_named(keywords, message):
    with pytest.raises((refsim.InvalidValueError, refsim.InvalidTypeError), match=message):
        certify(**{"backend": ours, "cases": [CASE], **keywords})


def test_steps_go_from_long_to_short():
    assert checked_steps([0.1, 0.4, 0.2]) == (0.4, 0.2, 0.1)


def test_a_back_end_without_a_step_says_so_when_it_gets_one():
    verdict = only(lambda network, inputs, duration, asked: None, steps=[0.1])
    assert "dt" in verdict.note


def test_spikes_are_matched_by_neuron_and_number():
    """Two neurons that fire together may be reported in either order."""
    synapses = refsim.connect([2, 2], [0, 1], weight=3.0, delay=1.0)
    network = refsim.Network(2, synapses, n_inputs=1)
    case = make_case("twins", network, refsim.SpikeTrain([1.0, 9.0], [0, 0], 1), 40.0)

    def swapped(answer, network):
        return answer._replace(neuron=1 - answer.neuron)

    gradient = spoiled(lambda a, _: Answer(a.time, a.neuron, {}, None))
    assert only(spoiled(swapped, gradient), case).verdict == "pass"


def test_names_of_the_package():
    assert set(validation.__all__) <= set(dir(validation))
    assert all(getattr(validation, name) is not None for name in validation.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = validation.nothing
    assert feed_forward_chain().name in {case.case.name for case in certify(ours).cases}


def test_a_search_for_the_cause_that_stumbles_leaves_the_verdict(monkeypatch):
    def stumble(suspect):
        raise ZeroDivisionError("no slope")

    monkeypatch.setattr("validation.certification.certify.diagnose", stumble)
    (case,) = certify(spoiled(times(-1.0), ours), given_cases()[:1]).cases
    assert (case.verdict, case.cause) == ("fail", None)
    assert case.note.endswith("; no cause was found: ZeroDivisionError: no slope")


def test_what_is_not_offered_is_said():
    def spikes_only(network, inputs, duration, cotangents):
        answer = ours(network, inputs, duration, cotangents)
        return answer._replace(gradient={})

    (case,) = certify(spikes_only, ["chain"]).cases
    assert case.verdict == "pass"
    assert case.note.startswith("not offered: weight, delay, ")


def test_an_exception_says_where():
    def broken(network, *others):
        return network.nosuch

    (case,) = certify(broken, ["chain"]).cases
    assert re.fullmatch(r"AttributeError: .*'nosuch' \(.*test_certify.py, line \d+\)", case.note)


def test_cases_by_name_and_by_folder(tmp_path):
    save(given_cases()[0], tmp_path / "one.json")
    save(given_cases()[2], tmp_path / "two.json")
    found = certify(ours, ["refractory", tmp_path]).cases
    assert [case.case.name for case in found] == ["refractory-7", "chain-8", "driven-9"]


def test_a_certificate_prints_as_a_table():
    certificate = certify(spoiled(times(-1.0, "delay"), ours), ["chain", "driven"], name="mine")
    lines = str(certificate).splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["case", "chain-8", "driven-9"]
    assert "wrong sign" in lines[1]
    assert repr(certificate) == lines[-1]
    assert lines[-1] == ("<Certificate of mine: fail, 0 cases passed, 2 failed, 0 skipped>")


def test_a_threshold_out_of_reach_hides_no_error():
    """The scales of voltages and gradients are those of neurons that can fire."""
    case = given_cases()[0]
    network = case.network
    readout = network.replace(v_th=np.where(np.arange(network.n_neurons) == 3, 1e20, network.v_th))
    silent = make_case("readout", readout, case.inputs, case.duration)
    for group in ("weight", "delay"):
        (found,) = certify(spoiled(times(1.01, group), ours), [silent]).cases
        assert found.verdict == "fail"


def test_float32_excuses_no_error_of_the_size_of_the_answer():
    backend = spoiled(times(0.0), ours)
    found = certify(backend, ["graze_1e-4", "graze_1e-6"], precision="float32").cases
    assert "pass" not in {case.verdict for case in found}


@pytest.mark.parametrize("factor", [1.0 + 1e-15, 1.0 - 1e-15])
def test_a_spike_at_the_end_may_be_on_either_side(factor):
    network = refsim.Network(1, i_ext=2.0, tau_m=10.0)
    (end,) = refsim.simulate(network, None, 10.0).spikes.time
    case = make_case("end", network, None, end)

    def rounded(asked, inputs, duration, cotangents):
        return ours(asked.replace(tau_m=asked.tau_m * factor), inputs, duration, cotangents)

    (found,) = certify(rounded, [case]).cases
    assert found.verdict in ("pass", "skip")


def test_a_back_end_that_writes_into_the_case_gains_nothing():
    case = given_cases()[0]

    def writes(network, *others):
        answer = ours(network, *others)
        network.weight.setflags(write=True)
        network.weight[:] *= 1.001
        return answer._replace(
            gradient={**answer.gradient, "weight": answer.gradient["weight"] * (1.0 + 1e-6)}
        )

    (found,) = certify(writes, [case]).cases
    assert found.verdict == "fail"
