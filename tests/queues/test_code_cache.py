"""Compiled code on disk: whatever has happened to its files, results are right and runs go on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from queues.compiled.jit import is_compiled

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not is_compiled(), reason="kernels are not compiled")
CALL = (
    "from refsim.models.lif.exponentials import convolve2, convolve3\n"
    "print(convolve3(1.0, 1.0, 1.0, 1.0), convolve2(1.0, 2.0, 1.0))\n"
    "print(sum(f.stats.cache_hits.total() for f in (convolve2, convolve3)))\n"
)


def start(folder, before=""):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", before + CALL],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process):
    """Return what the functions have given, and how many were found on disk."""
    printed, complaints = process.communicate()
    assert (process.returncode, complaints) == (0, "")
    values, hits = printed.splitlines()
    return values, int(hits)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Return a folder of compiled code, made by three processes at once, and the values."""
    folder = tmp_path_factory.mktemp("code")
    values = {outcome(process)[0] for process in [start(folder) for _ in range(3)]}
    assert len(values) == 1
    return folder, values.pop()


def files_of(folder, name):
    return sorted(path for path in folder.rglob(f"exponentials.{name}-*") if path.is_file())


def cut(size):
    return lambda content: content[:size]


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("change", [cut(0), cut(100), cut(-1), flipped, lambda c: c[::-1]])
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_damaged_files_are_compiled_anew(filled, tmp_path, kind, change):
    folder, values = filled
    copy = tmp_path / "code"
    shutil.copytree(folder, copy)
    assert outcome(start(copy)) == (values, 2)
    (path,) = (path for path in files_of(copy, "convolve3") if path.suffix == f".{kind}")
    path.write_bytes(change(path.read_bytes()))
    assert outcome(start(copy)) == (values, 1)
    assert outcome(start(copy)) == (values, 2)  # it was written anew


def test_code_of_another_signature_is_not_taken(filled, tmp_path):
    """Two processes that save at once may have written to one file."""
    folder, values = filled
    copy = tmp_path / "code"
    shutil.copytree(folder, copy)
    ours, theirs = (
        next(path for path in files_of(copy, name) if path.suffix == ".nbc")
        for name in ("convolve3", "convolve2")
    )
    ours.write_bytes(theirs.read_bytes())
    assert outcome(start(copy)) == (values, 1)


@pytest.mark.skipif(os.name != "posix", reason="needs limits of the size of files")
def test_a_full_disk_does_not_keep_kernels_from_running(filled, tmp_path):
    no_room = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    assert outcome(start(tmp_path, no_room)) == (filled[1], 0)


def test_no_folder_for_a_while_and_no_home():
    """Kernels run where nothing can be kept."""
    code = (
        "import os, sys, tempfile\n"
        "def none(): raise FileNotFoundError(2, 'No usable temporary directory')\n"
        "tempfile.gettempdir = none\n"
        "os.path.expanduser = lambda path: path\n"
        "import refsim\n"
        "from queues.compiled.code_folder import cache_folder\n"
        "print(cache_folder())\n" + CALL
    )
    gone = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME")
    environment = {key: value for key, value in os.environ.items() if key not in gone}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("None\n")
