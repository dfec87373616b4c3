"""Compiled and interpreted runs agree to the last bit, whatever the compiler is told."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

TESTS = Path(__file__).parents[1] / "tools"
CASES = ["chain-8", "two_ports-38", "refractory-7", "equal_tau-3691", "full layers", "own delays"]


def digests(cases, **environment):
    """Run the digest program in a process of its own."""
    result = subprocess.run(
        [sys.executable, str(TESTS / "digest.py"), *cases],
        env={**os.environ, "PYTHONPATH": str(TESTS.parents[1]), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.splitlines()


@pytest.fixture(scope="module")
def interpreted():
    return digests(CASES, NUMBA_DISABLE_JIT="1")


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="needs the compiler")
def test_compiled_and_interpreted_runs_agree_to_the_last_bit():
    """All stored cases and the zoo: spikes, tape, voltages, gradients and tangents."""
    assert digests([], NUMBA_DISABLE_JIT="0") == digests([], NUMBA_DISABLE_JIT="1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"NUMBA_OPT": "0"},
        {"NUMBA_OPT": "1"},
        {"NUMBA_OPT": "2"},
        {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
        {"NUMBA_BOUNDSCHECK": "1"},
        {"REFSIM_PLAIN_NUMBA": "1"},
    ],
    ids=lambda environment: ",".join(f"{k}={v}" for k, v in environment.items()),
)
def test_settings_of_the_compiler_change_no_bit(environment, interpreted, tmp_path):
    """Each setting compiles from scratch: a cache would hide it."""
    settings = {"NUMBA_DISABLE_JIT": "0", "NUMBA_CACHE_DIR": str(tmp_path), **environment}
    assert digests(CASES, **settings) == interpreted
