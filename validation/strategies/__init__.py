"""Hypothesis strategies for networks, inputs and cotangents: property-based tests of simulators.

`cases` draws a whole :class:`refsim.cases.Case`; its parts are strategies too. What breaks
simulators is drawn on purpose: time constants equal, nearly equal and apart, delays zero and equal,
refractoriness zero, resets on both sides of rest and of zero, simultaneous inputs, and drives above
threshold. Weights are sized by the peak of the response that one of them causes, so that neurons do
fire. Numbers are integers over 1000 where they are free, so that a shrunk counterexample can be
read and typed, and a failure shrinks to the fewest neurons, inputs and synapses that show it.
"""

from __future__ import annotations

import math

import numpy as np

from adjoint.types import Cotangents
from refsim.cases import Case, make_case
from refsim.engine import simulate
from refsim.errors import InvalidTypeError
from refsim.network.inputs import Samples, SpikeTrain
from refsim.validate import LONGEST, choice, integer, scalar
from validation.names import Conditioned
from validation.strategies import ill_conditioned, margins
from validation.strategies.margins import Setting
from validation.strategies.network import (
    NEAR,
    DrawFn,
    SearchStrategy,
    decimals,
    networks,
    neurons,
    peak_response,
    ports,
    reject,
    st,
    synapses,
    time_constants,
)
from validation.strategies.thresholds import near_threshold

__all__ = [
    "DURATION",
    "cases",
    "cotangents",
    "decimals",
    "near_threshold",
    "networks",
    "neurons",
    "peak_response",
    "ports",
    "spike_trains",
    "synapses",
    "time_constants",
]

DURATION = 40.0  # ms
# Depths of a threshold below a summit, and distances in ms of an arrival from a crossing.
DEPTHS = [1e-3, 1e-6, 1e-9, 1e-12]
DISTANCES = [0.0, 1e-12, -1e-12, 1e-9, -1e-9, 1e-6, -1e-6]


def spike_trains(
    n_inputs: int, max_spikes: int = 15, duration: float = DURATION
) -> SearchStrategy[SpikeTrain]:
    """Return a strategy for input spikes in any order, simultaneous ones and time 0 included.

    Parameters
    ----------
    n_inputs : int
        Number of input channels; without any there are no spikes.
    max_spikes : int
        Most spikes of all channels together.
    duration : float
        Latest time of a spike in ms.
    """
    integer("n_inputs", n_inputs, 0)
    integer("max_spikes", max_spikes, 0)
    scalar("duration", duration, 0.0, LONGEST, strict=True)
    return _spike_trains(n_inputs, max_spikes, duration)


@st.composite
def _spike_trains(draw: DrawFn, n_inputs: int, max_spikes: int, duration: float) -> SpikeTrain:
    if n_inputs == 0:
        return SpikeTrain.empty()
    common = [t for t in (0.0, 1.0, 5.0) if t <= duration]
    times = st.sampled_from(common) | decimals(0.0, duration)
    least = min(max_spikes, draw(st.sampled_from([0, 5, 8])))
    row = st.tuples(times, st.integers(0, n_inputs - 1))
    rows = draw(st.lists(row, min_size=least, max_size=max_spikes))
    return SpikeTrain([t for t, _ in rows], [c for _, c in rows], n_inputs)


def cases(
    max_neurons: int = 6,
    max_inputs: int = 3,
    max_spikes: int = 100,
    min_spikes: int = 0,
    conditioning: Conditioned = "any",
    duration: float = DURATION,
) -> SearchStrategy[Case]:
    """Return a strategy for cases: networks, inputs, voltage samples, and cotangents of a loss.

    Parameters
    ----------
    max_neurons, max_inputs : int
        As for `networks`. With ``conditioning="bad"`` there may be one neuron more.
    max_spikes : int
        Most spikes of neurons; a run with more ends before the first that is too many.
    min_spikes : int
        Least spikes of neurons; what has fewer is rejected, so this should be small.
    conditioning : str
        "any" takes networks as they are drawn. "good" changes them until they are far from a change
        of their spike pattern, see `validation.strategies.margins` for how far: thresholds are
        lowered under grazing spikes, inputs, delays and samples moved off coincidences, and what is
        left ends the run. "bad" makes them ill-conditioned on purpose, see
        `validation.strategies.ill_conditioned`: grazing spikes, arrivals at a crossing or next to
        it, ties, nearly equal time constants.
    duration : float
        End of the run in ms, unless it ends early.

    Returns
    -------
    SearchStrategy of Case
        With cotangents for all spikes and samples. Those of spikes are a short pattern that is
        repeated.
    """
    integer("max_neurons", max_neurons, 1)
    integer("max_inputs", max_inputs, 0)
    integer("max_spikes", max_spikes, 1)
    integer("min_spikes", min_spikes, 0, max_spikes)
    choice("conditioning", conditioning, ("any", "good", "bad"))
    scalar("duration", duration, 0.0, LONGEST, strict=True)
    return _cases(max_neurons, max_inputs, max_spikes, min_spikes, conditioning, float(duration))


