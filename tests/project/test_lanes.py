"""What the plain ``pytest`` runs of properties, and what it leaves to ``-m slow``; see conftest."""

from pathlib import Path

import numba
import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[1] / "conftest.py"
INI = """
[pytest]
addopts = -p no:cacheprovider -m "not slow"
markers =
    slow: not in the quick lane
"""

PROPERTIES = """
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

def note(name):
    with open("calls", "a") as stream:
        print(name, file=stream)

def test_plain():
    note("plain")

@pytest.mark.slow
def test_slow():
    note("slow")

@pytest.mark.parametrize("x", [1, 2])
@settings(max_examples=200, database=None)
@given(n=st.integers())
def test_long(x, n):
    note(f"long{x}")

@settings(max_examples=8, database=None)
@given(st.integers())
def test_short(n):
    note("short")

class Machine(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        note("machine")

    @rule()
    def go(self):
        pass

TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=100, database=None)
"""


@pytest.mark.parametrize(
    ("lane", "expected"),
    [
        ([], {"plain": 1, "slow": 0, "long1": 50, "long2": 50, "short": 8, "machine": 25}),
        (["-m", "slow"], {"plain": 0, "slow": 1, "long1": 200, "long2": 200, "short": 0}),
        (["-m", ""], {"plain": 1, "slow": 1, "long1": 200, "long2": 200, "short": 8}),
    ],
    ids=["quick", "slow", "everything"],
)
def test_every_example_is_drawn_somewhere(pytester, lane, expected):
    pytester.makeini(INI)
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makepyfile(PROPERTIES)
    result = pytester.runpytest_subprocess("-p", "no:xdist", *lane)
    assert result.ret == 0
    calls = Path("calls").read_text().split()
    # The machine begins in all examples but for those that turn out to be duplicates.
    found = {name: calls.count(name) for name in {"machine": 100} | expected}
    assert found == {"machine": 100} | expected


KERNELS = """
import time
from pathlib import Path

import pytest
from kernels import cubed

@pytest.mark.parametrize("worker", [0, 1])
def test_both_at_once(worker):
    Path(f"here{worker}").touch()
    while not Path(f"here{1 - worker}").exists():
        time.sleep(0.001)
    assert cubed(2.0) == 8.0
    misses = sum(cubed.stats.cache_misses.values())
    Path(f"misses{worker}").write_text(str(misses))
"""


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="needs the compiler")
def test_two_workers_compile_a_kernel_once(pytester, monkeypatch):
    pytest.importorskip("xdist")
    pytest.importorskip("fcntl")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(pytester.path / "cache"))
    monkeypatch.syspath_prepend(CONFTEST.parents[1])
    pytester.makeini(INI)
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makepyfile(
        kernels="from queues.compiled.jit import jit\n\n@jit\ndef cubed(x):\n    return x * x * x\n"
    )
    pytester.makepyfile(KERNELS)
    result = pytester.runpytest_subprocess("-n", "2", "--dist", "load", timeout=300)
    result.assert_outcomes(passed=2)
    misses = [int(Path(f"misses{worker}").read_text()) for worker in (0, 1)]
    assert sorted(misses) == [0, 1]
