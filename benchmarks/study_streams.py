"""Streams of events through many queues on both sides: time, and what is dropped.

The benchmark of the package is repaired: each push goes into the queue that was popped, not into
the one before, and events are drawn before the clock starts. Both sides count what was delivered;
"same" tells whether they delivered as many. JAX is given a dense raster and polls every queue at
every step, ours a list of events. Compilation is not timed.
"""

from __future__ import annotations

import math
import statistics
import time

import numpy as np

from queues.study.streams import Streams, run_streams
from validation.queue_study.adseq import TYPES, new_queue, packages

CAPACITY = {"SortedArray": 4, "FIFORing": 4, "LossyRing": 4, "BinaryHeap": 7}
FIXED = {"BGPQ1": 8, "BitArray32": 32}  # capacities that cannot be chosen
BATCHED = (
    "SingleSpike",
    "BitArray32",
    "LossyRing",
    "FIFORing",
    "SortedArray",
    "Ring",
    "BinaryHeap",
    "BGPQ1",
)
SIZED = ("LossyRing", "FIFORing", "SortedArray", "BinaryHeap")
RATE = 0.1  # of the raster of the drops, per step


# --- streams ----------------------------------------------------------------------------------


def raster(n, steps, p, seed):
    """Return whether there is an event (n, steps), with probability p at each step."""
    rng = np.random.default_rng(seed)
    events = np.zeros(n * steps, dtype=bool)
    # Drawn by the gap to the next event: a number for every event, not for every step.
    gaps = rng.geometric(p, int(1.1 * n * steps * p) + 1000)
    where = np.cumsum(gaps) - 1
    events[where[where < n * steps]] = True
    return events.reshape(n, steps)


def streams_of(events, delay):
    queue, pushed = np.nonzero(events)
    start = np.searchsorted(queue, np.arange(len(events) + 1))
    return Streams(start, pushed, pushed + delay)


def structure_of(name, capacity):
    """Return our structure and its capacity; a ring buffer loses nothing, and has none."""
    return ("ring_buffer", None) if name == "Ring" else (TYPES[name].semantics, capacity)


# --- one run of each side ---------------------------------------------------------------------


def time_ours(name, capacity, events, delay, repeats, threads=1):
    """Return (seconds, events delivered) of our structure with the semantics of that type."""
    streams = streams_of(events, delay)
    steps = events.shape[1]
    structure, room = structure_of(name, capacity)
    few = streams_of(events[:1], delay)
    run_streams(structure, few, steps, capacity=room, threads=threads)  # compiles
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        outcome = run_streams(structure, streams, steps, capacity=room, threads=threads)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), outcome.hits


def jax_runner(name, capacity, n):
    """Return f(raster by step, delay) -> hits of n queues: popped, then pushed, at each step."""
    jax, jnp, _ = packages()
    empty = jax.tree.map(
        lambda leaf: jnp.broadcast_to(jnp.asarray(leaf), (n, *jnp.shape(leaf))),
        new_queue(name, capacity, False),
    )

    def advance(queue, event, now, delay):
        popped, hits = queue.pop(now)
        return jax.lax.cond(event, lambda: popped.enqueue(now + delay), lambda: popped), hits

    def run(events, delay):
        def step(carry, at):
            queues, total = carry
            now, event = at
            queues, hits = jax.vmap(advance, (0, 0, None, None))(queues, event, now, delay)
            return (queues, total + jnp.sum(jnp.asarray(hits, jnp.int32))), None

        times = jnp.arange(len(events), dtype=jnp.int32)
        return jax.lax.scan(step, (empty, jnp.int32(0)), (times, events))[0][1]

    return run


def compiled(name, capacity, by_step):
    jax, jnp, _ = packages()
    run = jax.jit(jax_runner(name, capacity, by_step.shape[1]))
    return run.lower(by_step, jnp.int32(0)).compile()


