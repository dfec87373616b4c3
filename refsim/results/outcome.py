"""What an engine finds, and the way from there to what the user sees; the same for all engines."""

from __future__ import annotations

from typing import ClassVar, Generic, NamedTuple, TypeVar

import numpy as np

from refsim.question import Question
from refsim.results.result import Conditioning, EventCounts, Result, Spikes
from refsim.results.simulation import Simulation
from refsim.status import RUNNING, SPIKE_LIMIT
from refsim.transit.lossy import Losses, NoLosses
from refsim.types import Float, Int, KeptState, SampleArrays, Tape


class Outcome(NamedTuple):
    """What an engine has found, in order of time."""

    tape: Tape
    origin: Int  # (e,) of all emissions
    counts: EventCounts
    gaps: tuple[float, float, float]  # of arrivals, releases and samples, as kernels note them
    voltages: Float  # (V,) of the samples
    losses: Losses | NoLosses


Found = TypeVar("Found", bound=Result)


class EngineRun(Generic[Found]):
    """An engine at work on a question.

    Attributes
    ----------
    question : Question
        What is asked.
    engine, reason : str
        Which engine this is, and why it was chosen.
    status : int
        See `refsim.status`.
    """

    engine: ClassVar[str]
    holds: ClassVar[str] = "holds"  # what a partial result does to the spikes so far

    def __init__(self, question: Question):
        self.question = question
        self.reason = "it was asked for"
        self.status = RUNNING

    def execute(self) -> Found:
        """Run to the end and return the result."""
        question = self.question
        try:
            with question.progress(question.duration) as question.report:
                self.run_to_the_end()
        except KeyboardInterrupt:
            raise question.interrupted(self.result(self.now()), self.holds) from None
        if self.status == SPIKE_LIMIT:
            raise question.has_too_many_spikes(self.result(self.now()), self.holds)
        return self.result(question.duration)

    def run_to_the_end(self) -> None:
        """Run to the end, or to the limit of spikes, and set the status."""
        raise NotImplementedError

    def now(self) -> float:
        """Return the time up to which all events have been processed."""
        raise NotImplementedError

    def result(self, duration: float) -> Found:
        """Return what has been simulated, as the user sees it."""
        raise NotImplementedError


class ExactRun(EngineRun[Simulation]):
    """An engine without a time step, which ends with an `Outcome`.

    Attributes
    ----------
    queue : str
        Structure of the queue of events, "none" where there is none.
    dt : float
        Step of the grid of arrivals in ms, 0.0 for none.
    state : KeptState or None
        The state that is kept, if one is asked for.
    """

    queue = "none"
    dt = 0.0
    state: KeptState | None = None

    def outcome(self) -> Outcome:
        """Return what was found so far."""
        raise NotImplementedError

    def result(self, duration: float) -> Simulation:
        """Return what has been simulated, as the user sees it."""
        question, found = self.question, self.outcome()
        tape = found.tape
        voltages = np.full(len(question.samples), np.nan)
        voltages[question.sample_order] = found.voltages
        of_samples = gap_to_own_events(tape, question.network.t_ref, question.sample_arrays)
        gap, release_gap, sample_gap = found.gaps
        return Simulation(
            network=question.network,
            inputs=question.inputs,
            duration=duration,
            samples=question.samples,
            spikes=Spikes(tape.time, tape.neuron, tape.slope_before, tape.slope_after),
            voltages=voltages,
            conditioning=Conditioning.of(tape, gap, release_gap, min(sample_gap, of_samples)),
            counts=found.counts,
            queue=self.queue,
            engine=self.engine,
            engine_reason=self.reason,
            dt=self.dt,
            losses=found.losses,
            origin=found.origin,
            state=self.state,
        )


# How near voltage samples are to the events at which the voltage of their neuron jumps or bends:
# arrivals are compared with samples as they come, by the engines. Spikes and releases are few, and
# compared here, once a run has ended.


class Moments(NamedTuple):
    """Times of what happens at neurons, in several runs."""

    time: Float  # (k,) ms
    neuron: Int  # (k,)
    run: Int  # (k,) which run it belongs to


def gap_to_own_events(spikes: Tape | Spikes, t_ref: Float, samples: SampleArrays) -> float:
    """Return the shortest time in ms between a sample and a spike or release of its neuron."""
    own, read = (
        Moments(given.time, given.neuron, np.zeros(len(given.time), dtype=np.int64))
        for given in (spikes, samples)
    )
    return float(gaps_to_own_events(own, t_ref, read, 1)[0])


def gaps_to_own_events(spikes: Moments, t_ref: Float, samples: Moments, n_runs: int) -> Float:
    """Return for each run the shortest time between a sample and a spike or release, inf for none.

    Parameters
    ----------
    spikes, samples : Moments
        Of all runs.
    t_ref : (n,) float
        Refractory times.
    n_runs : int
        Number of runs.
    """
    gaps = np.full(n_runs, np.inf)
    if not len(samples.time):
        return gaps
    # One number for a neuron of a run.
    read, fired = (one.run * len(t_ref) + one.neuron for one in (samples, spikes))
    chosen = np.flatnonzero(np.isin(fired, read))
    if not chosen.size:
        return gaps
    crossing = spikes.time[chosen]
    time = np.concatenate([samples.time, crossing, crossing + t_ref[spikes.neuron[chosen]]])
    place = np.concatenate([read, fired[chosen], fired[chosen]])
    order = np.lexsort((time, place))
    is_sample = order < len(read)
    # The shortest distance of all is one of neighbours.
    beside = (place[order[1:]] == place[order[:-1]]) & (is_sample[1:] != is_sample[:-1])
    distance = np.diff(time[order])[beside]
    np.minimum.at(gaps, place[order[1:]][beside] // len(t_ref), distance)
    return gaps
