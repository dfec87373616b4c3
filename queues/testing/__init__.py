"""A conformance kit: run any queue with our protocol through scripts of operations.

A script is a list of `Push`, `Pop`, `Peek` and `Clear`. It is played on a queue and on a model of
`queues.testing.models`, a sorted list that anyone can believe, and both must agree after each
operation. `assert_conforms` looks for a script on which they do not and prints the shortest as a
test. `scripts`, `run_script` and `QueueMachine` are its parts, for tests of one's own. Needs
hypothesis.

Stepped scripts are for queues that are asked at each time step what is due: they consist of `Push`
and `PopDue`, and a queue needs no other method for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from queues.errors import check_methods
from queues.names import SemanticsName
from queues.testing.models import (
    SEMANTICS,
    BitArrayModel,
    BoundedFifoModel,
    BoundedHeapModel,
    BoundedSortedArrayModel,
    ExactModel,
    FifoModel,
    LossyModel,
    LossyRingModel,
    NullModel,
    RingBufferModel,
    SingleSpikeKeepModel,
    SingleSpikeModel,
)
from queues.types import Entry, EventQueue, PolledQueue

try:
    import hypothesis
    from hypothesis import strategies as st
    from hypothesis.errors import Flaky
    from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
except ImportError as error:
    raise ImportError('queues.testing needs hypothesis: pip install "refsim[test]"') from error

__all__ = [
    "SEMANTICS",
    "BitArrayModel",
    "BoundedFifoModel",
    "BoundedHeapModel",
    "BoundedSortedArrayModel",
    "Clear",
    "ConformanceError",
    "ExactModel",
    "FifoModel",
    "LossyModel",
    "LossyRingModel",
    "NullModel",
    "Peek",
    "Pop",
    "PopDue",
    "Push",
    "QueueMachine",
    "RingBufferModel",
    "SingleSpikeKeepModel",
    "SingleSpikeModel",
    "assert_conforms",
    "machine",
    "run_script",
    "scripts",
    "stepped_scripts",
    "times",
]

_LARGEST, _SMALLEST, _NORMAL = 1.7976931348623157e308, 5e-324, 2.2250738585072014e-308
_TIED = [0.0, 1.0, -0.0, 1.0 + 2.0**-52, 2.0]
_EXTREME = [_SMALLEST, -_SMALLEST, _NORMAL, _LARGEST, -_LARGEST, _LARGEST * (1.0 - 2.0**-53)]
_NO_TIMES = [math.nan, math.inf, -math.inf]
_STEPS = [0.0, 1.0, -1.0, 0.1]
_GROWTH = 1100  # entries, more than most first capacities
_SHORTENING = 60_000  # operations played to shorten a script, half a second


# --- operations -------------------------------------------------------------------------------


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


def _model_factory(semantics: Semantics, capacity: int | None) -> Callable[[], ExactModel]:
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


# --- playing a script -------------------------------------------------------------------------


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


class _Player:
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


class _SteppedPlayer(_Player):
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
    _run(queue, model, script, type(queue).__name__, stepped)


def _run(queue: Any, model: ExactModel, script: Script, factory: str, stepped: bool) -> None:
    player = (_SteppedPlayer if stepped else _Player)(queue, model, factory)
    for operation in script:
        player.play(operation)
    player.finish()


# --- strategies -------------------------------------------------------------------------------


def times() -> st.SearchStrategy[float]:
    """Finite times: often equal, ordinary, denormal, or at the ends of float64."""
    return st.one_of(
        st.sampled_from(_TIED),
        st.floats(-1e3, 1e3),
        st.sampled_from(_EXTREME),
        st.floats(-_NORMAL, _NORMAL),
        st.floats(allow_nan=False, allow_infinity=False),
    )


# Not any of 64 bits: what breaks lies at the ends of integers and floats, and shrinks faster.
_payloads = st.sampled_from([0, 1, 2, -1, 2**31, 2**32 + 1, 2**53 + 1, 2**63 - 1, -(2**63)])
_tangents = st.sampled_from([0.0, 1.0, -0.5]) | st.floats(-1e3, 1e3)


def _burst(time: float, step: float, count: int, pops_every: int) -> list[Operation]:
    """Pushes at equal distances with some pops among them, so that a ring's head moves."""
    operations: list[Operation] = []
    for k in range(count):
        operations.append(Push(time + k * step, payload=k, tangent=0.5 * k))
        if pops_every and k % pops_every == pops_every - 1:
            operations.append(Pop())
    return operations


_pushes = st.builds(Push, times(), _payloads, _tangents)
_singles = st.one_of(_pushes, st.just(Pop()), st.just(Peek()), _pushes, st.just(Clear()))
_bursts = st.builds(
    _burst, times(), st.sampled_from(_STEPS), st.integers(1, 40), st.sampled_from([0, 2, 3])
)
_ties = st.lists(st.builds(Push, st.sampled_from(_TIED), _payloads), min_size=2, max_size=6)
_drains = st.integers(1, 20).map(lambda count: [Pop()] * count)
_anywhere = st.builds(Push, st.sampled_from(_NO_TIMES) | times())
# Each: operations, and whether their times are first made such that the model allows them.
_chunks = st.one_of(
    st.tuples(st.lists(_singles, min_size=1, max_size=5), st.just(True)),
    st.tuples(_ties, st.just(True)),
    st.tuples(_bursts, st.just(True)),
    st.tuples(_drains, st.just(True)),
    st.tuples(_anywhere.map(lambda push: [push]), st.just(False)),
)


