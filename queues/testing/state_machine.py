"""A state machine of Hypothesis: scripts that are made while they are played."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from queues.testing.models import (
    ExactModel,
)
from queues.testing.operations import Clear, Operation, Peek, Pop, Push, Semantics, model_factory
from queues.testing.player import Player
from queues.testing.strategies import allowed, anywhere, bursts, drains, pushes, ties
from queues.types import EventQueue


class QueueMachine(RuleBasedStateMachine):
    """A stateful test of the queue that ``factory`` makes; add rules and invariants to it.

    `machine` makes a subclass for a factory. A subclass of one's own may set the attributes
    below, or call `start` with a queue in a method under ``@initialize``.
    """

    factory: ClassVar[Callable[[], EventQueue]]
    model_class: ClassVar[Callable[[], ExactModel]] = ExactModel
    tangents: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        make = getattr(type(self), "factory", None)
        if make is not None:
            self.start(make(), name=factory_name(make))

    def start(self, queue: EventQueue, *, tangents: bool | None = None, name: str = "") -> None:
        """Play on this new queue from now on."""
        self.carries_tangents = self.tangents if tangents is None else tangents
        # From the class a function would come bound; of an instance it may be set in a rule.
        make = vars(self).get("model_class", type(self).model_class)
        self.player = Player(queue, make(), name or type(queue).__name__)

    @property
    def queue(self) -> Any:
        """The queue under test."""
        return self.player.queue

    @property
    def model(self) -> Any:
        """The model that tells what to expect."""
        return self.player.model

    def play(self, operation: Operation) -> None:
        """Play an operation, its time made such that the model allows it."""
        self.player.play(allowed(operation, self.model, self.carries_tangents))

    @rule(push=pushes)
    def push(self, push: Push) -> None:
        """Push at a time that is allowed."""
        self.play(push)

    @rule(push=anywhere)
    def push_anywhere(self, push: Push) -> None:
        """Push at any time, be it none."""
        self.player.play(push)

    @rule(operations=ties | bursts | drains)
    def burst(self, operations: list[Operation]) -> None:
        """Push or pop many times."""
        for operation in operations:
            self.play(operation)

    @rule(operation=st.sampled_from([Pop(), Peek(), Clear()]))
    def single(self, operation: Operation) -> None:
        """Pop, peek or clear."""
        self.play(operation)

    @rule()
    def drain(self) -> None:
        """Pop until the queue is empty."""
        while len(self.model):
            self.play(Pop())

    def teardown(self) -> None:
        """Drain the queue, unless it failed already."""
        if hasattr(self, "player") and not self.player.failed:
            self.player.finish()


def factory_name(factory: Callable[[], Any]) -> str:
    """Return how a test calls what makes queues."""
    name = getattr(factory, "__name__", "factory")
    return name if name.isidentifier() else "factory"


def machine(
    factory: Callable[[], EventQueue],
    semantics: Semantics = "exact",
    tangents: bool = True,
    capacity: int | None = None,
) -> type[QueueMachine]:
    """Return a state machine for a queue; its ``TestCase`` is for pytest and unittest.

    Parameters
    ----------
    factory
        Makes a new, empty queue.
    semantics
        A key of `SEMANTICS`, or what makes a model: a class, or a ``functools.partial`` of one.
    tangents
        Whether pushes carry tangents.
    capacity
        That of lossy semantics given by name.
    """
    attributes = {
        "factory": staticmethod(factory),
        "model_class": staticmethod(model_factory(semantics, capacity)),
        "tangents": tangents,
    }
    return type(f"MachineOf{factory_name(factory)}", (QueueMachine,), attributes)
