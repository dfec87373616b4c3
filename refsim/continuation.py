"""Going on with a simulation: from its state in memory, or from a file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refsim.array_files import open_arrays
from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.files import checked_path, write_whole
from refsim.inputs import Samples, SpikeTrain, checked_inputs, checked_samples
from refsim.network import Network
from refsim.simulation import Simulation, Spikes
from refsim.validate import LONGEST, check_indices, integer, scalar
from refsim.window_engine import Resumed
from refsim.window_state import WindowState, checked_state

_FORMAT = "refsim-state/2"
# What is raised for a file that is none, and for numbers that make no state.
_NO_STATE = (KeyError, IndexError, TypeError, ValueError, OverflowError, MemoryError)
_OPTIONS = ("max_spikes", "threads", "keep_state", "progress")


def continued(
    simulation: Simulation, duration: Any, inputs: Any, samples: Any, **options: Any
) -> Simulation:
    """Return a simulation continued to ``duration``; see :meth:`Simulation.continue_`."""
    from refsim.engine import Run, checked_duration

    state = _kept(simulation)
    for name in options:
        if name not in _OPTIONS:
            raise InvalidTypeError(
                f"continue_ got {name!r}; expected options among {', '.join(_OPTIONS)}"
            )
    end = checked_duration(duration)
    if end <= simulation.duration:
        raise InvalidValueError(
            f"duration is {end:g} ms; expected a later end than {simulation.duration:g} ms"
        )
    all_samples = _with_samples(simulation, samples, end)
    order = np.argsort(simulation.samples.times, kind="stable")
    run = Run(
        simulation.network,
        _with_inputs(simulation, inputs),
        end,
        all_samples,
        "auto",
        None,
        _limit(simulation, options.get("max_spikes")),
        engine="window",
        threads=options.get("threads"),
        keep_state=options.get("keep_state", True),
        progress=options.get("progress", False),
        resumed=Resumed(state, simulation.spikes, simulation.voltages[order]),
    )
    return run.execute()


def _limit(simulation: Simulation, max_spikes: Any) -> int:
    """Return a limit of the spikes in all, by default a million more than there are."""
    from refsim.engine import MAX_SPIKES

    before = simulation.n_spikes
    if max_spikes is None:
        return before + MAX_SPIKES
    limit = integer("max_spikes", max_spikes, 1)
    if limit < before:
        raise InvalidValueError(
            f"max_spikes is {limit}, and there are {before} spikes already, which count; expected "
            "a limit of the spikes in all"
        )
    return limit


def _kept(simulation: Simulation) -> WindowState:
    if simulation.state is None:
        raise InvalidValueError(
            "this simulation has kept no state; expected one that was run with keep_state=True"
        )
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
    """Write a simulation and its state; see :meth:`Simulation.save_state`."""
    state = _kept(simulation)
    arrays: dict[str, Any] = {f"state_{name}": column for name, column in state._asdict().items()}
    arrays |= {f"spikes_{name}": column for name, column in simulation.spikes._asdict().items()}
    arrays |= {
        "format": _FORMAT,
        "network": network_digest(simulation.network),
        "duration": simulation.duration,
        "input_times": simulation.inputs.times,
        "input_sources": simulation.inputs.sources,
        "sample_neurons": simulation.samples.neurons,
        "sample_times": simulation.samples.times,
        "voltages": simulation.voltages,
    }
    write_whole(path, lambda stream: np.savez(stream, **arrays), binary=True)


def resume(
    network: Network,
    path: str | os.PathLike[str],
    duration: float,
    inputs: SpikeTrain | None = None,
    samples: Samples | tuple[Any, Any] | None = None,
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

    Raises
    ------
    InvalidValueError
        If the file is not such a file, or of another network; others as
        :meth:`Simulation.continue_`.
    """
    from refsim.engine import checked_network

    saved = _load(checked_network(network), path)
    return continued(saved, duration, inputs, samples, **options)


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
        if str(file.read("format")) != _FORMAT:
            raise ValueError("format")
        return {name: file.read(name) for name in file}


def _of_arrays(network: Network, arrays: dict[str, NDArray[Any]]) -> Simulation:
    """Return what a file says of a simulation; ValueError with a name for what it cannot mean."""
    inputs = SpikeTrain(arrays["input_times"], arrays["input_sources"], network.n_inputs)
    samples = checked_samples(
        (arrays["sample_neurons"], arrays["sample_times"]), network.n_neurons, LONGEST
    )
    spikes = Spikes(**{name: arrays[f"spikes_{name}"] for name in Spikes._fields})
    voltages = arrays["voltages"]
    duration = scalar("duration", arrays["duration"][()], 0.0, LONGEST)
    for name, column in (*spikes._asdict().items(), ("voltages", voltages)):
        kind = np.int64 if name == "neuron" else np.float64
        size = len(samples) if name == "voltages" else len(spikes.time)
        if column.dtype != kind or column.shape != (size,):
            raise ValueError(name)
    if not np.isfinite(spikes.time).all() or np.any(np.diff(spikes.time) < 0.0):
        raise ValueError("time")
    check_indices("neuron", spikes.neuron, network.n_neurons)
    parts = {name: arrays[f"state_{name}"] for name in WindowState._fields}
    state = checked_state(parts, network, len(spikes.time), len(inputs), len(samples))
    return Simulation.of_state(network, inputs, duration, samples, spikes, voltages, state)
