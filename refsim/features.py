"""Which engine can do what: the table of the guide, and the errors where one cannot."""

from __future__ import annotations

from typing import NamedTuple

from refsim.errors import InvalidValueError

ENGINES = ("Events", "Windows", "Grid")


class Feature(NamedTuple):
    """Something that can be asked for, and what each of `ENGINES` says to it."""

    name: str
    events: str
    windows: str
    grid: str

    def offered_by(self) -> list[str]:
        """Return the engines that can do it."""
        return [engine for engine, can in zip(ENGINES, self[1:], strict=True) if can != NO]


YES, NO = "yes", "-"

FEATURES = (
    Feature("exact spike times", YES, YES, "to a power of dt"),
    Feature("networks with delays of 0", YES, "between inputs and neurons", "a step late"),
    Feature("samples", YES, YES, "at the nearest step"),
    Feature("trace", YES, YES, "with keep_voltages=True"),
    Feature("vjp", YES, YES, YES),
    Feature("jvp", YES, YES, YES),
    Feature("batches", "many in one go", "one after the other", "one after the other"),
    Feature("several threads for one simulation", NO, YES, NO),
    Feature("gaps of ties in conditioning", YES, "within a window", NO),
    Feature("arrivals rounded to a grid", "with dt", NO, "always"),
    Feature("queue", YES, NO, NO),
    Feature("bounded queues, which drop spikes", "with Lossy", NO, NO),
    Feature("adjoint_queue", YES, "event by event then", NO),
    Feature("keep_state", "but for Lossy", YES, NO),
    Feature("going on with another network", YES, NO, NO),
    Feature("checkpoint", NO, YES, NO),
    Feature("record", NO, YES, NO),
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
