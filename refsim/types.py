"""Arrays that the kernels work on. Times in ms, rates in 1/ms, voltages in the unit of the user.

Voltages of neurons are distances from the datum of each; see refsim.models.lif.datum.

Sizes: n neurons, m input channels, S synapses, P ports, K synaptic states (one for an ``exp`` port,
two for a ``double_exp`` port).
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]

SPIKES, EMITTED, INPUTS, ARRIVALS, SEARCHES = range(5)  # columns of the counts of a batch
N_COUNTS = 5


class NeuronArrays(NamedTuple):
    """Parameters of LIF neurons, or tangents of them."""

    rate: Float  # (n,) 1/tau_m
    drive: Float  # (n,) v_rest + i_ext: where the voltage goes without synaptic current
    v_th: Float  # (n,)
    v_reset: Float  # (n,)
    t_ref: Float  # (n,) ms


class PortArrays(NamedTuple):
    """Parameters of the ports, or tangents of them.

    A port is a cascade of one or two filters. Arrivals enter state ``first``, the last state
    drives the voltage. In a cascade of two, x' = -rate[first] x, y' = -rate[first + 1] y + gain x.
    """

    first: Int  # (P,) state that arrivals enter
    order: Int  # (P,) 1 or 2 filters
    rate: Float  # (K,) 1/ms
    gain: Float  # (P,) 1/ms, from the first filter to the second; 0 for one filter


class ChainArrays(NamedTuple):
    """Linear functionals of the states that isolate threshold crossings; see crossing.py."""

    weight: Float  # (K, K) row j gives member j + 2 of the chain
    rate: Float  # (K,) the rate that leads from member j + 2 to the next


class Model(NamedTuple):
    """Everything that the mathematics of a neuron needs."""

    neurons: NeuronArrays
    ports: PortArrays
    chain: ChainArrays


class ModelTangent(NamedTuple):
    """A direction in the space of model parameters."""

    neurons: NeuronArrays
    ports: PortArrays


class Wiring(NamedTuple):
    """Synapses by source (neurons, then input channels), then by delay, then as given."""

    start: Int  # (n + m + 1,) first synapse of each source
    post: Int  # (S,)
    port: Int  # (S,)
    weight: Float  # (S,)
    delay: Float  # (S,) ms
    number: Int  # (S,) number of the synapse in the network as given


class Rows(NamedTuple):
    """Synapses in compact form: by source, block of targets, delay, target, then number."""

    start: Int  # (sources * B + 1,) first synapse of row source * B + block
    edge: Int  # (B + 1,) first neuron of each block of targets; the last is n
    post: NDArray[np.int32]  # (S,)
    weight: NDArray[Any]  # (S,) float64, or float32 by choice; arithmetic is in float64
    delay: Float  # ms, (S,) of each synapse; or (D,) the different ones, ascending
    group: NDArray[np.uint16]  # (S,) index into delay; (0,) if delay is (S,), or (1,)
    port: NDArray[np.uint16]  # (S,); (0,) if all synapses use one port
    only_port: Int  # (1,) that port; -1 if there are several


class WiringTangent(NamedTuple):
    """Tangents of the synapses, in the order of Wiring."""

    weight: Float  # (S,)
    delay: Float  # (S,)


class InputArrays(NamedTuple):
    """Input spikes in order of time."""

    time: Float  # (I,) ms
    source: Int  # (I,) number of the source: n + channel
    tangent: Float  # (I,) of the times; empty without tangents


class SampleArrays(NamedTuple):
    """Voltage samples in order of time, with the result."""

    time: Float  # (V,) ms
    neuron: Int  # (V,)
    voltage: Float  # (V,)
    tangent: Float  # (V,) of the voltage; empty without tangents


class State(NamedTuple):
    """State of the neurons, each at a time of its own."""

    time: Float  # (n,) ms
    v: Float  # (n,)
    current: Float  # (n, K)
    release: Float  # (n,) end of refractoriness, -1 for a neuron that is free
    last_spike: Int  # (n,) row of the tape, -1 before the first
    last_emission: Int  # (n,) order of emission of that spike, -1 before the first
    last_arrival: Float  # (n,) ms, -inf before the first
    last_bend: Float  # (n,) ms, of an arrival that bent the voltage, -inf before the first
    last_sample: Float  # (n,) ms, of the free voltage, -inf before the first


class StateTangent(NamedTuple):
    """Tangents of the state at fixed time."""

    v: Float  # (n,)
    current: Float  # (n, K)
    release: Float  # (n,) tangent of the time of release


class Tape(NamedTuple):
    """What the adjoint needs of the forward pass: one row a spike, in order of emission."""

    time: Float  # ms
    neuron: Int
    slope_before: Float  # dV/dt just before the crossing
    slope_after: Float  # dV/dt at the release from v_reset; 0 if that is after the end
    tangent: Float  # of the time; empty without tangents


class Scratch(NamedTuple):
    """Room for one neuron's state and for the roots of the chain of functions."""

    current: Float  # (K,)
    current_tangent: Float  # (K,)
    roots: Float  # (K + 2,)
    roots_next: Float  # (K + 2,)


class Tangents(NamedTuple):
    """Tangents in the layout of the kernels; none are given by the arrays of no elements."""

    model_dot: ModelTangent
    wiring_dot: WiringTangent
    inputs_dot: Float


def no_tangents() -> Tangents:
    """Return the tangents of a plain simulation."""
    empty, no_ints = np.zeros(0), np.zeros(0, dtype=np.int64)
    neurons = NeuronArrays(empty, empty, empty, empty, empty)
    ports = PortArrays(first=no_ints, order=no_ints, rate=empty, gain=empty)
    return Tangents(ModelTangent(neurons, ports), WiringTangent(empty, empty), empty)


class BatchArrays(NamedTuple):
    """Where each of B samples begins, and what is noted of it."""

    input_start: Int  # (B + 1,) rows of the inputs
    sample_start: Int  # (B + 1,) rows of the voltage samples
    v0: Float  # (n,)
    counts: Int  # (B, N_COUNTS)
    gaps: Float  # (B, 3) ms, the margins
    is_done: Int  # (B,)


class KeptState(Protocol):
    """What a run can go on from; each engine has its own."""

    @property
    def n_spikes(self) -> int:
        """Number of spikes so far."""

    @property
    def nbytes(self) -> int:
        """Memory that the state takes, in bytes."""
