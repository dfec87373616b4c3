"""Errors of refsim. Each message names the argument, its value and what was expected."""

from __future__ import annotations

from typing import Any

from queues.errors import RefsimError as RefsimError


class InvalidValueError(RefsimError, ValueError):
    """An argument has a value outside its domain."""


class InvalidTypeError(RefsimError, TypeError):
    """An argument has the wrong type or dtype."""


class MissingExtraError(RefsimError, ImportError):
    """An optional dependency is not installed."""


class KeepsPartial(BaseException):
    """An end before the end, with what was found until then in ``partial``."""

    def __init__(self, message: str, partial: Any):
        super().__init__(message)
        self.partial = partial

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.partial)


class SpikeLimitError(KeepsPartial, RefsimError, RuntimeError):
    """A simulation reached ``max_spikes``.

    Attributes
    ----------
    partial : Simulation, BatchResult, Recording or Checkpointed
        What was simulated up to the limit; its ``duration`` ends at the last spike.
    """


class SimulationInterrupted(KeepsPartial, KeyboardInterrupt):
    """A simulation was stopped from the keyboard.

    Attributes
    ----------
    partial : Simulation, BatchResult, Recording or Checkpointed
        What was simulated up to the interruption.
    """


class IllConditionedWarning(UserWarning):
    """A gradient is so close to a change of the spike pattern that it says little."""


class UndefinedGradientError(RefsimError, ArithmeticError):
    """The gradient does not exist, at a spike that grazes, or is too large for float64."""
