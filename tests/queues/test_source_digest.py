"""Edits compile anew what depends on them, and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from queues.compiled import code_cache
from queues.compiled.jit import is_compiled

ROOT = Path(__file__).parents[2]
needs_compiler = pytest.mark.skipif(not is_compiled(), reason="kernels are not compiled")

FILES = {
    "queues/caller.py": (
        '"""Calls."""\n\n'
        "from queues.compiled.jit import jit\n"
        "from queues.middle import twice\n\n\n"
        '@jit\ndef f(x):\n    """Return it."""\n    return 10.0 * twice(x)\n'
    ),
    "queues/middle.py": (
        "from queues import callee\n"
        "from queues.compiled.jit import kernel\n\n\n"
        "@kernel\ndef twice(x):\n    return callee.g(x) + callee.g(x)\n"
    ),
    "queues/callee.py": (
        "from queues.compiled.jit import kernel\n\n\n"
        '@kernel\ndef g(x):\n    """Return more."""\n    return x + 1.0  # one\n'
    ),
    "queues/other.py": (
        "from queues.compiled.jit import jit\n\n\n@jit\ndef k(x):\n    return x + 0.5\n"
    ),
    "mine/__init__.py": "",
    "mine/constants.py": "SHIFT = 1.0\n",
    "mine/pairs.py": (
        "from typing import NamedTuple\n\n\n"
        "class Pair(NamedTuple):\n    first: float\n    second: float\n"
    ),
    "mine/kernels.py": (
        "from __future__ import annotations\n"
        "from typing import TYPE_CHECKING\n"
        "from mine.constants import SHIFT\n"
        "from queues.caller import f\n"
        "from queues.compiled.jit import jit\n"
        "if TYPE_CHECKING:\n    from mine.pairs import Pair\n\n\n"
        "@jit\ndef shifted(x):\n    return f(x) + SHIFT\n\n\n"
        "@jit\ndef difference(pair: Pair):\n    return pair.first - pair.second\n"
    ),
}
USE = (
    "from queues.caller import f\n"
    "from queues.other import k\n"
    "from mine.kernels import difference, shifted\n"
    "from mine.pairs import Pair\n"
    "values = f(1.0), k(1.0), shifted(1.0), difference(Pair(first=3.0, second=1.0))\n"
    "for value, kernel in zip(values, (f, k, shifted, difference)):\n"
    "    print(kernel.__name__, value, kernel.stats.cache_misses.total())\n"
)
VALUES = {"f": 40.0, "k": 1.5, "shifted": 41.0, "difference": 2.0}
MINE = {name: VALUES[name] for name in ("shifted", "difference")}  # of one module


def run(code, path, cache):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(path)}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # which tells edits of one second by size alone
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cache,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def outcome(tree, code=USE, path=None):
    """Return the values of kernels, and which of them were compiled."""
    lines = [line.split() for line in run(code, path or tree, tree / "code").splitlines()]
    values = {name: float(value) for name, value, _ in lines}
    return values, {name for name, _, misses in lines if misses != "0"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Return sources and their compiled code."""
    tree = tmp_path_factory.mktemp("tree")
    no_code = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "queues", tree / "queues", ignore=no_code)
    for name, text in FILES.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text)
    (tree / "code").mkdir()
    assert outcome(tree) == (VALUES, set(VALUES))
    assert outcome(tree) == (VALUES, set())
    return tree


@pytest.fixture
def tree(filled, tmp_path):
    """Return the same at the same path, on which the code of modules that are not ours depends."""
    kept = tmp_path / "kept"
    shutil.copytree(filled, kept)
    yield filled
    shutil.rmtree(filled)
    shutil.copytree(kept, filled)


def edit(tree, name, old, new):
    path = tree / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@needs_compiler
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("queues/caller.py", '"""Calls."""', '"""Calls another one.\n\nIn another file.\n"""'),
        ("queues/caller.py", '    """Return it."""\n', '    """Return ten times it."""\n'),
        ("queues/caller.py", '    """Return it."""\n', ""),
        ("queues/callee.py", "# one", "# the number that comes first"),
        ("queues/callee.py", '"""Return more."""', '"""Return one more."""'),
        ("queues/middle.py", "\n\n\n", "\n\n\n\n\n\n"),
        ("queues/compiled/jit.py", "Compile a function", "Compile some function"),
        ("queues/exact/heap.py", "\n\n\n", "\n\n\nUNUSED = 1\n\n\n"),
        ("queues/__init__.py", "__all__ = [", "UNUSED = 1\n__all__ = ["),
        ("mine/__init__.py", "", "UNUSED = 1\n"),
        ("mine/constants.py", "1.0", "1.0  # mV"),
    ],
)
def test_what_changes_no_kernel_compiles_nothing(tree, name, old, new):
    edit(tree, name, old, new)
    assert outcome(tree) == (VALUES, set())


