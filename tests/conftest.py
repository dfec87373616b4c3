"""What the plain ``pytest`` does: it is quick, and processes share the kernels that they compile.

It leaves out what is marked slow, and draws some of the examples of each property. ``-m slow`` runs
what it leaves out, and those properties with all examples; ``-m ""`` runs everything in full.
"""

import os
import sys
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

import pytest

try:
    import fcntl
except ImportError:  # Windows: processes compile by themselves what others compile as well
    fcntl = None

MOST_WORKERS = 8  # each imports and loads by itself what tests need, for ten seconds
SHARE, FEWEST = 4, 10  # a quarter of the examples, but not fewer than these


def pytest_configure(config):
    """Keep compiled kernels in one place, and compile them in one worker."""
    if os.name == "posix":  # a test may give a program another home
        os.environ.setdefault("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    if hasattr(config, "workerinput") and fcntl is not None:
        _compile_one_at_a_time()


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Start a worker for each core, up to a limit."""
    return min((yield), MOST_WORKERS)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Draw few examples where slow tests are left out; elsewhere long searches are slow tests."""
    is_quick = "not slow" in config.option.markexpr
    done = set()
    for item in items:
        owner, name = _settings_of(item)
        if owner is None:
            continue
        settings = getattr(owner, name)
        if not is_quick and settings.max_examples > FEWEST:
            item.add_marker(pytest.mark.slow)
        if is_quick and owner not in done:
            done.add(owner)
            setattr(owner, name, _with_few_examples(settings))


def _settings_of(item):
    """Return who holds the settings of a test by Hypothesis, and in which attribute."""
    hypothesis = sys.modules.get("hypothesis")
    if hypothesis is None or not getattr(item.obj, "is_hypothesis_test", False):
        return None, ""
    if isinstance(getattr(item.cls, "settings", None), hypothesis.settings):
        return item.cls, "settings"  # a state machine
    return item.function, "_hypothesis_internal_use_settings"


def _with_few_examples(settings):
    few = max(settings.max_examples // SHARE, FEWEST)
    return type(settings)(settings, max_examples=min(settings.max_examples, few))


def _compile_one_at_a_time():
    """Let one worker compile a kernel, and the others wait for it and load what it has saved.

    A kernel waits for those that it calls, and these for no kernel that waits for them.
    """
    from numba.core.caching import NullCache
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.dispatcher import Dispatcher

    compile_kernel, held = Dispatcher.compile, set()

    @wraps(compile_kernel)
    def compile_alone(self, signature):
        # Threads take the lock of their process first: two of them never wait crosswise.
        with global_compiler_lock:
            if isinstance(self._cache, NullCache) or self in held:
                return compile_kernel(self, signature)
            held.add(self)
            try:
                with _locked(_lock_of(self)):
                    return compile_kernel(self, signature)
            finally:
                held.discard(self)

    Dispatcher.compile = compile_alone


def _lock_of(dispatcher):
    """Return a file that stands for a kernel, beside its compiled code."""
    folder = Path(dispatcher._cache.cache_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{dispatcher.__module__}.{dispatcher.__qualname__}.lock"


@contextmanager
def _locked(path):
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # until the file is closed, or the process has ended
        yield
