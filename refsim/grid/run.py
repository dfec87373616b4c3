"""Simulation on a time grid: from a network to the arrays of the loop, and back to a result."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from refsim import features
from refsim.errors import InvalidValueError
from refsim.grid import loop as grid_loop
from refsim.grid.calendar import empty_calendar
from refsim.grid.result import GridSimulation
from refsim.grid.scheme import RESETS, SPIKE_TIMES, Grid
from refsim.grid.tables import no_tables, step_derivatives, step_tables, tangent_of_tables
from refsim.grid.types import (
    GridCounts,
    GridProblem,
    GridSamples,
    GridState,
    GridStateTangent,
    GridTape,
    GridWork,
    Recorder,
    Rules,
)
from refsim.models.lif.datum import above
from refsim.network.voltages import start_of, voltages_of
from refsim.question import Question, checked_dt
from refsim.results.outcome import EngineRun
from refsim.results.result import Conditioning, EventCounts, Spikes, Trace
from refsim.status import DONE, FULL, RUNNING, SHARE, SPIKE_LIMIT
from refsim.types import InputArrays, Tangents as KernelTangents, no_tangents

_ROOM = 256  # rows of the tape, to begin with
_MOST_STEPS = 1e10
_MOST_SLOTS = 10_000_000  # steps that the longest delay spans
_MOST_RECORDED = 1e9  # voltages of a trace, 8 GB
_OF_EMISSIONS = ("link", "cursor", "origin")  # columns of the calendar
_END = 1e-9  # steps by which a duration may miss a multiple of the step


class GridRun(EngineRun[GridSimulation]):
    """One run of the loop over steps: the arrays, and the way back to the user's order."""

    engine = "grid"

    def __init__(self, question: Question, grid: Grid, tangents: KernelTangents | None = None):
        super().__init__(question)
        if question.keep_state:
            features.check("keep_state", "Grid", "keep_state is True")
        self.network, self.duration = question.network, question.duration
        self.inputs, self.samples = question.inputs, question.samples
        self.scheme, self.keep_voltages = grid.scheme, grid.keep_voltages
        self.dt = self._checked_step(grid.dt)
        self.n_steps = max(int(np.ceil(self.duration / self.dt - _END)), 1)
        # Those after the end too: rounding may bring them to the last step.
        self.input_order = np.argsort(self.inputs.times, kind="stable")
        self.sample_order = question.sample_order
        self.problem = self._problem(tangents)
        self.work = self._work()
        if grid.keep_voltages:
            self._record_voltages()

    def _checked_step(self, dt: float) -> float:
        """Return the step, which must suit the network and the duration."""
        step = checked_dt(dt, self.network, self.duration)
        if self.duration / step > _MOST_STEPS:
            raise InvalidValueError(
                f"dt is {step:g} for {self.duration:g} ms; expected a step that gives at most "
                f"{_MOST_STEPS:g} steps"
            )
        longest = float(self.network.delay.max(initial=0.0))
        if min(longest, self.duration) / step > _MOST_SLOTS:
            raise InvalidValueError(
                f"dt is {step:g} for delays up to {longest:g} ms; expected a step that gives at "
                f"most {_MOST_SLOTS} steps"
            )
        shortest = min(float(self.network.tau_m.min()), float(self.network.tau.min()))
        if self.scheme.membrane == "euler" and step >= shortest:
            raise InvalidValueError(
                f"dt is {step:g} and membrane is 'euler', with a time constant of {shortest:g} ms; "
                "expected a step shorter than every time constant, or another membrane"
            )
        return step

    def _problem(self, tangents: KernelTangents | None) -> GridProblem:
        membrane = self.scheme.membrane
        model = self.network.model
        # On a grid a voltage on the threshold is a spike.
        on_it = above(self.network.datum, self.network.v_th)
        model = model._replace(neurons=model.neurons._replace(v_th=on_it))
        given = tangents or no_tangents()
        tables_dot = no_tables()
        if tangents:
            derivatives = step_derivatives(model, self.dt, membrane)
            tables_dot = tangent_of_tables(model, derivatives, tangents.model_dot)
        n_samples = len(self.samples)
        return GridProblem(
            model=model,
            tables=step_tables(model, self.dt, membrane),
            rules=self._rules(),
            wiring=self.network.wiring,
            inputs=InputArrays(
                time=self.inputs.times[self.input_order],
                source=self.network.n_neurons + self.inputs.sources[self.input_order],
                tangent=given.inputs_dot[self.input_order] if tangents else np.zeros(0),
            ),
            samples=GridSamples(
                step=np.rint(self.samples.times[self.sample_order] / self.dt).astype(np.int64),
                neuron=self.samples.neurons[self.sample_order],
                voltage=np.full(n_samples, np.nan),
                tangent=np.zeros(n_samples if tangents else 0),
            ),
            t_ref=np.minimum(np.rint(self.network.t_ref / self.dt), self.n_steps).astype(np.int64),
            n_steps=self.n_steps,
            t_last=self.duration + _END * self.dt,
            max_spikes=self.question.max_spikes,
            with_tangent=tangents is not None,
            model_dot=given.model_dot,
            tables_dot=tables_dot,
            wiring_dot=given.wiring_dot,
        )

    def _rules(self) -> Rules:
        scheme = self.scheme
        return Rules(
            dt=self.dt,
            spike_time=SPIKE_TIMES.index(scheme.spike_time),
            full=scheme.receive == "full",
            reset=RESETS.index(scheme.reset),
            steepness=scheme.steepness,
            hold=int(scheme.hold),
            latency=scheme.latency,
        )

    def _work(self) -> GridWork:
        n, n_states = self.network.n_neurons, len(self.network.tau)
        with_tangent = self.problem.with_tangent
        m = n if with_tangent else 0
        room = max(_ROOM, n)
        return GridWork(
            state=GridState(
                v=start_of(self.network),
                x=np.zeros((n, n_states)),
                release=np.full(n, -1, dtype=np.int64),
                last_spike=np.full(n, -1, dtype=np.int64),
            ),
            state_dot=GridStateTangent(np.zeros(m), np.zeros((m, n_states)), np.zeros(m)),
            tape=_empty_tape(room, with_tangent),
            calendar=empty_calendar(self._n_slots(), room + len(self.inputs)),
            counts=GridCounts(*(np.zeros(1, dtype=np.int64) for _ in GridCounts._fields)),
            recorder=no_recorder(n, n_states),
        )

    def _n_slots(self) -> int:
        """Return how many steps ahead an arrival can lie, and a few more."""
        ahead = float(self.network.delay.max(initial=0.0)) / self.dt + self.scheme.latency
        return int(min(ahead, self.n_steps)) + 4

    def _record_voltages(self) -> None:
        """Keep the voltages of all steps."""
        n, rows = self.network.n_neurons, self.n_steps + 1
        if n * rows > _MOST_RECORDED:
            raise InvalidValueError(
                f"keep_voltages is True for {rows} steps of {n} neurons; expected at most "
                f"{_MOST_RECORDED:g} voltages"
            )
        empty = no_recorder(n, len(self.network.tau))
        self.work = self.work._replace(recorder=empty._replace(v=np.zeros((rows, n))))

    def advance(self, stop: int) -> None:
        """Run up to the step ``stop``, or to the limit on spikes."""
        self.status = RUNNING
        while self.status not in (DONE, SPIKE_LIMIT):
            if self.status == FULL:
                self._grow()
            if self.question.is_stopped():
                raise KeyboardInterrupt
            self.status = grid_loop.run(self.problem, self.work, stop, SHARE)
            self.question.report(float(self.work.counts.now[0]) * self.dt)

    def _grow(self) -> None:
        """Double the room of the tape, and make as much more for emissions."""
        tape, calendar = self.work.tape, self.work.calendar
        more = len(tape.time)
        rows = {name: _longer(getattr(calendar, name), more) for name in _OF_EMISSIONS}
        columns = {name: _longer(column, len(column)) for name, column in tape._asdict().items()}
        self.work = self.work._replace(tape=GridTape(**columns), calendar=calendar._replace(**rows))

    def run_to_the_end(self) -> None:
        """Run to the end, or to the limit of spikes, and set the status."""
        self.advance(self.n_steps + 1)

    def now(self) -> float:
        """Return the time up to which all events have been processed."""
        if self.status == SPIKE_LIMIT:
            return float(self.work.tape.time[self.rows()[-1]])
        return min(float(self.work.counts.now[0]) * self.dt, self.duration)

    def rows(self) -> NDArray[np.int64]:
        """Return the rows of the tape that are reported, sorted by (time, neuron)."""
        used = int(self.work.counts.spikes[0])
        time, neuron = self.work.tape.time[:used], self.work.tape.neuron[:used]
        order = np.lexsort((neuron, time))
        return order[time[order] <= self.problem.t_last][: self.question.max_spikes]

    def result(self, duration: float) -> GridSimulation:
        """Return what has been simulated, as the user sees it."""
        tape, rows = self.work.tape, self.rows()
        voltages = np.full(len(self.samples), np.nan)
        samples = self.problem.samples
        voltages[self.sample_order] = voltages_of(self.network, samples.voltage, samples.neuron)
        spikes = Spikes(
            time=tape.time[rows],
            neuron=tape.neuron[rows],
            slope_before=tape.slope[rows],
            slope_after=tape.slope_after[rows],
        )
        return GridSimulation(
            network=self.network,
            inputs=self.inputs,
            samples=self.samples,
            scheme=self.scheme,
            duration=duration,
            dt=self.dt,
            n_steps=self.n_steps,
            spikes=spikes,
            spike_step=tape.step[rows],
            voltages=voltages,
            conditioning=Conditioning.of(spikes, np.inf, np.inf, np.inf),
            counts=EventCounts(
                spikes=len(rows),
                inputs=int((self.inputs.times <= duration).sum()),
                arrivals=int(self.work.counts.arrivals[0]),
                searches=0,
                dropped=0,
            ),
            engine=self.engine,
            engine_reason=self.reason,
            kept=self._trace(),
        )

    def _trace(self) -> Trace | None:
        if not self.keep_voltages:
            return None
        recorded = self.work.recorder.v
        steps = int(self.work.counts.now[0])
        neurons = np.arange(self.network.n_neurons)
        times = np.arange(steps, dtype=np.float64) * self.dt
        voltage = voltages_of(self.network, recorded[:steps].T, neurons[:, None])
        return Trace(times, neurons, voltage)


def no_recorder(n: int, n_states: int) -> Recorder:
    """Return a recorder of no steps."""
    return Recorder(np.zeros(1, dtype=np.int64), np.zeros((0, n)), np.zeros((0, n, n_states)))


def _longer(column: Any, more: int) -> Any:
    return np.concatenate([column, np.zeros(more, column.dtype)])


def _empty_tape(room: int, with_tangent: bool) -> GridTape:
    return GridTape(
        time=np.zeros(room),
        neuron=np.zeros(room, dtype=np.int64),
        step=np.zeros(room, dtype=np.int64),
        theta=np.zeros(room),
        slope=np.zeros(room),
        slope_after=np.zeros(room),
        tangent=np.zeros(room if with_tangent else 0),
    )
