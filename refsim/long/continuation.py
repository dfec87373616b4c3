"""Going on with a simulation: from its state in memory, or from a file."""

from __future__ import annotations

import hashlib
import os
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queues.exact.dispatch import STRUCTURES
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.events.state import EventState, checked_event_state
from refsim.events.tail import EventTail, check_no_spike_is_left, settled
from refsim.files.arrays import read_arrays, write_arrays
from refsim.files.output import checked_path
from refsim.files.saved_columns import check
from refsim.network.inputs import Samples, SpikeTrain, checked_inputs, checked_samples
from refsim.network.network import Network
from refsim.network.parameters import OF_NEURONS
from refsim.question import MAX_SPIKES, Question, checked_dt, checked_duration, checked_network
from refsim.results.result import Conditioning, EventCounts, Spikes
from refsim.results.simulation import Simulation
from refsim.transit.lossy import NoLosses
from refsim.validate import LONGEST, checked_threads, integer, scalar
from refsim.windows import state as window_state
from refsim.windows.options import Windows
from refsim.windows.run import Resumed, WindowRun
from refsim.windows.state import WindowState, checked_state

_FORMAT = "refsim-state/4"
# What is raised for a file that is none, and for numbers that make no state.
_NO_STATE = (KeyError, IndexError, TypeError, ValueError, OverflowError, MemoryError)
_OPTIONS = ("max_spikes", "threads", "keep_state", "progress")


def resume(
    simulation: Simulation,
    duration: float,
    inputs: SpikeTrain | None = None,
    samples: Samples | tuple[Any, Any] | None = None,
    *,
    network: Network | None = None,
    **options: Any,
) -> Simulation:
    """Go on to a later end, with the spikes of a simulation that was never interrupted.

    Parameters
    ----------
    simulation : Simulation
        One that was run with ``keep_state``, the partial result of one that was interrupted, or
        what :func:`load_state` has read.
    duration : float
        New end in ms, from the same beginning.
    inputs : SpikeTrain, optional
        Further input spikes, later than the end so far; input spikes after the end that were
        given before count as well.
    samples : Samples or (neurons, times), optional
        Further voltages to read, later than the end so far.
    network : Network, optional
        Another network to go on with, of as many neurons and inputs and the same kinds of
        ports: with other weights, delays, synapses, currents or parameters. Voltages, currents
        and ends of refractoriness go on from what they are; spikes under way arrive with the
        weights and delays that held when they were sent. The event engine alone can do this,
        and the result holds what comes after the change, see :func:`without_past`.
    **options
        ``max_spikes`` of the spikes from time 0 on (by default a million more than so far),
        ``keep_state`` (on by default) and ``progress`` as for :func:`refsim.simulate`, and
        ``threads`` as for :class:`refsim.Windows`.

    Returns
    -------
    Simulation
        From time 0 to the new end, the same to the last bit as in one go (but for the number of
        searches). Of a simulation :func:`without_past`, what comes after it.

    Raises
    ------
    InvalidValueError
        If the simulation was run without ``keep_state``, an argument is not later than its
        end, there are more than ``max_spikes`` spikes already, or the network does not fit.
    """
    _check_simulation(simulation)
    state = _kept(simulation)
    for name in options:
        if name not in _OPTIONS:
            raise InvalidTypeError(
                f"resume got {name!r}; expected options among network, {', '.join(_OPTIONS)}"
            )
    end = checked_duration(duration)
    if end <= simulation.duration:
        raise InvalidValueError(
            f"duration is {end:g} ms; expected a later end than {simulation.duration:g} ms"
        )
    given = {"keep_state": True, **options}
    given["max_spikes"] = _limit(simulation, options.get("max_spikes"))
    given["samples"] = _with_samples(simulation, samples, end)
    given["inputs"] = _with_inputs(simulation, inputs)
    if isinstance(state, EventState):
        return _by_events(simulation, state, network, end, given)
    if network is not None:
        raise InvalidValueError(
            "network is given, and the state is one of the window engine; expected that of a "
            "simulation with engine=Events(), which alone goes on with another network"
        )
    return WindowTail(simulation, state, end, **given).execute()


def _by_events(
    simulation: Simulation, state: EventState, network: Any, end: float, given: dict[str, Any]
) -> Simulation:
    """Go on by events, if another network is given with that one."""
    checked_threads(given.pop("threads", None))  # there is one
    if network is None:
        queue = simulation.queue
        return EventTail(simulation, state, simulation.network, end, queue=queue, **given).execute()
    state = settled(simulation, state, checked_network(network))
    late = given["samples"].times > simulation.duration
    given["samples"] = Samples(given["samples"].neurons[late], given["samples"].times[late])
    past = replace(without_past(simulation), network=network, state=state)
    given["inputs"] = _of(given["inputs"], given["inputs"].times > simulation.duration)
    return EventTail(past, state, network, end, **given).execute()


