"""The continuous parameters of a network of LIF neurons, in one table.

All that lists parameters has them from here: networks, gradients, files of cases and their schema,
judges, back ends, and pages.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from refsim.validate import LARGEST, LONGEST, SHORTEST_TAU


class Parameter(NamedTuple):
    """A group of numbers by which there are derivatives."""

    name: str
    per: Literal["synapse", "neuron", "filter", "input spike"]  # a double_exp has two filters
    unit: str  # "ms", or "V" for the unit of voltages, weights and currents
    domain: tuple[float, float]
    meaning: str
    default: float | str | None = None  # or the parameter whose values are taken; None for none
    below: str = ""  # parameter of the same neuron that has to be larger


_VOLTAGE = ("V", (-LARGEST, LARGEST))
_TIME = ("ms", (0.0, LONGEST))
_TIME_CONSTANT = ("ms", (SHORTEST_TAU, LONGEST))
_TABLE = (  # in the order of gradients
    Parameter("weight", "synapse", *_VOLTAGE, "weights"),
    Parameter("delay", "synapse", *_TIME, "delays"),
    Parameter("tau_m", "neuron", *_TIME_CONSTANT, "membrane time constants", 20.0),
    Parameter("tau", "filter", *_TIME_CONSTANT, "time constants of the ports"),
    Parameter("v_th", "neuron", *_VOLTAGE, "thresholds", 1.0),
    Parameter("v_reset", "neuron", *_VOLTAGE, "voltages after a spike", "v_rest", "v_th"),
    Parameter("v_rest", "neuron", *_VOLTAGE, "resting potentials", 0.0),
    Parameter("i_ext", "neuron", *_VOLTAGE, "constant currents, in the unit of the voltage", 0.0),
    Parameter("t_ref", "neuron", *_TIME, "refractory times", 0.0),
    Parameter("v0", "neuron", *_VOLTAGE, "voltages at time 0", "v_rest", "v_th"),
    Parameter("input_times", "input spike", *_TIME, "times of the input spikes"),
)

PARAMETERS = {parameter.name: parameter for parameter in _TABLE}
NAMES = tuple(PARAMETERS)


def _with(column: str, *values: Any) -> tuple[str, ...]:
    return tuple(row.name for row in _TABLE if getattr(row, column) in values)


OF_SYNAPSES = _with("per", "synapse")
OF_NEURONS = _with("per", "neuron")
OF_NETWORK = _with("per", "synapse", "neuron", "filter")
IN_MS = _with("unit", "ms")
VOLTAGES = _with("unit", "V")
TIME_CONSTANTS = _with("domain", _TIME_CONSTANT[1])
BOUNDED = _with("domain", _TIME[1])  # at zero, only the derivative from the right exists
