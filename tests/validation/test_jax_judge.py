"""JAX, event by event, as a judge of our gradients."""

from dataclasses import replace

import numpy as np
import pytest

import adjoint
from adjoint.check import evaluate
from validation.case_suite.stored import GIVEN, given_cases
from validation.case_suite.zoo import zoo
from validation.judges import jax_event as jax_judge, suite
from validation.judges.suite import run


@pytest.fixture(autouse=True)
def _jax():
    pytest.importorskip("jax", reason="needs the extra jax")


def case_of(name):
    return given_cases()[GIVEN.index(name)]


SEEN = [case_of("voltage"), case_of("two_ports"), zoo()[3]]


@pytest.mark.parametrize("case", SEEN, ids=lambda case: case.name)
def test_right_gradients_pass(case):
    said = jax_judge.judge(evaluate(case))
    assert (said.verdict, said.judge, said.case) == ("pass", jax_judge.NAME, case.name)
    assert said.error < said.tolerance < 1e-9
    assert said.group


@pytest.mark.parametrize("group", ["weight", "delay", "t_ref", "input_times"])
@pytest.mark.parametrize("factor", [-1.0, 1.0 + 1e-8])
def test_a_wrong_gradient_fails(group, factor, monkeypatch):
    right = adjoint.pullback.Pullback.__call__

    def wrong(self, *cotangents):
        gradient = right(self, *cotangents)
        getattr(gradient, group)[:] *= factor
        return gradient

    monkeypatch.setattr(adjoint.pullback.Pullback, "__call__", wrong)
    said = jax_judge.judge(evaluate(case_of("refractory")))
    assert (said.verdict, said.group) == ("fail", group)
    assert said.error > said.tolerance
    assert said.note.startswith(f"{group}: off by")


def test_a_wrong_spike_time_fails():
    evaluation = evaluate(case_of("two_ports"))
    spikes = evaluation.simulation.spikes
    late = spikes.time + 1e-8 * (np.arange(len(spikes.time)) == 2)
    simulation = replace(evaluation.simulation, spikes=spikes._replace(time=late))
    said = jax_judge.judge(replace(evaluation, simulation=simulation))
    assert (said.verdict, said.group) == ("fail", "spike_times")


def test_what_it_does_not_judge(monkeypatch):
    evaluation = evaluate(case_of("two_ports"))
    monkeypatch.setattr(jax_judge, "LARGEST", 3)
    said = jax_judge.judge(evaluation)
    assert said.verdict == "skip"
    assert "too large" in said.note
    monkeypatch.setattr(jax_judge, "find_spec", lambda name: None)
    said = jax_judge.judge(evaluation)
    assert said.note == 'needs jax: pip install "refsim[jax]"'
    _, absent = suite.available_judges()
    assert absent[jax_judge.NAME] == said.note


def test_the_suite_asks_it():
    judges, _ = suite.available_judges()
    rows = list(run([case_of("two_ports")], {jax_judge.NAME: judges[jax_judge.NAME]}))
    assert [row.judgement.verdict for row in rows] == ["pass"]


def test_it_is_installed_as_a_judge():
    assert "jax_event" in adjoint.check.installed_judges(), "install refsim with pip"
