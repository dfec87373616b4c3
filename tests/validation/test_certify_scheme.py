"""Back ends with known rules of a grid are judged to rounding by the engine with the same rules."""

from functools import partial

import numpy as np
import pytest
from certify_tools import times
from hypothesis import HealthCheck, given, settings

from refsim import GridScheme, InvalidTypeError, InvalidValueError
from validation import certify, cli
from validation.backends import refsim_grid
from validation.case_suite.stored import given_cases
from validation.strategies import cases

SCHEMES = [GridScheme(), GridScheme(membrane="euler", spike_time="end"), GridScheme.adseq()]
LOOK = {"ids": lambda scheme: f"{scheme.membrane}-{scheme.spike_time}"}


def spoiled(change, scheme):
    """Return the engine on a grid with its answer changed."""

    def backend(network, inputs, duration, cotangents, dt):
        answer = refsim_grid.backend(network, inputs, duration, cotangents, dt=dt, scheme=scheme)
        return change(answer, network)

    return backend


@pytest.mark.parametrize("scheme", SCHEMES, **LOOK)
def test_another_implementation_passes(scheme):
    pytest.importorskip("jax", reason="needs the extra jax")
    from validation.backends.jax import grid as jax_grid

    backend = partial(jax_grid.backend, scheme=scheme)
    certificate = certify(backend, given_cases()[:3], steps=[0.1], scheme=scheme)
    assert {case.verdict for case in certificate.cases} == {"pass"}
    errors = [row.error for case in certificate.cases for row in case.groups]
    assert 0.0 < max(errors) < 1e-10  # another implementation, and not ours


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases(max_spikes=40))
def test_the_same_rules_never_fail(case):
    for scheme in SCHEMES:
        backend = partial(refsim_grid.backend, scheme=scheme)
        (found,) = certify(backend, [case], steps=[0.1, 0.03], scheme=scheme).cases
        assert found.verdict in ("pass", "skip")


@pytest.mark.parametrize("scheme", SCHEMES, **LOOK)
@pytest.mark.parametrize("factor", [-1.0, 1.0 + 1e-8])
def test_a_wrong_gradient_fails(factor, scheme):
    backend = spoiled(times(factor, "delay"), scheme)
    (case,) = certify(backend, ["driven"], steps=[0.1], scheme=scheme).cases
    assert case.verdict == "fail"
    assert [row.group for row in case.groups if row.verdict == "fail"] == ["delay"]
    assert case.cause is None or case.cause.name in ("wrong sign", "constant factor")
    assert factor > 0.0 or case.cause.name == "wrong sign"


def test_a_spike_that_is_late_by_a_nanosecond_fails():
    backend = spoiled(lambda answer, _: answer._replace(time=answer.time + 1e-6), SCHEMES[0])
    (case,) = certify(backend, ["driven"], steps=[0.1], scheme=SCHEMES[0]).cases
    assert case.verdict == "fail"
    assert case.first_difference.kind == "moved"


@pytest.mark.parametrize(
    "rule", [{"reset": "none"}, {"receive": "current"}, {"spike_time": "start"}], ids=str
)
def test_other_rules_fail(rule):
    backend = partial(refsim_grid.backend, scheme=GridScheme(**rule))
    (case,) = certify(backend, ["driven"], steps=[0.1], scheme=GridScheme()).cases
    assert case.verdict == "fail"


def test_the_worst_step_is_reported():
    def coarse_alone(answer, network):
        return answer

    def backend(*asked, dt):
        change = times(2.0) if dt == 0.1 else coarse_alone
        return spoiled(change, SCHEMES[0])(*asked, dt=dt)

    (case,) = certify(backend, ["driven"], steps=[0.1, 0.05], scheme=SCHEMES[0]).cases
    assert case.verdict == "fail"
    assert np.isnan(case.conditioning.min_slope)


def test_wrong_arguments():
    with pytest.raises(InvalidValueError, match="scheme is given and steps are not"):
        certify(refsim_grid.backend, scheme=GridScheme())
    with pytest.raises(InvalidTypeError, match="scheme is 'adseq'; expected GridScheme"):
        certify(refsim_grid.backend, steps=[0.1], scheme="adseq")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("spike_time=linear,latency=0", "pass"), ("hold=True", "FAIL"), ("adseq", "FAIL")],
)
def test_on_the_command_line(text, verdict, capsys):
    name = "validation.backends.refsim_grid:backend"
    line = ["certify", "--backend", name, "--cases", "driven", "--steps", "0.1", "--scheme", text]
    assert cli.main(line) == (verdict == "FAIL")
    assert verdict in capsys.readouterr().out


@pytest.mark.parametrize("text", ["membrane", "hold=2", "leak=1"])
def test_wrong_rules_on_the_command_line(text, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["certify", "--exec", "true {case} {dt}", "--steps", "0.1", "--scheme", text])
    assert "--scheme" in capsys.readouterr().err
