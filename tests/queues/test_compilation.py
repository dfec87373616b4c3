"""Kernels are compiled in ways of our own: what is left out changes nothing that can be seen."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest
from numba import njit

from queues.compiled import jit
from queues.compiled.jit import inner_kernel, keep_apart, kernel, maker, phase_kernel
from queues.exact import heap

ROOT = Path(__file__).parents[2]
needs_compiler = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="needs the compiler")


class Pair(NamedTuple):
    value: np.ndarray
    factor: float
    flag: bool


class Nested(NamedTuple):
    pair: Pair
    count: np.ndarray


def nested(size=4, factor=2.0):
    return Nested(Pair(np.arange(float(size)), factor, True), np.zeros(1, np.int64))


@inner_kernel
def part(pair, i):
    if i >= pair.value.shape[0]:
        raise ValueError("no such element")
    return pair.value[i] * pair.factor if pair.flag else 0.0


@phase_kernel
def apart(pair, i):
    keep_apart()
    return part(pair, i) + 1.0


@inner_kernel
def replaced(given, factor):
    return Nested(
        pair=Pair(value=given.pair.value, factor=factor, flag=given.pair.flag), count=given.count
    )


@kernel
def total(given, size):
    """Use variables in other blocks than their own, in loops, in one branch, and before others."""
    last = 0.0
    kept = given
    found = 0.0
    for i in range(size):
        value = part(kept.pair, i)
        if i % 2 == 0:
            chosen = replaced(kept, 0.5 * value)
            found += apart(chosen.pair, i)
        else:
            previous = kept
            kept = replaced(kept, kept.pair.factor + 1.0)
            found += part(previous.pair, i) - last
        last = value
        given.count[0] += 1
    return found + kept.pair.factor


@kernel
def total_of_total(given, size):
    return total(given, size) + 1.0


@maker
def made(size):
    """Return a pair."""
    return Pair(value=np.full(max(size, 1), 0.5), factor=2.0, flag=True)


@jit.jit
def of_made(size):
    return part(made(size), np.int64(0))


def in_python(size):
    """What ``total`` returns of ``nested()``."""
    factor, found, last = 2.0, 0.0, 0.0
    for i in range(size):
        value = i * factor
        if i % 2 == 0:
            found += i * (0.5 * value) + 1.0
        else:
            found += i * factor - last
            factor += 1.0
        last = value
    return found + factor


@pytest.mark.parametrize("size", range(5))
def test_variables_are_what_they_are_in_python(size):
    given = nested()
    assert total(given, size) == in_python(size)
    assert given.count[0] == size


def test_a_kernel_that_python_calls_is_called_by_kernels_too():
    assert total_of_total(nested(), 4) == in_python(4) + 1.0


def test_an_inner_kernel_raises_in_python():
    with pytest.raises(ValueError, match="no such element"):
        total(nested(2), 3)


def test_a_maker_is_a_function_of_python_and_of_kernels():
    assert made(3).value.tolist() == [0.5, 0.5, 0.5]
    assert of_made(3) == 1.0


@needs_compiler
def test_functions_compiled_by_others_call_kernels():
    """They pass tuples as Numba does, and link what they call whole."""

    @njit
    def sorted_times(times):
        queue = heap.empty(len(times))
        for i in range(len(times)):
            heap.add(queue, times[i], i, i, 0.0)
        out = np.empty_like(times)
        for i in range(len(times)):
            out[i] = queue.time[0]
            heap.pop(queue)
        return out

    @njit
    def both(given):
        return total(given, 3), apart(given.pair, 1), part(given.pair, 1)

    assert sorted_times(np.array([2.0, 0.0, 1.0])).tolist() == [0.0, 1.0, 2.0]
    assert both(nested()) == (in_python(3), 3.0, 2.0)


@needs_compiler
@pytest.mark.skipif(jit._pipelines() is None, reason="Numba is of another version")
def test_inner_kernels_become_machine_code_nowhere():
    total(nested(), 1)
    assert part.signatures
    assert apart.signatures
    for inner in (part, apart):
        for result in inner.overloads.values():
            assert result.library.get_pointer_to_function(result.fndesc.llvm_func_name) == 0
    (whole,) = total.overloads.values()
    assert whole.library.get_pointer_to_function(whole.fndesc.llvm_func_name) != 0


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


USE = """
import sys
sys.path.insert(0, "tests/queues")
from test_compilation import in_python, nested, total
from queues.compiled import jit
assert total(nested(), 4) == in_python(4)
"""


@needs_compiler
def test_what_python_calls_alone_is_kept_on_disk(tmp_path):
    """Inner kernels were once four fifths of what a first call had to write."""
    cache = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "0"}
    run(USE, **cache)
    kept = {path.name.rsplit("-", 1)[0] for path in tmp_path.rglob("*.nbi")}
    assert kept == {"test_compilation.total"}
    assert run(USE + "print(sum(total.stats.cache_hits.values()))", **cache) == "1"


@needs_compiler
@pytest.mark.parametrize("change", ["REFSIM_PLAIN_NUMBA", "version"])
def test_without_ways_of_our_own_kernels_are_compiled_all_the_same(change, tmp_path):
    """As with versions of Numba that are not known."""
    settings = {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "0"}
    before = ""
    if change == "version":
        before = "import numba; numba.version_info = numba.version_info._replace(minor=1)\n"
    else:
        settings[change] = "1"
    assert run(before + USE + "print(jit._pipelines())", **settings) == "None"


def test_the_installed_numba_has_been_tried():
    """Another one needs a look at `queues.compiled.compilation`, the tests here, and an entry."""
    assert numba.version_info[:2] in jit._TRIED
