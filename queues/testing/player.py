"""Scripts played on a queue and on its model, which must agree after each operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from queues.errors import check_methods
from queues.testing.models import (
    SEMANTICS,
    ExactModel,
    LossyModel,
)
from queues.testing.operations import Clear, Operation, Peek, Pop, PopDue, Push, Script
from queues.types import Entry, EventQueue, PolledQueue


class ConformanceError(AssertionError):
    """A queue and its model differ; ``script`` holds the operations up to there."""

    def __init__(self, reason: str, script: Script, source: str) -> None:
        self.reason = reason
        self.script = list(script)
        super().__init__(f"{reason}\n\n{source}")


def _as_test(
    script: Script, model: str, kind: type[ExactModel], factory: str, stepped: bool
) -> str:
    """Return the source of a test that plays the script."""
    names = {type(operation).__name__ for operation in script} | {"run_script"}
    if kind in SEMANTICS.values():
        names.add(kind.__name__)
    option = ", stepped=True" if stepped else ""
    lines = [
        f"from queues.testing import {', '.join(sorted(names))}",
        "",
        "def test_a_script_that_failed():",
        "    script = [",
        *(f"        {operation!r}," for operation in script),
        "    ]",
        f"    run_script({factory}(), {model}, script{option})",
    ]
    return "\n".join(lines)


class Player:
    """Plays operations on a queue and a model, and raises where they differ."""

    stepped = False
    methods: ClassVar[tuple[str, ...]] = ("push", "peek", "pop", "clear", "__len__")

    def __init__(self, queue: Any, model: ExactModel, factory: str) -> None:
        check_methods(queue, self.methods)
        self.queue, self.model, self.factory = queue, model, factory
        self.new_model = repr(model)
        self.script: list[Operation] = []
        self.stage = ""
        self.failed = False
        self._expect_counts("a new queue")

    def play(self, operation: Operation) -> None:
        """Play an operation and add it to the script."""
        self.script.append(operation)
        self._do(operation)

    def finish(self) -> None:
        """Drain the queue, find it empty, and use it once more."""
        self.stage = "when drained after the script: "
        while len(self.model):
            self._do(Pop())
        for operation in (Pop(), Peek(), Push(self.model.allowed(0.0)), Peek(), Pop()):
            self._do(operation)

    def _do(self, operation: Operation) -> None:
        if isinstance(operation, Push):
            self._push(operation)
        elif isinstance(operation, Clear):
            self._call("clear()", self.queue.clear)
            self.model.clear()
        elif isinstance(operation, PopDue):
            self._poll(operation)
        elif isinstance(operation, Pop):
            self._top("pop()", self.queue.pop, self.model.pop)
        else:
            self._top("peek()", self.queue.peek, self.model.peek)
        self._expect_counts(repr(operation))

    def _push(self, operation: Push) -> None:
        row = (operation.time, operation.payload, operation.tangent)
        if self.model.refuses(operation.time):
            self._refused(repr(operation), lambda: self.queue.push(*row), ValueError)
            return
        order = self._call(repr(operation), lambda: self.queue.push(*row))
        self._expect_equal(f"{operation!r} returned the order", order, self.model.push(*row))

    def _top(self, name: str, call: Callable[[], Entry], of_model: Callable[[], Entry]) -> None:
        if len(self.model) == 0:
            self._refused(f"{name} of an empty queue", call, IndexError)
            return
        found = self._call(name, lambda: _as_entry(call()))
        self._expect_equal(f"{name} returned", found, of_model())

    def _poll(self, operation: PopDue) -> None:
        name, now = repr(operation), operation.now
        check_methods(self.queue, ("pop_due",))
        if self.model.refuses_poll(now):
            self._refused(name, lambda: self.queue.pop_due(now), ValueError)
            return
        found = self._call(name, lambda: _as_entry_or_none(self.queue.pop_due(now)))
        self._expect_equal(f"{name} returned", found, self.model.pop_due(now))

    def _expect_counts(self, name: str) -> None:
        size = self._call("len()", lambda: len(self.queue))
        self._expect_equal(f"after {name} the length is", size, len(self.model))
        self._expect_dropped(name)

    def _expect_dropped(self, name: str) -> None:
        """Compare the number of entries lost, if the queue tells it."""
        if isinstance(self.model, LossyModel) and hasattr(self.queue, "dropped"):
            dropped = self.queue.dropped
            self._expect_equal(f"after {name} dropped is", dropped, self.model.dropped)

    def _expect_equal(self, name: str, found: object, expected: object) -> None:
        if found != expected:
            self._fail(f"{name} {found!r}; expected {expected!r}")

    def _call(self, name: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            self._fail(f"{name} raised {error!r}", error)

    def _refused(self, name: str, call: Callable[[], object], kind: type[Exception]) -> None:
        try:
            found = call()
        except kind:
            return
        except Exception as error:
            self._fail(f"{name} raised {error!r}; expected {kind.__name__}", error)
        self._fail(f"{name} returned {found!r}; expected {kind.__name__}")

    def _fail(self, reason: str, cause: Exception | None = None) -> None:
        self.failed = True
        source = _as_test(self.script, self.new_model, type(self.model), self.factory, self.stepped)
        raise ConformanceError(self.stage + reason, self.script, source) from cause


class SteppedPlayer(Player):
    """Uses only ``push`` and ``pop_due``, and leaves out what the model refuses."""

    stepped = True
    methods = ("push", "pop_due")

    def finish(self) -> None:
        """Poll step by step until the queue is empty, and use it once more."""
        self.stage = "when polled after the script: "
        now = max([0.0, *(op.now for op in self.script if isinstance(op, PopDue))])
        while len(self.model):
            now = max(now + 1.0, self.model.peek().time)
            self._do(PopDue(now))
        time = self.model.allowed(now + 1.0)
        for operation in (PopDue(now + 1.0), Push(time), PopDue(time), PopDue(time + 1.0)):
            self._do(operation)

    def _push(self, operation: Push) -> None:
        if not self.model.refuses(operation.time):
            super()._push(operation)

    def _expect_counts(self, name: str) -> None:
        self._expect_dropped(name)


def _as_entry(found: Any) -> Entry:
    return Entry(*(getattr(found, name) for name in Entry._fields))


def _as_entry_or_none(found: Any) -> Entry | None:
    return None if found is None else _as_entry(found)


def run_script(
    queue: EventQueue | PolledQueue, model: ExactModel, script: Script, *, stepped: bool = False
) -> None:
    """Play a script on a new queue and a new model, then drain both.

    Parameters
    ----------
    queue, model
        Both new, without entries.
    script
        Operations.
    stepped
        Whether the queue has no methods but ``push`` and ``pop_due``. Then pushes that the model
        refuses are left out, and the queue is drained by polls.

    Raises
    ------
    ConformanceError
        An AssertionError, at the first operation after which the two differ.
    """
    play(queue, model, script, type(queue).__name__, stepped)


def play(queue: Any, model: ExactModel, script: Script, factory: str, stepped: bool) -> None:
    """Play a script on a queue and its model."""
    player = (SteppedPlayer if stepped else Player)(queue, model, factory)
    for operation in script:
        player.play(operation)
    player.finish()
