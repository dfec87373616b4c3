"""A case as the oracle takes it: its numbers as exact fractions.

*Equal time constants* make the coefficients of a sum of exponentials infinite. One of two equal
ones is then moved by the relative amount ``10^-(digits + GUARD)``. The voltage is an analytic
function of the time constants, so it moves by no more than about as much, below the digits asked
for. The coefficients lose as many digits to cancellation as the gaps between time constants have
leading zeros, and the working precision is raised by just that number, for equal and for nearly
equal ones alike. It is the one treatment that also serves the differences that are taken across
equality.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from types import ModuleType
from typing import Any, NamedTuple

from refsim.network.parameters import BOUNDED, OF_NEURONS, OF_SYNAPSES, TIME_CONSTANTS

FORMAT = "snn-gradient-case/1"
GUARD = 15  # decimal digits carried beyond those asked for
PORT_TAUS = {"exp": ("tau",), "double_exp": ("tau_rise", "tau_decay")}

Real = Any  # an mpmath.mpf; mpmath is optional, so the type has no name here


class Model(NamedTuple):
    """A case with its numbers as exact fractions."""

    values: dict[str, list[Fraction]]  # by gradient group
    port_kinds: list[str]
    pre: list[int]  # neurons, then input channels
    post: list[int]
    port: list[int]
    input_channels: list[int]
    samples: list[tuple[Fraction, int]]  # (time, neuron)
    duration: Fraction


def require_mpmath() -> ModuleType:
    """Import mpmath, or say how to get it."""
    try:
        import mpmath
    except ImportError as error:
        raise ImportError('the oracle needs mpmath: pip install "refsim[oracle]"') from error
    return mpmath


def real(value: Fraction) -> Real:
    """Round an exact number to the current precision."""
    return require_mpmath().mpf(value.numerator) / value.denominator


def exact(values: Iterable[Any]) -> list[Fraction]:
    """Read decimals without rounding; a float means its shortest decimal form."""
    return [Fraction(str(value)) for value in values]


def read_model(case: Mapping[str, Any]) -> Model:
    """Check a case and take its numbers as exact fractions."""
    neurons, synapses, inputs = case["neurons"], case["synapses"], case["inputs"]
    if case.get("format", FORMAT) != FORMAT or neurons.get("model", "lif") != "lif":
        raise ValueError(f"the oracle reads cases of format {FORMAT} with model 'lif'")
    ports = neurons["ports"]
    unknown = {port["kind"] for port in ports} - set(PORT_TAUS)
    if unknown:
        raise ValueError(f"unknown port kinds {sorted(unknown)}; known are {sorted(PORT_TAUS)}")
    values = {group: exact(neurons[group]) for group in OF_NEURONS}
    values |= {group: exact(synapses[group]) for group in OF_SYNAPSES}
    values["tau"] = exact(port[name] for port in ports for name in PORT_TAUS[port["kind"]])
    values["input_times"] = exact(inputs["times"])
    samples = case.get("voltage_samples") or []
    model = Model(
        values=values,
        port_kinds=[port["kind"] for port in ports],
        pre=synapses["pre"],
        post=synapses["post"],
        port=synapses["port"],
        input_channels=[neurons["n"] + source for source in inputs["sources"]],
        samples=[(exact([sample["time"]])[0], sample["neuron"]) for sample in samples],
        duration=exact([case["duration"]])[0],
    )
    check_model(model)
    return model


def check_model(model: Model) -> None:
    """Refuse what has no meaning."""
    values = model.values
    if len({len(values[group]) for group in OF_NEURONS}) > 1:
        raise ValueError(f"{', '.join(OF_NEURONS)} must have one entry for each neuron")
    synapses: list[Sequence[Any]] = [model.pre, model.post, model.port]
    synapses += [values[group] for group in OF_SYNAPSES]
    if len({len(column) for column in synapses}) > 1:
        raise ValueError("pre, post, port, weight and delay must have one entry for each synapse")
    if min(value for group in TIME_CONSTANTS for value in values[group]) <= 0:
        raise ValueError("time constants must be positive")
    if any(value < 0 for group in BOUNDED for value in values[group]):
        raise ValueError("delays, refractory times and input times must not be negative")
    for v_th, v0, v_reset in zip(values["v_th"], values["v0"], values["v_reset"], strict=True):
        if max(v0, v_reset) >= v_th:
            raise ValueError("v0 and v_reset must lie below v_th")
    if any(not 0 <= time <= model.duration for time, _ in model.samples):
        raise ValueError("voltage samples must lie between 0 and the duration")


def separated(taus: Iterable[Fraction], digits: int) -> list[Fraction]:
    """Separate equal time constants by less than the digits asked for can see."""
    distinct: list[Fraction] = []
    for tau in taus:
        while tau in distinct:
            tau += tau / 10 ** (digits + GUARD)
        distinct.append(tau)
    return distinct


def lost_digits(taus: Iterable[Fraction]) -> int:
    """Count the digits that coefficients lose to the gaps between neighbouring time constants."""
    gaps = ((high - low) / high for low, high in pairwise(sorted(taus)))
    return sum(math.ceil(-math.log10(gap)) for gap in gaps)
