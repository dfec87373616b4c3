"""Imports: quick, lazy, and clear about what is in their way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import adjoint
import queues
import refsim
from refsim import neighbours

ROOT = Path(__file__).parents[2]


def run(code, path=()):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, path), str(ROOT)])},
        capture_output=True,
        text=True,
        cwd=ROOT.parent,
    )


@pytest.mark.parametrize("package", [refsim, adjoint, queues], ids=lambda p: p.__name__)
def test_every_public_name_is_there(package):
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing


def test_plots_are_found_as_attributes():
    pytest.importorskip("matplotlib")
    code = "import refsim, adjoint; print(refsim.plot.raster.__name__, adjoint.plot.__name__)"
    assert run(code).stdout.split() == ["raster", "adjoint.plot"]


def test_a_foreign_package_of_the_same_name_is_explained(tmp_path):
    (tmp_path / "queues.py").write_text("")
    result = run("import refsim", [tmp_path])
    assert result.returncode == 1
    assert "the package 'queues' comes from" in result.stderr


def test_lower_layers_do_not_import_upper_ones():
    code = (
        "import refsim.engine, refsim.results.trace, sys; "
        "print([m for m in sys.modules if m.split('.')[0] in ('adjoint', 'validation')])"
    )
    assert run(code).stdout.strip() == "[]"


def test_missing_extras_are_named():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import refsim, refsim.plot\n"
        "s = refsim.simulate(refsim.Network(1), None, 1.0)\n"
        "try: refsim.plot.raster(s)\n"
        "except refsim.MissingExtraError as error: print(error)\n"
    )
    assert 'pip install "refsim[plot]"' in run(code).stdout


# What each file beside a user's script hides, and what the user does there.
HIDING = {
    "queues": "import refsim",
    "queues, from above": "import adjoint; adjoint.vjp",
    "refsim": "import adjoint",
    "refsim, from above": "import validation",
    "adjoint": "import validation",
    "validation": (
        "import adjoint, refsim\n"
        "adjoint.check_grads(refsim.Network(1, i_ext=2.0), None, 1.0, judges=['duality'])"
    ),
}


@pytest.mark.parametrize("what", HIDING)
@pytest.mark.parametrize("form", ["file", "folder", "made by hand"])
def test_whatever_hides_a_package_is_explained(tmp_path, what, form):
    """Also where the import comes late, from an entry point, and whatever it is that hides."""
    name = what.partition(",")[0]
    code = HIDING[what]
    if form == "file":
        (tmp_path / f"{name}.py").write_text("")
    elif form == "folder":
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    else:
        code = f"import sys, types; sys.modules[{name!r}] = types.ModuleType({name!r})\n{code}"
    result = run(code, [tmp_path])
    assert result.returncode == 1
    found = "a module that is no file" if form == "made by hand" else tmp_path / name
    assert f"ImportError: the package {name!r} comes from {found}" in result.stderr
    assert f"refsim expects its own in {ROOT}. Remove or rename" in result.stderr


def test_a_hidden_package_that_may_not_be_wanted_is_a_warning(tmp_path):
    (tmp_path / "adjoint.py").write_text("")
    result = run("import refsim; print(refsim.Network(1).n_neurons)", [tmp_path])
    assert (result.returncode, result.stdout) == (0, "1\n")
    assert f"UserWarning: the package 'adjoint' comes from {tmp_path}" in result.stderr


def test_a_file_of_no_package_that_is_used_is_no_matter(tmp_path):
    (tmp_path / "validation.py").write_text("")
    result = run("import refsim; print(refsim.Network(1).n_neurons)", [tmp_path])
    assert (result.returncode, result.stdout, result.stderr) == (0, "1\n", "")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(neighbours, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match="the package 'queues' is missing"):
        neighbours.check_neighbour("queues")


def in_folder(folder, *arguments, **variables):
    """Run a module of Python in a folder, which then comes first in its search."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        cwd=folder,
    )


def test_the_command_explains_what_hides_a_package(tmp_path):
    (tmp_path / "validation.py").write_text("")
    result = in_folder(tmp_path, "refsim", "info")
    assert result.returncode == 2
    assert result.stderr.startswith(
        f"refsim: error: the package 'validation' comes from {tmp_path}"
    )


@pytest.mark.parametrize("name", ["queues", "validation"])
def test_pytest_goes_on_beside_a_file_that_hides_a_package(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "test_theirs.py").write_text(
        "def test_other(): pass\ndef test_of_refsim(refsim_case): pass\n"
    )
    plugins = ("-p", "pytest_refsim", "-p", "no:cacheprovider", "-q")
    result = in_folder(tmp_path, "pytest", *plugins, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert "1 passed, 1 error" in result.stdout
    assert f"refsim_case: the package {name!r} comes from {tmp_path}" in result.stdout