class WindowTail(WindowRun):
    """A run of the window engine that goes on from a state."""

    def __init__(
        self,
        before: Simulation,
        state: WindowState,
        duration: float,
        inputs: SpikeTrain,
        samples: Samples,
        max_spikes: int,
        threads: int | None = None,
        **options: Any,
    ):
        first = before.counts.spikes - before.n_spikes  # spikes that are forgotten
        rows = slice(max(state.n_spikes - first, 0))
        order = np.argsort(before.samples.times, kind="stable")
        self.before = before
        self.base = min(first, state.n_spikes)
        question = Question(before.network, inputs, duration, samples, max_spikes, **options)
        super().__init__(
            question,
            Windows(threads),
            Resumed(state, self.base, before.spikes.part(rows), before.voltages[order]),
        )

    def result(self, duration: float) -> Simulation:
        """Return the simulation before, with what has come since."""
        tail, begin = super().result(duration), self.before.begin
        if begin == 0.0:
            return tail
        late = self.before.counts.spikes - self.base  # by number: times may move by their last bit
        known = int((self.before.inputs.times <= self.before.duration).sum())
        inputs = self.before.counts.inputs - known + tail.counts.inputs
        counts = tail.counts._replace(spikes=self.base + tail.n_spikes, inputs=inputs)
        return replace(
            tail,
            begin=begin,
            spikes=tail.spikes.part(slice(late, None)),
            counts=counts,
            origin=np.zeros(0, dtype=np.int64),
        )


def without_past(simulation: Simulation) -> Simulation:
    """Return the end of a simulation, without what led there: what a saved state holds.

    Spikes, samples and those input spikes are left out which have arrived. It can be resumed as the
    simulation can, and then holds what comes after. So a simulation of any length goes on in
    pieces, in the memory of one of them.

    Raises
    ------
    InvalidValueError
        If the simulation was run without ``keep_state``.
    """
    _check_simulation(simulation)
    state, inputs = _kept(simulation), simulation.inputs
    keep = inputs.times > simulation.duration
    if isinstance(state, WindowState):  # which lies before the end
        order = np.argsort(inputs.times, kind="stable")
        keep = np.ones(len(inputs), dtype=bool)
        keep[order[: state.n_inputs]] = False
        state = window_state.without_past(state)
    late = simulation.samples.times > simulation.duration
    samples = Samples(simulation.samples.neurons[late], simulation.samples.times[late])
    return replace(
        simulation,
        begin=simulation.duration,
        inputs=_of(inputs, keep),
        samples=samples,
        spikes=simulation.spikes.part(slice(0)),
        voltages=np.full(len(samples), np.nan),
        origin=np.zeros(0, dtype=np.int64),
        state=state,
    )


def _of(inputs: SpikeTrain, keep: NDArray[np.bool_]) -> SpikeTrain:
    """Return some of the input spikes."""
    return SpikeTrain(inputs.times[keep], inputs.sources[keep], inputs.n_inputs)


def _limit(simulation: Simulation, max_spikes: Any) -> int:
    """Return a limit of the spikes in all, by default a million more than there are."""
    before = simulation.counts.spikes
    if max_spikes is None:
        return before + MAX_SPIKES
    limit = integer("max_spikes", max_spikes, 1)
    if limit < before:
        raise InvalidValueError(
            f"max_spikes is {limit}, and there are {before} spikes already, which count; expected "
            "a limit of the spikes in all"
        )
    return limit


def _check_simulation(simulation: Any) -> None:
    if not isinstance(simulation, Simulation):
        raise InvalidTypeError(
            f"simulation is a {type(simulation).__name__}; expected a Simulation, or what "
            "refsim.load_state(network, path) returns"
        )


def _kept(simulation: Simulation) -> WindowState | EventState:
    if simulation.state is None:
        raise InvalidValueError(
            "this simulation has kept no state; expected one that was run with keep_state=True"
        )
    assert isinstance(simulation.state, WindowState | EventState)
    return simulation.state


def _with_inputs(simulation: Simulation, inputs: Any) -> SpikeTrain:
    """Return the input spikes given before, with further ones."""
    before = simulation.inputs
    if inputs is None:
        return before
    more = checked_inputs(inputs, before.n_inputs)
    early = np.flatnonzero(more.times <= simulation.duration)
    if early.size:
        i = int(early[0])
        raise InvalidValueError(
            f"inputs.times[{i}] is {more.times[i]:g} ms; expected spikes after the end so far, "
            f"{simulation.duration:g} ms"
        )
    return SpikeTrain(
        np.concatenate([before.times, more.times]),
        np.concatenate([before.sources, more.sources]),
        before.n_inputs,
    )


def _with_samples(simulation: Simulation, samples: Any, end: float) -> Samples:
    """Return the samples read before, with further ones."""
    before = simulation.samples
    more = checked_samples(samples, simulation.network.n_neurons, end)
    early = np.flatnonzero(more.times <= simulation.duration)
    if early.size:
        i = int(early[0])
        raise InvalidValueError(
            f"samples.times[{i}] is {more.times[i]:g} ms; expected times after the end so far, "
            f"{simulation.duration:g} ms"
        )
    return Samples(
        np.concatenate([before.neurons, more.neurons]), np.concatenate([before.times, more.times])
    )


