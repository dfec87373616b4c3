"""What scripts consist of, and what models they are played on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from queues.names import SemanticsName
from queues.testing.models import (
    SEMANTICS,
    ExactModel,
    LossyModel,
)


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'float("{value}")'


@dataclass(frozen=True, repr=False)
class Push:
    """Push an entry; refused where the model refuses its time."""

    time: float  # ms
    payload: int = 0
    tangent: float = 0.0  # ms per unit of the parameter

    def __repr__(self) -> str:
        words = [_number(self.time)]
        if self.payload != 0:
            words.append(f"payload={self.payload}")
        if self.tangent != 0.0:
            words.append(f"tangent={_number(self.tangent)}")
        return f"Push({', '.join(words)})"


@dataclass(frozen=True)
class Pop:
    """Pop the first entry; an IndexError where there is none."""


@dataclass(frozen=True)
class Peek:
    """Look at the first entry; an IndexError where there is none."""


@dataclass(frozen=True)
class Clear:
    """Remove all entries."""


@dataclass(frozen=True, repr=False)
class PopDue:
    """Pop the entry that a poll at time ``now`` finds; None where there is none."""

    now: float  # ms, or steps

    def __repr__(self) -> str:
        return f"PopDue({_number(self.now)})"


Operation = Push | Pop | Peek | Clear | PopDue
Script = Sequence[Operation]
Semantics = SemanticsName | Callable[[], ExactModel]


def model_factory(semantics: Semantics, capacity: int | None) -> Callable[[], ExactModel]:
    """Return what makes a model, having made one to see that it can."""
    if not isinstance(semantics, str):
        if capacity is not None:
            raise ValueError(
                f"capacity = {capacity!r}; expected None, since the model is given and has its own"
            )
        return semantics
    if semantics not in SEMANTICS:
        raise ValueError(f"semantics = {semantics!r}; expected a model or one of {[*SEMANTICS]}")
    kind = SEMANTICS[semantics]
    if issubclass(kind, LossyModel):
        kind(capacity)
        return partial(kind, capacity)
    if capacity is not None:
        raise ValueError(f"capacity = {capacity!r}; expected None for {semantics!r} semantics")
    return kind
