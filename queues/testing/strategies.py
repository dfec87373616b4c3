"""Hypothesis strategies of times and of scripts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import strategies as st

from queues.testing.models import (
    ExactModel,
)
from queues.testing.operations import (
    Clear,
    Operation,
    Peek,
    Pop,
    PopDue,
    Push,
    Script,
    Semantics,
    model_factory,
)

_LARGEST, _SMALLEST, _NORMAL = 1.7976931348623157e308, 5e-324, 2.2250738585072014e-308
_TIED = [0.0, 1.0, -0.0, 1.0 + 2.0**-52, 2.0]
_EXTREME = [_SMALLEST, -_SMALLEST, _NORMAL, _LARGEST, -_LARGEST, _LARGEST * (1.0 - 2.0**-53)]
_NO_TIMES = [math.nan, math.inf, -math.inf]
_STEPS = [0.0, 1.0, -1.0, 0.1]
GROWTH = 1100  # entries, more than most first capacities


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


pushes = st.builds(Push, times(), _payloads, _tangents)
_singles = st.one_of(pushes, st.just(Pop()), st.just(Peek()), pushes, st.just(Clear()))
bursts = st.builds(
    _burst, times(), st.sampled_from(_STEPS), st.integers(1, 40), st.sampled_from([0, 2, 3])
)
ties = st.lists(st.builds(Push, st.sampled_from(_TIED), _payloads), min_size=2, max_size=6)
drains = st.integers(1, 20).map(lambda count: [Pop()] * count)
anywhere = st.builds(Push, st.sampled_from(_NO_TIMES) | times())
# Each: operations, and whether their times are first made such that the model allows them.
_chunks = st.one_of(
    st.tuples(st.lists(_singles, min_size=1, max_size=5), st.just(True)),
    st.tuples(ties, st.just(True)),
    st.tuples(bursts, st.just(True)),
    st.tuples(drains, st.just(True)),
    st.tuples(anywhere.map(lambda push: [push]), st.just(False)),
)


def allowed(operation: Operation, model: ExactModel, tangents: bool) -> Operation:
    """Return an operation with what a model takes."""
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


def allowed_script(script: Script, model: ExactModel, tangents: bool) -> Iterator[Operation]:
    """Yield a script with what a model takes, as it is played."""
    for operation in script:
        chosen = allowed(operation, model, tangents)
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
    model = model_factory(semantics, capacity)()
    script: list[Operation] = []
    for chunk, allowed_only in draw(st.lists(_chunks, max_size=12)):
        if allowed_only:
            script.extend(allowed_script(chunk, model, tangents))
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
    model = model_factory(semantics, capacity)()
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
        script.extend(allowed_script(chunk, model, tangents))
    return script
