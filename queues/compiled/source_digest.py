"""Digests of what compiled code depends on: the sources of a kernel.

These are its module and all that this one imports, directly or not, of the packages whose kernels
others call and of the package that it lies in itself. A digest is that of the syntax, so comments,
docstrings and the numbers of lines are free.

What is imported is read off the syntax tree, wherever in a file it stands. A package that is
imported as such, or of which a name is imported that is none of its modules, counts with all that
lies in it, for it may give out anything of these. Imports for type checkers bring nothing into
a running program; the classes of arguments, which come from anywhere, are counted where signatures
are known (`queues.compiled.code_cache`). Not seen is what a module does to others behind their
backs.
"""

from __future__ import annotations

import ast
import hashlib
import os
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from queues.compiled.code_folder import cache_folder, read_checked, write_checked

_PACKAGES = ("queues", "refsim", "adjoint", "validation")
_ALL = tuple((0, package, "") for package in _PACKAGES)
_MOST_FACTS = 2000  # kept on disk, of about two hundred files
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Unknown(Exception):  # noqa: N818
    """Nobody can tell what a kernel depends on."""


class Sources(NamedTuple):
    """What a kernel depends on."""

    digest: str
    files: tuple[tuple[str, bytes], ...]  # and digests of their bytes

    def are_unchanged(self) -> bool:
        """Return whether the files still are what they were when the module was loaded."""
        try:
            return all(_content_digest(_read(file)) == content for file, content in self.files)
        except OSError:
            return False


class _Facts(NamedTuple):
    """What a file says."""

    content: bytes  # digest of its bytes
    syntax: str  # digest of its syntax
    imports: tuple[tuple[int, str, str], ...]  # level, module, and a name in it


class _Module(NamedTuple):
    name: str
    file: str
    package: str  # in which relative imports begin
    folders: tuple[str, ...] = ()  # of its modules, if it is a package


class _Loaded(NamedTuple):
    """A module as it was when it was loaded, with all that it imports itself."""

    spec: Any
    facts: _Facts
    imported: frozenset[_Module]


_loaded: dict[_Module, _Loaded] = {}
_sources: dict[_Module, tuple[Any, Sources]] = {}  # with the spec of the module


def sources_of(namespace: Mapping[str, Any], file: str) -> Sources:
    """Return what a module depends on, given its names and the file of its code.

    Raises ``Unknown`` where there is no file, as for what was typed in.
    """
    if file.startswith("<"):
        raise Unknown(file)
    name = namespace.get("__name__") or "__main__"
    package = namespace.get("__package__")
    module = _Module(name, _readable(file), name.rpartition(".")[0] if package is None else package)
    spec = _spec_of(module)
    known = _sources.get(module)
    if known and spec is not None and known[0] is spec:
        return known[1]
    try:
        found = _all_sources(module)
    except OSError as error:
        raise Unknown(file) from error
    _sources[module] = spec, found
    return found


def _all_sources(start: _Module) -> Sources:
    before = len(_known_facts())
    reached = {start: _load(start)}
    waiting = [start]
    while waiting:
        for module in reached[waiting.pop()].imported:
            if module not in reached:
                reached[module] = _load(module)
                waiting.append(module)
    if len(_known_facts()) > before:
        _keep_facts()
    # What lies beside a module of others is not seen: its folder stands for it.
    is_ours = start.name.partition(".")[0] in _PACKAGES
    place = "" if is_ours else os.path.dirname(os.path.abspath(start.file))
    syntax = sorted({(module.name, one.facts.syntax) for module, one in reached.items()})
    files = {module.file: one.facts.content for module, one in reached.items()}
    digest = hashlib.sha256(repr((start.name, place, syntax)).encode()).hexdigest()
    return Sources(digest, tuple(files.items()))


def _spec_of(module: _Module) -> Any:
    """Return what a module was loaded by, another one each time; None if nobody knows."""
    return getattr(sys.modules.get(module.name), "__spec__", None)


def _load(module: _Module) -> _Loaded:
    """Read a file when its module is first met, and again when that was loaded anew."""
    spec = _spec_of(module)
    known = _loaded.get(module)
    if known and spec is not None and known.spec is spec:
        return known
    facts = _facts_of(module.file)
    loaded = _Loaded(spec, facts, frozenset(_imported(module, facts)))
    _loaded[module] = loaded
    return loaded


