"""Going on with a simulation: from its state in memory, or from a file."""

from __future__ import annotations

import hashlib
import os
import zipfile
from typing import Any

import numpy as np

from refsim.errors import InvalidTypeError, InvalidValueError
from refsim.files import checked_path, write_whole
from refsim.inputs import Samples, SpikeTrain, checked_inputs, checked_samples
from refsim.network import Network
from refsim.simulation import Simulation, Spikes
from refsim.window_engine import Resumed
from refsim.window_state import WindowState

_FORMAT = "refsim-state/1"
_OPTIONS = ("max_spikes", "threads", "keep_state", "progress")


def continued(
    simulation: Simulation, duration: Any, inputs: Any, samples: Any, **options: Any
) -> Simulation:
    """Return a simulation continued to ``duration``; see :meth:`Simulation.continue_`."""
    from refsim.engine import MAX_SPIKES, Run, checked_duration

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
        options.get("max_spikes", MAX_SPIKES),
        engine="window",
        threads=options.get("threads"),
        keep_state=options.get("keep_state", True),
        progress=options.get("progress", False),
        resumed=Resumed(state, simulation.spikes, simulation.voltages[order]),
    )
    return run.execute()


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
        with np.load(where, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if str(arrays["format"]) != _FORMAT:
            raise KeyError("format")
        state = WindowState(**{name: arrays[f"state_{name}"] for name in WindowState._fields})
        spikes = Spikes(**{name: arrays[f"spikes_{name}"] for name in Spikes._fields})
        inputs = SpikeTrain(arrays["input_times"], arrays["input_sources"], network.n_inputs)
        samples = Samples(arrays["sample_neurons"], arrays["sample_times"])
        duration, digest = float(arrays["duration"]), str(arrays["network"])
        voltages = arrays["voltages"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InvalidValueError(
            f"path is {os.fspath(where)!r}, which holds no saved state ({error}); expected a file "
            "written by save_state"
        ) from None
    if digest != network_digest(network):
        raise InvalidValueError(
            f"path is {os.fspath(where)!r}, the state of another network; expected that of "
            f"{network!r}, with equal parameters"
        )
    return Simulation.of_state(network, inputs, duration, samples, spikes, voltages, state)
