"""Runs of the engine of acyclic networks: the arrays of its loop, for one question or for many."""

from __future__ import annotations

import numpy as np

from refsim import features
from refsim.errors import InvalidValueError
from refsim.events.run import EventRun
from refsim.layers.dense.layout import dense_of
from refsim.layers.plan import obstacle, plan_of
from refsim.layers.worker import DenseWorker, NeuronWorker
from refsim.network.voltages import start_of, voltages_of
from refsim.question import Question
from refsim.results.outcome import ExactRun, Outcome
from refsim.results.result import EventCounts
from refsim.status import DONE, FULL, RUNNING, SPIKE_LIMIT
from refsim.types import N_COUNTS, BatchArrays, Tape


def check_layers(question: Question) -> None:
    """Raise if what is asked cannot be had layer by layer."""
    if question.keep_state:
        features.check("keep_state", "Layers", "keep_state is True")
    why_not = obstacle(question.network, question.duration)
    if why_not:
        raise InvalidValueError(f"engine is Layers(), and {why_not}; expected engine=Events()")


class LayersRun(ExactRun):
    """A run of the engine of acyclic networks.

    Until it has come to the end nothing is known of any time: an interrupted run has no spikes.
    """

    engine = "layers"
    holds = "has none of"

    def __init__(self, question: Question):
        super().__init__(question)
        check_layers(question)
        inputs, samples = len(question.input_order), len(question.sample_order)
        self.batch = BatchArrays(
            input_start=np.array([0, inputs]),
            sample_start=np.array([0, samples]),
            v0=start_of(question.network),
            counts=np.zeros((1, N_COUNTS), dtype=np.int64),
            gaps=np.full((1, 3), np.inf),
            is_done=np.zeros(1, dtype=np.int64),
        )
        run, plan = EventRun(question), plan_of(question.network)
        self._losses = run.transit.losses
        dense = None if samples else dense_of(question.network, plan)
        self._worker: DenseWorker | NeuronWorker
        if dense is None:
            self._worker = NeuronWorker(run.problem, self.batch, run, plan)
        else:
            self._worker = DenseWorker(run.problem, self.batch, dense)

    def run_to_the_end(self) -> None:
        """Run to the end, or to the limit of spikes, and set the status."""
        self._worker.begin(0, 1)
        self.status = RUNNING
        while self.status not in (DONE, SPIKE_LIMIT):
            if self.status == FULL:
                self._worker.grow()
            if self.question.is_stopped():
                raise KeyboardInterrupt
            self.status = self._worker.go_on()

    def now(self) -> float:
        """Return the time up to which all events have been processed."""
        return self.question.duration if self.status == DONE else 0.0

    def outcome(self) -> Outcome:
        """Return what was found."""
        counts, samples = self.batch.counts[0], self._worker.problem.samples
        if self.status != DONE:
            samples.voltage[:] = np.nan
        spikes, emitted, inputs, arrivals, searches = map(int, counts)
        time, neuron, before, after, origin = self._worker.columns(spikes, emitted)
        return Outcome(
            tape=Tape(time, neuron, before, after, np.zeros(0)),
            origin=origin,
            counts=EventCounts(spikes, inputs, arrivals, searches, 0),
            gaps=tuple(self.batch.gaps[0]),
            voltages=voltages_of(self.question.network, samples.voltage, samples.neuron),
            losses=self._losses,
        )
