"""The cache of compiled code: never stale, and no obstacle to importing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("queues", "refsim", "adjoint", "validation")
needs_compiler = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="needs the compiler")


def run(code, root, **environment):
    base = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={**base, "PYTHONPATH": str(root), **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def copy_of_sources(folder):
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return folder


CALL = "from refsim.models.lif.exponentials import convolve3; print(convolve3(1.0, 1.0, 1.0, 1.0))"


@needs_compiler
def test_an_edited_callee_in_another_file_is_compiled_again(tmp_path):
    """Numba's own cache would go on serving the old code of ``calls``."""
    root = copy_of_sources(tmp_path)
    (root / "refsim" / "calls.py").write_text(
        "from queues.compiled.jit import kernel\n"
        "from refsim.callee import g\n\n\n"
        "@kernel\ndef f(x):\n    return 10.0 * g(x)\n"
    )
    callee = root / "refsim" / "callee.py"
    body = "from queues.compiled.jit import kernel\n\n\n@kernel\ndef g(x):\n    return x + {}\n"
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    code = "from refsim.calls import f; print(f(1.0))"
    callee.write_text(body.format("1.0"))
    assert run(code, root, **cache) == "20.0"
    assert run(code, root, **cache) == "20.0"
    callee.write_text(body.format("2.0"))
    assert run(code, root, **cache) == "30.0"


@needs_compiler
def test_compiled_code_is_reused(tmp_path):
    code = CALL + "; print(sum(convolve3.stats.cache_hits.values()))"
    cache = {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert run(code, ROOT, **cache).split()[1] == "0"
    assert run(code, ROOT, **cache).split()[1] == "1"


@needs_compiler
def test_a_read_only_installation_falls_back_to_a_folder_of_the_user(tmp_path):
    root = copy_of_sources(tmp_path / "site")
    for path in [root, *root.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    home = tmp_path / "home"
    home.mkdir()
    try:
        code = (
            CALL + "; from queues.compiled.code_folder import cache_folder; print(cache_folder())"
        )
        value, folder = run(code, root, HOME=str(home), XDG_CACHE_HOME="").split()
        assert float(value) > 0.0
        assert Path(folder).is_relative_to(home)
    finally:
        for path in [root, *root.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


@needs_compiler
def test_without_any_writable_folder_kernels_still_run(tmp_path):
    nowhere = tmp_path / "file"
    nowhere.write_text("not a folder")
    code = (
        f"import tempfile; tempfile.tempdir = {str(nowhere)!r}\n"
        "from queues.compiled.code_folder import cache_folder; print(cache_folder())\n" + CALL
    )
    folder, value = run(code, ROOT, HOME=str(nowhere), XDG_CACHE_HOME=str(nowhere)).split()
    assert folder == "None"
    assert float(value) > 0.0


@needs_compiler
def test_few_folders_of_old_code_are_kept(tmp_path):
    for i in range(20):
        (tmp_path / f"kernels-{i:016x}").mkdir()
    run(CALL, ROOT, NUMBA_CACHE_DIR=str(tmp_path))
    assert len(list(tmp_path.glob("kernels-*"))) <= 8


@needs_compiler
def test_an_inner_kernel_refuses_calls_from_python():
    from refsim.events.loop import advance

    with pytest.raises(TypeError, match="advance can only be called by compiled kernels"):
        advance(1, 2, 3, 4)


def test_importing_compiles_and_loads_nothing():
    code = "import refsim, adjoint, queues, validation, sys; print('numba' in sys.modules)"
    assert run(code, ROOT) == "False"


@pytest.mark.parametrize("disabled", ["0", "1"])
def test_pairs_grow_as_two_numbers_do(disabled):
    """To the last bit, rounding twice: a fused product and sum would round once."""
    code = (
        "import numpy as np\n"
        "from numba import njit\n"
        "from queues.compiled.vector.pairs import add_scaled_pair\n"
        "@njit\n"
        "def grow(sums, place, factor, first, second):\n"
        "    for k in range(len(place)):\n"
        "        i = np.uint64(place[k])\n"
        "        add_scaled_pair(sums, i, factor[k], first[k], second[k])\n"
        "rng = np.random.default_rng(0)\n"
        "place = rng.integers(0, 9, 200)\n"
        "size = 10.0 ** rng.integers(-9, 9, (3, 200))\n"
        "factor, first, second = rng.normal(size=(3, 200)) * size\n"
        "ours, theirs = np.ones(10), np.ones(10)\n"
        "grow(ours, place, factor, first, second)\n"
        "for i, w, a, b in zip(place, factor, first, second):\n"
        "    theirs[i] += w * a\n"
        "    theirs[i + 1] += w * b\n"
        "print(ours.tobytes() == theirs.tobytes())\n"
    )
    assert run(code, ROOT, NUMBA_DISABLE_JIT=disabled) == "True"
