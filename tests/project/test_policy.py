"""Rules for kernels, read off the syntax tree: they keep both lanes equal to the last bit.

``math`` functions and not NumPy's (which differ in the last bit), no powers, no reductions in an
order that somebody else chooses, no fastmath, and one decorator for all.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECORATORS = {"jit", "kernel", "inner_kernel", "phase_kernel", "maker"}
# Calls on `np` that are exact or make arrays.
ALLOWED = {
    "empty", "zeros", "full", "nextafter", "int64", "int32", "uint64", "uint8", "float64", "inf",
}  # fmt: skip
IN_CHARGE = ("jit.py", "compilation.py", "notice.py")
OTHER_COMPILERS = ("jax", "cuda")  # of back ends: what they compile does not run here
SOURCES = sorted(
    path
    for package in ("queues", "refsim", "adjoint", "validation")
    for path in (ROOT / package).rglob("*.py")
)


def kernels(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            names = {d.id for d in node.decorator_list if isinstance(d, ast.Name)}
            if names & DECORATORS:
                yield node


def violations(function):
    for node in ast.walk(function):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow | ast.MatMult):
            yield f"line {node.lineno}: {type(node.op).__name__}"
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "np"
            and node.attr not in ALLOWED
        ):
            yield f"line {node.lineno}: np.{node.attr}"
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in ("sum", "pow", "dot", "mean", "prod"):
                yield f"line {node.lineno}: {name}()"


def test_there_are_kernels():
    assert sum(1 for path in SOURCES for _ in kernels(path)) > 50


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_kernels_keep_the_rules(path):
    found = [
        f"{function.name}: {violation}"
        for function in kernels(path)
        for violation in violations(function)
    ]
    assert not found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_only_the_decorators_of_the_project_compile(path):
    in_charge = path.parent.name == "compiled" and path.name in IN_CHARGE
    if in_charge or "backends" in path.parts:  # the latter bring compilers of others
        return
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and node.attr in ("njit", "jit", "vectorize")
            and getattr(node.value, "id", getattr(node.value, "attr", "")) not in OTHER_COMPILERS
        ):
            pytest.fail(f"{path}: line {node.lineno} compiles with numba.{node.attr}")
        if (
            isinstance(node, ast.ImportFrom)
            and node.module == "numba"
            and {name.name for name in node.names} - set(OTHER_COMPILERS)
        ):
            pytest.fail(f"{path}: line {node.lineno} imports from numba")
        assert not (isinstance(node, ast.keyword) and node.arg == "fastmath")


def hidden_imports(tree):
    """Yield the lines of imports whose names are made while a program runs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            is_plain = bool(node.args) and isinstance(node.args[0], ast.Constant)
            if name in ("import_module", "__import__", "run_path", "run_module") and not is_plain:
                yield node.lineno


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in SOURCES
        if path.name != "__init__.py" and ("validation" not in path.parts or any(kernels(path)))
    ],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_the_digest_sees_what_modules_of_kernels_import(path):
    """Compiled code depends on what is imported, see `queues.compiled.source_digest`.

    Of a package whose `__init__` imports in such a way all counts.
    """
    assert not list(hidden_imports(ast.parse(path.read_text())))


def test_the_rules_see_a_hidden_import():
    assert list(hidden_imports(ast.parse("import_module('a')\nimportlib.import_module(a)\n"))) == [
        2
    ]


def test_tolerances_are_written_whole():
    """Beside an ``atol`` alone, ``assert_allclose`` lets 1e-7 of the expected numbers pass."""
    found = [
        f"{path.name}: line {node.lineno}"
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "assert_allclose"
        if {"atol"} == {keyword.arg for keyword in node.keywords} & {"atol", "rtol"}
    ]
    assert not found


def test_the_rules_see_a_violation():
    source = "@kernel\ndef f(x):\n    return np.exp(x) ** 2 + x.sum()\n"
    (function,) = ast.parse(source).body
    assert len(list(violations(function))) == 3
