"""Which engine can do what: the table of the guide, and the errors where one cannot."""

from __future__ import annotations

from typing import NamedTuple

from refsim.errors import InvalidValueError

ENGINES = ("Events", "Windows", "Layers", "Grid")


class Feature(NamedTuple):
    """Something that can be asked for, and what each of `ENGINES` says to it."""

    name: str
    events: str
    windows: str
    layers: str
    grid: str

    def offered_by(self) -> list[str]:
        """Return the engines that can do it."""
        return [engine for engine, can in zip(ENGINES, self[1:], strict=True) if can != NO]


YES, NO = "yes", "-"

FEATURES = (
    Feature("exact spike times", YES, YES, YES, "to a power of dt"),
    Feature("networks with cycles", YES, YES, NO, YES),
    Feature("delays of 0", YES, "from inputs only", YES, "a step late"),
    Feature("samples", YES, YES, YES, "at the nearest step"),
    Feature("trace", YES, YES, YES, "with keep_voltages=True"),
    Feature("vjp", YES, YES, YES, YES),
    Feature("jvp", YES, YES, NO, YES),
    Feature("batches", "many in one go", "one by one", "many in one go", "one by one"),
    Feature("several threads for one simulation", NO, YES, NO, NO),
    Feature("gaps of ties in conditioning", YES, "within a window", YES, NO),
    Feature("arrivals rounded to a grid", "with dt", NO, NO, "always"),
    Feature("queue", YES, NO, NO, NO),
    Feature("bounded queues, which drop spikes", "with Lossy", NO, NO, NO),
    Feature("adjoint_queue", YES, "event by event then", NO, NO),
    Feature("keep_state", "but for Lossy", YES, NO, NO),
    Feature("going on with another network", YES, NO, NO, NO),
    Feature("checkpoint", NO, YES, NO, NO),
    Feature("record", NO, YES, NO, NO),
)
_BY_NAME = {feature.name: feature for feature in FEATURES}


def check(name: str, engine: str, asked: str) -> None:
    """Raise unless an engine, one of `ENGINES`, can do what is asked of it."""
    offered = _BY_NAME[name].offered_by()
    if engine not in offered:
        raise InvalidValueError(
            f"{asked}, and engine is {engine}(...), which cannot do that; expected "
            f"{' or '.join(f'{one}(...)' for one in offered)}"
        )


def table() -> str:
    """Return the table as Markdown."""
    rows = [("", *(f"`{engine}`" for engine in ENGINES)), ("---",) * (1 + len(ENGINES)), *FEATURES]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