def _allowed(operation: Operation, model: ExactModel, tangents: bool) -> Operation:
    if not isinstance(operation, Push):
        return operation
    return replace(
        operation,
        time=model.allowed(operation.time),
        payload=operation.payload if model.carries_payload else 0,
        tangent=operation.tangent if tangents and model.carries_tangent else 0.0,
    )


def _apply(operation: Operation, model: ExactModel) -> None:
    if isinstance(operation, Push):
        if not model.refuses(operation.time):
            model.push(operation.time, operation.payload, operation.tangent)
    elif isinstance(operation, Clear):
        model.clear()
    elif isinstance(operation, PopDue):
        if not model.refuses_poll(operation.now):
            model.pop_due(operation.now)
    elif isinstance(operation, Pop) and len(model):
        model.pop()


def _allowed_script(script: Script, model: ExactModel, tangents: bool) -> Iterator[Operation]:
    for operation in script:
        chosen = _allowed(operation, model, tangents)
        _apply(chosen, model)
        yield chosen


@st.composite
def scripts(
    draw: st.DrawFn,
    semantics: Semantics = "exact",
    tangents: bool = True,
    capacity: int | None = None,
) -> list[Operation]:
    """Scripts of single operations, bursts and drains.

    Most pushes have a time that the model allows; some have any time, NaN or an infinity.

    Parameters
    ----------
    draw
        Given by hypothesis.
    semantics
        A key of `SEMANTICS`, or what makes a model: a class, or a ``functools.partial`` of one.
    tangents
        Whether pushes carry tangents.
    capacity
        That of lossy semantics given by name.
    """
    model = _model_factory(semantics, capacity)()
    script: list[Operation] = []
    for chunk, allowed_only in draw(st.lists(_chunks, max_size=12)):
        if allowed_only:
            script.extend(_allowed_script(chunk, model, tangents))
        else:
            script.extend(chunk)
            for operation in chunk:
                _apply(operation, model)
    return script


_delays = st.integers(0, 10) | st.sampled_from([-1, -5, 0, 1, 20, 31])
_in_a_step = st.lists(st.tuples(_delays, _payloads, _tangents), max_size=3)
# Each: steps since the last one, whether pushes come first, number of polls, and pushes.
_steps = st.tuples(
    st.sampled_from([1, 1, 1, 1, 0, 2, 7]),
    st.booleans(),
    st.sampled_from([1, 1, 1, 0, 2]),
    _in_a_step,
)


@st.composite
def stepped_scripts(
    draw: st.DrawFn,
    semantics: Semantics = "exact",
    tangents: bool = True,
    capacity: int | None = None,
) -> list[Operation]:
    """Scripts of pushes and polls while time advances step by step from 0.

    All delays are equal, or each push has its own. In a step pushes come before the poll or after
    it; there are ties, times in the past, steps without a poll and steps with two.

    Parameters
    ----------
    draw
        Given by hypothesis.
    semantics
        A key of `SEMANTICS`, or what makes a model: a class, or a ``functools.partial`` of one.
    tangents
        Whether pushes carry tangents.
    capacity
        That of lossy semantics given by name.
    """
    model = _model_factory(semantics, capacity)()
    delay = draw(st.none() | st.integers(0, 10))
    script: list[Operation] = []
    now = 0
    for advance, pushes_first, n_polls, drawn in draw(st.lists(_steps, max_size=30)):
        now += advance
        pushes: list[Operation] = [
            Push(float(now + (own if delay is None else delay)), payload, tangent)
            for own, payload, tangent in drawn
        ]
        polls: list[Operation] = [PopDue(float(now))] * n_polls
        chunk = pushes + polls if pushes_first else polls + pushes
        script.extend(_allowed_script(chunk, model, tangents))
    return script


# --- the state machine ------------------------------------------------------------------------


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
            self.start(make(), name=_name(make))

    def start(self, queue: EventQueue, *, tangents: bool | None = None, name: str = "") -> None:
        """Play on this new queue from now on."""
        self.carries_tangents = self.tangents if tangents is None else tangents
        # From the class a function would come bound; of an instance it may be set in a rule.
        make = vars(self).get("model_class", type(self).model_class)
        self.player = _Player(queue, make(), name or type(queue).__name__)

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
        self.player.play(_allowed(operation, self.model, self.carries_tangents))

    @rule(push=_pushes)
    def push(self, push: Push) -> None:
        """Push at a time that is allowed."""
        self.play(push)

    @rule(push=_anywhere)
    def push_anywhere(self, push: Push) -> None:
        """Push at any time, be it none."""
        self.player.play(push)

    @rule(operations=_ties | _bursts | _drains)
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


def _name(factory: Callable[[], Any]) -> str:
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
        "model_class": staticmethod(_model_factory(semantics, capacity)),
        "tangents": tangents,
    }
    return type(f"MachineOf{_name(factory)}", (QueueMachine,), attributes)


# --- all in one -------------------------------------------------------------------------------


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
    subject = _Subject(factory, _model_factory(semantics, capacity), tangents, stepped)
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
            f"{_name(factory)} failed on a script, but not on the same script again: a queue must "
            "depend on its operations alone"
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
            name = _name(self.factory)
            raise AssertionError(f"{name} returned one queue twice; expected new ones")
        check_methods(self.factory(), (_SteppedPlayer if self.stepped else _Player).methods)

    def run(self, script: Script) -> None:
        _run(self.factory(), self.model(), script, _name(self.factory), self.stepped)

    def run_growth(self) -> None:
        mixed = [Push(float(k * 7919 % 499), payload=k, tangent=0.5 * k) for k in range(_GROWTH)]
        self.run(list(_allowed_script(mixed, self.model(), self.tangents)))

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
