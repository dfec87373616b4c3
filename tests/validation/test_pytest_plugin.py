"""The fixture ``refsim_case`` in the suite of somebody else."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CASES = Path(__file__).parents[2] / "validation" / "cases"
INSTALLED = any(point.name == "refsim" for point in entry_points(group="pytest11"))
PLUGIN = [] if INSTALLED else ["-p", "validation.pytest_plugin"]

SUITE = """
from certify_tools import ours, spoiled, times
from validation import NotExpressibleError

def wordless(*asked):
    raise NotExpressibleError("no delays here")

def test_right(refsim_case):
    verdict = refsim_case.check(ours)
    assert verdict.case is not None

def test_wrong(refsim_case):
    refsim_case.check(spoiled(times(-1.0, "delay")))

def test_wordless(refsim_case):
    refsim_case.check(wordless)
"""


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))


def run(pytester, *arguments, ini="[pytest]\n"):
    """Run the suite of somebody else: in a process of its own, which has not loaded the project."""
    pytester.makeini(ini)
    return pytester.runpytest_subprocess(*PLUGIN, "-p", "no:xdist", *arguments)


def test_a_simulator_is_certified_by_a_test(pytester):
    pytester.makepyfile(SUITE)
    result = run(pytester, f"--refsim-cases={CASES / 'chain.json'}")
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*test_wrong?chain-8?*",
            "case chain-8: fail. delay: off by 2.0e+00",
            "probable cause: wrong sign (delay has the opposite sign)",
            "delay * fail * 2.0e+00 * is *, the reference *",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_too_many_skipped_cases_are_said(pytester):
    pytester.makepyfile(SUITE)
    result = run(pytester, f"--refsim-cases={CASES / 'chain.json'}", "-k", "wordless")
    result.assert_outcomes(skipped=1, deselected=2)
    result.stdout.fnmatch_lines(
        ["*= refsim =*", "wordless: inconclusive: 1 of 1 cases were skipped"]
    )


def test_spikes_that_differ_are_named(pytester):
    pytester.makepyfile(
        "from certify_tools import one_dropped, spoiled\n"
        "def test_it(refsim_case):\n"
        "    refsim_case.check(spoiled(one_dropped))\n"
    )
    result = run(pytester, f"--refsim-cases={CASES / 'chain.json'}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["The first difference is spike * of neuron *, which is missing."])


def test_cases_are_set_in_the_configuration(pytester):
    pytester.makepyfile("def test_it(refsim_case):\n    assert refsim_case.case.network\n")
    result = run(pytester, ini=f"[pytest]\nrefsim_cases =\n    {CASES}\n")
    result.assert_outcomes(passed=len(list(CASES.glob("*.json"))))


def test_the_standard_suite_is_the_default(pytester):
    pytester.makepyfile("def test_it(refsim_case):\n    assert repr(refsim_case)\n")
    result = run(pytester, "-q")
    assert result.parseoutcomes()["passed"] >= 20


def test_a_case_that_cannot_be_read_is_named(pytester):
    pytester.makepyfile("def test_it(refsim_case): ...\n")
    result = run(pytester, "--refsim-cases=nothing.json")
    assert "refsim_case: nothing.json: cannot be read" in result.stdout.str() + result.stderr.str()


def test_the_plugin_loads_nothing_of_the_project_before_it_is_used():
    code = (
        "import sys, validation.pytest_plugin\n"
        "names = {name.split('.')[0] for name in sys.modules}\n"
        "assert not names & {'numba', 'numpy', 'refsim', 'adjoint', 'queues'}, names\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=CASES.parents[1])
