"""Arrays of the backward pass over a time grid."""

from __future__ import annotations

from typing import NamedTuple

from refsim.grid.types import Calendar
from refsim.types import Float, Int


class GridAdjoint(NamedTuple):
    """dL/d(state) at the step that the pass has come to."""

    v: Float  # (n,)
    x: Float  # (n, K)
    spike: Int  # (n,) row of the tape of the last spike before this step, -1 for none
    fired: Int  # (n,) step of that spike, -1 for none
    free: Int  # (n,) step from which the neuron is free after it


class GridBar(NamedTuple):
    """Gradient by the coefficients of a step and by the parameters that are in none of them."""

    decay: Float  # (n,)
    lift: Float  # (n, K)
    fade: Float  # (K,)
    feed: Float  # (P,)
    drive: Float  # (n,)
    v_th: Float  # (n,)
    v_reset: Float  # (n,)
    t_ref: Float  # (n,)
    weight: Float  # (S,) in the order of Wiring
    delay: Float  # (S,)


class GridReverse(NamedTuple):
    """What the forward pass has left, beside its problem."""

    before: Int  # (k,) row of the same neuron's spike before, -1 for none
    sample_bar: Float  # (V,) in order of steps
    pending: Int  # (e,) emissions in falling order of the step of their last arrival
    last: Int  # (e,) that step, by emission; -1 for those that never arrive


class GridReverseWork(NamedTuple):
    """What the backward pass changes."""

    adjoint: GridAdjoint
    bar: GridBar
    spike_bar: Float  # (k,) dL/d(spike time) by row of the tape, complete once it is reached
    input_bar: Float  # (I,) in order of time
    calendar: Calendar  # of the way back; its cursor is the last synapse not yet reached
    samples: Int  # (1,) samples not yet reached
    entered: Int  # (1,) emissions of ``pending`` entered
