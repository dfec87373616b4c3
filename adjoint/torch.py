"""Simulations as functions of PyTorch; needs the extra ``torch``.

Outputs are float64, whatever the default of PyTorch. Parameters of another type are converted, and
their gradients back. Simulations run on the CPU; tensors of other devices are copied there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from adjoint.bridge import Outputs, Program
from adjoint.names import ParameterName
from adjoint.types import Parameters
from refsim.errors import (
    InvalidTypeError,
    InvalidValueError,
    MissingExtraError,
    UndefinedGradientError,
)
from refsim.network.inputs import SpikeTrain
from refsim.network.network import Network
from refsim.validate import members

try:
    import torch
    from torch.autograd import Function
except ImportError:
    raise MissingExtraError(
        'adjoint.torch needs PyTorch, which is not installed: pip install "refsim[torch]"'
    ) from None

__all__ = ["Simulator", "simulate"]

Inputs = SpikeTrain | Sequence[SpikeTrain | None] | None


def __dir__() -> list[str]:
    return sorted(__all__)


def simulate(
    network: Network,
    inputs: Inputs,
    duration: float,
    outputs: Outputs,
    parameters: Mapping[ParameterName, Any],
    **options: Any,
) -> Any:
    """Simulate, and return what is read off as tensors that PyTorch can differentiate.

    Parameters
    ----------
    network : Network
        The network; parameters that are not given are its own, and constant.
    inputs : SpikeTrain, None, or sequence of these
        Input spikes; a sequence is a batch.
    duration : float
        End of the simulation in ms.
    outputs : Readout or sequence of Readout
        What is read off: readouts and losses of `adjoint.losses`.
    parameters : mapping of str to tensor
        Tensors by the names of :class:`adjoint.Parameters`, in the shapes that they have there. For
        a batch, ``input_times`` has those of all samples end to end.
    **options
        As for :func:`adjoint.vjp`, but for ``samples`` and ``checkpoint``.

    Returns
    -------
    tensor, or tuple of tensors
        float64, of the shape of each readout, with a first axis for the samples of a batch.
    """
    if not isinstance(parameters, Mapping) or not parameters:
        raise InvalidTypeError(
            f"parameters is a {type(parameters).__name__} of "
            f"{len(parameters) if hasattr(parameters, '__len__') else '?'}; expected a mapping of "
            "names to tensors, at least one"
        )
    program = Program(network, inputs, duration, outputs, list(parameters), options)
    found = _Simulate.apply(program, *parameters.values())
    return found[0] if program.is_single else found


class Simulator(torch.nn.Module):
    """A network as a module, some of whose parameters are trained.

    Parameters
    ----------
    network : Network
        The network, from which the parameters begin.
    duration : float
        End of each simulation in ms.
    outputs : Readout or sequence of Readout, optional
        What is read off, if a call says nothing else.
    parameters : sequence of str
        Names of the parameters to train, as in :class:`adjoint.Parameters`; each is an attribute of
        the module. ``input_times`` belong to the inputs and are not among them.
    **options
        As for :func:`adjoint.vjp`, but for ``samples`` and ``checkpoint``.
    """

    def __init__(
        self,
        network: Network,
        duration: float,
        outputs: Outputs | None = None,
        parameters: ParameterName | Sequence[ParameterName] = ("weight",),
        **options: Any,
    ):
        super().__init__()
        known = dict(Parameters.of(network).items())
        names = [parameters] if isinstance(parameters, str) else parameters
        self.names = tuple(members("parameters", names, "names of parameters"))
        for i, name in enumerate(self.names):
            if name not in known:
                raise InvalidValueError(
                    f"parameters[{i}] is {name!r}; expected names among {', '.join(known)}"
                )
            tensor = torch.from_numpy(np.array(known[name], dtype=np.float64))
            self.register_parameter(name, torch.nn.Parameter(tensor))
        self.network, self.duration = network, duration
        self.outputs, self.options = outputs, options

    def extra_repr(self) -> str:
        """Return what PyTorch prints of the module."""
        return f"{self.network!r}, duration={self.duration:g}, parameters={self.names}"

    def forward(
        self, inputs: Inputs, outputs: Outputs | None = None, input_times: Any = None
    ) -> Any:
        """Simulate with the parameters as they are, as :func:`simulate` does.

        Parameters
        ----------
        inputs : SpikeTrain, None, or sequence of these
            Input spikes; a sequence is a batch.
        outputs : Readout or sequence of Readout, optional
            What is read off this time, such as a loss with the labels of this batch.
        input_times : (I,) tensor, optional
            Times in place of those of the inputs, by which to differentiate too.
        """
        chosen = self.outputs if outputs is None else outputs
        if chosen is None:
            raise InvalidTypeError("outputs is None; expected readouts, here or in the Simulator")
        given: dict[Any, Any] = {name: getattr(self, name) for name in self.names}
        if input_times is not None:
            given["input_times"] = input_times
        return simulate(self.network, inputs, self.duration, chosen, given, **self.options)

    def to_network(self) -> Network:
        """Return the network with the parameters as they are."""
        return self.network.replace(**{name: _array(getattr(self, name)) for name in self.names})


def _array(tensor: Any) -> Any:
    """Return a tensor as an array: its own memory, where that is float64 on the CPU."""
    if not isinstance(tensor, torch.Tensor):
        raise InvalidTypeError(f"a parameter is a {type(tensor).__name__}; expected a tensor")
    return tensor.detach().to("cpu", torch.float64).numpy()


def _arrays(tensors: Sequence[Any]) -> list[Any]:
    return [_array(one) for one in tensors]


def _tensors(arrays: Sequence[Any], device: Any) -> tuple[Any, ...]:
    return tuple(torch.from_numpy(np.asarray(one, order="C")).to(device) for one in arrays)


def _one_by_one(
    function: Callable[..., tuple[Any, ...]], size: int, in_dims: Sequence[Any], args: Sequence[Any]
) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Return what a function gives for each entry of a batched axis, stacked: a rule of vmap."""
    rows = [
        function(
            *(
                one if dim is None else one.select(dim, i)
                for one, dim in zip(args, in_dims, strict=True)
            )
        )
        for i in range(size)
    ]
    found = tuple(torch.stack(column) for column in zip(*rows, strict=True))
    return found, (0,) * len(found)


