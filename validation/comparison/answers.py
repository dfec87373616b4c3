"""What a back end has answered, checked and put in order; nothing of it is taken on trust."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.types import Parameters
from refsim.cases import Case, gradient_sizes
from refsim.errors import RefsimError
from refsim.validate import shown

Vector = NDArray[np.float64]


class AnswerError(RefsimError, ValueError):
    """An answer that says nothing: no spikes can be read from it; the message says why."""


@dataclass(frozen=True, eq=False)
class CheckedAnswer:
    """An answer whose spikes are in order.

    Attributes
    ----------
    time, neuron : (k,)
        Spikes sorted by (time, neuron), float64 and int64.
    voltages : (V,) float or None
        Sampled voltages, None if not offered.
    gradient : dict of str to float array
        Groups that are well formed.
    problems : dict of str to str
        What is wrong with the others, by group; "spike_times" if the spikes were not sorted.
    absent : tuple of str
        Groups given as None: nothing flows back to them.
    in_float32 : bool
        Whether every number is one that float32 can hold, and not all of them are integers.
    """

    time: Vector
    neuron: NDArray[np.int64]
    voltages: Vector | None
    gradient: dict[str, Vector]
    problems: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    in_float32: bool = False


def checked_answer(given: Any, case: Case) -> CheckedAnswer:
    """Check the answer of a back end to a case.

    Raises
    ------
    AnswerError
        If no spikes can be read from it.
    """
    spikes, gradient, voltages = _parts(given)
    time, neuron = _checked_spikes(spikes, case)
    problems = {}
    descents = np.flatnonzero(np.diff(time) < 0.0)
    if descents.size:
        i = int(descents[0])
        problems["spike_times"] = (
            f"spikes are not sorted: {time[i + 1]:.9g} ms comes after {time[i]:.9g} ms"
        )
    order = np.lexsort((neuron, time))
    read: dict[str, Vector] = {}
    if voltages is not None:
        _read(voltages, "voltages", len(case.samples), read, problems)
    absent = _read_gradient(gradient, case, read, problems)
    return CheckedAnswer(
        time=time[order],
        neuron=neuron[order],
        voltages=read.pop("voltages", None),
        gradient=read,
        problems=problems,
        absent=absent,
        in_float32=_held_by_float32([time, *read.values()]),
    )


def _parts(given: Any) -> tuple[Any, Any, Any]:
    """Return (spikes, gradient, voltages) of an Answer or a tuple like it."""
    if all(hasattr(given, name) for name in ("time", "neuron", "gradient")):
        return (given.time, given.neuron), given.gradient, getattr(given, "voltages", None)
    if not isinstance(given, tuple | list):
        raise AnswerError(
            f"the answer is a {type(given).__name__}; expected an Answer, or a tuple "
            "(spikes, gradient) or (spikes, gradient, voltages)"
        )
    if len(given) not in (2, 3):
        raise AnswerError(
            f"the answer is a tuple of {len(given)}; expected (spikes, gradient) or (spikes, "
            "gradient, voltages)"
        )
    spikes, gradient = given[:2]
    return spikes, gradient, given[2] if len(given) == 3 else None


def _checked_spikes(spikes: Any, case: Case) -> tuple[Vector, NDArray[np.int64]]:
    """Return spike times and neurons as given, which are numbers and of equal length."""
    if hasattr(spikes, "time") and hasattr(spikes, "neuron"):
        spikes = (spikes.time, spikes.neuron)
    if not isinstance(spikes, tuple | list) or len(spikes) != 2:
        raise AnswerError(
            f"the spikes are {shown(spikes)}; expected a pair (times, neurons), or an object "
            "with .time and .neuron"
        )
    time = _numbers("spike times", spikes[0])
    neuron = _array("neurons of spikes", spikes[1])
    if neuron.size and neuron.dtype.kind not in "iu":
        raise AnswerError(f"neurons of spikes have dtype {neuron.dtype}; expected integers")
    if time.ndim != 1 or neuron.shape != time.shape:
        raise AnswerError(
            f"spike times have shape {time.shape} and neurons {neuron.shape}; expected (k,) twice"
        )
    wrong = np.flatnonzero((neuron < 0) | (neuron >= case.network.n_neurons))
    if wrong.size:
        raise AnswerError(
            f"spike {wrong[0]} is of neuron {neuron[wrong[0]]}; expected 0 to "
            f"{case.network.n_neurons - 1}"
        )
    return time, neuron.astype(np.int64)


def _array(name: str, value: Any) -> NDArray[Any]:
    """Return ``value`` as an array, also one of another library."""
    if hasattr(value, "detach"):  # a PyTorch tensor that still has a graph
        value = value.detach().cpu()
    try:
        return np.asarray(value)
    except Exception as error:
        raise AnswerError(f"{name} cannot be read as an array: {error}") from None


def _numbers(name: str, value: Any) -> Vector:
    """Return ``value`` as finite float64 numbers."""
    array = _array(name, value)
    if array.size and array.dtype.kind not in "iuf":
        raise AnswerError(f"{name} have dtype {array.dtype}; expected real numbers")
    numbers = array.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise AnswerError(
            f"{name} hold {numbers.flat[bad[0]]} at index {bad[0]}, and {bad.size} of "
            f"{numbers.size} are not finite"
        )
    return numbers


def _read(
    value: Any, group: str, size: int, read: dict[str, Vector], problems: dict[str, str]
) -> None:
    """Put ``value`` among what was read, or say what is wrong with it."""
    try:
        numbers = _numbers("numbers", value)
    except AnswerError as error:
        problems[group] = str(error)
        return
    if numbers.shape != (size,):
        problems[group] = f"the shape is {numbers.shape}; expected ({size},)"
        return
    read[group] = numbers


def _read_gradient(
    gradient: Any, case: Case, read: dict[str, Vector], problems: dict[str, str]
) -> tuple[str, ...]:
    """Read all groups of a gradient, and return those that are None."""
    sizes = gradient_sizes(case.network, len(case.inputs))
    if isinstance(gradient, Parameters):
        gradient = dict(gradient.items())
    if not isinstance(gradient, Mapping):
        problems["gradient"] = (
            f"the gradient is a {type(gradient).__name__}; expected a mapping of groups to "
            "arrays, or adjoint.Parameters"
        )
        return ()
    absent = []
    for group, value in gradient.items():
        if group not in sizes:
            names = ", ".join(sizes)
            problems["gradient"] = f"{shown(group)} is not a group; expected names among {names}"
        elif value is None:
            absent.append(group)
            read[group] = np.zeros(sizes[group])
        else:
            _read(value, group, sizes[group], read, problems)
    return tuple(absent)


def _held_by_float32(columns: list[Vector]) -> bool:
    """Return whether all numbers are in float32, which those of float64 are by chance alone."""
    numbers = np.concatenate(columns)
    fractions = numbers[numbers != np.rint(numbers)]
    with np.errstate(over="ignore", under="ignore"):
        return len(fractions) > 0 and bool(np.all(fractions == fractions.astype(np.float32)))
