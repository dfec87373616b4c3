"""The line that says why nothing happens yet."""

import io
from types import SimpleNamespace

import numba
import pytest

from queues.compiled import notice as compile_notice
from queues.compiled.jit import inner_kernel, kernel

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="needs the compiler")


def new_kernel():
    @inner_kernel
    def inner(x):
        return x + 1.0

    @kernel
    def outer(x):
        return inner(x)

    return outer


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Nobody has been told yet, and nothing is quick."""
    monkeypatch.setattr(compile_notice, "PATIENCE", 0.0)
    monkeypatch.setattr(compile_notice._watcher, "is_told", False)
    monkeypatch.delenv("REFSIM_QUIET", raising=False)


@pytest.fixture
def terminal(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(compile_notice, "sys", SimpleNamespace(stderr=stream, modules={}))
    return stream


def test_a_terminal_is_told_once(terminal):
    for x in (1.0, 1):
        new_kernel()(x)
    assert terminal.getvalue() == compile_notice.TEXT + "\n"


def test_what_is_compiled_quickly_needs_no_line(terminal, monkeypatch):
    monkeypatch.setattr(compile_notice, "PATIENCE", 1000.0)
    new_kernel()(1.0)
    assert terminal.getvalue() == ""


def test_time_adds_up_over_kernels(terminal, monkeypatch):
    monkeypatch.setattr(compile_notice, "PATIENCE", 1000.0)
    monkeypatch.setattr(compile_notice._watcher, "spent", 999.9999)
    new_kernel()(1.0)
    assert terminal.getvalue() != ""


def test_functions_of_others_are_no_concern_of_ours(terminal):
    @numba.njit
    def inner(x):
        return x + 1.0

    @numba.njit
    def outer(x):
        return inner(x)

    outer(1.0)
    assert terminal.getvalue() == ""


def test_it_can_be_turned_off(terminal, monkeypatch):
    monkeypatch.setenv("REFSIM_QUIET", "1")
    new_kernel()(1.0)
    assert terminal.getvalue() == ""


def test_files_are_left_alone_unless_a_progress_bar_goes_there_too(capsys):
    new_kernel()(1.0)
    assert capsys.readouterr().err == ""
    with compile_notice.wanted():
        new_kernel()(1.0)
    assert capsys.readouterr().err == compile_notice.TEXT + "\n"


def test_a_progress_bar_wants_it():
    pytest.importorskip("tqdm")
    from refsim.progress import no_progress, progress_bar

    for bar, is_wanted in ((progress_bar, True), (no_progress, False)):
        with bar(1.0):
            assert compile_notice._watcher.is_wanted is is_wanted