@st.composite
def _cases(
    draw: DrawFn,
    max_neurons: int,
    max_inputs: int,
    max_spikes: int,
    min_spikes: int,
    conditioning: Conditioned,
    duration: float,
) -> Case:
    network = draw(networks(max_neurons, max_inputs))
    setting = Setting(network, draw(_spike_trains(network.n_inputs, 15, duration)), duration)
    if conditioning == "good":
        setting = margins.improved(setting, max_spikes)
    elif conditioning == "bad":
        setting = draw(_spoiled(setting, max_spikes))
    setting, simulation = margins.limited(setting, max_spikes)
    count = simulation.counts.spikes
    if count < min_spikes:
        reject()
    samples = draw(_samples(setting))
    if conditioning == "good":
        samples = margins.quiet_times(simulation, samples)
    return make_case(
        "drawn",
        setting.network,
        setting.inputs,
        setting.duration,
        samples,
        draw(_bars(count)),
        [draw(decimals(-2.0, 2.0)) for _ in range(len(samples))],
    )


@st.composite
def _samples(draw: DrawFn, setting: Setting) -> Samples:
    """Draw up to four samples; of a time of three decimals only what is before the end is used."""
    n = setting.network.n_neurons
    row = st.tuples(
        st.integers(0, n - 1), decimals(0.0, math.floor(1000 * setting.duration) / 1000)
    )
    rows = draw(st.lists(row, max_size=4))
    return Samples([i for i, _ in rows], [t for _, t in rows])


@st.composite
def _bars(draw: DrawFn, count: int) -> list[float]:
    """Draw ``count`` cotangents, a pattern of one to five numbers that is repeated."""
    pattern = draw(st.lists(decimals(-2.0, 2.0), min_size=1, max_size=5))
    return (pattern * math.ceil(count / len(pattern)))[:count]


@st.composite
def _spoiled(draw: DrawFn, setting: Setting, max_spikes: int) -> Setting:
    """Make a setting ill-conditioned in a way that is drawn, and that it has room for."""
    network = setting.network
    n = draw(st.integers(0, network.n_neurons - 1))
    port = draw(st.integers(0, len(network.ports) - 1))
    k = draw(st.integers(0, 9))
    way = draw(st.sampled_from(["equal", "graze", "coincide", "end", "twin", "at once"]))
    spoiled: Setting | None = None
    if way == "graze":
        spoiled = ill_conditioned.graze(setting, n, draw(st.sampled_from(DEPTHS)))
    elif way == "coincide":
        distance = draw(st.sampled_from(DISTANCES))
        spoiled = ill_conditioned.coincide(setting, k, distance, max_spikes)
    elif way == "end":
        spoiled = ill_conditioned.end_at_a_spike(setting, k, max_spikes)
    elif way == "twin":
        spoiled = ill_conditioned.twin(setting, n)
    elif way == "at once":
        spoiled = ill_conditioned.at_once(setting)
    if spoiled is None:
        difference = draw(st.sampled_from(NEAR))
        spoiled = ill_conditioned.nearly_equal(setting, n, port, difference)
    return spoiled


def cotangents(case: Case) -> SearchStrategy[Cotangents]:
    """Return a strategy for cotangents of the spikes and the voltage samples of a case.

    Parameters
    ----------
    case : Case
        What is simulated; its own cotangents are not used.

    Returns
    -------
    SearchStrategy of Cotangents
        ``time`` (k,) and ``voltage`` (V,), such as a pullback takes.
    """
    if not isinstance(case, Case):
        raise InvalidTypeError(f"case is a {type(case).__name__}; expected Case")
    count = simulate(case.network, case.inputs, case.duration).counts.spikes
    voltage = st.lists(decimals(-2.0, 2.0), min_size=len(case.samples), max_size=len(case.samples))
    return st.builds(Cotangents, _bars(count).map(np.array), voltage.map(np.array))
