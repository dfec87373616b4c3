"""From a finished simulation to the arrays of the backward pass neuron by neuron."""

from __future__ import annotations

import numpy as np

from adjoint.events.bars import bars_of, size_of_bars
from adjoint.events.groups import BackArrays
from adjoint.events.loop import Pending, ReverseProblem, ReverseWork
from adjoint.events.run import SHARE
from adjoint.layers.loop import BackCursor, run_layers_back
from adjoint.layout import as_given
from adjoint.types import Outcome
from refsim.layers.plan import Plan, plan_of
from refsim.layers.types import empty_hits, empty_room
from refsim.models import lif as neuron
from refsim.network.network import Network
from refsim.network.voltages import start_of
from refsim.question import Question
from refsim.results.simulation import Simulation
from refsim.status import DONE, FULL
from refsim.types import Float, InputArrays, SampleArrays, Tape

_ROOM = 256  # arrivals at a neuron, to begin with


def reverse_problem(
    network: Network, inputs: InputArrays, samples: SampleArrays, tape: Tape
) -> ReverseProblem:
    """Return what runs of the engine of acyclic networks have left, without cotangents."""
    no_ints = np.zeros(0, dtype=np.int64)
    return ReverseProblem(
        model=network.model,
        wiring=network.wiring,
        inputs=inputs,
        samples=samples,
        sample_bar=np.zeros(0),
        tape=tape,
        before=np.zeros(len(tape.time), dtype=np.int64),
        origin=no_ints,
        dt=0.0,
        pending=Pending(np.zeros(0), no_ints, no_ints),
        walks=True,
    )


class LayersBackWorker:
    """The arrays of one thread, and the loop over the samples of a task."""

    def __init__(
        self, network: Network, plan: Plan, arrays: BackArrays, spike_bar: Float, input_bar: Float
    ):
        self._plan = plan
        ports = network.model.ports
        self._flat = np.zeros(size_of_bars(network))
        wiring_bar, self.model_bar = bars_of(self._flat, network)
        n, sources = network.n_neurons, network.n_neurons + network.n_inputs
        adjoint, _ = neuron.adjoint_state(n, len(ports.rate), len(ports.order), 0.0)
        no_counts = np.zeros((3, 1), dtype=np.int64)
        self._work = ReverseWork(
            adjoint, self.model_bar, wiring_bar, spike_bar, input_bar, *no_counts
        )
        emissions = np.diff(arrays.input_start) + np.diff(arrays.spike_start)
        reads = int(np.diff(arrays.sample_start).max())
        self._room = empty_room(n, sources, int(emissions.max()), _ROOM, reads)
        self._cursor = BackCursor(*np.zeros((5, 1), dtype=np.int64))

    def begin(self, first: int, stop: int) -> None:
        """Go to the samples of a task."""
        for counter in self._cursor:
            counter[0] = 0
        self._cursor.sample[0] = first
        self._cursor.stop[0] = stop

    def go_on(self, problem: ReverseProblem, arrays: BackArrays) -> int:
        """Go back for a while and return a status."""
        status = run_layers_back(
            problem, self._work, self._plan, arrays, self._room, self._cursor, self._flat, SHARE
        )
        if status == FULL:
            self._room = self._room._replace(hits=empty_hits(2 * int(self._cursor.need[0])))
        return status


class LayersPass:
    """Backward passes over one simulation, neuron by neuron."""

    def __init__(self, question: Question, simulation: Simulation):
        self._question = question
        self._plan = plan_of(question.network)
        # A copy, for kernels are compiled for what is not read-only.
        tape = Tape(*simulation.spikes.part(slice(None)), np.zeros(0))
        self._problem = reverse_problem(
            question.network, question.input_arrays, question.sample_arrays, tape
        )

    def __call__(
        self, spike_bar: Float, sample_bar: Float, with_delays: bool, with_rates: bool
    ) -> Outcome:
        """Take cotangents of spikes and of samples in order of time back; return what they give.

        All parameters are served, whatever is asked for.
        """
        network, problem = self._question.network, self._problem
        inputs, samples, spikes = (
            np.array([0, len(part.time)])
            for part in (problem.inputs, problem.samples, problem.tape)
        )
        arrays = BackArrays(
            input_start=inputs,
            sample_start=samples,
            spike_start=spikes,
            origin_start=inputs,
            arrivals=np.zeros(1, dtype=np.int64),
            v0=start_of(network),
            t_end=np.array([self._question.duration]),
            group=np.ones(1, dtype=np.int64),
            sums=np.zeros((1, size_of_bars(network))),
            is_finite=np.zeros(1, dtype=np.int64),
        )
        total, input_bar = spike_bar.copy(), np.zeros(len(problem.inputs.time))
        worker = LayersBackWorker(network, self._plan, arrays, total, input_bar)
        worker.begin(0, 1)
        while worker.go_on(problem._replace(sample_bar=sample_bar), arrays) != DONE:
            pass
        wiring_bar, model_bar = bars_of(arrays.sums[0], network)
        weight, delay = (as_given(network.wiring, bar) for bar in wiring_bar)
        return Outcome(model_bar, weight, delay, total, input_bar)
