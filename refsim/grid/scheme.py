"""How a simulation on a time grid treats the membrane, spikes, arrivals and resets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from refsim.errors import InvalidTypeError
from refsim.names import Membrane, Receive, Reset, SpikeTimeRule
from refsim.validate import LONGEST, boolean, choice, integer, scalar, shown

MEMBRANES = ("exact", "exponential", "euler_current", "euler")
SPIKE_TIMES = ("linear", "start", "end")
RECEIVES = ("full", "current")
RESETS = ("exact", "surrogate", "none")
_MOST_LATENCY = 1_000_000


@dataclass(frozen=True)
class GridScheme:
    """Rules of a simulation in time steps; docs/grid.md has the formulas.

    Values depend on ``membrane``, ``spike_time``, ``hold`` and ``latency``, gradients on all.

    Parameters
    ----------
    membrane : {"exact", "exponential", "euler_current", "euler"}
        One step without spikes. "exact": the closed form. "exponential": the voltage decays
        exactly, with the current of the beginning of the step. "euler_current": the same, but the
        current is added as dt/tau_m times it. "euler": Euler's method for voltage and currents.
    spike_time : {"linear", "start", "end"}
        Where in its step a spike lies: where the straight line through the voltages crosses the
        threshold, at the beginning, or at the end of the step.
    receive : {"full", "current"}
        Tangent of an arrival that moves in time. "current" forgets that the voltage has been
        driven for a shorter or longer time, and is wrong for exponential ports.
    reset : {"exact", "surrogate", "none"}
        Tangent of a reset that moves in time: that of the event, that of a soft step of slope
        ``steepness`` (superspike), or none.
    steepness : float
        Steepness of the surrogate per unit of voltage.
    hold : bool
        Whether the voltage stays above threshold for one step before it is reset.
    latency : int
        Steps by which arrivals act later than their time says.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        If a rule is not known.
    """

    membrane: Membrane = "exact"
    spike_time: SpikeTimeRule = "linear"
    receive: Receive = "full"
    reset: Reset = "exact"
    steepness: float = 1.0
    hold: bool = False
    latency: int = 0

    def __post_init__(self) -> None:
        choice("membrane", self.membrane, MEMBRANES)
        choice("spike_time", self.spike_time, SPIKE_TIMES)
        choice("receive", self.receive, RECEIVES)
        choice("reset", self.reset, RESETS)
        steepness = scalar("steepness", self.steepness, 0.0, strict=True)
        object.__setattr__(self, "steepness", steepness)
        object.__setattr__(self, "hold", boolean("hold", self.hold))
        latency = integer("latency", self.latency, 0, _MOST_LATENCY)
        object.__setattr__(self, "latency", latency)

    @classmethod
    def adseq(cls, **changes: Any) -> GridScheme:
        """Return the rules of the layers of adseq 0.9.4, with some of them changed.

        Its voltages get dt times the current where ours get dt/tau_m times it: a weight w there is
        tau_m w here.
        """
        base = cls(
            membrane="euler_current",
            spike_time="end",
            receive="current",
            reset="surrogate",
            hold=True,
            latency=1,
        )
        return replace(base, **changes)


def checked_scheme(scheme: Any) -> GridScheme:
    """Return ``scheme``, which must be one."""
    if not isinstance(scheme, GridScheme):
        raise InvalidTypeError(f"scheme is {shown(scheme)}; expected GridScheme")
    return scheme


@dataclass(frozen=True)
class Grid:
    """The fixed-step engine, which simulates as simulators on a time grid do.

    Arrivals act at whole steps, and a spike is noticed by the voltages before and after a step.
    What that does to values and gradients is told in docs/grid.md.

    Parameters
    ----------
    dt : float
        Time step in ms.
    scheme : GridScheme
        Rules of the membrane, of spikes, arrivals and resets.
    keep_voltages : bool
        Whether to keep the voltages of all neurons at all steps, for ``trace``.

    Raises
    ------
    InvalidValueError, InvalidTypeError
        If an argument is outside its domain.
    """

    dt: float
    scheme: GridScheme = GridScheme()
    keep_voltages: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "dt", scalar("dt", self.dt, 0.0, LONGEST, strict=True))
        checked_scheme(self.scheme)
        kept = boolean("keep_voltages", self.keep_voltages)
        object.__setattr__(self, "keep_voltages", kept)
