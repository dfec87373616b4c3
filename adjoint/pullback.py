"""The vector-Jacobian product of a finished simulation."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.keep import Keep, Kept, kept_arrays
from adjoint.layout import as_given, gradient
from adjoint.reverse import (
    Pending,
    ReverseProblem,
    ReverseTransit,
    ReverseWork,
    WiringBar,
    arrivals_up_to,
    finish_back,
    run_back,
)
from adjoint.types import Parameters, checked_names
from adjoint.window_pullback import Outcome, WindowPass, number_of_windows
from queues import dispatch
from queues.dispatch import STRUCTURES
from refsim import model as neuron
from refsim.engine import Run, choose_queue
from refsim.errors import UndefinedGradientError
from refsim.network import Network
from refsim.simulation import Simulation
from refsim.status import DONE, FULL, RUNNING
from refsim.trace import emissions
from refsim.types import Tape
from refsim.validate import choice, vector

# Events between two looks at the keyboard: some hundredths of a second.
_SHARE = 200_000

SORTED_PASS = "sorted_pass"  # all arrivals sorted before the pass, in place of a queue


class Pullback:
    """Vector-Jacobian product of a finished simulation; made by :func:`vjp`.

    Attributes
    ----------
    dropped : int
        Number of cotangents that the last call dropped; 0 but for a lossy backward pass.
    """

    def __init__(self, run: Run, simulation: Simulation, adjoint_queue: str | Keep = "auto"):
        self._run = run
        self._simulation = simulation
        self._tape = run.tape()
        self._queue = choose_adjoint_queue(adjoint_queue, run.network)
        self._keep = adjoint_queue if isinstance(adjoint_queue, Keep) else None
        self.dropped = 0
        self._windows: WindowPass | None = None
        if run.engine == "window" and self._queue_is_free(adjoint_queue):
            self._windows = WindowPass(run, simulation)
            return
        self._pending = self._arrivals_back()
        self._before, self._last = _spike_before(self._tape, run.network.n_neurons)

    def __repr__(self) -> str:
        return f"<Pullback of {self._simulation!r}>"

    def _queue_is_free(self, adjoint_queue: str | Keep) -> bool:
        """Return whether the backward pass may go by windows, which has no queue."""
        run = self._run
        return adjoint_queue == "auto" and number_of_windows(run.network, run.duration) > 0

    def __call__(
        self,
        time_bar: ArrayLike | None = None,
        voltage_bar: ArrayLike | None = None,
        wrt: str | Collection[str] | None = None,
    ) -> Parameters:
        """Return the gradient of a loss with these cotangents of spike times and voltages.

        Parameters
        ----------
        time_bar : (k,) float, optional
            dL/d(spike time), spikes sorted by (time, neuron).
        voltage_bar : (V,) float, optional
            dL/d(sampled voltage), in the order of the samples.
        wrt : str or collection of str, optional
            Names of the parameters that the gradient is wanted by, all if not given; the others
            are None in the result. After a simulation by windows what is not wanted is not
            computed: ``wrt=("weight", "delay")`` takes about half as long as all, for which the
            gradients by ``tau_m`` and ``tau`` are responsible.
        """
        run, names = self._run, checked_names(wrt)
        found = self._backward(time_bar, voltage_bar, names)
        input_bar = np.zeros(len(self._simulation.inputs))
        input_bar[run.input_order] = found.input_bar
        result = gradient(run.network, found.model_bar, found.weight, found.delay, input_bar, names)
        check_finite("gradient", result.items())
        return result

    def spike_cotangents(
        self, time_bar: ArrayLike | None = None, voltage_bar: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Return the total dL/d(spike time) (k,): direct, and through all that the spike causes.

        The effect on the neuron's own later spikes through its reset is not part of it.
        """
        return self._backward(time_bar, voltage_bar, ()).spike_bar

    def _arrivals_back(self) -> Pending:
        """Return the arrivals that enter the queue by themselves, the latest first."""
        run, simulation = self._run, self._simulation
        wiring = run.problem.wiring
        last_only = self._queue != SORTED_PASS
        room = len(simulation.origin)
        if not last_only:
            source = emissions(simulation)[1]
            room = int(np.diff(wiring.start)[source].sum())
        ints = np.zeros((2, room), dtype=np.int64)
        rows = Pending(time=np.zeros(room), order=ints[0], synapse=ints[1])
        inputs, origin = run.problem.inputs, simulation.origin
        used = arrivals_up_to(
            wiring, inputs, self._tape, origin, run.dt, run.duration, last_only, rows
        )
        time, order, synapse = (column[:used] for column in (rows.time, *ints))
        sequence = np.lexsort((-synapse, -order, -time))
        return Pending(time[sequence], order[sequence], synapse[sequence])

    def _backward(
        self, time_bar: ArrayLike | None, voltage_bar: ArrayLike | None, wrt: Collection[str]
    ) -> Outcome:
        """Take cotangents back through the simulation, to the parameters in ``wrt`` at least."""
        n_spikes, n_samples = len(self._tape.time), len(self._simulation.samples)
        spike_bar = vector("time_bar", 0.0 if time_bar is None else time_bar, n_spikes)
        sample_bar = vector("voltage_bar", 0.0 if voltage_bar is None else voltage_bar, n_samples)
        sample_bar = sample_bar[self._run.sample_order]
        if self._windows is not None:
            rates = "tau_m" in wrt or "tau" in wrt
            found = self._windows(spike_bar.copy(), sample_bar, "delay" in wrt, rates)
        else:
            found = self._backward_by_events(spike_bar, sample_bar)
        _check_slopes(self._tape, found.spike_bar)
        return found

    def _backward_by_events(
        self, spike_bar: NDArray[np.float64], sample_bar: NDArray[np.float64]
    ) -> Outcome:
        run, problem = self._run, self._run.problem
        reverse = ReverseProblem(
            model=problem.model,
            wiring=problem.wiring,
            inputs=problem.inputs,
            samples=problem.samples,
            sample_bar=sample_bar,
            tape=self._tape,
            before=self._before,
            origin=self._simulation.origin,
            dt=run.dt,
            pending=self._pending,
            walks=self._queue != SORTED_PASS,
        )
        work = _reverse_work(run, spike_bar, self._last)
        structure = STRUCTURES["fifo" if self._queue == SORTED_PASS else self._queue]
        transit = ReverseTransit(
            queue=structure.empty(16, 1, 1),
            losses=self._simulation.losses,
            kept=kept_arrays(self._keep, len(run.network.synapses), self._simulation.origin),
        )
        _execute(reverse, work, transit, self._simulation)
        if isinstance(transit.kept, Kept):
            self.dropped = int(transit.kept.dropped[0])
        number, bars = run.network.wiring.number, work.wiring_bar
        return Outcome(
            work.model_bar,
            as_given(number, bars.weight),
            as_given(number, bars.delay),
            work.spike_bar,
            work.input_bar,
        )


