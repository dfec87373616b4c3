"""A batch of the engine of acyclic networks."""

from __future__ import annotations

from typing import Any

from refsim.batch.events import EventBatch
from refsim.events.run import EventRun
from refsim.layers.dense.layout import dense_of
from refsim.layers.plan import plan_of
from refsim.layers.run import LayersRun, check_layers
from refsim.layers.worker import DenseWorker, NeuronWorker
from refsim.question import Question


class LayersBatch(EventBatch):
    """A batch that takes the neurons of each sample one after the other.

    Attributes
    ----------
    plan : Plan
        The order of the neurons, and their synapses.
    dense : Dense or None
        Its full layers, if all are, and no voltages are read.
    """

    most_at_once = 1024  # which take as long as 64 do event by event

    def __init__(self, question: Question, inputs: Any, samples: Any, threads: Any):
        check_layers(question)
        super().__init__(EventRun(question), inputs, samples, threads, None)
        self.plan = plan_of(question.network)
        self.dense = None if self.read.given else dense_of(question.network, self.plan)
        self.engine = LayersRun.engine

    def _worker(self) -> DenseWorker | NeuronWorker:
        if self.dense is None:
            run = EventRun(self.question)
            return NeuronWorker(self.problem, self.arrays, run, self.plan)
        return DenseWorker(self.problem, self.arrays, self.dense)
