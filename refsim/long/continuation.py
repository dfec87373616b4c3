"""Going on with a simulation: from its state in memory, or from a file."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queues.exact.dispatch import STRUCTURES
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.events.state import EventState, checked_event_state
from refsim.events.tail import EventTail, check_no_spike_is_left, settled
from refsim.files.arrays import open_arrays
from refsim.files.output import checked_path, write_whole
from refsim.files.saved_columns import check
from refsim.network.inputs import Samples, SpikeTrain, checked_inputs, checked_samples
from refsim.network.network import Network
from refsim.question import MAX_SPIKES, Question, checked_dt, checked_duration, checked_network
from refsim.results.simulation import Conditioning, EventCounts, Simulation, Spikes
from refsim.transit.lossy import NoLosses
from refsim.types import Tape
from refsim.validate import LONGEST, integer, scalar
from refsim.windows.run import Resumed, WindowRun
from refsim.windows.state import WindowState, checked_state, without_past

_FORMAT = "refsim-state/3"
# What is raised for a file that is none, and for numbers that make no state.
_NO_STATE = (KeyError, IndexError, TypeError, ValueError, OverflowError, MemoryError)
_OPTIONS = ("max_spikes", "threads", "keep_state", "progress")


def continued(
    simulation: Simulation,
    duration: Any,
    inputs: Any,
    samples: Any,
    network: Any = None,
    **options: Any,
) -> Simulation:
    """Return a simulation continued to ``duration``; see :meth:`Simulation.continue_`."""
    state = _kept(simulation)
    for name in options:
        if name not in _OPTIONS:
            raise InvalidTypeError(
                f"continue_ got {name!r}; expected options among network, {', '.join(_OPTIONS)}"
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
            "simulation with engine='event', which alone goes on with another network"
        )
    return WindowTail(simulation, state, end, **given).execute()


def _by_events(
    simulation: Simulation, state: EventState, network: Any, end: float, given: dict[str, Any]
) -> Simulation:
    """Go on by events, if another network is given with that one."""
    if network is None:
        queue = simulation.queue
        return EventTail(simulation, state, simulation.network, end, queue=queue, **given).execute()
    state = settled(simulation, state, checked_network(network))
    late = given["samples"].times > simulation.duration
    given["samples"] = Samples(given["samples"].neurons[late], given["samples"].times[late])
    past = replace(forgotten(simulation), network=network, state=state)
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
        **options: Any,
    ):
        first = before.counts.spikes - before.n_spikes  # spikes that are forgotten
        rows = slice(max(state.n_spikes - first, 0))
        order = np.argsort(before.samples.times, kind="stable")
        self.before = before
        self.base = min(first, state.n_spikes)
        question = Question(
            before.network, inputs, duration, samples, max_spikes=max_spikes, **options
        )
        super().__init__(
            question, Resumed(state, self.base, before.spikes.part(rows), before.voltages[order])
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


def forgotten(simulation: Simulation) -> Simulation:
    """Return the end of a simulation without its past; see :meth:`Simulation.forgotten`."""
    state, inputs = _kept(simulation), simulation.inputs
    keep = inputs.times > simulation.duration
    if isinstance(state, WindowState):  # which lies before the end
        order = np.argsort(inputs.times, kind="stable")
        keep = np.ones(len(inputs), dtype=bool)
        keep[order[: state.n_inputs]] = False
        state = without_past(state)
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
    for name in ("tau_m", "v_rest", "v_th", "v_reset", "i_ext", "t_ref", "v0", "tau"):
        digest.update(np.ascontiguousarray(getattr(network, name)).tobytes())
    digest.update(repr((network.n_neurons, network.n_inputs, network.ports)).encode())
    return digest.hexdigest()


def save_state(simulation: Simulation, path: str | os.PathLike[str]) -> None:
    """Write the state of a simulation; see :meth:`Simulation.save_state`."""
    end = forgotten(simulation)
    state = _kept(end)
    arrays: dict[str, Any] = {f"state_{name}": column for name, column in state._asdict().items()}
    arrays |= {
        "format": _FORMAT,
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
    write_whole(path, lambda stream: np.savez(stream, **arrays), binary=True)


def resume(
    network: Network,
    path: str | os.PathLike[str],
    duration: float,
    inputs: SpikeTrain | None = None,
    samples: Samples | tuple[Any, Any] | None = None,
    *,
    changed: Network | None = None,
    **options: Any,
) -> Simulation:
    """Go on with a simulation whose state was saved with :meth:`Simulation.save_state`.

    Parameters
    ----------
    network : Network
        The network that was simulated.
    path : path
        The file.
    duration, inputs, samples, **options
        As for :meth:`Simulation.continue_`.
    changed : Network, optional
        Another network to go on with, as ``network`` of :meth:`Simulation.continue_`.

    Returns
    -------
    Simulation
        What comes after the saved simulation: spikes, voltages and rates from its end on.

    Raises
    ------
    InvalidValueError
        If the file is not such a file, or of another network; others as
        :meth:`Simulation.continue_`.
    """
    saved = _load(checked_network(network), path)
    return continued(saved, duration, inputs, samples, changed, **options)


def _load(network: Network, path: Any) -> Simulation:
    """Return the simulation of a file, as far as going on with it needs."""
    where = checked_path(path)
    try:
        arrays = _arrays(where)
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


def _arrays(where: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file of the right format, which is looked at first."""
    with open_arrays(where) as file:
        found = str(file.read("format"))
        if found != _FORMAT:
            raise ValueError(f"its format is {found[:40]!r}, and not {_FORMAT!r}")
        return {name: file.read(name) for name in file}


def _of_arrays(network: Network, arrays: dict[str, NDArray[Any]]) -> Simulation:
    """Return what a file says of a simulation; ValueError with a name for what it cannot mean."""
    engine, queue = str(arrays["engine"]), str(arrays["queue"])
    if (engine, queue) != ("window", "none") and (engine != "event" or queue not in STRUCTURES):
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
    if engine == "event":
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
        conditioning=Conditioning.of(Tape(*nothing, np.zeros(0)), np.inf, np.inf, np.inf),
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
    if engine == "event":
        check_no_spike_is_left(saved)
    return saved
