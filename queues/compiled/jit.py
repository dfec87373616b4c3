"""The one decorator under which every kernel of the project is compiled.

Compiled code is kept on disk (`queues.compiled.code_cache`) and is not stale: a kernel may use
whatever its module imports of the packages here and of its own package, and an edit in these
compiles it anew (`queues.compiled.source_digest`). Edits of other modules it may use go unnoticed.

Indices of innermost loops are unsigned, ``np.uint64``. A signed one is first tested for being
negative, which counts from the end in Python; a loop with that test does not become vectors, and
may take twice as long. The sum of a signed and an unsigned number is a float for Numba, so that the
constants of such a loop are cast as well, and so is what it is given and what it returns.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar, cast

import numba
import numba.extending

from queues.compiled import notice as compile_notice
from queues.compiled.code_cache import keep_on_disk

_F = TypeVar("_F", bound=Callable[..., Any])

# Numba's settings and options that its stubs do not list.
_config: Any = numba.config
_njit: Any = numba.njit

_ALWAYS: Any = {"error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}
# Versions of Numba with whose inside `queues.compiled.compilation` has been tried; with others
# kernels are compiled as Numba compiles everything, to the same bits in twice the time.
_TRIED = ((0, 68),)


def is_compiled() -> bool:
    """Return whether kernels are compiled; they are not under ``NUMBA_DISABLE_JIT=1``."""
    return not _config.DISABLE_JIT


@cache
def _pipelines() -> Any:
    """Return the module with the cheaper ways of compilation, or None without them."""
    if os.environ.get("REFSIM_PLAIN_NUMBA", "0") not in ("", "0"):
        return None
    if numba.version_info[:2] not in _TRIED:
        return None
    return importlib.import_module("queues.compiled.compilation")


def _compiled(function: _F, is_linked: bool, **options: bool) -> _F:
    """Compile for Python, or else only to be linked by the kernels that call it."""
    pipelines = _pipelines()
    if pipelines:
        options["pipeline_class"] = (
            pipelines.LinkedCompiler if is_linked else pipelines.CompleteCompiler
        )
    compiled: _F = _njit(**_ALWAYS, **options)(function)
    # What links a kernel is kept, and to read that again takes as long as to compile it.
    if not (pipelines and is_linked):
        keep_on_disk(compiled)
    return compiled


def _for_python_too(function: _F, **options: bool) -> _F:
    """Compile a function that Python and kernels call, and for these apart, where that is less."""
    if _config.DISABLE_JIT:
        return function
    compiled: Any = _compiled(function, False, **options)
    compile_notice.watch(compiled)
    if _pipelines():

        @cache
        def linked() -> Any:
            return _compiled(function, True, no_cpython_wrapper=True, **options)

        compiled.get_call_template = lambda *call: linked().get_call_template(*call)
        compiled.get_overload = lambda signature: linked().get_overload(signature)
    return cast(_F, compiled)


def _for_kernels(function: _F, **options: bool) -> _F:
    """Compile a function that only kernels call, without counting of references."""
    if _config.DISABLE_JIT:
        return function
    compiled = _compiled(function, True, _nrt=False, no_cpython_wrapper=True, **options)
    _refuse_calls_from_python(compiled, function.__name__)
    return compiled


def jit(function: _F) -> _F:
    """Compile ``function`` in nopython mode, cached on disk, without ``fastmath``.

    Under ``NUMBA_DISABLE_JIT=1`` the function itself is returned. The interpreter lock is
    released while the function runs.
    """
    return _for_python_too(function)


def kernel(function: _F) -> _F:
    """Compile a function that allocates nothing, without counting of references.

    Numba counts the references of every array in a tuple that is passed on; in an event loop
    whose tuples hold sixty arrays that took ten times as long as the events.
    """
    return _for_python_too(function, _nrt=False)


def inner_kernel(function: _F) -> _F:
    """Compile a kernel that only kernels call.

    The wrapper for Python unpacks every array of a tuple: for a tuple of sixty arrays its
    compilation takes 0.8 s, ten times as long as that of a small function itself. And it is
    always inlined: to copy such a tuple for every call made an event three times as slow.
    """
    return _for_kernels(function, forceinline=True)


def phase_kernel(function: _F) -> _F:
    """Compile a kernel that only kernels call, apart from them.

    In one big function the registers of the innermost loops are spilled: a loop of many phases was
    three times as slow as its phases compiled apart. A phase takes few arrays, for they are copied
    at each call; where it is small, ``keep_apart()`` at its beginning keeps LLVM from inlining it.
    """
    return _for_kernels(function, forceinline=False)


def maker(function: _F) -> _F:
    """Leave a function that makes arrays to Python; kernels that call it have it compiled.

    Python makes a few arrays as fast, and without a second of compilation before.
    """
    if not _config.DISABLE_JIT:
        options: Any = {**_ALWAYS, **_linked_options()}
        numba.extending.overload(function, strict=False, jit_options=options)(
            _with_signature_of(function)
        )
    return function


def plain(function: _F) -> _F:
    """Return the Python function of a kernel that calls no inner ones, for little work."""
    return cast(_F, getattr(function, "py_func", function))


def _with_signature_of(function: _F) -> Callable[..., _F]:
    """Return what Numba asks for the body of ``function``."""

    def body(*_: Any, **__: Any) -> _F:
        return function

    body.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return body


def _linked_options() -> dict[str, Any]:
    pipelines = _pipelines()
    if not pipelines:
        return {}
    return {"pipeline_class": pipelines.LinkedCompiler, "no_cpython_wrapper": True}


def _keep_apart(typing_context: Any = None) -> Any:
    """Keep the compiler from inlining the kernel that calls this; nothing in plain Python."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return numba.types.none(), generate


def _arrays_lie_apart(typing_context: Any = None) -> Any:
    """Promise that no array of the kernel that calls this shares memory with one it writes to.

    Loops over many arrays are vectorised only then.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        results = 2  # places of the result and of an exception come first
        for argument in builder.function.args[results:]:
            if argument.type.is_pointer:
                argument.add_attribute("noalias")
        return context.get_dummy_value()

    return numba.types.none(), generate


def _only_compiled(function: Any) -> Any:
    return function if _config.DISABLE_JIT else numba.extending.intrinsic(function)


keep_apart: Any = _only_compiled(_keep_apart)
arrays_lie_apart: Any = _only_compiled(_arrays_lie_apart)


def by_type(choose: Callable[[type], Callable[..., Any]]) -> Callable[..., Any]:
    """Make a function of kernels whose body depends on the type of its first argument.

    ``choose`` takes the class of that argument, a NamedTuple, and returns the body. In compiled
    code the choice is made while a kernel is compiled and costs it nothing when it runs: kernels
    passed as arguments would miss Numba's disk cache.
    """
    chosen: Any = cache(choose)

    @wraps(choose)
    def function(first: Any, *rest: Any) -> Any:
        return chosen(type(first))(first, *rest)

    if not _config.DISABLE_JIT:
        options: Any = {"_nrt": False, "forceinline": True, **_ALWAYS, **_linked_options()}
        numba.extending.overload(function, strict=False, jit_options=options)(
            lambda first, *rest: chosen(first.instance_class)
        )
    return function


def _refuse_calls_from_python(dispatcher: Any, name: str) -> None:
    """Make a call from Python raise; without a wrapper it would jump to address zero."""

    def refuse(*_: Any, **__: Any) -> None:
        raise TypeError(f"{name} can only be called by compiled kernels")

    dispatcher._compile_for_args = refuse
    dispatcher._insert = lambda *_, **__: None