def choose_adjoint_queue(adjoint_queue: str | Keep, network: Network) -> str:
    """Return the name of an exact structure without lanes, or that of the sorted pass."""
    if isinstance(adjoint_queue, Keep):
        adjoint_queue = "auto"
    names = [
        name
        for name, structure in STRUCTURES.items()
        if not (structure.in_lanes or structure.in_steps)
    ]
    choice("adjoint_queue", adjoint_queue, ("auto", SORTED_PASS, *names))
    if adjoint_queue == SORTED_PASS:
        return SORTED_PASS
    return choose_queue(adjoint_queue, network, "adjoint_queue")


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
        spikes=np.array([len(spike_bar)]),
        samples=np.array([len(run.problem.samples.time)]),
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
        status = run_back(problem, work, transit, _SHARE)
    finish_back(problem, work, simulation.network.v0)


def _enter_last_holds(problem: ReverseProblem, work: ReverseWork, simulation: Simulation) -> None:
    """Mark the neurons that are refractory at the end."""
    last = work.adjoint.spike
    spiked = np.flatnonzero(last >= 0)
    release = problem.tape.time[last[spiked]] + simulation.network.t_ref[spiked]
    work.adjoint.held[spiked[release > simulation.duration]] = 1


def _check_slopes(tape: Tape, spike_bar: NDArray[np.float64]) -> None:
    """Refuse a gradient through a spike whose slope is not positive in floating point."""
    flat = np.flatnonzero((tape.slope_before <= 0.0) & (spike_bar != 0.0))
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
