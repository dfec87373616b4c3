"""The verdict of all cases together: where what passes is too little to tell."""

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from certify_tools import ours, spoiled

import refsim
from refsim.cases import make_case
from validation import NotExpressibleError, certify, cli
from validation.backends import refsim_grid
from validation.case_suite.stored import given_cases
from validation.cli.exit_codes import EXIT_FAILED, EXIT_INCONCLUSIVE
from validation.comparison import certificate as table
from validation.comparison.certificate import GroupVerdict, Lateness, worst_group
from validation.report import load, write
from validation.report.contents import Report, overall
from validation.report.junit import junit_text
from validation.report.markdown import markdown_text


def only(*names):
    """Return a back end that has words for these cases alone."""

    def backend(network, *asked):
        for case in given_cases():
            if np.array_equal(network.weight, case.network.weight):
                if case.name in names:
                    return ours(network, *asked)
                raise NotExpressibleError(f"not {case.name}")
        raise AssertionError

    return backend


@pytest.fixture(scope="module")
def doubtful():
    """One case passes, and two are skipped."""
    return certify(only("chain-8"), ["chain", "driven", "refractory"], name="few")


def test_more_skipped_than_passed_is_inconclusive(doubtful):
    assert [case.verdict for case in doubtful.cases] == ["pass", "skip", "skip"]
    assert doubtful.verdict == "inconclusive"
    assert doubtful.note == "2 of 3 cases were skipped"
    assert repr(doubtful) == (
        "<Certificate of few: inconclusive, 1 cases passed, 0 failed, 2 skipped>"
    )
    assert "inconclusive: 2 of 3 cases were skipped" in str(doubtful)
    enough = replace(doubtful, cases=doubtful.cases[:2])
    assert enough.verdict == "pass"
    assert enough.note == ""
    assert replace(doubtful, cases=doubtful.cases[1:]).verdict == "inconclusive"
    assert replace(doubtful, cases=()).verdict == "skip"


def test_a_case_that_fails_decides(doubtful):
    failing = replace(doubtful.cases[1], verdict="fail")
    certificate = replace(doubtful, cases=(doubtful.cases[0], failing, doubtful.cases[2]))
    assert certificate.verdict == "fail"
    assert certificate.note == ""


def silent():
    """Return a case without spikes, whose voltage does not depend on all parameters."""
    network = refsim.Network(1, v0=0.5)
    return make_case("silent", network, None, 20.0, ([0], [10.0]), [], [1.0])


def test_a_group_that_no_case_depends_on_is_named():
    certificate = certify(ours, [silent()])
    assert [case.verdict for case in certificate.cases] == ["pass"]
    assert certificate.verdict == "inconclusive"
    assert certificate.note == "no case that was judged depends on t_ref, tau, v_reset, v_th"
    # Weights, delays and input times are not in doubt: there are none, and nobody asked for them.
    assert certify(ours, [silent()], groups=["v0", "tau_m"]).verdict == "pass"
    asked = certify(ours, [silent()], groups=["v0", "weight"])
    assert asked.verdict == "inconclusive"
    assert asked.note == "no case that was judged depends on weight"
    assert certify(ours, [silent(), "chain", "driven"]).verdict == "pass"


def test_spikes_alone_are_asked_for_by_name():
    def spikes(*asked):
        return ours(*asked)._replace(gradient={})

    assert certify(spikes, ["chain"]).verdict == "inconclusive"
    assert "no gradient was offered" in certify(spikes, ["chain"]).note
    assert certify(spikes, ["chain"], groups=["spike_times"]).verdict == "pass"


def test_the_step_that_would_decide_is_said_and_decides():
    names = ["voltage", "equal_tau"]
    backend = refsim_grid.backend
    coarse = certify(backend, names, steps=[0.4, 0.2])
    assert coarse.verdict == "inconclusive"
    steps = {case.case.name: case.deciding_step for case in coarse.cases}
    for case in coarse.cases:
        assert case.verdict == "skip"
        assert 0.0 < case.deciding_step < 0.2
        assert case.note.endswith(f"; a step of {case.deciding_step:.3g} ms would decide")
    least = min(steps.values())
    assert coarse.note.endswith(f"; a step of {least:.3g} ms would decide 2 of them")
    for name, case in zip(names, coarse.cases, strict=True):
        dt = case.deciding_step
        (fine,) = certify(backend, [name], steps=[2.0 * dt, dt]).cases
        assert fine.verdict == "pass"


