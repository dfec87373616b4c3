"""Simulations as functions of JAX; needs the extra ``jax``.

Numbers of refsim are float64, and JAX has these only after
``jax.config.update("jax_enable_x64", True)``. Simulations run on the host, through callbacks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from adjoint.bridge import Outputs, Program
from adjoint.names import ParameterName
from refsim.errors import (
    InvalidTypeError,
    InvalidValueError,
    MissingExtraError,
    UndefinedGradientError,
)
from refsim.network.inputs import SpikeTrain
from refsim.network.network import Network
from refsim.validate import boolean, members

try:
    import jax
    from jax.extend.core import Primitive
    from jax.interpreters import ad, batching, mlir
except ImportError:
    raise MissingExtraError(
        'adjoint.jax needs JAX, which is not installed: pip install "refsim[jax]"'
    ) from None

__all__ = ["function"]


def __dir__() -> list[str]:
    return sorted(__all__)


def function(
    network: Network,
    inputs: SpikeTrain | Sequence[SpikeTrain | None] | None,
    duration: float,
    outputs: Outputs,
    parameters: ParameterName | Sequence[ParameterName] = ("weight",),
    *,
    single: bool = False,
    **options: Any,
) -> Callable[[Mapping[str, Any]], Any]:
    """Return a simulation as a function of parameters that JAX can transform.

    The function works under ``grad``, ``jacrev``, ``jacfwd``, ``jvp``, ``vjp``, ``vmap`` and
    ``jit``. First derivatives are exact; second ones are refused.

    Parameters
    ----------
    network : Network
        The network; parameters that are not named are its own, and constant.
    inputs : SpikeTrain, None, or sequence of these
        Input spikes; a sequence is a batch.
    duration : float
        End of the simulation in ms.
    outputs : Readout or sequence of Readout
        What is read off: readouts and losses of `adjoint.losses`.
    parameters : str or sequence of str
        Names of the parameters that the function takes, as in :class:`adjoint.Parameters`. For a
        batch, ``input_times`` are those of all samples end to end.
    single : bool
        Whether arrays of JAX are float32, as they are where its 64-bit numbers are switched off.
        Simulations are float64 all the same.
    **options
        As for :func:`adjoint.vjp`, but for ``samples`` and ``checkpoint``.

    Returns
    -------
    callable
        Takes a mapping of the names to arrays, and returns an array of the shape of each readout,
        with a first axis for the samples of a batch: one, or a tuple for a sequence of readouts.

    Raises
    ------
    InvalidValueError
        If JAX has no 64-bit numbers and ``single`` is False, or as :func:`adjoint.vjp`; within a
        compiled function JAX makes an error of its own of it.
    """
    if not boolean("single", single) and jax.dtypes.canonicalize_dtype(float) != np.float64:
        raise InvalidValueError(
            "single is False and JAX has its 64-bit numbers switched off; expected "
            'jax.config.update("jax_enable_x64", True), or single=True for arrays of float32'
        )
    names = [parameters] if isinstance(parameters, str) else parameters
    program = Program(
        network, inputs, duration, outputs, members("parameters", names, "names"), options
    )
    bridge = _Bridge(program, np.float32 if single else np.float64)

    def simulated(given: Mapping[str, Any]) -> Any:
        if not isinstance(given, Mapping) or set(given) != set(program.names):
            what = ", ".join(given) if isinstance(given, Mapping) else type(given).__name__
            raise InvalidTypeError(
                f"parameters given are {what}; expected a mapping with {', '.join(program.names)}"
            )
        found = bridge.value(*(jax.numpy.asarray(given[name]) for name in program.names))
        return found[0] if program.is_single else tuple(found)

    return simulated


Shapes = Sequence[tuple[int, ...]]


class _Bridge:
    """Values of a program and their derivatives, as functions of arrays of JAX."""

    def __init__(self, program: Program, dtype: Any):
        self.program, self.dtype = program, dtype
        self.inside: Shapes = [(size,) for size in program.sizes.values()]
        self.outside: Shapes = program.shapes
        self.value = jax.custom_jvp(self._value)
        self.value.defjvp(self._value_jvp)

    def call(
        self,
        host: Callable[..., Sequence[Any]],
        takes: Shapes,
        gives: Shapes,
        *args: Any,
        many: Callable[..., Sequence[Any]] | None = None,
    ) -> list[Any]:
        """Call a function of the host, whose arguments may have more axes in front, as under vmap.

        Parameters
        ----------
        host : callable
            Takes arrays of the shapes ``takes`` and returns some of the shapes ``gives``.
        many : callable, optional
            Does the same for samples of a batch, in one go: parameters are the same for all but
            for the input times, and these and what follows the parameters have a first axis.
        """
        front = np.broadcast_shapes(*_fronts(args, takes))
        shapes = tuple(jax.ShapeDtypeStruct((*front, *shape), self.dtype) for shape in gives)

        def broadcast(*arrays: Any) -> tuple[Any, ...]:
            given = [np.asarray(one, np.float64) for one in arrays]
            fronts = _fronts(given, takes)
            whole = np.broadcast_shapes(*fronts)
            found = [np.zeros((*whole, *shape), self.dtype) for shape in gives]
            if many is not None and self._is_batch(whole, fronts):
                for out, value in zip(found, many(*self._joined(given, takes, whole)), strict=True):
                    out[...] = value.reshape(out.shape)
                return tuple(found)
            spread = [np.broadcast_to(g, (*whole, *s)) for g, s in zip(given, takes, strict=True)]
            for place in np.ndindex(whole):
                for out, value in zip(found, host(*(one[place] for one in spread)), strict=True):
                    out[place] = value
            return tuple(found)

        return list(jax.pure_callback(broadcast, shapes, *args, vmap_method="expand_dims"))

    def _is_batch(self, whole: tuple[int, ...], fronts: Shapes) -> bool:
        """Return whether axes in front make a batch of a single run: of its input times alone."""
        names = self.program.names
        if self.program.is_batch or not whole or "input_times" not in names:
            return False
        pairs = zip(names, fronts, strict=False)
        return all(math.prod(front) == 1 for name, front in pairs if name != "input_times")

    def _joined(self, given: list[Any], takes: Shapes, whole: tuple[int, ...]) -> list[Any]:
        """Return arguments with all axes in front as one, where there are to be any."""
        names = [*self.program.names, *[""] * len(given)]
        return [
            np.broadcast_to(one, (*whole, *shape)).reshape(-1, *shape)
            if name in ("", "input_times")
            else one.reshape(shape)
            for name, one, shape in zip(names, given, takes, strict=False)
        ]

    def _of_rows(self, arrays: Sequence[Any]) -> tuple[Program, list[Any]]:
        """Return the program of a batch, and its parameters: input times end to end."""
        program = self.program
        place = program.names.index("input_times")
        ends = [one.ravel() if i == place else one for i, one in enumerate(arrays)]
        return program.rows(len(arrays[place])), ends

    def _value(self, *arrays: Any) -> list[Any]:
        for name, one, shape in zip(self.program.names, arrays, self.inside, strict=True):
            if one.shape != shape:
                raise InvalidValueError(f"{name} has shape {one.shape}; expected {shape}")

        def host(*given: Any) -> Sequence[Any]:
            return self.program.run(given).values

        def many(*given: Any) -> Sequence[Any]:
            rows, joined = self._of_rows(given)
            return rows.run(joined).values

        return self.call(host, self.inside, self.outside, *arrays, many=many)

    def _value_jvp(self, arrays: Any, tangents: Any) -> tuple[list[Any], list[Any]]:
        dots = [dot.astype(self.dtype) for dot in tangents]
        return self.value(*arrays), _push.bind(*arrays, *dots, bridge=self)

    def push(self, *args: Any) -> list[Any]:
        """Return the tangents of the outputs, of parameters and their tangents."""
        size = len(self.inside)

        def host(*given: Any) -> Sequence[Any]:
            return self.program.push(given[:size], given[size:])

        return self.call(host, [*self.inside, *self.inside], self.outside, *args)

    def back(self, *args: Any) -> list[Any]:
        """Return the cotangents of the parameters, of parameters and cotangents of the outputs."""
        size, names = len(self.inside), self.program.names

        def host(*given: Any) -> Sequence[Any]:
            return self.program.back(given[:size], given[size:], names)

        def many(*given: Any) -> Sequence[Any]:
            rows, joined = self._of_rows(given[:size])
            return rows.back(joined, given[size:], names, each=True)

        return self.call(host, [*self.inside, *self.outside], self.inside, *args, many=many)


def _fronts(arrays: Sequence[Any], shapes: Shapes) -> list[tuple[int, ...]]:
    """Return what axes arrays have in front of these shapes."""
    pairs = zip(arrays, shapes, strict=True)
    return [one.shape[: one.ndim - len(shape)] for one, shape in pairs]


# The tangents of the outputs: linear in those of the parameters, and its transpose is the way back.
# No function of JAX can be told both that and how to be batched, a primitive can.
_push = Primitive("refsim_push")
_push.multiple_results = True


@_push.def_impl
def _push_now(*args: Any, bridge: _Bridge) -> list[Any]:
    return bridge.push(*args)


@_push.def_abstract_eval
def _push_shapes(*args: Any, bridge: _Bridge) -> list[Any]:
    front = args[-1].shape[:-1]
    return [jax.core.ShapedArray((*front, *shape), bridge.dtype) for shape in bridge.outside]


def _push_transpose(bars: Any, *args: Any, bridge: _Bridge) -> list[Any]:
    size = len(bridge.inside)
    front = args[-1].aval.shape[:-1]
    shapes = [(*front, *shape) for shape in bridge.outside]
    given = [
        jax.numpy.zeros(shape, bridge.dtype) if isinstance(bar, ad.Zero) else bar
        for bar, shape in zip(bars, shapes, strict=True)
    ]
    return [None] * size + bridge.back(*args[:size], *given)


def _push_batch(args: Any, dims: Any, bridge: _Bridge) -> tuple[list[Any], list[int]]:
    size = len(bridge.inside)
    length = next(one.shape[dim] for one, dim in zip(args, dims, strict=True) if dim is not None)
    moved = [
        jax.numpy.expand_dims(one, 0) if dim is None else jax.numpy.moveaxis(one, dim, 0)
        for one, dim in zip(args, dims, strict=True)
    ]
    # Tangents have the whole axis, so that the transpose gives as much as it takes.
    dots = [jax.numpy.broadcast_to(one, (length, *one.shape[1:])) for one in moved[size:]]
    found = _push.bind(*moved[:size], *dots, bridge=bridge)
    return found, [0] * len(found)


def _push_jvp(args: Any, tangents: Any, bridge: _Bridge) -> tuple[list[Any], list[Any]]:
    size = len(bridge.inside)
    if not all(isinstance(dot, ad.Zero) for dot in tangents[:size]):
        raise UndefinedGradientError("a second derivative was asked for; expected first ones alone")
    dots = [ad.instantiate_zeros(dot) for dot in tangents[size:]]
    return _push.bind(*args, bridge=bridge), _push.bind(*args[:size], *dots, bridge=bridge)


ad.primitive_transposes[_push] = _push_transpose
ad.primitive_jvps[_push] = _push_jvp
batching.primitive_batchers[_push] = _push_batch
mlir.register_lowering(_push, mlir.lower_fun(_push_now, multiple_results=True))
