"""The vector-Jacobian product of a finished simulation."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.layout import gradient
from adjoint.reverse import (
    Pending,
    ReverseProblem,
    ReverseWork,
    WiringBar,
    finish_back,
    last_arrivals,
    run_back,
)
from adjoint.types import Parameters
from queues import heap
from refsim import model as neuron
from refsim.engine import Run
from refsim.errors import UndefinedGradientError
from refsim.simulation import Simulation
from refsim.status import DONE, FULL, RUNNING
from refsim.types import Tape
from refsim.validate import vector

# Events between two looks at the keyboard: some hundredths of a second.
_SHARE = 200_000


class Pullback:
    """Vector-Jacobian product of a finished simulation; made by :func:`vjp`."""

    def __init__(self, run: Run, simulation: Simulation):
        self._run = run
        self._simulation = simulation
        self._tape = run.tape()
        self._pending = _pending(run, self._tape, simulation.origin)
        self._before, self._last = _spike_before(self._tape, run.network.n_neurons)

    def __repr__(self) -> str:
        return f"<Pullback of {self._simulation!r}>"

    def __call__(
        self, time_bar: ArrayLike | None = None, voltage_bar: ArrayLike | None = None
    ) -> Parameters:
        """Return the gradient of a loss with these cotangents of spike times and voltages.

        Parameters
        ----------
        time_bar : (k,) float, optional
            dL/d(spike time), spikes sorted by (time, neuron).
        voltage_bar : (V,) float, optional
            dL/d(sampled voltage), in the order of the samples.
        """
        run = self._run
        work = self._backward(time_bar, voltage_bar)
        input_bar = np.zeros(len(self._simulation.inputs))
        input_bar[run.input_order] = work.input_bar
        wiring_bar = work.wiring_bar
        result = gradient(
            run.network, work.model_bar, wiring_bar.weight, wiring_bar.delay, input_bar
        )
        check_finite("gradient", result.items())
        return result

    def spike_cotangents(
        self, time_bar: ArrayLike | None = None, voltage_bar: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Return the total dL/d(spike time) (k,): direct, and through all that the spike causes.

        The effect on the neuron's own later spikes through its reset is not part of it.
        """
        return self._backward(time_bar, voltage_bar).spike_bar

    def _backward(self, time_bar: ArrayLike | None, voltage_bar: ArrayLike | None) -> ReverseWork:
        run, problem = self._run, self._run.problem
        n_spikes, n_samples = len(self._tape.time), len(self._simulation.samples)
        spike_bar = vector("time_bar", 0.0 if time_bar is None else time_bar, n_spikes)
        sample_bar = vector("voltage_bar", 0.0 if voltage_bar is None else voltage_bar, n_samples)
        reverse = ReverseProblem(
            model=problem.model,
            wiring=problem.wiring,
            inputs=problem.inputs,
            samples=problem.samples,
            sample_bar=sample_bar[run.sample_order],
            tape=self._tape,
            before=self._before,
            origin=self._simulation.origin,
            pending=self._pending,
        )
        work = _reverse_work(run, spike_bar, self._last)
        work = _execute(reverse, work, self._simulation)
        _check_slopes(self._tape, work)
        return work


def _pending(run: Run, tape: Tape, origin: NDArray[np.int64]) -> Pending:
    """Sort emissions by their last arrival, the latest first."""
    problem = run.problem
    time = np.zeros(len(origin))
    synapse = np.zeros(len(origin), dtype=np.int64)
    last_arrivals(problem.wiring, problem.inputs, tape, origin, run.duration, time, synapse)
    order = np.lexsort((-np.arange(len(time)), -time))
    order = order[time[order] > -np.inf]
    return Pending(time=time[order], order=order, synapse=synapse[order])


def _spike_before(tape: Tape, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each spike the row of the neuron's spike before, and each neuron's last row."""
    rows = np.argsort(tape.neuron, kind="stable")
    before = np.full(len(rows), -1, dtype=np.int64)
    same = tape.neuron[rows[1:]] == tape.neuron[rows[:-1]]
    before[rows[1:][same]] = rows[:-1][same]
    last = np.full(n, -1, dtype=np.int64)
    last[tape.neuron] = np.arange(len(rows))
    return before, last


def _reverse_work(run: Run, spike_bar: NDArray[np.float64], last: NDArray[np.int64]) -> ReverseWork:
    network = run.network
    ports = network.model.ports
    size = len(network.synapses)
    n = network.n_neurons
    adjoint, model_bar = neuron.adjoint_state(n, len(ports.rate), len(ports.order), run.duration)
    adjoint.spike[:] = last
    return ReverseWork(
        adjoint=adjoint,
        model_bar=model_bar,
        wiring_bar=WiringBar(weight=np.zeros(size), delay=np.zeros(size)),
        spike_bar=spike_bar.copy(),
        input_bar=np.zeros(len(run.problem.inputs.time)),
        queue=heap.empty(16),
        spikes=np.array([len(spike_bar)]),
        samples=np.array([len(run.problem.samples.time)]),
        pending=np.zeros(1, dtype=np.int64),
    )


def _execute(problem: ReverseProblem, work: ReverseWork, simulation: Simulation) -> ReverseWork:
    _enter_last_holds(problem, work, simulation)
    status = RUNNING
    while status != DONE:
        if status == FULL:
            work = work._replace(queue=heap.grown(work.queue))
        status = run_back(problem, work, _SHARE)
    finish_back(problem, work, simulation.network.v0)
    return work


def _enter_last_holds(problem: ReverseProblem, work: ReverseWork, simulation: Simulation) -> None:
    """Mark the neurons that are refractory at the end."""
    last = work.adjoint.spike
    spiked = np.flatnonzero(last >= 0)
    release = problem.tape.time[last[spiked]] + simulation.network.t_ref[spiked]
    work.adjoint.held[spiked[release > simulation.duration]] = 1


def _check_slopes(tape: Tape, work: ReverseWork) -> None:
    """Refuse a gradient through a spike whose slope is not positive in floating point."""
    flat = np.flatnonzero((tape.slope_before <= 0.0) & (work.spike_bar != 0.0))
    if flat.size:
        k = int(flat[0])
        raise UndefinedGradientError(
            f"neuron {tape.neuron[k]} touches its threshold at {tape.time[k]:.17g} ms with "
            f"dV/dt = {tape.slope_before[k]:.3g}; expected a crossing with positive slope. "
            "The gradient through this spike does not exist"
        )


def check_finite(kind: str, groups: Iterable[tuple[str, NDArray[np.float64]]]) -> None:
    """Refuse derivatives that have grown out of float64, as they do over long chaotic runs."""
    for name, values in groups:
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            i = int(bad[0])
            raise UndefinedGradientError(
                f"{kind}.{name}[{i}] is {values[i]}; expected a number in the range of float64. "
                "Sensitivities grow with every spike of unstable activity: simulate a shorter time"
            )
