"""From a finished simulation to the arrays of the backward pass event by event."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adjoint.events.keep import Keep, Kept, kept_arrays
from adjoint.events.loop import (
    Pending,
    ReverseProblem,
    ReverseTransit,
    ReverseWork,
    WiringBar,
    arrivals_up_to,
    finish_back,
    link_spikes,
    run_back,
)
from adjoint.layout import as_given
from adjoint.types import Outcome
from queues.exact import dispatch
from queues.exact.dispatch import STRUCTURES
from refsim.models import lif as neuron
from refsim.network.voltages import start_of
from refsim.question import Question
from refsim.results.simulation import Simulation
from refsim.results.trace import emissions
from refsim.status import DONE, FULL, RUNNING
from refsim.types import Float, Tape

# Events between two looks at the keyboard: some hundredths of a second.
SHARE = 200_000

SORTED_PASS = "sorted_pass"  # all arrivals sorted before the pass, in place of a queue


class EventPass:
    """Backward passes event by event over one simulation."""

    def __init__(self, question: Question, simulation: Simulation, queue: str, keep: Keep | None):
        self._question = question
        self._simulation = simulation
        self._wiring = question.network.wiring
        # A copy, for kernels are compiled for what is not read-only.
        self._tape = Tape(*simulation.spikes.part(slice(None)), np.zeros(0))
        self._queue = queue
        self._keep = keep
        self._pending = self._arrivals_back()
        self._before = np.empty(len(self._tape.time), dtype=np.int64)
        self._last = np.full(question.network.n_neurons, -1)
        link_spikes(self._tape.neuron, self._before, self._last)

    def __call__(
        self, spike_bar: Float, sample_bar: Float, with_delays: bool, with_rates: bool
    ) -> Outcome:
        """Take cotangents of spikes and of samples in order of time back; return what they give.

        All parameters are served, whatever is asked for.
        """
        question = self._question
        reverse = ReverseProblem(
            model=question.network.model,
            wiring=self._wiring,
            inputs=question.input_arrays,
            samples=question.sample_arrays,
            sample_bar=sample_bar,
            tape=self._tape,
            before=self._before,
            origin=self._simulation.origin,
            dt=self._simulation.dt,
            pending=self._pending,
            walks=self._queue != SORTED_PASS,
        )
        work = _reverse_work(question, spike_bar, self._last)
        structure = STRUCTURES["fifo" if self._queue == SORTED_PASS else self._queue]
        transit = ReverseTransit(
            queue=structure.empty(16, 1, 1),
            losses=self._simulation.losses,
            kept=kept_arrays(self._keep, len(question.network.synapses), self._simulation.origin),
        )
        _execute(reverse, work, transit, self._simulation)
        return Outcome(
            model_bar=work.model_bar,
            weight=as_given(self._wiring, work.wiring_bar.weight),
            delay=as_given(self._wiring, work.wiring_bar.delay),
            spike_bar=work.spike_bar,
            input_bar=work.input_bar,
            dropped=int(transit.kept.dropped[0]) if isinstance(transit.kept, Kept) else 0,
        )

    def _arrivals_back(self) -> Pending:
        """Return the arrivals that enter the queue by themselves, the latest first."""
        question, simulation = self._question, self._simulation
        wiring = self._wiring
        last_only = self._queue != SORTED_PASS
        room = len(simulation.origin)
        if not last_only:
            source = emissions(simulation)[1]
            room = int(np.diff(wiring.start)[source].sum())
        ints = np.zeros((2, room), dtype=np.int64)
        rows = Pending(time=np.zeros(room), order=ints[0], synapse=ints[1])
        inputs, origin = question.input_arrays, simulation.origin
        used = arrivals_up_to(
            wiring, inputs, self._tape, origin, simulation.dt, question.duration, last_only, rows
        )
        time, order, synapse = (column[:used] for column in (rows.time, *ints))
        sequence = np.lexsort((-synapse, -order, -time))
        return Pending(time[sequence], order[sequence], synapse[sequence])


def _reverse_work(
    question: Question, spike_bar: NDArray[np.float64], last: NDArray[np.int64]
) -> ReverseWork:
    network = question.network
    ports = network.model.ports
    size = len(network.synapses)
    n = network.n_neurons
    adjoint, model_bar = neuron.adjoint_state(
        n, len(ports.rate), len(ports.order), question.duration
    )
    adjoint.spike[:] = last
    return ReverseWork(
        adjoint=adjoint,
        model_bar=model_bar,
        wiring_bar=WiringBar(weight=np.zeros(size), delay=np.zeros(size)),
        spike_bar=spike_bar.copy(),
        input_bar=np.zeros(len(question.input_arrays.time)),
        spikes=np.array([len(spike_bar)]),
        samples=np.array([len(question.sample_arrays.time)]),
        pending=np.zeros(1, dtype=np.int64),
    )


def _execute(
    problem: ReverseProblem, work: ReverseWork, transit: ReverseTransit, simulation: Simulation
) -> None:
    _enter_last_holds(problem, work, simulation)
    status = RUNNING
    while status != DONE:
        if status == FULL:
            transit = transit._replace(queue=dispatch.grown(transit.queue))
        status = run_back(problem, work, transit, SHARE)
    finish_back(problem, work, start_of(simulation.network))


def _enter_last_holds(problem: ReverseProblem, work: ReverseWork, simulation: Simulation) -> None:
    """Mark the neurons that are refractory at the end."""
    last = work.adjoint.spike
    spiked = np.flatnonzero(last >= 0)
    release = problem.tape.time[last[spiked]] + simulation.network.t_ref[spiked]
    work.adjoint.held[spiked[release > simulation.duration]] = 1