@needs_compiler
@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("queues/callee.py", "x + 1.0", "x + 2.0", {"f": 60.0, **MINE, "shifted": 61.0}),
        ("queues/caller.py", "10.0", "100.0", {"f": 400.0, **MINE, "shifted": 401.0}),
        ("queues/other.py", "0.5", "1.5", {"k": 2.5}),
        ("mine/constants.py", "1.0", "2.0", {**MINE, "shifted": 42.0}),
    ],
)
def test_an_edit_compiles_what_depends_on_it_and_nothing_else(tree, name, old, new, expected):
    edit(tree, name, old, new)
    assert outcome(tree) == (VALUES | expected, set(expected))
    assert outcome(tree) == (VALUES | expected, set())
    edit(tree, name, new, old)
    assert outcome(tree) == (VALUES, set())  # old code is found again


@needs_compiler
def test_the_class_of_an_argument_counts_though_its_kernel_does_not_import_it(tree):
    """Numba tells tuples apart by names of classes and types of fields, but not their order."""
    edit(
        tree,
        "mine/pairs.py",
        "first: float\n    second: float",
        "second: float\n    first: float",
    )
    assert outcome(tree) == (VALUES, {"difference"})


@needs_compiler
@pytest.mark.parametrize(
    "form",
    [
        "import queues.callee\ndef g():\n    return queues.callee.NUMBER",
        "import queues.callee as c\ndef g():\n    return c.NUMBER",
        "import queues\ndef g():\n    return queues.callee.NUMBER\nimport queues.callee as _",
        "from queues import callee as c\ndef g():\n    return c.NUMBER",
        "from queues.callee import *\ndef g():\n    return NUMBER",
        "from .callee import NUMBER\ndef g():\n    return NUMBER",
        "from . import callee as c\ndef g():\n    return c.NUMBER",
        "from queues.deep.inner import NUMBER\ndef g():\n    return NUMBER",
        "from queues.deep import NUMBER\ndef g():\n    return NUMBER",
        "from queues import NUMBER\ndef g():\n    return NUMBER",
        "def number():\n    from queues.callee import NUMBER\n    return NUMBER\n"
        "value = number()\ndef g():\n    return value",
        "from importlib import import_module\nc = import_module('queues.callee')\n"
        "def g():\n    return c.NUMBER",
        "try:\n    from queues.callee import NUMBER\nexcept ImportError:\n    pass\n"
        "def g():\n    return NUMBER",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\n"
        "else:\n    from queues.callee import NUMBER\ndef g():\n    return NUMBER",
    ],
)
def test_every_form_of_import_is_followed(tree, form):
    (tree / "queues/callee.py").write_text("NUMBER = 1.0\n")
    (tree / "queues/deep").mkdir()
    (tree / "queues/deep/__init__.py").write_text("from .inner import NUMBER\n")
    (tree / "queues/deep/inner.py").write_text("from ..callee import NUMBER\n")
    edit(tree, "queues/__init__.py", "_MODULES = {", '_MODULES = {\n    "NUMBER": "callee",')
    (tree / "queues/user.py").write_text(
        f"{form}\n\nfrom queues.compiled.jit import jit\ng = jit(g)\n"
    )
    use = "from queues.user import g; print('g', g(), g.stats.cache_misses.total())"
    assert outcome(tree, use) == ({"g": 1.0}, {"g"})
    edit(tree, "queues/callee.py", "1.0", "2.0")
    assert outcome(tree, use) == ({"g": 2.0}, {"g"})


@needs_compiler
def test_copies_of_our_sources_share_code(tree, tmp_path):
    shutil.copytree(tree / "queues", tmp_path / "copy" / "queues")
    use = "from queues.caller import f; print('f', f(1.0), f.stats.cache_misses.total())"
    assert outcome(tree, use, tmp_path / "copy") == ({"f": 40.0}, set())


@needs_compiler
def test_what_lies_beside_modules_of_others_may_differ(tree, tmp_path):
    use = "from kernels import f; print('f', f(), f.stats.cache_misses.total())"
    for folder, number in (("a", 1.0), ("b", 2.0)):
        place = tmp_path / folder
        place.mkdir()
        (place / "numbers_of_mine.py").write_text(f"NUMBER = {number}\n")
        (place / "kernels.py").write_text(
            "from numbers_of_mine import NUMBER\nfrom queues.compiled.jit import jit\n\n\n"
            "@jit\ndef f():\n    return NUMBER\n"
        )
        path = f"{place}{os.pathsep}{tree}"
        assert outcome(tree, use, path) == ({"f": number}, {"f"})
        assert outcome(tree, use, path) == ({"f": number}, set())


@needs_compiler
def test_functions_of_one_name_are_told_apart(tree):
    """Their instructions are the same; constants, names and the sets of a line differ."""
    (tree / "queues/user.py").write_text(
        "from queues.compiled.jit import jit\n\n"
        "A, B = 3.0, 4.0\n\n\n"
        "@jit\ndef f():\n    return 1.0\n\n\nfirst = f\n\n\n"
        "@jit\ndef f():\n    return 2.0\n\n\nsecond = f\n\n\n"
        "@jit\ndef f():\n    return A\n\n\nthird = f\n\n\n"
        "@jit\ndef f():\n    return B\n\n\nfourth = f\n"
    )
    use = (
        "from queues import user\n"
        "for name in ('first', 'second', 'third', 'fourth'):\n"
        "    f = getattr(user, name)\n"
        "    print(name, f(), f.stats.cache_misses.total())\n"
    )
    values = {"first": 1.0, "second": 2.0, "third": 3.0, "fourth": 4.0}
    assert outcome(tree, use) == (values, set(values))
    assert outcome(tree, use) == (values, set())


