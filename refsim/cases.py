"""Case files: a network, its inputs and what is known of its spikes and gradients, in JSON.

The format ``snn-gradient-case/1`` is described in docs/case-format.md. Loss: sum of
``cotangent[k] * spike_time[k]`` (spikes sorted by time, then neuron) plus the sum of the cotangents
of the voltage samples times the voltages.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queues.summary import summary
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.files import json_reader
from refsim.files.output import checked_path, json_text, write_whole
from refsim.network.inputs import Samples, SpikeTrain, checked_inputs, checked_samples
from refsim.network.network import Network
from refsim.network.parameters import OF_NEURONS, PARAMETERS
from refsim.network.ports import DoubleExpPort, ExpPort, Port
from refsim.network.synapses import Synapses
from refsim.validate import LONGEST, indices, scalar, shown, vector

FORMAT = "snn-gradient-case/1"
# Each digit can be matched in one way only: two ways took minutes for a long string that is none.
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MOST_DIGITS = 1000  # characters of a decimal string
_MOST_CHANNELS = 10_000_000  # which take memory, and no room in the file
_SYNAPSES = tuple(column.name for column in fields(Synapses))


class CaseFileError(InvalidValueError):
    """A case file cannot be read; the message names the file and the place in it."""


@dataclass(frozen=True, eq=False, repr=False)
class Expected:
    """Known values of a case, None where the file gives none."""

    spike_times: NDArray[np.float64] | None = None
    spike_neurons: NDArray[np.int64] | None = None
    voltages: NDArray[np.float64] | None = None
    gradient: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return summary(self)


@dataclass(frozen=True, eq=False, repr=False)
class Case:
    """A network with inputs, and the cotangents of a linear loss.

    Attributes
    ----------
    name : str
        Name for reports.
    network, inputs, duration, samples
        Arguments of :func:`refsim.simulate`.
    time_bar : (k,) float or None
        Cotangents of the spike times, sorted by (time, neuron).
    voltage_bar : (V,) float
        Cotangents of the voltage samples.
    expected : Expected
        Known values.
    """

    name: str
    network: Network
    inputs: SpikeTrain
    duration: float
    samples: Samples
    time_bar: NDArray[np.float64] | None
    voltage_bar: NDArray[np.float64]
    expected: Expected = field(default_factory=Expected)

    def __repr__(self) -> str:
        given = [
            f"{len(self.inputs)} input spikes" if len(self.inputs) else "",
            f"{len(self.samples)} samples" if len(self.samples) else "",
            "" if self.time_bar is None else f"{len(self.time_bar)} cotangents of spikes",
        ]
        what = ", ".join([f"{self.network!r}", f"{self.duration:g} ms", *filter(None, given)])
        return f"<Case {self.name!r}: {what}>"


def make_case(
    name: str,
    network: Network,
    inputs: SpikeTrain | None = None,
    duration: float = 100.0,
    samples: Samples | tuple[Any, Any] | None = None,
    time_bar: Any = None,
    voltage_bar: Any = None,
) -> Case:
    """Return a case from the arguments of a simulation; missing cotangents of samples are 0."""
    if not isinstance(network, Network):
        raise InvalidTypeError(f"network is a {type(network).__name__}; expected Network")
    end = scalar("duration", duration, 0.0, LONGEST, strict=True)
    checked = checked_samples(samples, network.n_neurons, end)
    bar = 0.0 if voltage_bar is None else voltage_bar
    return Case(
        name=name,
        network=network,
        inputs=checked_inputs(inputs, network.n_inputs),
        duration=end,
        samples=checked,
        time_bar=None if time_bar is None else vector("time_bar", time_bar, None),
        voltage_bar=vector("voltage_bar", bar, len(checked)),
    )


def _member(data: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    if not isinstance(data, dict):
        raise CaseFileError(f"{where or 'the file'} is {_json_name(data)}; expected an object")
    path = f"{where}.{key}" if where else key
    if key not in data:
        raise CaseFileError(f"{path} is missing")
    value = data[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(_JSON_NAMES[k] for k in kinds)
        raise CaseFileError(f"{path} is {_json_name(value)}; expected {names}")
    return value


@contextmanager
def _within(where: str) -> Iterator[None]:
    """Put the place in the file before the name of the argument in an error."""
    try:
        yield
    except CaseFileError:
        raise
    except (InvalidValueError, InvalidTypeError) as error:
        raise CaseFileError(f"{where}.{error}") from None


_JSON_NAMES: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "an integer",
    float: "a number",
}


def _json_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _JSON_NAMES.get(type(value), type(value).__name__)


def _check_members(data: dict[str, Any], known: Iterable[str], where: str) -> None:
    """Refuse members that would be ignored: what they ask for would be missing in the result."""
    names = list(known)
    for key in data:
        if key not in names:
            raise CaseFileError(
                f"{where} has the member {shown(key)}; expected members among {', '.join(names)}"
            )


def _optional(data: dict[str, Any], key: str, kind: Any, where: str, default: Any) -> Any:
    return _member(data, key, kind, where) if key in data else default


_PORTS: dict[str, tuple[type[Port], tuple[str, ...]]] = {
    "exp": (ExpPort, ("tau",)),
    "double_exp": (DoubleExpPort, ("tau_rise", "tau_decay")),
}


def _port(data: Any, where: str) -> Port:
    kind = _member(data, "kind", str, where)
    if kind not in _PORTS:
        raise CaseFileError(f"{where}.kind is {shown(kind)}; expected 'exp' or 'double_exp'")
    port, names = _PORTS[kind]
    _check_members(data, ("kind", *names), where)
    values = [_member(data, name, (int, float), where) for name in names]
    with _within(where):
        return port(*values)


def _network(data: dict[str, Any]) -> Network:
    neurons = _member(data, "neurons", dict, "")
    model = _optional(neurons, "model", str, "neurons", "lif")
    if model != "lif":
        raise CaseFileError(f"neurons.model is {shown(model)}; expected 'lif'")
    _check_members(neurons, ("n", "model", "ports", *OF_NEURONS), "neurons")
    given = _member(neurons, "ports", list, "neurons")
    ports = tuple(_port(port, f"neurons.ports[{i}]") for i, port in enumerate(given))
    n_neurons = _member(neurons, "n", int, "neurons")
    n_inputs = _member(_member(data, "inputs", dict, ""), "n", int, "inputs")
    if n_inputs > _MOST_CHANNELS:
        raise CaseFileError(f"inputs.n is {n_inputs}; expected at most {_MOST_CHANNELS:,}")
    parameters = {name: _member(neurons, name, list, "neurons") for name in OF_NEURONS}
    synapses = _synapses(_member(data, "synapses", dict, ""))
    with _within("neurons"):
        bare = Network(n_neurons, n_inputs=n_inputs, ports=ports, **parameters)
    with _within("synapses"):
        return bare.replace(synapses=synapses)


def _synapses(data: dict[str, Any]) -> Synapses:
    _check_members(data, _SYNAPSES, "synapses")
    given = {"port": [0] * len(_member(data, "pre", list, "synapses"))} | data
    columns = {name: _member(given, name, list, "synapses") for name in _SYNAPSES}
    with _within("synapses"):
        return Synapses(**columns)


def _samples(data: dict[str, Any]) -> tuple[Samples, list[float]]:
    rows = _optional(data, "voltage_samples", list, "", [])
    number = (int, float)
    neurons, times, bars = [], [], []
    for i, row in enumerate(rows):
        where = f"voltage_samples[{i}]"
        neurons.append(_member(row, "neuron", int, where))
        _check_members(row, ("neuron", "time", "cotangent"), where)
        times.append(_member(row, "time", number, where))
        bars.append(_optional(row, "cotangent", number, where, 0.0))
    return Samples(neurons, times), bars


def _numbers(values: Any, where: str) -> NDArray[np.float64]:
    """Read numbers, or decimal strings, to the nearest float64."""
    if not isinstance(values, list):
        raise CaseFileError(f"{where} is {_json_name(values)}; expected a list")
    return np.array([_number(value, f"{where}[{i}]") for i, value in enumerate(values)])


def _number(value: Any, where: str) -> float:
    decimal = isinstance(value, str) and len(value) <= _MOST_DIGITS and _DECIMAL.fullmatch(value)
    if isinstance(value, bool) or not (isinstance(value, int | float) or decimal):
        raise CaseFileError(f"{where} is {shown(value)}; expected a number or a decimal string")
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not np.isfinite(number):
        raise CaseFileError(f"{where} is {shown(value)}; expected a finite number")
    return number


def _expected(data: dict[str, Any], case: Case) -> Expected:
    known = _optional(data, "expected", dict, "", {})
    sizes = gradient_sizes(case.network, len(case.inputs))
    gradient = {}
    for name, values in _optional(known, "gradient", dict, "expected", {}).items():
        where = f"expected.gradient.{shown(name)[1:-1]}"
        if name not in sizes:
            raise CaseFileError(f"{where} is not a group; expected one of {', '.join(sizes)}")
        gradient[name] = _numbers(values, where)
        if len(gradient[name]) != sizes[name]:
            raise CaseFileError(
                f"{where} has {len(gradient[name])} entries; expected {sizes[name]}"
            )
    times, neurons = _expected_spikes(known, case)
    voltages = _numbers(known["voltages"], "expected.voltages") if "voltages" in known else None
    if voltages is not None and len(voltages) != len(case.samples):
        raise CaseFileError(
            f"expected.voltages has {len(voltages)} entries; expected {len(case.samples)}, one "
            "for each of voltage_samples"
        )
    return Expected(times, neurons, voltages, gradient)


def _expected_spikes(
    known: dict[str, Any], case: Case
) -> tuple[NDArray[np.float64] | None, NDArray[np.int64] | None]:
    if "spike_times" not in known:
        if "spike_neurons" in known:
            raise CaseFileError("expected.spike_times is missing, and spike_neurons is given")
        return None, None
    times = _numbers(known["spike_times"], "expected.spike_times")
    late = np.flatnonzero(np.diff(times) < 0)
    if late.size:
        i = int(late[0])
        raise CaseFileError(
            f"expected.spike_times[{i + 1}] is {times[i + 1]} after {times[i]}; "
            "expected ascending times"
        )
    if case.time_bar is not None and len(case.time_bar) != len(times):
        raise CaseFileError(
            f"cotangent has {len(case.time_bar)} entries; expected one for each of the "
            f"{len(times)} expected.spike_times"
        )
    if "spike_neurons" not in known:
        return times, None
    given = _member(known, "spike_neurons", list, "expected")
    if len(given) != len(times):
        raise CaseFileError(
            f"expected.spike_neurons has {len(given)} entries; expected one for each of the "
            f"{len(times)} expected.spike_times"
        )
    return times, indices("expected.spike_neurons", given, None, case.network.n_neurons)


def gradient_sizes(network: Network, n_input_spikes: int) -> dict[str, int]:
    """Return the groups of a gradient and the number of entries of each."""
    counts = {"synapse": len(network.synapses), "neuron": network.n_neurons}
    counts |= {"filter": len(network.tau), "input spike": n_input_spikes}
    return {name: counts[row.per] for name, row in PARAMETERS.items()}


def from_dict(data: Any, name: str = "case") -> Case:
    """Return the case that a parsed JSON document describes.

    Raises
    ------
    CaseFileError
        If a member is missing, of the wrong type or outside its domain.
    """
    format_ = _member(data, "format", str, "")
    if format_ != FORMAT:
        raise CaseFileError(f"format is {shown(format_)}; expected {FORMAT!r}")
    _optional(data, "description", str, "", "")
    _optional(data, "conditioning", dict, "", {})
    try:
        network = _network(data)
        given = _member(data, "inputs", dict, "")
        _check_members(given, ("n", "times", "sources"), "inputs")
        times = _member(given, "times", list, "inputs")
        sources = _member(given, "sources", list, "inputs")
        with _within("inputs"):
            inputs = SpikeTrain(times, sources, network.n_inputs)
        duration = scalar(
            "duration", _member(data, "duration", (int, float), ""), 0.0, LONGEST, strict=True
        )
        samples, bars = _samples(data)
        checked_samples(samples, network.n_neurons, duration)
        cotangent = _optional(data, "cotangent", list, "", None)
        case = Case(
            name=_optional(data, "name", str, "", name),
            network=network,
            inputs=inputs,
            duration=duration,
            samples=samples,
            time_bar=None if cotangent is None else _numbers(cotangent, "cotangent"),
            voltage_bar=vector("voltage_samples.cotangent", bars, len(samples)),
        )
        return replace(case, expected=_expected(data, case))
    except (InvalidValueError, InvalidTypeError) as error:
        raise error if isinstance(error, CaseFileError) else CaseFileError(str(error)) from None


def load(path: str | os.PathLike[str]) -> Case:
    """Read a case file.

    Raises
    ------
    CaseFileError
        If the file cannot be read, is not JSON, or does not describe a case.
    """
    path = checked_path(path)
    try:
        data = json_reader.read(path)
    except json_reader.JsonError as error:
        raise CaseFileError(str(error)) from None
    try:
        return from_dict(data, path.stem)
    except CaseFileError as error:
        raise CaseFileError(f"{path}: {error}") from None


def to_dict(case: Case) -> dict[str, Any]:
    """Return the JSON document of a case; numbers survive the way to a file and back."""
    network = case.network
    ports: list[dict[str, Any]] = []
    for port in network.ports:
        names = ("tau",) if isinstance(port, ExpPort) else ("tau_rise", "tau_decay")
        ports.append({"kind": port.kind, **{name: getattr(port, name) for name in names}})
    data: dict[str, Any] = {
        "format": FORMAT,
        "name": case.name,
        "neurons": {
            "n": network.n_neurons,
            "model": "lif",
            **{name: getattr(network, name).tolist() for name in OF_NEURONS},
            "ports": ports,
        },
        "synapses": {name: getattr(network, name).tolist() for name in _SYNAPSES},
        "inputs": {
            "n": network.n_inputs,
            "times": case.inputs.times.tolist(),
            "sources": case.inputs.sources.tolist(),
        },
        "duration": case.duration,
    }
    if len(case.samples):
        rows = zip(case.samples.neurons, case.samples.times, case.voltage_bar, strict=True)
        data["voltage_samples"] = [
            {"neuron": int(n), "time": float(t), "cotangent": float(bar)} for n, t, bar in rows
        ]
    if case.time_bar is not None:
        data["cotangent"] = case.time_bar.tolist()
    expected = _expected_members(case.expected)
    if expected:
        data["expected"] = expected
    return data


def _expected_members(expected: Expected) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if expected.spike_times is not None:
        known["spike_times"] = digits(expected.spike_times)
    if expected.spike_neurons is not None:
        known["spike_neurons"] = expected.spike_neurons.tolist()
    if expected.voltages is not None:
        known["voltages"] = digits(expected.voltages)
    if expected.gradient:
        known["gradient"] = {name: digits(values) for name, values in expected.gradient.items()}
    return known


def digits(values: Any) -> list[str]:
    """Return numbers as strings of 17 significant digits, which read back to the same float64."""
    return [f"{float(value):.17g}" for value in values]


def save(case: Case, path: str | os.PathLike[str], extra: dict[str, Any] | None = None) -> None:
    """Write a case file, with ``extra`` members such as "expected"; whole or not at all."""
    if not isinstance(case, Case):
        raise InvalidTypeError(f"case is a {type(case).__name__}; expected Case")
    added = {} if extra is None else extra
    if not isinstance(added, dict):
        raise InvalidTypeError(f"extra is {shown(extra)}; expected a dictionary of members")
    try:
        text = json_text(to_dict(case) | added) + "\n"
    except (TypeError, ValueError) as error:
        raise InvalidValueError(
            f"extra is {shown(extra)}; expected members that JSON can hold: {error}"
        ) from None
    write_whole(path, lambda stream: stream.write(text))
