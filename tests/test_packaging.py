"""Imports: quick, lazy, and clear about what is in their way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import adjoint
import queues
import refsim

ROOT = Path(__file__).parents[1]


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
        "import refsim.engine, refsim.trace, sys; "
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