def test_the_command_has_an_exit_code_for_it(capsys, tmp_path):
    path = tmp_path / "out.json"
    line = ["certify", "--backend", "validation.backends.refsim_grid:backend", "--json", str(path)]
    line += ["--cases", "voltage", "equal_tau", "chain", "--steps", "0.4,0.2"]
    assert cli.main(line) == EXIT_INCONCLUSIVE == 3
    assert EXIT_FAILED == 1
    assert re.search(
        r"\ninconclusive: [23] of 3 cases were skipped; a step of ", capsys.readouterr().out
    )
    document = json.loads(path.read_text())
    assert document["verdict"] == "inconclusive"
    assert re.search(r"would decide [23] of them", document["note"])
    assert {row["what"] for row in document["lateness"]} >= {"arrivals of inputs"}
    assert document["cases"][0]["deciding_step"] > 0.0
    with pytest.raises(SystemExit):
        cli.main(["certify", "--help"])
    assert "3 inconclusive" in " ".join(capsys.readouterr().out.split())


def test_reports_know_it(doubtful, tmp_path):
    report = Report((doubtful,))
    assert report.verdict == "inconclusive"
    text = markdown_text(report)
    assert "**? inconclusive** few" in text
    assert "2 of 3 cases were skipped; on average spikes" in text
    suite = ElementTree.fromstring(junit_text(report).split("\n", 1)[1])[0]
    known = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert known["verdict"] == "inconclusive"
    assert known["of all cases"].startswith("2 of 3 cases were skipped; on average spikes")
    paths = write([doubtful], tmp_path, forms=["json"])
    assert json.loads(paths["json"].read_text())["verdict"] == "inconclusive"
    pytest.importorskip("jsonschema", reason="needs jsonschema")
    (again,) = load(paths["json"]).certificates
    assert again.verdict == "inconclusive"
    assert again.lateness == doubtful.lateness
    assert again.cases[0].lateness == doubtful.cases[0].lateness


def test_the_page_knows_it(doubtful):
    pytest.importorskip("jinja2", reason="needs jinja2")
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    from validation.report.page import page_text

    text = page_text(Report((doubtful,)))
    assert '<span class="badge inconclusive">? inconclusive</span>' in text
    assert "<p>2 of 3 cases were skipped; on average spikes" in text


def late(verdict):
    return Lateness("arrivals of inputs", "steps", 1.0, 0.05, 0.6, verdict)


def test_reports_know_what_all_cases_together_show(doubtful):
    certificate = replace(doubtful, cases=doubtful.cases[:1], lateness=(late("fail"),))
    assert certificate.verdict == "fail"
    says = "arrivals of inputs 1.00 ± 0.05 steps late"
    report = Report((certificate,))
    assert f"off by one step: {says}" in markdown_text(report)
    root = ElementTree.fromstring(junit_text(report).split("\n", 1)[1])
    assert root.get("failures") == "1"
    (failure,) = root.iter("failure")
    assert failure.get("type") == "off by one step"
    assert says in failure.get("message")


def test_the_worst_verdict_is_that_of_all():
    words = ["skip", "pass", "inconclusive", "fail"]
    assert [overall(words[: k + 1]) for k in range(4)] == words
    assert overall([]) == "skip"


def test_tables_and_reports_agree_on_the_worst_group():
    assert table.worst_group is worst_group

    def unreadable(answer, network):
        weight = np.full(len(answer.gradient["weight"]), np.nan)
        gradient = answer.gradient | {"weight": weight, "delay": 2.0 * answer.gradient["delay"]}
        return answer._replace(gradient=gradient)

    (case,) = certify(spoiled(unreadable), ["chain"]).cases
    rows = {row.group: row for row in case.groups}
    assert {rows["weight"].verdict, rows["delay"].verdict} == {"fail"}
    assert np.isnan(rows["weight"].error)
    assert worst_group(case).group == "weight"
    assert " weight " in table.line(case)
    nothing = GroupVerdict("v0", "skip", np.nan, 1.0, -1, np.zeros(1), np.zeros(0), "not offered")
    assert worst_group(replace(case, groups=(nothing,))) is None