def _imported(module: _Module, facts: _Facts) -> Iterator[_Module]:
    followed = {*_PACKAGES, module.name.partition(".")[0]}
    for level, base, name in facts.imports:
        parts = [base] if base else []
        if level:
            above = module.package.split(".")
            parts = above[: len(above) - level + 1] + parts
        if name != "*":
            parts += [name] if name else []
        dotted = ".".join(parts)
        if dotted.partition(".")[0] in followed:
            yield from _given_by(dotted)


def _given_by(name: str) -> Iterator[_Module]:
    """Yield the module of that name, or else all of the package that may hold such a name."""
    module = _find(name)
    if module is None:
        parent = name.rpartition(".")[0]
        if parent:
            yield from _given_by(parent)
        return
    if module.file:
        yield module
    for folder in module.folders:
        for path in sorted(Path(folder).rglob("*.py")):
            inner = path.relative_to(folder).with_suffix("").parts
            inner = inner[:-1] if inner[-1] == "__init__" else inner
            found = _find(".".join((module.name, *inner)))
            if found is not None and found.file:
                yield found


@cache
def _find(name: str) -> _Module | None:
    """Return a module, or None if there is none of that name."""
    parent, _, last = name.rpartition(".")
    if not parent:
        return _find_first(name)
    package = _find(parent)
    for folder in package.folders if package else ():
        path = os.path.join(folder, last)
        init = os.path.join(path, "__init__.py")
        if os.path.isfile(init):
            return _Module(name, init, name, (path,))
        if os.path.isfile(f"{path}.py"):
            return _Module(name, f"{path}.py", parent)
        if os.path.isdir(path):
            return _Module(name, "", name, (path,))
    return None


def _find_first(name: str) -> _Module | None:
    """Return a module that lies in no package."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError) as error:
        raise Unknown(name) from error
    if spec is None:
        return None
    folders = tuple(spec.submodule_search_locations or ())
    if spec.origin is None:
        return _Module(name, "", name, folders)
    file = _readable(spec.origin)
    return _Module(name, file, name if folders else "", folders if file == spec.origin else ())


def _readable(file: str) -> str:
    """Return a file of source, or the archive or program that it has been put into."""
    if os.path.isfile(file):
        if not file.endswith(".pyc"):
            return file
        raise Unknown(file)  # and there are no sources of others either
    for around in Path(os.path.abspath(file)).parents:
        if around.is_file():
            return str(around)
    if getattr(sys, "frozen", False):
        return sys.executable
    raise Unknown(file)


def _read(file: str) -> bytes:
    with open(file, "rb") as stream:
        return stream.read()


def _content_digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _facts_of(file: str) -> _Facts:
    """Return what a file says, which takes a while to find out, once for each content."""
    data = _read(file)
    content = _content_digest(data)
    known = _known_facts()
    if content not in known:
        known[content] = _parsed(data, content)
    return known[content]


@cache
def _known_facts() -> dict[bytes, _Facts]:
    folder = cache_folder()
    found = read_checked(folder / "sources") if folder else None
    return found or {}


def _keep_facts() -> None:
    folder = cache_folder()
    if folder:
        newest = dict(list(_known_facts().items())[-_MOST_FACTS:])
        with suppress(OSError):
            write_checked(folder / "sources", pickle.dumps(newest))


def _parsed(data: bytes, content: bytes) -> _Facts:
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError):  # it is not Python, and may hold anything
        return _Facts(content, content.hex(), _ALL)
    imports = tuple(dict.fromkeys(_imports(tree)))
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return _Facts(content, hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imports)


def _imports(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and _name_of(node.test) == "TYPE_CHECKING":
            waiting.extend(node.orelse)
            continue
        waiting.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            for alias in node.names:  # without another name the outermost package is bound
                yield 0, alias.name if alias.asname else alias.name.partition(".")[0], ""
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.level, node.module or "", alias.name
        elif isinstance(node, ast.Call) and _name_of(node.func) in ("import_module", "__import__"):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield 0, first.value, ""


def _name_of(node: ast.AST) -> str:
    return getattr(node, "id", getattr(node, "attr", ""))
