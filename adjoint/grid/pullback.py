"""The vector-Jacobian product of a simulation on a time grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.events.loop import link_spikes
from adjoint.grid.loop import last_arrivals, note_last_spikes, run_back
from adjoint.grid.pieces import PiecesRun
from adjoint.grid.types import GridAdjoint, GridBar, GridReverse, GridReverseWork
from adjoint.layout import as_given, gradient
from adjoint.names import Wrt
from adjoint.pullback import check_finite, checked_names
from adjoint.types import Outcome, Parameters
from refsim.grid.calendar import empty_calendar
from refsim.grid.result import GridSimulation
from refsim.grid.tables import step_derivatives
from refsim.models.lif.adjoint import ModelBar
from refsim.network.network import Network
from refsim.status import SHARE
from refsim.validate import vector


class GridPullback:
    """Vector-Jacobian product of a simulation on a time grid; made by :func:`vjp`.

    It is the transpose of the tangents of :func:`jvp`, term by term.
    """

    dropped = 0  # as a lossy backward pass has

    def __init__(self, run: PiecesRun, simulation: GridSimulation):
        self._run = run
        self._simulation = simulation
        self._rows = run.rows()
        counts, n = run.work.counts, run.network.n_neurons
        self._n_spikes, emitted = int(counts.spikes[0]), int(counts.emitted[0])
        before = np.zeros(self._n_spikes, dtype=np.int64)
        self._last_spike = np.full(n, -1, dtype=np.int64)
        link_spikes(run.work.tape.neuron[: self._n_spikes], before, self._last_spike)
        self._origin = run.work.calendar.origin[:emitted].copy()
        self._cursor = np.zeros(emitted, dtype=np.int64)
        last = np.zeros(emitted, dtype=np.int64)
        last_arrivals(run.problem, run.work.tape, self._origin, last, self._cursor)
        pending = np.argsort(-last, kind="stable")[: np.count_nonzero(last >= 0)]
        self._reverse = GridReverse(before, np.zeros(0), pending, last)
        self._derivatives = step_derivatives(run.network.model, run.dt, run.scheme.membrane)

    def __repr__(self) -> str:
        return f"<GridPullback of {self._simulation!r}>"

    def __call__(
        self,
        time_bar: ArrayLike | None = None,
        voltage_bar: ArrayLike | None = None,
        wrt: Wrt | None = None,
    ) -> Parameters:
        """Return the gradient of a loss with these cotangents of spike times and voltages.

        Parameters
        ----------
        time_bar : (k,) float, optional
            dL/d(spike time), spikes sorted by (time, neuron).
        voltage_bar : (V,) float, optional
            dL/d(sampled voltage), in the order of the samples.
        wrt : str or sequence of str, optional
            Names of the parameters wanted, all of them by default; the others are None in the
            result.
        """
        run, wanted = self._run, checked_names(wrt)
        spike_bar = vector("time_bar", 0.0 if time_bar is None else time_bar, len(self._rows))
        bar = 0.0 if voltage_bar is None else voltage_bar
        sample_bar = vector("voltage_bar", bar, len(run.samples))
        work = self._work(spike_bar)
        self._go_back(work, sample_bar[run.sample_order])
        input_bar = np.zeros(len(run.inputs))
        input_bar[run.input_order] = work.input_bar
        result = gradient(run.network, self._outcome(work), input_bar).only(wanted)
        check_finite("gradient", result.items())
        return result

    def _work(self, spike_bar: NDArray[np.float64]) -> GridReverseWork:
        run = self._run
        by_row = np.zeros(self._n_spikes)
        by_row[self._rows] = spike_bar
        n, n_states = run.work.state.x.shape
        calendar = empty_calendar(len(run.work.calendar.first), len(self._origin))
        adjoint = GridAdjoint(np.zeros(n), np.zeros((n, n_states)), *np.zeros((3, n), np.int64))
        note_last_spikes(run.problem, run.work.tape, adjoint, self._last_spike)
        return GridReverseWork(
            adjoint=adjoint,
            bar=_zeros(run.network),
            spike_bar=by_row,
            input_bar=np.zeros(len(run.inputs)),
            calendar=calendar._replace(origin=self._origin, cursor=self._cursor.copy()),
            samples=np.array([len(run.samples)]),
            entered=np.zeros(1, dtype=np.int64),
        )

    def _go_back(self, work: GridReverseWork, sample_bar: NDArray[np.float64]) -> None:
        """Take the adjoint from the end to time 0."""
        run = self._run
        reverse = self._reverse._replace(sample_bar=sample_bar)
        now = run.n_steps
        for piece in reversed(range(run.n_pieces)):
            record, stop = run.states(piece), run.start(piece)
            while now >= stop:
                now = run_back(run.problem, run.work.tape, reverse, record, work, now, stop, SHARE)

    def _outcome(self, work: GridReverseWork) -> Outcome:
        """Lead what was collected for coefficients of a step on to rates and gains."""
        run, bar, by = self._run, work.bar, self._derivatives
        ports = run.network.model.ports
        port_rate = bar.fade * by.fade_own + (bar.lift * by.lift_own).sum(axis=0)
        port_gain = bar.feed * by.feed_gain
        for p in np.flatnonzero(ports.order == 2):
            i = ports.first[p]
            port_rate[i] += bar.feed[p] * by.feed_first[p]
            port_rate[i + 1] += bar.feed[p] * by.feed_second[p]
            port_rate[i + 1] += np.dot(bar.lift[:, i], by.lift_next[:, i])
            port_gain[p] += np.dot(bar.lift[:, i], by.lift_gain[:, i])
        model_bar = ModelBar(
            rate=bar.decay * by.decay_rate + (bar.lift * by.lift_rate).sum(axis=1),
            drive=bar.drive,
            v_th=bar.v_th,
            v_reset=bar.v_reset,
            t_ref=bar.t_ref,
            v0=work.adjoint.v,
            port_rate=port_rate,
            port_gain=port_gain,
        )
        wiring = run.network.wiring
        return Outcome(
            model_bar=model_bar,
            weight=as_given(wiring, bar.weight),
            delay=as_given(wiring, bar.delay),
            spike_bar=work.spike_bar[self._rows],
            input_bar=work.input_bar,
        )


def _zeros(network: Network) -> GridBar:
    n, n_states, n_ports = network.n_neurons, len(network.tau), len(network.ports)
    size = len(network.synapses)
    shapes = [(n,), (n, n_states), (n_states,), (n_ports,), *[(n,)] * 4, (size,), (size,)]
    return GridBar(*map(np.zeros, shapes))