@needs_compiler
def test_code_of_files_edited_in_the_meantime_is_not_kept(tree):
    """What was loaded of one version and edited before the rest was loaded is of neither."""
    before = (
        "import pathlib, queues.middle\n"
        f"path = pathlib.Path({str(tree / 'queues/callee.py')!r})\n"
        "text = path.read_text()\n"
        "path.write_text(text.replace('x + 1.0', 'x + 5.0'))\n"
    )
    edit(tree, "queues/caller.py", "10.0", "100.0")
    use = "from queues.caller import f\nprint('f', f(1.0), f.stats.cache_misses.total())\n"
    assert outcome(tree, before + use) == ({"f": 400.0}, {"f"})
    assert outcome(tree, use) == ({"f": 1200.0}, {"f"})
    edit(tree, "queues/callee.py", "5.0", "1.0")
    assert outcome(tree, use) == ({"f": 400.0}, {"f"})


@needs_compiler
def test_a_module_loaded_again_is_read_again(tree):
    use = (
        "import importlib, pathlib\n"
        "from mine import constants, kernels\n"
        "print('before', kernels.shifted(1.0), 0)\n"
        f"path = pathlib.Path({str(tree / 'mine/constants.py')!r})\n"
        "path.write_text('SHIFT = 2.00\\n')\n"
        "importlib.reload(constants)\n"
        "importlib.reload(kernels)\n"
        "print('after', kernels.shifted(1.0), 0)\n"
    )
    assert outcome(tree, use)[0] == {"before": 41.0, "after": 42.0}


@needs_compiler
def test_sources_in_an_archive(tree, tmp_path):
    use = "from queues.caller import f; print('f', f(1.0), f.stats.cache_misses.total())"

    def packed():
        (tmp_path / "all").mkdir(exist_ok=True)
        shutil.copytree(tree / "queues", tmp_path / "all" / "queues", dirs_exist_ok=True)
        return shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "all")

    assert outcome(tree, use, packed()) == ({"f": 40.0}, {"f"})
    assert outcome(tree, use, tmp_path / "packed.zip") == ({"f": 40.0}, set())
    edit(tree, "queues/callee.py", "1.0", "2.0")
    assert outcome(tree, use, packed()) == ({"f": 60.0}, {"f"})


@needs_compiler
@pytest.mark.parametrize("name", ["<string>", "/nowhere/at/all.py"])
def test_what_has_no_file_is_compiled_each_time(tree, name):
    text = "from queues.compiled.jit import jit\n@jit\ndef f(x):\n    return x + 1.0\n"
    use = (
        f"exec(compile({text!r}, {name!r}, 'exec'))\n"
        "print('f', f(1.0), f.stats.cache_misses.total())"
    )
    kept = sorted((tree / "code").rglob("*.nb?"))
    assert outcome(tree, use)[0] == {"f": 2.0}
    assert sorted((tree / "code").rglob("*.nb?")) == kept


@needs_compiler
@pytest.mark.parametrize("change", [lambda c: c[:100], lambda c: c[::-1], lambda c: b""])
def test_a_damaged_record_of_sources_is_made_anew(tree, change):
    (path,) = (tree / "code").glob("kernels-*/sources")
    path.write_bytes(change(path.read_bytes()))
    edit(tree, "queues/callee.py", "1.0", "2.0")
    assert outcome(tree)[1] == {"f", *MINE}
    assert len(path.read_bytes()) > 1000


@needs_compiler
def test_code_that_is_used_counts_as_new(tree):
    (index,) = (tree / "code").rglob("caller.f-*.nbi")
    os.utime(index, (1.0, 1.0))
    outcome(tree)
    assert index.stat().st_mtime > 1.0


def test_the_code_used_last_is_kept(tmp_path, monkeypatch):
    for age in range(5):
        for ending in ("nbi", "1.nbc", "2.nbc.tmp.0123456789abcdef"):
            path = tmp_path / f"heap.<locals>.push-{age:024x}.py311.{ending}"
            path.write_bytes(b"0" * 100)
            os.utime(path, (1e9 - age, 1e9 - age - (ending != "nbi")))
    (tmp_path / "sources").write_bytes(b"0" * 10000)
    monkeypatch.setattr(code_cache, "_MOST_BYTES", 700)
    code_cache._forget_old_code(tmp_path)
    kept = sorted(path.name for path in tmp_path.glob("heap*"))
    assert {name.split("-")[1][:24] for name in kept} == {f"{0:024x}", f"{1:024x}"}
    assert len(kept) == 6
    assert (tmp_path / "sources").exists()
