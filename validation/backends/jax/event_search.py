r"""The first threshold crossing of a neuron, by steps that cannot pass over one.

Let G = V - v_th. If V'' <= M from now on, then G(h) <= G + G' h + M h^2/2, so there is no crossing
before the positive root h of that parabola: it is safe to go there and to look again. Close to a
crossing the steps converge quadratically, from below; where V comes close to the threshold and
turns back they do not converge. M is found anew at each step:

    (V'')' = -a V'' + a J''  keeps V'' below max(V'' now, largest J'' from now on);
    (y'')' = -s y'' + gain r^2 x e^{-rt}  keeps y'' of a port below max(y'' now, gain r^2 x/s, 0).

The search ends without a crossing where max(V, drive + largest J) is below the threshold.

In exact arithmetic no crossing is missed, however short. In float64, an excursion above threshold
is missed or invented only if its height is within the rounding error of V, some 1e-16 of the terms
that V is a sum of.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from validation.backends.jax.event_flow import Membrane, Ports, State, flow, slope
from validation.backends.jax.setup import jax, jnp

Array = Any

MOST_STEPS = 20_000
_ULP = 2.0**-52


class _March(NamedTuple):
    """Where a search stands."""

    elapsed: Array  # ms from its start, no crossing before
    state: State  # then
    step: Array  # ms that it is safe to go on
    found: Array  # whether there is a crossing now
    count: Array  # steps so far


def first_crossing(
    membrane: Membrane, ports: Ports, state: State, start: Array, end: Array
) -> Array:
    """Return when a free neuron crosses its threshold, inf if not up to ``end``.

    Parameters
    ----------
    membrane, ports, state
        Of the neuron, at the time ``start``.
    start, end : () float64
        Times in ms.

    Returns
    -------
    () float64
        Time in ms; nan if it takes more than MOST_STEPS steps.
    """
    horizon = end * (1.0 + 4.0 * _ULP) - start

    def goes_on(march: _March) -> Array:
        return ~march.found & (march.elapsed <= horizon) & (march.count < MOST_STEPS)

    def advanced(march: _March) -> _March:
        elapsed = march.elapsed + march.step
        there = flow(membrane, ports, state, jnp.minimum(elapsed, horizon))
        return _judged(membrane, ports, there, start, elapsed, march.count + 1)

    first = _judged(membrane, ports, state, start, jnp.zeros_like(start), jnp.int64(0))
    last = jax.lax.while_loop(goes_on, advanced, first)
    is_in_time = last.found & (last.elapsed <= horizon)
    time = jnp.where(is_in_time, jnp.minimum(start + last.elapsed, end), jnp.inf)
    return jnp.where(last.count < MOST_STEPS, time, jnp.nan)


def _judged(
    membrane: Membrane, ports: Ports, state: State, start: Array, elapsed: Array, count: Array
) -> _March:
    """Return the march at a state, with the step that it is safe to take from there."""
    below = membrane.v_th - state.v
    rise = slope(membrane, state)
    curvature, highest = _bounds(membrane, ports, state, rise)
    resolution = _ULP * (start + elapsed) + 1e-17 / membrane.rate
    safe = _root(below, rise, curvature)
    arrived = (below <= 0.0) | (safe <= resolution)
    # At the threshold on the way down, V stays below the parabola up to its other root.
    away = jnp.where(curvature > 0.0, -2.0 * rise / jnp.where(curvature > 0.0, curvature, 1.0), 0.0)
    step = jnp.where(arrived, jnp.maximum(away, 4.0 * resolution), safe)
    never = highest < membrane.v_th
    step = jnp.where(never, jnp.inf, step)
    return _March(elapsed, state, step, arrived & (rise > 0.0) & ~never, count)


def _root(below: Array, rise: Array, curvature: Array) -> Array:
    """Return the positive root of -below + rise h + curvature h^2/2, inf for none."""
    root = jnp.sqrt(rise * rise + 2.0 * curvature * jnp.maximum(below, 0.0))
    ascending = rise + root
    by_rise = 2.0 * below / jnp.where(ascending > 0.0, ascending, 1.0)
    by_fall = (root - rise) / jnp.where(curvature > 0.0, curvature, 1.0)
    falling = jnp.where(curvature > 0.0, by_fall, jnp.inf)
    return jnp.where(rise > 0.0, by_rise, falling)


def _bounds(membrane: Membrane, ports: Ports, state: State, rise: Array) -> tuple[Array, Array]:
    """Return upper bounds of V'' and V from now on."""
    a = membrane.rate
    r, s, gain = ports
    x, y = state.x, state.y
    inflow = jnp.maximum(gain * x, 0.0) / s
    bend = s * s * y - (r + s) * gain * x  # y''
    bends = jnp.sum(jnp.maximum(jnp.maximum(bend, r * r * inflow), 0.0))
    now = a * (jnp.sum(gain * x - s * y) - rise)
    curvature = jnp.maximum(jnp.maximum(now, bends), 0.0)
    current = jnp.sum(jnp.maximum(jnp.maximum(y, inflow), 0.0))
    highest = jnp.maximum(state.v, membrane.drive + current)
    size = jnp.abs(state.v) + jnp.abs(membrane.drive) + jnp.sum(jnp.abs(y) + jnp.abs(inflow))
    return curvature, highest + 16.0 * _ULP * size
