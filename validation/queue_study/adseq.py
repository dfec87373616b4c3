"""The queues of the JAX package adseq, which come with the paper arXiv 2512.05906, beside ours.

`play` runs many sequences of pushes and polls at once, and differentiates them if asked;
`AdseqQueue` gives one queue our protocol of `push` and `pop_due`. The package is imported on first
use. Everything here was written for version 0.9.4 of the wheel on PyPI; the repository of the
package has other queues under the same version.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from queues.errors import checked_count, checked_row
from queues.types import Entry
from refsim.errors import InvalidValueError, MissingExtraError
from validation.queue_study.sequences import POLL, PUSH, Answers, Sequences

_EMPTY = 2**31 - 1  # the time of an empty place
_EXACT_STEPS = 2**24  # whole numbers below it are exact in float32


class QueueType(NamedTuple):
    """What the package says of one of its types, and what we call its semantics."""

    semantics: str  # module of `queues` with the intended semantics
    sized: bool = False  # whether it takes a capacity
    differentiable: bool = True
    counts: bool = False  # whether a poll removes every event of its step


TYPES = {
    "DoNothing": QueueType("null"),
    "SingleSpike": QueueType("single_spike"),
    "SingleSpikeKeep": QueueType("single_spike_keep"),
    "FIFORing": QueueType("bounded_fifo", sized=True),
    "SortedArray": QueueType("bounded_sorted_array", sized=True),
    "LossyRing": QueueType("lossy_ring", sized=True),
    "BinaryHeap": QueueType("bounded_heap", sized=True),
    "BGPQ1": QueueType("bounded_heap", differentiable=False),
    "Ring": QueueType("ring_buffer", counts=True),
    "BitArray32": QueueType("bit_array", differentiable=False, counts=True),
}


class Packages(NamedTuple):
    """What is imported lazily."""

    jax: Any
    jnp: Any
    implementations: Any


@cache
def packages() -> Packages:
    """Import JAX and adseq.

    Raises
    ------
    MissingExtraError
        If one of them is not installed.
    """
    try:
        import jax
        import jax.numpy as jnp
        from adseq import implementations
    except ImportError as error:
        raise MissingExtraError(
            f'the comparison with adseq needs it and JAX ({error}): pip install "refsim[adseq]"'
        ) from None
    return Packages(jax, jnp, implementations)


def new_queue(name: str, capacity: int, differentiable: bool) -> Any:
    """Return an empty queue of the package.

    Parameters
    ----------
    name
        A key of `TYPES`.
    capacity
        Events it has room for; for a ``Ring`` its slots, at least 2. Others have a capacity of
        their own and ignore this one.
    differentiable
        Whether it keeps times as float32 and is ready to be differentiated; if not, as int32.
    """
    if name not in TYPES:
        raise InvalidValueError(f"name is {name!r}; expected one of {[*TYPES]}")
    checked_count("capacity", capacity, 1)
    chosen = getattr(packages().implementations, name)
    if not TYPES[name].differentiable:
        return chosen.init(1)
    if TYPES[name].sized:
        chosen = chosen.sized(capacity)
    # A Ring has one slot more than its delay; the others do not look at the delay.
    return chosen.init(capacity - 1, grad=differentiable)


# --- many sequences at once -------------------------------------------------------------------


def play(
    name: str, capacity: int, sequences: Sequences, *, differentiate: bool | None = None
) -> Answers:
    """Play sequences on queues of the package.

    The time that left a queue is what its state has lost, since its ``pop`` returns a hit only.
    Tangents are those of the hits, and 0 without one: there the package returns a tangent that
    leaks from the event next in line.

    Parameters
    ----------
    name, capacity
        As of `new_queue`.
    sequences
        Times from -2**24 to 2**24.
    differentiate
        Whether the package differentiates (forward mode, on float32); without, it counts in int32
        and tangents are 0. None: where the type can.
    """
    if differentiate is None:
        differentiate = TYPES[name].differentiable
    hits, time, tangent = _player(name, capacity, differentiate)(
        sequences.kind.astype(np.int32),
        sequences.time.astype(np.float32 if differentiate else np.int32),
        sequences.tangent.astype(np.float32),
    )
    hits = np.asarray(hits)
    return Answers(
        hits.astype(np.int64),
        np.asarray(time).astype(np.int64),
        np.where(hits != 0, np.asarray(tangent, np.float64), 0.0),
    )


def comparable(name: str, differentiate: bool, answers: Answers) -> Answers:
    """Return the answers of another queue with zeros where the package gives none."""
    shape = answers.hits.shape
    if TYPES[name].counts:
        answers = answers._replace(time=np.zeros(shape, np.int64))
    return answers if differentiate else answers._replace(tangent=np.zeros(shape))


@cache
def _player(name: str, capacity: int, differentiate: bool) -> Any:
    """Return a compiled (kind, time, tangent) -> (hits, time, tangent), all of shape (n, m)."""
    jax, jnp, _ = packages()
    run = partial(_run, name, capacity, differentiate)
    if not differentiate:
        zeros = jnp.zeros_like
        return jax.jit(jax.vmap(lambda kind, time, tangent: (*run(kind, time), zeros(tangent))))

    def with_tangents(kind: Any, time: Any, tangent: Any) -> Any:
        (hits, left), (hits_dot, _) = jax.jvp(partial(run, kind), (time,), (tangent,))
        return hits, left, hits_dot

    return jax.jit(jax.vmap(with_tangents))


def _run(name: str, capacity: int, differentiable: bool, kind: Any, time: Any) -> Any:
    """Play one sequence, traced by JAX; return what each poll found and what left the queue."""
    jax, jnp, _ = packages()

    def step(queue: Any, operation: Any) -> Any:
        kind, time = operation
        popped, hits = queue.pop(time)
        polls = kind == POLL

        def chosen(old: Any, after_push: Any, after_poll: Any) -> Any:
            return jnp.where(polls, after_poll, jnp.where(kind == PUSH, after_push, old))

        after = jax.tree.map(chosen, queue, queue.enqueue(time), popped)
        left = _stored(name, queue) - _stored(name, popped)
        hits = jnp.asarray(hits, time.dtype)  # that of a DoNothing is an int
        return after, (jnp.where(polls, hits, 0), jnp.where(polls, left, 0))

    queue = jax.tree.map(jnp.asarray, new_queue(name, capacity, differentiable))
    return jax.lax.scan(step, queue, (kind, time))[1]


def _stored(name: str, queue: Any) -> Any:
    """Return the sum of the times in a queue; 0 where it does not keep them."""
    jnp = packages().jnp
    if name == "DoNothing" or TYPES[name].counts:
        return 0
    if name.startswith("SingleSpike"):
        return jnp.where(queue.last_spike < _EMPTY, queue.last_spike, 0)
    if name == "BGPQ1":
        keys = queue.inner.key_store
        return jnp.where(keys < 1e5, keys, 0.0).sum()
    in_use = queue.buffer < _EMPTY
    if name == "BinaryHeap":
        in_use = jnp.arange(queue.buffer.size) < queue.size
    return jnp.where(in_use, queue.buffer, 0).sum()


# --- one queue with our protocol --------------------------------------------------------------


class AdseqQueue:
    """A queue of the package with ``push`` and ``pop_due``, for `queues.testing`.

    Its ``pop`` tells that an event was due, but not which. So each event carries its order as a
    tangent through the package, and the answer of ``pop_due`` is the event whose order comes back.

    Parameters
    ----------
    name
        A key of `TYPES` that is differentiable and does not count.
    capacity
        As of `new_queue`.
    """

    def __init__(self, name: str, capacity: int = 1) -> None:
        if not TYPES[name].differentiable or TYPES[name].counts:
            raise InvalidValueError(f"name is {name!r}; expected a type whose polls tell one event")
        self._enqueue, self._pop = _dual_kernels()
        self._state = _split(new_queue(name, capacity, True))
        self._pushed: list[Entry] = []

    def push(self, time: float, payload: int = 0, tangent: float = 0.0) -> int:
        """Add an entry, whose time is a whole number of steps, and return its order."""
        time, payload, tangent = checked_row(time, payload, tangent, keeps_tangent=True)
        if not time.is_integer() or abs(time) > _EXACT_STEPS:
            raise InvalidValueError(
                f"time = {time!r}; expected a whole number of steps of at most 2**24"
            )
        order = len(self._pushed)
        self._pushed.append(Entry(time, payload, order, tangent))
        self._state = self._enqueue(self._state, time, order + 1.0)
        return order

    def pop_due(self, now: float) -> Entry | None:
        """Remove the entry that a poll at step ``now`` finds and return it, or None."""
        self._state, hit, tangent = self._pop(self._state, now)
        return self._pushed[int(tangent) - 1] if hit else None


class _Dual(NamedTuple):
    """A queue of the package with the tangents of its times; its indices have none."""

    queue: Any
    tangent: Any  # of the leaves of dtype float, as a list


def _split(queue: Any) -> _Dual:
    jax, jnp, _ = packages()
    queue = jax.tree.map(jnp.asarray, queue)
    floats, _ = _floats(queue)
    return _Dual(queue, [jnp.zeros_like(leaf) for leaf in floats])


def _floats(queue: Any) -> tuple[list[Any], Any]:
    """Return the leaves of dtype float, and a function that puts others in their place."""
    jax, jnp, _ = packages()
    leaves, tree = jax.tree.flatten(queue)
    places = [k for k, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)]

    def with_floats(floats: list[Any]) -> Any:
        chosen = list(leaves)
        for place, leaf in zip(places, floats, strict=True):
            chosen[place] = leaf
        return jax.tree.unflatten(tree, chosen)

    return [leaves[place] for place in places], with_floats


@cache
def _dual_kernels() -> tuple[Any, Any]:
    """Return compiled (state, time, time_dot) -> state and (state, now) -> state, hit, hit_dot."""
    jax, _, _ = packages()

    def enqueue(state: _Dual, time: Any, time_dot: Any) -> _Dual:
        floats, with_floats = _floats(state.queue)

        def after(floats: Any, time: Any) -> Any:
            queue = with_floats(floats).enqueue(time)
            return _floats(queue)[0], queue

        arguments = (floats, time), (state.tangent, time_dot)
        _, tangent, queue = jax.jvp(after, *arguments, has_aux=True)
        return _Dual(queue, tangent)

    def pop(state: _Dual, now: Any) -> Any:
        floats, with_floats = _floats(state.queue)

        def after(floats: Any) -> Any:
            queue, hit = with_floats(floats).pop(now)
            return (_floats(queue)[0], hit), queue

        (_, hit), (tangent, hit_dot), queue = jax.jvp(
            after, (floats,), (state.tangent,), has_aux=True
        )
        return _Dual(queue, tangent), hit, hit_dot

    return jax.jit(enqueue), jax.jit(pop)