def time_adseq(name, capacity, events, delay, repeats):
    """Return (seconds, events delivered) of the package."""
    _, jnp, _ = packages()
    by_step = jnp.asarray(events.T)
    run = compiled(name, capacity, by_step)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        delivered = run(by_step, jnp.int32(delay)).block_until_ready()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), int(delivered)


def side_by_side(name, capacity, events, delay, repeats):
    """Return a row with both sides' ns per queue and step."""
    n, steps = events.shape
    ours, delivered = time_ours(name, capacity, events, delay, repeats)
    theirs, hits = time_adseq(name, capacity, events, delay, repeats)
    per_queue_step = 1e9 / (n * steps)
    return {
        "type": name,
        "capacity": capacity,
        "queues": n,
        "steps": steps,
        "events": int(events.sum()),
        "refsim_ns": ours * per_queue_step,
        "refsim_ns_per_event": 1e9 * ours / max(int(events.sum()), 1),
        "adseq_ns": theirs * per_queue_step,
        "ratio": theirs / ours,
        "same": hits == delivered,
    }


# --- experiments ------------------------------------------------------------------------------


def sizes(quick):
    """Time by number of queues."""
    plan = [(1, 4000), (10_000, 200)]
    if not quick:
        plan = [(1, 40_000), (1000, 4000), (10_000, 1000), (100_000, 400), (1_000_000, 400)]
    for n, steps in plan:
        events = raster(n, steps, 1 / 400, seed=n)
        for name in BATCHED:
            # The paper gives the 32 bits of a BitArray32 a delay of 80 steps too: 16 in truth.
            delay = 31 if name == "BitArray32" else 80
            capacity = delay + 1 if name == "Ring" else CAPACITY.get(name, FIXED.get(name, 1))
            yield side_by_side(name, capacity, events, delay, 1 if n > 100_000 else 3)


def capacities(quick):
    """Time by capacity."""
    n, steps = (2000, 200) if quick else (10_000, 1000)
    events = raster(n, steps, 1 / 10, seed=2)
    for capacity in (4, 40) if quick else (1, 2, 4, 8, 16, 24, 32, 40):
        for name in SIZED:
            yield side_by_side(name, capacity, events, 5, 3)


def closed_form(name, capacity, delay):
    """Return the steady rate of drops where it is known, for a raster of Poisson events."""
    if name == "SingleSpike":
        return 1.0 - math.exp(-RATE * (delay - 1))
    if name == "LossyRing":
        return 1.0 - math.exp(-RATE * ((delay - 1) // capacity))
    if name == "FIFORing" and capacity == 1:
        waiting = -math.expm1(-RATE) * (delay - 1)
        return waiting / (1.0 + waiting)
    return None


def drops(quick):
    """Rate of drops by delay and capacity, on both sides for the same raster."""
    _, jnp, _ = packages()
    n, steps = (50, 2000) if quick else (200, 20_000)
    events = raster(n, steps, -math.expm1(-RATE), seed=3)
    by_step = jnp.asarray(events.T)
    plan = [("SingleSpike", 1), ("FIFORing", 4), ("LossyRing", 4)]
    if not quick:
        plan += [("FIFORing", 1), ("SortedArray", 4), ("BinaryHeap", 4), ("BGPQ1", 8)]
        plan += [(name, c) for name in ("FIFORing", "LossyRing") for c in (2, 3, 6, 8, 12, 16)]
    for name, capacity in plan:
        run = compiled(name, capacity, by_step)
        for delay in (2, 5, 10, 20, 35, 50, 75, 99):
            outcome = run_streams(
                TYPES[name].semantics, streams_of(events, delay), steps, capacity=capacity
            )
            delivered = outcome.hits
            hits = int(run(by_step, jnp.int32(delay)))
            # What is still under way at the end is neither dropped nor delivered.
            settled = delivered + outcome.dropped
            yield {
                "type": name,
                "capacity": capacity,
                "d_lambda": RATE * delay,
                "refsim": 1.0 - delivered / settled,
                "adseq": 1.0 - hits / settled,
                "closed_form": closed_form(name, capacity, delay),
                "same": hits == delivered,
            }
