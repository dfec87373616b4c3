"""Whether a queue conforms to a model: the search for a script on which it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from queues.errors import check_methods
from queues.testing.models import (
    ExactModel,
)
from queues.testing.operations import Operation, Push, Script, Semantics, model_factory
from queues.testing.player import ConformanceError, Player, SteppedPlayer, play
from queues.testing.state_machine import factory_name, machine
from queues.testing.strategies import GROWTH, allowed_script, scripts, stepped_scripts
from queues.types import EventQueue, PolledQueue

_SHORTENING = 60_000  # operations played to shorten a script, half a second


def assert_conforms(
    factory: Callable[[], EventQueue | PolledQueue],
    semantics: Semantics = "exact",
    tangents: bool = True,
    examples: int = 200,
    seed: int | None = None,
    *,
    capacity: int | None = None,
    stepped: bool = False,
) -> None:
    """Look for a script on which a queue and its model differ.

    Compared are the order in which entries leave, their payloads and tangents, lengths, the
    effect of ``clear``, and growth. ``pop`` and ``peek`` of an empty queue must raise IndexError,
    and a push that the model refuses (of NaN or an infinity) ValueError; both must leave the
    queue as it was. Of lossy semantics, so is the attribute ``dropped``, if the queue has it.

    Parameters
    ----------
    factory
        Makes a new, empty queue at each call.
    semantics
        A key of `SEMANTICS`, or what makes a model: a class, or a ``functools.partial`` of one.
    tangents
        Whether pushes carry tangents; without, all are 0.0.
    examples
        Number of scripts. The state machine runs a quarter as often.
    seed
        Chooses the scripts. None leaves that to the profile of hypothesis.
    capacity
        That of lossy semantics given by name: the number of entries that fit.
    stepped
        Whether to use no methods but ``push`` and ``pop_due``, in the scripts of
        `stepped_scripts`, and no time that the model refuses.

    Raises
    ------
    AssertionError
        With the shortest failing script, as a test to be pasted.
    QueueTypeError
        If the queue lacks a method of the protocol; the message names all of these.
    """
    subject = _Subject(factory, model_factory(semantics, capacity), tangents, stepped)
    subject.expect_new_queues()
    try:
        subject.run_scripts(examples, seed)
        if not stepped:
            subject.run_machine(max(1, examples // 4), seed)
        subject.run_growth()
    except ConformanceError as error:
        again = subject.failure(error.script) or error  # without the notes of hypothesis
        shortest = subject.shortest(again)
    except Flaky as error:
        raise AssertionError(
            f"{factory_name(factory)} failed on a script, but not on the same script again: a "
            "queue must depend on its operations alone"
        ) from error
    else:
        return
    raise shortest


@dataclass(frozen=True)
class _Subject:
    """What `assert_conforms` was given, and its parts."""

    factory: Callable[[], Any]
    model: Callable[[], ExactModel]
    tangents: bool
    stepped: bool

    def expect_new_queues(self) -> None:
        if self.factory() is self.factory():
            name = factory_name(self.factory)
            raise AssertionError(f"{name} returned one queue twice; expected new ones")
        check_methods(self.factory(), (SteppedPlayer if self.stepped else Player).methods)

    def run(self, script: Script) -> None:
        play(self.factory(), self.model(), script, factory_name(self.factory), self.stepped)

    def run_growth(self) -> None:
        mixed = [Push(float(k * 7919 % 499), payload=k, tangent=0.5 * k) for k in range(GROWTH)]
        self.run(list(allowed_script(mixed, self.model(), self.tangents)))

    def run_scripts(self, examples: int, seed: int | None) -> None:
        drawn = (stepped_scripts if self.stepped else scripts)(self.model, self.tangents)

        @_settings(examples, hypothesis.Phase.generate, hypothesis.Phase.shrink)
        @hypothesis.given(script=drawn)
        def agree(script: list[Operation]) -> None:
            self.run(script)

        _seeded(agree, seed)()

    def run_machine(self, examples: int, seed: int | None) -> None:
        tested = _seeded(machine(self.factory, self.model, self.tangents), seed)
        # Hypothesis shrinks a machine for seconds; `shortest` does it at once.
        run_state_machine_as_test(tested, settings=_settings(examples, hypothesis.Phase.generate))

    def failure(self, script: Script) -> ConformanceError | None:
        try:
            self.run(script)
        except ConformanceError as error:
            return error
        return None

    def shortest(self, found: ConformanceError) -> ConformanceError:
        """Leave out operations, first many at a time, while the script still fails."""
        played = 0
        size = len(found.script)
        while size and played < _SHORTENING:
            start = 0
            while start < len(found.script) and played < _SHORTENING:
                shorter = found.script[:start] + found.script[start + size :]
                played += len(shorter)
                error = self.failure(shorter)
                if error is None:
                    start += size
                else:
                    found = error
            size //= 2
        return found


def _settings(examples: int, *phases: hypothesis.Phase) -> hypothesis.settings:
    # No deadline: the first script may compile.
    return hypothesis.settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=phases,
    )


def _seeded(test: Any, seed: int | None) -> Any:
    return test if seed is None else hypothesis.seed(seed)(test)