class _Simulate(Function):
    """Outputs of a program, by its parameters."""

    @staticmethod
    def forward(program: Program, *tensors: Any) -> tuple[Any, ...]:
        return _tensors(program.run(_arrays(tensors)).values, tensors[0].device)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        ctx.program, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *bars: Any) -> tuple[Any, ...]:
        needed = ctx.needs_input_grad[1:]
        names = [name for name, is_so in zip(ctx.program.names, needed, strict=True) if is_so]
        found = iter(_Back.apply(ctx.program, names, *bars, *ctx.saved_tensors))
        return None, *(next(found) if is_so else None for is_so in needed)

    @staticmethod
    def jvp(ctx: Any, _: Any, *tangents: Any) -> tuple[Any, ...]:
        tensors = ctx.saved_tensors
        along = [
            torch.zeros_like(one) if dot is None else dot
            for one, dot in zip(tensors, tangents, strict=True)
        ]
        return _Push.apply(ctx.program, *tensors, *along)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return _one_by_one(_Simulate.apply, info.batch_size, in_dims, args)


class _First(Function):
    """What derivatives are made of; these have none themselves."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *bars: Any) -> Any:
        raise UndefinedGradientError("a second derivative was asked for; expected first ones alone")

    jvp = backward


class _Back(_First):
    """Gradient by some of the parameters, by cotangents of all outputs and by all parameters."""

    @staticmethod
    def forward(program: Program, names: list[str], *tensors: Any) -> tuple[Any, ...]:
        n_outputs = len(program.readouts)
        bars, at = tensors[:n_outputs], tensors[n_outputs:]
        kinds = dict(zip(program.names, at, strict=True))
        found = program.back(_arrays(at), _arrays(bars), names)
        return tuple(
            torch.from_numpy(np.asarray(one, order="C")).to(kinds[name].device, kinds[name].dtype)
            for name, one in zip(names, found, strict=True)
        )

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        dims = [None if not isinstance(dim, int) else dim for dim in in_dims]
        return _one_by_one(_Back.apply, info.batch_size, dims, args)


class _Push(_First):
    """Tangents of all outputs, by all parameters and their tangents."""

    @staticmethod
    def forward(program: Program, *tensors: Any) -> tuple[Any, ...]:
        at, along = tensors[: len(program.names)], tensors[len(program.names) :]
        return _tensors(program.push(_arrays(at), _arrays(along)), at[0].device)

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        return _one_by_one(_Push.apply, info.batch_size, in_dims, args)
