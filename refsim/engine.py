"""Simulation: from a network to the arrays of the event loop, and back to a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from queues.exact import dispatch, indexed_heap
from queues.exact.dispatch import STRUCTURES
from refsim.errors import (
    InvalidTypeError,
    InvalidValueError,
    SimulationInterrupted,
    SpikeLimitError,
)
from refsim.events import loop as event_loop
from refsim.events.loop import Counts, Margins, Problem, Transit, Work
from refsim.models import lif as model
from refsim.names import EngineName, QueueChoice
from refsim.network.inputs import Samples, SpikeTrain, checked_inputs, checked_samples
from refsim.network.network import Network
from refsim.network.voltages import start_of, voltages_of
from refsim.progress import no_progress, no_report, progress_bar
from refsim.question import (
    MAX_SPIKES,
    SHARE,
    checked_dt,
    checked_duration,
    checked_losses,
    checked_network,
    choose_queue,
)
from refsim.results.sample_gaps import gap_to_own_events
from refsim.results.simulation import Conditioning, EventCounts, Simulation, Spikes
from refsim.status import DONE, FULL, RUNNING, SPIKE_LIMIT
from refsim.threads import uninterrupted
from refsim.transit import lossy
from refsim.transit.lossy import Lossy
from refsim.types import (
    InputArrays,
    ModelTangent,
    NeuronArrays,
    PortArrays,
    SampleArrays,
    State,
    StateTangent,
    Tape,
    Wiring,
    WiringTangent,
)
from refsim.validate import boolean, checked_threads, choice, integer, shown
from refsim.windows import plan, run as window_engine
from refsim.windows.state import WindowState

if TYPE_CHECKING:
    from refsim.events.state import EventState

_EMPTY = np.zeros(0)
_NO_INTS = np.zeros(0, dtype=np.int64)
_NO_WIRING = Wiring(np.zeros(1, dtype=np.int64), _NO_INTS, _NO_INTS, _EMPTY, _EMPTY, _NO_INTS)
_ROOM = 256  # rows, to begin with; from 16, growth took half of the time of 200 spikes
_MOST_SLOTS = 10_000_000  # of a ring buffer


def simulate(
    network: Network,
    inputs: SpikeTrain | None = None,
    duration: float | None = None,
    *,
    samples: Samples | tuple[Any, Any] | None = None,
    queue: QueueChoice | Lossy = "auto",
    dt: float | None = None,
    engine: EngineName = "auto",
    max_spikes: int = MAX_SPIKES,
    threads: int | None = None,
    keep_state: bool = False,
    progress: bool = False,
) -> Simulation:
    """Simulate a network event by event, exactly.

    Parameters
    ----------
    network : Network
        The network.
    inputs : SpikeTrain, optional
        Input spikes; those after ``duration`` have no effect.
    duration : float
        End of the simulation in ms. Spikes up to and including this time are reported.
    samples : Samples or (neurons, times), optional
        Voltages to read, within [0, duration].
    queue : str or Lossy
        Structure of the queue of arrivals: "auto", or one of "heap", "fifo" (which needs equal
        delays), "sorted_array", "dary_heap_4", "dary_heap_8", "pairing_heap", "calendar",
        "batch_heap", "fifo_merge", or "ring_buffer" (which needs ``dt``). Spikes are the same to
        the last bit with each of them. A :class:`Lossy` has bounded queues that drop spikes; the
        result says which.
    dt : float, optional
        Step in ms of a grid to which times of arrival are rounded, half to even, but not to before
        the spike. Gradients are passed straight through the rounding. Spikes stay off the grid.
    engine : {"auto", "event", "window"}
        The event engine takes events one by one in order of time. The window engine takes all
        arrivals of a window as long as the shortest delay at once, and is faster for networks of
        many synapses; it finds the same spikes, to rounding. The result says which was chosen, and
        why.
    max_spikes : int
        Limit on the number of spikes, which stops runaway activity.
    threads : int, optional
        Most threads of the window engine; as many as there are processors by default. Results are
        the same to the last bit for any number.
    keep_state : bool
        Whether the result can be continued with :meth:`Simulation.continue_`. Bounded queues
        (:class:`Lossy`) keep no state. With engine="auto" windows are chosen where they can be had.
    progress : bool
        Whether to show a progress bar; needs tqdm.

    Returns
    -------
    Simulation

    Raises
    ------
    InvalidValueError, InvalidTypeError
        If an argument is outside its domain.
    MissingExtraError
        If ``progress`` is asked for and tqdm is not installed.
    SpikeLimitError
        If there are more than ``max_spikes`` spikes; its ``partial`` holds those so far.
    SimulationInterrupted
        On Ctrl-C; a KeyboardInterrupt whose ``partial`` holds what was simulated.
    """
    run = Run(
        network,
        inputs,
        duration,
        samples,
        queue,
        dt,
        max_spikes,
        engine=engine,
        threads=threads,
        keep_state=keep_state,
        progress=progress,
    )
    return run.execute()


def choose_engine(
    engine: Any, network: Network, duration: float, needs_events: list[str], keep_state: bool
) -> tuple[str, str]:
    """Return "event" or "window" and the reason, or raise if the one asked for cannot be had."""
    choice("engine", engine, ("auto", "event", "window"))
    if engine == "event":
        return "event", "it was asked for"
    if engine == "window":
        _check_windows(network, duration, needs_events)
        return "window", "it was asked for"
    if needs_events:
        return "event", needs_events[0]
    if keep_state and not plan.obstacle(network, duration):
        return "window", "a state is kept"
    # The size comes first: the other questions lay synapses out for windows.
    size = f"there are {len(network.synapses)} synapses"
    if not plan.is_large(network):
        return "event", f"{size}, too few for windows to be worth their compilation"
    why_not = plan.obstacle(network, duration)
    if why_not:
        return "event", why_not
    if not plan.is_worthwhile(network, duration):
        return "event", f"{size}, too few for so many windows"
    return "window", size


def _check_windows(network: Network, duration: float, needs_events: list[str]) -> None:
    """Raise if the window engine, which is asked for, cannot be had."""
    why_not = needs_events[0] if needs_events else plan.obstacle(network, duration)
    if why_not:
        raise InvalidValueError(f"engine is 'window', and {why_not}; expected engine='event'")


def refuse_event_engine(asker: str, engine: str) -> None:
    """Raise if the event engine is chosen and ``asker`` needs windows."""
    if engine == "event":
        raise InvalidValueError(
            f"{asker} and engine is 'event', which goes back in one piece; expected "
            "engine='window' or 'auto'"
        )


def no_state(asker: str, why_not: str, instead: str) -> InvalidValueError:
    """Return the error where ``asker`` needs snapshots and the window engine cannot be had."""
    return InvalidValueError(
        f"{asker}, and {why_not}; expected {instead}, since the window engine alone goes back in "
        "pieces"
    )


class Tangents:
    """Tangents in the layout of the kernels; none are given by the arrays of no elements."""

    def __init__(self, model_dot: ModelTangent, wiring_dot: WiringTangent, inputs_dot: np.ndarray):
        self.model_dot = model_dot
        self.wiring_dot = wiring_dot
        self.inputs_dot = inputs_dot


def no_tangents() -> Tangents:
    """Return the tangents of a plain simulation."""
    neurons = NeuronArrays(_EMPTY, _EMPTY, _EMPTY, _EMPTY, _EMPTY)
    ports = PortArrays(first=_NO_INTS, order=_NO_INTS, rate=_EMPTY, gain=_EMPTY)
    return Tangents(ModelTangent(neurons, ports), WiringTangent(_EMPTY, _EMPTY), _EMPTY)


def _lanes(queue: str, network: Network) -> tuple[NDArray[np.int64], int]:
    """Return the lane of each synapse, one for each delay, and the most lanes that a spike needs.

    Without lanes there are none, and a spike needs one entry.
    """
    if not (STRUCTURES[queue].in_lanes or STRUCTURES[queue].in_steps):
        return _NO_INTS, 1
    wiring = network.wiring
    lane = np.unique(wiring.delay, return_inverse=True)[1].astype(np.int64)
    source = np.repeat(np.arange(len(wiring.start) - 1), np.diff(wiring.start))
    begins = np.ones(len(lane), dtype=bool)
    begins[1:] = (lane[1:] != lane[:-1]) | (source[1:] != source[:-1])
    return lane, int(np.bincount(source[begins]).max(initial=1))


def _doubled(column: Any) -> Any:
    """Return a copy of a column with as much room again."""
    return np.concatenate([column, np.zeros_like(column)])


def grown_work(work: Work, spikes: int = 0, emitted: int = 0) -> Work:
    """Return ``work`` with more room where there was none, behind so many rows of other runs."""
    tape, origin = work.tape, work.origin
    if spikes + work.counts.spikes[0] == len(tape.time):
        tape = Tape(*map(_doubled, tape))
    if emitted + work.counts.emitted[0] == len(origin):
        origin = _doubled(origin)
    return work._replace(tape=tape, origin=origin)


def grown_transit(transit: Transit, entries: int, emissions: int) -> Transit:
    """Return ``transit`` with room for so many more entries, and emissions in all."""
    queue = transit.queue
    while queue.size[0] + entries > len(queue.time):
        queue = dispatch.grown(queue)
    return Transit(queue, lossy.grown(transit.losses, emissions))


class Run:
    """One run of the event loop: the arrays, and the way back to the user's order."""

    def __init__(
        self,
        network: Any,
        inputs: Any,
        duration: Any,
        samples: Any,
        queue: Any,
        dt: Any,
        max_spikes: Any,
        engine: EngineName = "auto",
        threads: Any = None,
        keep_state: Any = False,
        progress: Any = False,
        resumed: window_engine.Resumed | None = None,
    ):
        self.network = checked_network(network)
        self.inputs: SpikeTrain = checked_inputs(inputs, self.network.n_inputs)
        self.duration = checked_duration(duration)
        n = self.network.n_neurons
        self.samples: Samples = checked_samples(samples, n, self.duration)
        self.max_spikes = integer("max_spikes", max_spikes, 1)
        self.threads = checked_threads(threads)
        self.keep_state = boolean("keep_state", keep_state)
        self.resumed = resumed
        self.report: Callable[[float], None] = no_report
        self.progress = progress_bar if boolean("progress", progress) else no_progress
        self.state: WindowState | EventState | None = None
        self.inputs_before = 0  # input spikes before a run that goes on
        self.reached = 0.0  # ms, up to which a run by windows is complete
        self.queue = choose_queue(queue, self.network)
        self.dt = checked_dt(dt, self.network, self.duration)
        self._check_slots()
        self.lossy = checked_losses(queue, self.network, self.dt)
        if self.keep_state and self.lossy:
            raise InvalidValueError(
                f"keep_state is True and queue is {shown(self.lossy)}; expected an exact queue, "
                "since what bounded queues have lost is not kept"
            )
        needs_events = {
            "a queue is chosen": queue != "auto",
            "arrivals are on a grid": self.dt > 0.0,
        }
        self.engine, self.reason = choose_engine(
            engine,
            self.network,
            self.duration,
            [why for why, is_so in needs_events.items() if is_so],
            self.keep_state,
        )
        self.input_order = np.argsort(self.inputs.times, kind="stable")
        used = self.inputs.times[self.input_order] <= self.duration
        self.input_order = self.input_order[used]
        self.sample_order = np.argsort(self.samples.times, kind="stable")
        self.problem = self._problem(None)
        self.work = self._work()
        lanes = 1 + int(self.problem.lane.max(initial=0))
        steps = self._steps_ahead() if STRUCTURES[self.queue].in_steps else 1
        self.transit = Transit(
            queue=STRUCTURES[self.queue].empty(_ROOM, lanes, steps),
            losses=lossy.losses(self.lossy, self.problem.wiring.start, _ROOM),
        )
        self.status = RUNNING
        self.is_stopped: Callable[[], bool] = bool  # never, but where other threads can ask for it

    def carry(self, tangents: Tangents, v0_dot: NDArray[np.float64]) -> None:
        """Carry tangents through the events of the event engine, from the start on."""
        self.problem = self._problem(tangents)
        self.work = self._work()
        self.work.state_dot.v[:] = v0_dot

    def carried(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the tangents of spikes and of samples, in the orders of the result."""
        voltage = np.zeros(len(self.samples))
        voltage[self.sample_order] = self.problem.samples.tangent
        return self.tape().tangent, voltage

    def _problem(self, tangents: Tangents | None) -> Problem:
        given = tangents or no_tangents()
        inputs_dot = given.inputs_dot[self.input_order] if tangents else _EMPTY
        n_samples = len(self.samples)
        lane, entries = _lanes(self.queue, self.network)
        return Problem(
            model=self.network.model,
            wiring=self.network.wiring if self.engine == "event" else _NO_WIRING,
            inputs=InputArrays(
                time=self.inputs.times[self.input_order],
                source=self.network.n_neurons + self.inputs.sources[self.input_order],
                tangent=inputs_dot,
            ),
            samples=SampleArrays(
                time=self.samples.times[self.sample_order],
                neuron=self.samples.neurons[self.sample_order],
                voltage=np.full(n_samples, np.nan),
                tangent=np.zeros(n_samples if tangents else 0),
            ),
            t_end=self.duration,
            stop=self.duration,
            dt=self.dt,
            unit=self.dt if STRUCTURES[self.queue].in_steps else 1.0,
            lane=lane,
            entries=entries,
            max_spikes=self.max_spikes,
            with_tangent=tangents is not None,
            model_dot=given.model_dot,
            wiring_dot=given.wiring_dot,
        )

    def _work(self) -> Work:
        n = self.network.n_neurons
        n_states = len(self.network.model.ports.rate)
        room = _ROOM
        with_tangent = self.problem.with_tangent
        m = n if with_tangent else 0
        tape = Tape(
            time=np.zeros(room),
            neuron=np.zeros(room, dtype=np.int64),
            slope_before=np.zeros(room),
            slope_after=np.zeros(room),
            tangent=np.zeros(room if with_tangent else 0),
        )
        state = State(
            time=np.zeros(n),
            v=start_of(self.network),
            current=np.zeros((n, n_states)),
            release=np.full(n, -1.0),
            last_spike=np.full(n, -1, dtype=np.int64),
            last_emission=np.full(n, -1, dtype=np.int64),
            last_arrival=np.full(n, -np.inf),
            last_bend=np.full(n, -np.inf),
            last_sample=np.full(n, -np.inf),
        )
        state_dot = StateTangent(
            v=np.zeros(m), current=np.zeros((m, n_states)), release=np.zeros(m)
        )
        return Work(
            state=state,
            state_dot=state_dot,
            crossings=indexed_heap.empty(n),
            is_exact=np.zeros(n, dtype=np.int64),
            tape=tape,
            origin=np.zeros(room, dtype=np.int64),
            counts=Counts(*(np.zeros(1, dtype=np.int64) for _ in Counts._fields)),
            margins=Margins(*(np.full(1, np.inf) for _ in Margins._fields)),
            scratch=model.scratch(n_states),
        )

    def _check_slots(self) -> None:
        """Refuse a queue of steps without a step, or with more slots than memory is for."""
        if not STRUCTURES[self.queue].in_steps:
            return
        if self.dt == 0.0:
            raise InvalidTypeError(
                f"dt is missing; expected a step in ms, since {self.queue!r} has a slot a step"
            )
        if self._steps_ahead() > _MOST_SLOTS:
            raise InvalidValueError(
                f"dt is {self.dt:g} for delays up to {self.network.delay.max():g} ms; expected at "
                f"most {_MOST_SLOTS} steps for {self.queue!r}"
            )

    def _steps_ahead(self) -> int:
        """Return the number of steps among which the arrivals under way lie."""
        return int(self.network.delay.max(initial=0.0) / self.dt) + 3

    def execute(self) -> Simulation:
        """Run to the end and return the result."""
        try:
            with self.progress(self.duration) as self.report:
                if self.engine == "window":
                    self.status = window_engine.WindowRun(self).execute()
                else:
                    self._execute_events()
        except KeyboardInterrupt:
            raise self.interrupted(self.result(self._now()), "holds") from None
        if self.status == SPIKE_LIMIT:
            raise self.has_too_many_spikes(self.result(self._now()), "holds")
        return self.result(self.duration)

    def interrupted(self, partial: Any, does: str) -> SimulationInterrupted:
        """Return the error of a run that Ctrl-C has stopped; ``partial`` holds or counts spikes."""
        return SimulationInterrupted(
            f"interrupted at {partial.duration:g} of {self.duration:g} ms; "
            f"the attribute partial {does} what was simulated",
            partial,
        )

    def has_too_many_spikes(self, partial: Any, does: str) -> SpikeLimitError:
        """Return the error of a run that has come to its limit; see ``interrupted``."""
        return SpikeLimitError(
            f"max_spikes is {self.max_spikes} and was reached at {partial.duration:.6g} of "
            f"{self.duration:g} ms; expected fewer spikes. If this activity is meant, raise "
            f"max_spikes; the attribute partial {does} the spikes so far",
            partial,
        )

    def _execute_events(self) -> None:
        if self.keep_state:
            self._execute_to_state()
        else:
            self._process(self.problem)
        if self.status == DONE:
            event_loop.finish(self.problem, self.work)

    def _process(self, problem: Problem) -> None:
        """Process all events up to the time to stop, or to the limit of spikes."""
        event_loop.start(problem, self.work)
        self.status = RUNNING
        while self.status not in (DONE, SPIKE_LIMIT):
            if self.status == FULL:
                self._grow()
            if self.is_stopped():
                raise KeyboardInterrupt
            self.status = event_loop.run(problem, self.work, self.transit, SHARE)
            self.report(self._now())

    def _execute_to_state(self) -> None:
        """Run to the end with what comes later entered as well, and keep the state there.

        A spike that rounding puts a last bit after the end is left to the run that goes on.
        """
        from refsim.events.state import snapshot

        endless = self.problem._replace(t_end=np.inf)
        try:
            self._process(endless)
        except KeyboardInterrupt:
            with uninterrupted():  # to the end of the time that it is at
                self.reached = max(self._now(), float(self.work.state.time.max()))
                self.is_stopped = bool  # it has been heeded
                self._process(endless._replace(stop=self.reached))
                if self.status == DONE:
                    self.state = snapshot(self, self.reached)
            raise
        if self.status == DONE:
            self.state = snapshot(self, self.duration)

    def number_of(self, row: Any) -> Any:
        """Return the number of the spike in a row of the tape, from the very beginning."""
        return row

    def _grow(self) -> None:
        self.work = grown_work(self.work)
        self.transit = grown_transit(self.transit, self.problem.entries, len(self.work.origin))

    def _now(self) -> float:
        """Return the time up to which all events have been processed."""
        k = int(self.work.counts.spikes[0])
        i = int(self.work.counts.inputs[0])
        spike = self.work.tape.time[k - 1] if k else 0.0
        given = self.problem.inputs.time[i - 1] if i else 0.0
        return float(max(spike, given, self.reached))

    def tape(self) -> Tape:
        """Return the rows of the tape that are in use."""
        k = int(self.work.counts.spikes[0])
        used = {name: column[:k].copy() for name, column in self.work.tape._asdict().items()}
        return Tape(**used)

    def result(self, duration: float) -> Simulation:
        """Return what has been simulated, as the user sees it."""
        tape = self.tape()
        counts = self.work.counts
        voltages = np.full(len(self.samples), np.nan)
        samples = self.problem.samples
        read = voltages_of(self.network, samples.voltage, samples.neuron)
        if self.resumed is not None:
            taken = slice(self.resumed.state.n_samples)
            read[taken] = self.resumed.voltages[taken]
        voltages[self.sample_order] = read
        margins = self.work.margins
        of_samples = gap_to_own_events(tape, self.network.t_ref, self.problem.samples)
        gaps = margins.gap[0], margins.release_gap[0], min(margins.sample_gap[0], of_samples)
        return Simulation(
            network=self.network,
            inputs=self.inputs,
            duration=duration,
            samples=self.samples,
            spikes=Spikes(tape.time, tape.neuron, tape.slope_before, tape.slope_after),
            voltages=voltages,
            conditioning=Conditioning.of(tape, *gaps),
            counts=EventCounts(
                spikes=int(counts.spikes[0]),
                inputs=int(counts.inputs[0]),
                arrivals=int(counts.arrivals[0]),
                searches=int(counts.searches[0]),
                dropped=int(lossy.lost_bits(self.transit.losses).sum()),
            ),
            queue=self.queue if self.engine == "event" else "none",
            engine=self.engine,
            engine_reason=self.reason,
            dt=self.dt,
            losses=self.transit.losses,
            origin=self.work.origin[: int(counts.emitted[0])].copy(),
            state=self.state,
        )
