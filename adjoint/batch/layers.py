"""The pullback of a batch of the engine of acyclic networks."""

from __future__ import annotations

from adjoint.batch.events import EventPullback
from adjoint.batch.pullback import Vector
from adjoint.events.groups import BackArrays
from adjoint.layers.run import LayersBackWorker
from refsim.batch.layers import LayersBatch
from refsim.results.batch import BatchResult


class LayersPullback(EventPullback):
    """A pullback that takes the neurons of each sample back one after the other."""

    def __init__(self, run: LayersBatch, batch: BatchResult):
        super().__init__(run, batch, "heap")
        self._plan = run.plan

    def _worker(self, arrays: BackArrays, spike_bar: Vector, input_bar: Vector) -> LayersBackWorker:
        return LayersBackWorker(self._batch.network, self._plan, arrays, spike_bar, input_bar)
