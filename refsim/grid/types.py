"""Arrays of the time-grid engine. Steps count from 0; sizes as in refsim.types."""

from __future__ import annotations

from typing import NamedTuple

from refsim.types import Float, InputArrays, Int, Model, ModelTangent, Wiring, WiringTangent

# Where in its step a spike lies.
LINEAR, START, END = range(3)
# Tangents of resets.
EXACT, SURROGATE, NO_RESET = range(3)


class StepTables(NamedTuple):
    """What one step without spikes does: a linear map, with coefficients for each neuron.

    V becomes V + leak (drive - V) + sum over states of lift times the state. A state becomes fade
    times itself; the second of a cascade also gets feed times the first.
    """

    decay: Float  # (n,)
    leak: Float  # (n,) 1 - decay, with all of its digits in short steps
    lift: Float  # (n, K)
    fade: Float  # (K,)
    feed: Float  # (P,) 0 for a port of one filter


class StepDerivatives(NamedTuple):
    """Derivatives of StepTables by rates and gains."""

    decay_rate: Float  # (n,) of decay, by the rate of the membrane
    lift_rate: Float  # (n, K) of lift, by the rate of the membrane
    lift_own: Float  # (n, K) by the rate of the filter itself
    lift_next: Float  # (n, K) of the first of a cascade, by the rate of the second
    lift_gain: Float  # (n, K) of the first of a cascade, by the gain
    fade_own: Float  # (K,)
    feed_first: Float  # (P,) by the rate of the first filter
    feed_second: Float  # (P,) by the rate of the second
    feed_gain: Float  # (P,)


class Rules(NamedTuple):
    """A GridScheme for kernels."""

    dt: float  # ms
    spike_time: int  # LINEAR, START or END
    full: bool  # whether an arrival's tangent reaches the voltage
    reset: int  # EXACT, SURROGATE or NO_RESET
    steepness: float
    hold: int  # 1 if the voltage stays above threshold for one step
    latency: int


class GridSamples(NamedTuple):
    """Voltage samples in order of their steps, with the result."""

    step: Int  # (V,)
    neuron: Int  # (V,)
    voltage: Float  # (V,)
    tangent: Float  # (V,) empty without tangents


class GridProblem(NamedTuple):
    """What a run is given."""

    model: Model
    tables: StepTables
    rules: Rules
    wiring: Wiring
    inputs: InputArrays
    samples: GridSamples
    t_ref: Int  # (n,) refractory steps, beyond the one in which a neuron spikes
    n_steps: int
    t_last: float  # ms, spikes after it are not reported
    max_spikes: int
    with_tangent: bool
    model_dot: ModelTangent
    tables_dot: StepTables
    wiring_dot: WiringTangent


class GridState(NamedTuple):
    """State of the neurons at the beginning of a step."""

    v: Float  # (n,)
    x: Float  # (n, K)
    release: Int  # (n,) step at which a neuron is free again, -1 if it is free
    last_spike: Int  # (n,) row of the tape, -1 before the first


class GridStateTangent(NamedTuple):
    """Tangents of the state; empty without tangents."""

    v: Float  # (n,)
    x: Float  # (n, K)
    release: Float  # (n,) tangent of the time of release


class GridTape(NamedTuple):
    """One row a spike, by step, then by neuron."""

    time: Float  # ms
    neuron: Int
    step: Int
    theta: Float  # weight of the voltage after the step in the tangent of the time, in [0, 1]
    slope: Float  # (V_next - V)/dt
    slope_after: Float  # dV/dt at the release from v_reset; 0 if that is after the end
    tangent: Float  # of the time; empty without tangents


class Calendar(NamedTuple):
    """Spikes under way, one entry for each emission, in a list for each step modulo R.

    An entry is in the list of the step in which it next arrives, at the synapse of its cursor.
    """

    first: Int  # (R,) first entry of a list, -1 for none
    last: Int  # (R,) last entry
    link: Int  # (e,) next entry of the same list, -1 for none
    cursor: Int  # (e,) synapse
    origin: Int  # (e,) row of the tape, or -1 - number of the input spike


class GridCounts(NamedTuple):
    """Counters, arrays of one element."""

    now: Int  # step that comes next; n_steps + 1 at the end
    spikes: Int  # rows of the tape
    reported: Int  # those of them up to t_last
    emitted: Int
    inputs: Int  # input spikes emitted
    samples: Int  # samples taken
    arrivals: Int  # synaptic events


class Recorder(NamedTuple):
    """States at the beginning of the flow of steps from ``first`` on; of none if empty."""

    first: Int  # (1,)
    v: Float  # (B, n)
    x: Float  # (B, n, K), or (0, n, K) to record voltages only


class GridWork(NamedTuple):
    """What a run changes; it can stop between any two steps and go on from here."""

    state: GridState
    state_dot: GridStateTangent
    tape: GridTape
    calendar: Calendar
    counts: GridCounts
    recorder: Recorder
