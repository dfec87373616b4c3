"""Synaptic ports: what an arriving spike does to the current of a neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from refsim.network.parameters import PARAMETERS
from refsim.validate import scalar


@dataclass(frozen=True)
class ExpPort:
    """An exponential current: an arrival of weight w adds w, which decays with ``tau``.

    Parameters
    ----------
    tau : float
        Time constant in ms.
    """

    tau: float
    kind: ClassVar[str] = "exp"

    def __post_init__(self) -> None:
        object.__setattr__(self, "tau", scalar("tau", self.tau, *PARAMETERS["tau"].domain))

    @property
    def time_constants(self) -> tuple[float, ...]:
        """Time constants in ms, in the order of gradients."""
        return (self.tau,)


@dataclass(frozen=True)
class DoubleExpPort:
    """A difference of exponentials of unit peak: an arrival of weight w peaks at w.

    The response is symmetric in the two time constants; where they are equal it is the alpha
    function (t/tau) exp(1 - t/tau).

    Parameters
    ----------
    tau_rise, tau_decay : float
        Time constants in ms.
    """

    tau_rise: float
    tau_decay: float
    kind: ClassVar[str] = "double_exp"

    def __post_init__(self) -> None:
        for name in ("tau_rise", "tau_decay"):
            value = scalar(name, getattr(self, name), *PARAMETERS["tau"].domain)
            object.__setattr__(self, name, value)

    @property
    def time_constants(self) -> tuple[float, ...]:
        """Time constants in ms, in the order of gradients."""
        return (self.tau_rise, self.tau_decay)


Port = ExpPort | DoubleExpPort
