"""Threads that share out numbered tasks, stop together, and hand on what one of them raises."""

from __future__ import annotations

import contextvars
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

from queues.compiled.barrier import abandon, barrier
from queues.compiled.jit import is_compiled

_PATIENCE = 0.1  # s between two looks at the keyboard, where waiting cannot be interrupted


class Tasks:
    """The numbers 0 to n - 1, each handed to one of the threads that iterate over them.

    Attributes
    ----------
    stopped : bool
        Whether no more are handed out; a thread looks at it now and then during a task.
    """

    def __init__(self, n: int):
        self._numbers = iter(range(n))
        self._lock = threading.Lock()
        self.stopped = False

    def __iter__(self) -> Tasks:
        return self

    def __next__(self) -> int:
        with self._lock:
            if self.stopped:
                raise StopIteration
            return next(self._numbers)

    def stop(self) -> None:
        """Hand out no more tasks, and ask for an end of those under way."""
        self.stopped = True


def share_out(n_tasks: int, threads: int, body: Callable[[Tasks], None]) -> None:
    """Let ``body`` iterate over the tasks in several threads, of which the caller's is one.

    What it raises in any thread stops the others and is raised here, when all have ended. Ctrl-C
    is raised in the main thread only, so that this one has to take part, and to wait in short
    turns.
    """
    tasks = Tasks(n_tasks)
    failures: list[BaseException] = []

    def helping() -> None:
        try:
            body(tasks)
        except BaseException as error:
            failures.append(error)
            tasks.stop()

    helpers: list[threading.Thread] = []
    try:
        for _ in range(min(threads, n_tasks) - 1):
            # NumPy keeps its handling of floating-point errors in the context.
            context = contextvars.copy_context()
            helpers.append(threading.Thread(target=context.run, args=(helping,), daemon=True))
            helpers[-1].start()
        body(tasks)
        _join(helpers)
    except BaseException:
        tasks.stop()
        _join(helpers)
        raise
    if failures:
        raise failures[0]


def _join(helpers: list[threading.Thread]) -> None:
    """Wait for all; one of which Ctrl-C has met the start is listed, but cannot be joined yet."""
    for helper in helpers:
        while helper in threading.enumerate():
            if helper.is_alive():
                helper.join(_PATIENCE)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off Ctrl-C to the end of a block, in the thread that gets it.

    There it does what it would have done before: whoever started the program may have it ignored,
    as shells do for what runs in the background, and a program may have a handler of its own.
    """
    before = signal.getsignal(signal.SIGINT)
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or before in (signal.SIG_IGN, None):
        yield
        return
    pressed: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        signal.raise_signal(signal.SIGINT)


class Crew:
    """Threads that run kernels together, and wait for each other at a barrier in them.

    The thread that calls is one of them. In plain Python it is the only one. As a context manager
    it ends the others.
    """

    def __init__(self, n_threads: int):
        self.size = n_threads if is_compiled() else 1
        self._others = ThreadPoolExecutor(max(1, self.size - 1))  # started when first needed

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *error: object) -> None:
        self._others.shutdown()

    def run(self, kernel: Callable[..., int], arguments: tuple[Any, ...]) -> int:
        """Run a kernel in all threads, and return what it returns.

        It takes, behind ``arguments``, the barrier, the number of the thread and that of all
        threads.
        """
        gate, n = barrier(), self.size
        others: list[Future[int]] = []
        try:
            for i in range(1, n):
                others.append(self._others.submit(kernel, *arguments, gate, i, n))
            result = int(kernel(*arguments, gate, 0, n))
        except BaseException:
            abandon(gate)  # Ctrl-C before this thread came to the barrier
            wait(others)
            raise
        for other in others:
            other.result()
        return result
