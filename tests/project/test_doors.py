"""Doors to the outside, read off the syntax tree: files and terminals are reached by few modules.

These keep to what is promised of all: bounds of what is read, files that are whole or not there,
and text that does nothing to a terminal.
"""

import ast

from test_policy import ROOT, SOURCES

# Modules that open files, and what the files are.
OPENING = {
    "refsim/files/reading.py": "files of others, within bounds",
    "refsim/files/arrays.py": "members of archives that came through refsim/files/reading.py",
    "refsim/files/output.py": "files that are written whole",
    "refsim/files/hdf5.py": "recordings",
    "queues/compiled/source_digest.py": "our own sources",
    "queues/compiled/code_folder.py": "compiled code, in a folder of our own",
    "validation/backends/programs.py": "environments of processes",
    "validation/peers/nest.py": "the device that takes all",
    "validation/terminal.py": "the same",
    "validation/case_suite/schema.py": "a file of the package",
    "validation/cli/cases.py": "files of the package",
    "validation/report/page.py": "files of the package",
    "validation/report/reading.py": "a file of the package",
}
METHODS = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "fromfile"}
PRINTING = {
    "validation/terminal.py": "all that the command says",
    "refsim/__main__.py": "why the command cannot be loaded",
    "queues/compiled/notice.py": "a line of its own",
}


def calls(path):
    """Yield the line of each call and its name, behind that of what it is a call of, if any."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.lineno, "", node.func.id
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.lineno, getattr(node.func.value, "id", "?"), node.func.attr


def opens(owner, name):
    if not owner:
        return name == "open"
    return name in METHODS or (owner, name) == ("np", "load")


def found(is_meant):
    """Return where calls of a kind are, by module."""
    places = {}
    for path in SOURCES:
        lines = [line for line, owner, name in calls(path) if is_meant(owner, name)]
        if lines:
            places[path.relative_to(ROOT).as_posix()] = lines
    return places


def test_files_are_opened_in_few_modules():
    assert found(opens).keys() == OPENING.keys()


def test_the_terminal_is_written_to_in_few_modules():
    assert found(lambda owner, name: not owner and name == "print").keys() == PRINTING.keys()
