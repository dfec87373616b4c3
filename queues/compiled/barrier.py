"""A barrier at which the threads of one kernel wait for each other.

A window of a simulation takes some tens of microseconds, less than it takes to wake a thread that
sleeps, so threads wait by looking again and again; a thread that has looked many times gives its
processor away, for where more threads run than there are processors the others need it. Plain loads
and stores would do on some processors, but compilers may move them: these are atomic.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

from queues.compiled.jit import inner_kernel, is_compiled

_APART = 8  # numbers to a line of the cache
_ARRIVED, _ROUND, _ABANDONED = 0, 8, 9  # the first two in lines of the cache of their own
_LOOKS = 20_000  # some tens of microseconds, the length of a short window
_HAS_YIELD = sys.platform != "win32"


def barrier() -> np.ndarray:
    """Return a barrier, which any number of threads can share."""
    return np.zeros(16, dtype=np.int64)


def abandon(barrier: np.ndarray) -> None:
    """Let the threads that wait at a barrier go, since one of them will never come."""
    barrier[_ABANDONED] = 1


def _pointer(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return cgutils.get_item_pointer(
        context, builder, signature.args[0], array, [args[1]], wraparound=False
    )


@intrinsic
def _fetch_add(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Add to an element, and return what it was."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature, args)
        return builder.atomic_rmw("add", pointer, args[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), generate


@intrinsic
def _load_now(typing_context: Any, array: Any, index: Any) -> Any:
    """Return an element as it is now."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature, args)
        return builder.load_atomic(pointer, "seq_cst", 8)

    return types.int64(array, types.intp), generate


@intrinsic
def _give_way(typing_context: Any) -> Any:
    """Let another thread have the processor."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        from llvmlite import ir

        if _HAS_YIELD:
            kind = ir.FunctionType(ir.IntType(32), [])
            function = cgutils.get_or_insert_function(builder.module, kind, "sched_yield")
            builder.call(function, [])
        return context.get_dummy_value()

    return types.none(), generate


_add: Any = _fetch_add  # as kernels call them, without the typing context
_load: Any = _load_now
_yield: Any = _give_way


@inner_kernel
def _wait(barrier, n_threads):
    before = _load(barrier, _ROUND)
    if _add(barrier, _ARRIVED, np.int64(1)) == n_threads - 1:
        _add(barrier, _ARRIVED, -n_threads)
        _add(barrier, _ROUND, np.int64(1))
        return True
    looks = np.int64(0)
    while _load(barrier, _ROUND) == before:
        if _load(barrier, _ABANDONED) == 1:
            return False
        looks += 1
        if looks > _LOOKS:
            _yield()
    return True


@inner_kernel
def wait(barrier, n_threads):
    """Wait until all threads are here; what they have written before can be read after.

    Return False if one of them will never come.
    """
    return n_threads == 1 or _wait(barrier, n_threads)


def claims(n: int) -> np.ndarray:
    """Return what threads need to share out ``n`` tasks, none of which is taken."""
    return np.zeros(n * _APART, dtype=np.int64)


@inner_kernel
def claim(claims, i, thread, n_threads):
    """Take on task ``i``, counted from where the thread's own begin; return it, -1 if it is taken.

    A thread whose own tasks are the same each time finds what they need in its cache.
    """
    n_tasks = claims.shape[0] // _APART
    task = (thread * n_tasks // n_threads + i) % n_tasks
    if n_threads == 1 or _add(claims, task * _APART, np.int64(1)) == 0:
        return task
    return np.int64(-1)


@inner_kernel
def withdraw(claims):
    """Offer all tasks again, while no other thread is looking."""
    claims[:] = 0


if not is_compiled():

    def _wait(barrier: Any, n_threads: int) -> bool:
        raise RuntimeError("threads wait for each other in compiled code alone")