def network_digest(network: Network) -> str:
    """Return a digest of all parameters of a network."""
    digest = hashlib.sha256()
    rows, number = network.rows
    for column in (*rows, number):
        digest.update(np.ascontiguousarray(column).tobytes())
    of_neurons = (field.name for field in fields(network) if field.name in OF_NEURONS)
    for name in (*of_neurons, "tau"):
        digest.update(np.ascontiguousarray(getattr(network, name)).tobytes())
    digest.update(repr((network.n_neurons, network.n_inputs, network.ports)).encode())
    return digest.hexdigest()


def save_state(simulation: Simulation, path: str | os.PathLike[str]) -> None:
    """Write what :func:`load_state` reads to a file, whole or not at all.

    What led to the state is not written, as if the simulation was :func:`without_past`.

    Raises
    ------
    InvalidValueError
        If the simulation was run without ``keep_state``.
    OutputError
        If the file cannot be written.
    """
    end = without_past(simulation)
    state = _kept(end)
    arrays: dict[str, Any] = {f"state_{name}": column for name, column in state._asdict().items()}
    arrays |= {
        "network": network_digest(end.network),
        "engine": end.engine,
        "queue": end.queue,
        "dt": end.dt,
        "duration": end.duration,
        "counts": np.array(end.counts),
        "input_times": end.inputs.times,
        "input_sources": end.inputs.sources,
        "sample_neurons": end.samples.neurons,
        "sample_times": end.samples.times,
    }
    write_arrays(path, _FORMAT, **arrays)


def load_state(network: Network, path: str | os.PathLike[str]) -> Simulation:
    """Read a state that :func:`save_state` has written, to go on from with :func:`resume`.

    Parameters
    ----------
    network : Network
        The network that was simulated.
    path : path
        The file.

    Returns
    -------
    Simulation
        The end of the simulation, without its past.

    Raises
    ------
    InvalidValueError
        If the file is not such a file, or of another network.
    """
    network = checked_network(network)
    where = checked_path(path)
    try:
        arrays = read_arrays(where, _FORMAT)
        digest = str(arrays["network"])
        saved = _of_arrays(network, arrays) if digest == network_digest(network) else None
    except _NO_STATE as error:
        raise InvalidValueError(
            f"path is {os.fspath(where)!r}, which holds no saved state ({error}); expected a file "
            "written by save_state"
        ) from None
    if saved is None:
        raise InvalidValueError(
            f"path is {os.fspath(where)!r}, the state of another network; expected that of "
            f"{network!r}, with equal parameters"
        )
    return saved


def _of_arrays(network: Network, arrays: dict[str, NDArray[Any]]) -> Simulation:
    """Return what a file says of a simulation; ValueError with a name for what it cannot mean."""
    engine, queue = str(arrays["engine"]), str(arrays["queue"])
    if (engine, queue) != ("windows", "none") and (engine != "events" or queue not in STRUCTURES):
        raise ValueError("engine")
    inputs = SpikeTrain(arrays["input_times"], arrays["input_sources"], network.n_inputs)
    duration = scalar("duration", arrays["duration"][()], 0.0, LONGEST, strict=True)
    samples = checked_samples(
        (arrays["sample_neurons"], arrays["sample_times"]), network.n_neurons, LONGEST
    )
    check("sample_times", samples.times, samples.times > duration, f"times after {duration} ms")
    dt = 0.0
    if arrays["dt"][()] != 0.0:
        dt = checked_dt(arrays["dt"][()], network, duration)
    counts = arrays["counts"]
    if counts.dtype != np.int64 or counts.shape != (5,) or np.any(counts < 0):
        raise ValueError("counts")
    known = EventCounts(*map(int, counts))
    state: WindowState | EventState
    if engine == "events":
        parts = {name: arrays[f"state_{name}"] for name in EventState._fields}
        state = checked_event_state(parts, network, duration, dt)
        check("input_times", inputs.times, inputs.times > duration, f"times after {duration} ms")
        check("counts", counts[:3], counts[:3] == state.counts[:3], "what the state counts")
    else:
        parts = {name: arrays[f"state_{name}"] for name in WindowState._fields}
        state = checked_state(parts, network, duration, known.spikes, len(inputs), len(samples))
    nothing = Spikes(np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))
    saved = Simulation(
        network=network,
        inputs=inputs,
        duration=duration,
        samples=samples,
        spikes=nothing,
        voltages=np.full(len(samples), np.nan),
        conditioning=Conditioning.of(nothing, np.inf, np.inf, np.inf),
        counts=known,
        queue=queue,
        engine=engine,
        engine_reason="a state was saved",
        dt=dt,
        losses=NoLosses(np.zeros(0, dtype=np.int64)),
        origin=np.zeros(0, dtype=np.int64),
        state=state,
        begin=duration,
    )
    if engine == "events":
        check_no_spike_is_left(saved)
    return saved
