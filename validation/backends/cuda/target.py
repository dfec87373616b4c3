"""Which numba.cuda there is, and what it must know to compile kernels of the CPU for a device.

numba.cuda compiles a function of the project's decorators for the device when a kernel of the
device calls it. So a device runs the event loop, the neuron, the search for crossings and the
backward pass in the very words of the reference; what differs is the compiler, which fuses
multiplications and additions, and the library of exponentials.

The simulator of numba.cuda (``NUMBA_ENABLE_CUDASIM=1``) is plain Python, and runs them with
``NUMBA_DISABLE_JIT=1`` alone; both are read when Numba is first imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numba

from adjoint.events import keep
from queues.bounded import dispatch as bounded_dispatch
from queues.exact import dispatch
from refsim.errors import MissingExtraError, RefsimError
from refsim.transit import lossy

# Functions whose body depends on a type, see queues.compiled.jit.by_type.
_BY_TYPE = (
    dispatch.add,
    dispatch.pop,
    dispatch.top,
    dispatch.replace_top,
    bounded_dispatch.push,
    bounded_dispatch.due,
    bounded_dispatch.take,
    lossy.offer,
    lossy.passes,
    lossy.is_lost,
    lossy.has_room,
    keep.deposit,
    keep.collect,
    keep.collect_rest,
)
_config: Any = numba.config


class NoDeviceError(RefsimError, RuntimeError):
    """There is no device that could run kernels of CUDA; the message says why."""


def is_simulated() -> bool:
    """Return whether kernels are run by the simulator of numba.cuda."""
    return bool(getattr(_config, "ENABLE_CUDASIM", False))


def reason_of_absence() -> str | None:
    """Return why kernels of CUDA cannot be run here, or None if they can."""
    if is_simulated():
        if not _config.DISABLE_JIT:
            return "the simulator of numba.cuda needs NUMBA_DISABLE_JIT=1 beside it"
        return None
    if not has_target():
        return "numba-cuda is not installed"
    if _config.DISABLE_JIT:
        return "NUMBA_DISABLE_JIT is set, and a device runs compiled code alone"
    from numba import cuda

    if cuda.is_available():
        return None
    return f"numba.cuda finds no device ({_first_line(cuda.cuda_error())})"


def has_target() -> bool:
    """Return whether numba-cuda is installed, which can compile without a device too."""
    return importlib.util.find_spec("numba_cuda") is not None


def check_available() -> None:
    """Raise if kernels of CUDA cannot be run here."""
    why_not = reason_of_absence()
    if why_not is None:
        return
    if not is_simulated() and not has_target():
        raise MissingExtraError(f"{why_not}; expected the extra 'cuda': pip install 'refsim[cuda]'")
    raise NoDeviceError(
        f"{why_not}; expected a CUDA device, or the simulator: NUMBA_ENABLE_CUDASIM=1 with "
        "NUMBA_DISABLE_JIT=1"
    )


@cache
def share_kernels() -> None:
    """Let numba.cuda know the functions that are chosen by type; once a process."""
    if is_simulated():  # it calls them as they are
        return
    overload: Any = importlib.import_module("numba.cuda.extending").overload

    def share(function: Callable[..., Any]) -> None:
        chosen: Any = cache(function.__wrapped__)  # type: ignore[attr-defined]
        overload(function, strict=False)(lambda first, *rest: chosen(first.instance_class))

    for function in _BY_TYPE:
        share(function)


def device_name() -> str:
    """Return the name of the device in use."""
    if is_simulated():
        return "simulator of numba.cuda"
    from numba import cuda

    name = cuda.get_current_device().name
    return name.decode() if isinstance(name, bytes) else str(name)


def to_device(value: Any) -> Any:
    """Return a copy on the device of an array, or of all arrays of a tuple."""
    import numpy as np
    from numba import cuda

    if isinstance(value, tuple):
        return _rebuilt(value, to_device)
    if isinstance(value, np.ndarray):
        return cuda.to_device(np.ascontiguousarray(value))
    return value


def configured(kernel: Any, size: int, block: int) -> Any:
    """Return a kernel that can be launched for ``size`` threads or a few more, by blocks."""
    with warnings.catch_warnings():
        # Few blocks leave the device idle; how many samples there are is for the caller to say.
        warnings.filterwarnings("ignore", message=".*Grid size")
        return kernel[-(-size // block), block]


def rows_on_device(value: Any, threads: int) -> Any:
    """Return room on the device for an array, or all arrays of a tuple, of each of many threads.

    That of a thread is ``array[..., number of the thread]``. The order of the axes is that of
    memory, so that the type is the same for any sizes, and nothing is compiled twice.
    """
    import numpy as np
    from numba import cuda

    if isinstance(value, tuple):
        return _rebuilt(value, lambda member: rows_on_device(member, threads))
    assert isinstance(value, np.ndarray)
    return cuda.device_array((*value.shape, threads), value.dtype)


def bytes_of(value: Any) -> int:
    """Return the number of bytes of an array, or of all arrays of a tuple."""
    return sum(map(bytes_of, value)) if isinstance(value, tuple) else int(value.nbytes)


def _rebuilt(value: Any, function: Callable[[Any], Any]) -> Any:
    """Return a NamedTuple of the same type whose members ``function`` has made."""
    return type(value)(*map(function, value))


def _first_line(error: Any) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else "no message"
