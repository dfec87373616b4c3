"""A batch of the engine of acyclic networks."""

from __future__ import annotations

from typing import Any

from refsim.batch.events import EventBatch
from refsim.events.run import EventRun
from refsim.layers.plan import plan_of
from refsim.layers.run import LayersRun, LayersWorker, check_layers
from refsim.question import Question


class LayersBatch(EventBatch):
    """A batch that takes the neurons of each sample one after the other.

    Attributes
    ----------
    plan : Plan
        The order of the neurons, and their synapses.
    """

    def __init__(self, question: Question, inputs: Any, samples: Any, threads: Any):
        check_layers(question)
        super().__init__(EventRun(question), inputs, samples, threads, None)
        self.plan = plan_of(question.network)
        self.engine = LayersRun.engine

    def _worker(self) -> LayersWorker:
        run = EventRun(self.question)
        run.problem = self.problem
        return LayersWorker(run, self.plan, self.arrays)
