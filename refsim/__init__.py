"""Exact event-driven simulation of spiking neural networks.

Times in ms, rates in Hz, voltages in the unit of the user. See ``adjoint`` for gradients.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from refsim._version import __version__
from refsim.neighbours import check_neighbour, warn_of

if TYPE_CHECKING:
    from refsim.batch.simulate import simulate_batch
    from refsim.engine import simulate
    from refsim.errors import (
        IllConditionedWarning,
        InvalidTypeError,
        InvalidValueError,
        MissingExtraError,
        RefsimError,
        SimulationInterrupted,
        SpikeLimitError,
        UndefinedGradientError,
    )
    from refsim.events.options import Events
    from refsim.files.output import OutputError
    from refsim.grid.result import GridSimulation
    from refsim.grid.scheme import Grid, GridScheme
    from refsim.layers.options import Layers
    from refsim.long.continuation import load_state, resume, save_state, without_past
    from refsim.long.recording import Recording, record
    from refsim.network.connect import all_to_all, connect, from_matrix, layered, random
    from refsim.network.inputs import Samples, SpikeTrain, poisson_inputs
    from refsim.network.network import Network
    from refsim.network.ports import DoubleExpPort, ExpPort
    from refsim.network.synapses import PackedSynapses, Synapses
    from refsim.results.batch import BatchResult
    from refsim.results.result import Conditioning, EventCounts, Result, Spikes, Trace
    from refsim.results.simulation import Simulation
    from refsim.transit.lossy import Lossy
    from refsim.windows.options import Windows

# Loaded on first use: Numba alone takes longer to import than the rest together.
_HOMES = {
    "Conditioning": "results.result",
    "EventCounts": "results.result",
    "Recording": "long.recording",
    "Spikes": "results.result",
    "Trace": "results.result",
    "BatchResult": "results.batch",
    "IllConditionedWarning": "errors",
    "InvalidTypeError": "errors",
    "InvalidValueError": "errors",
    "MissingExtraError": "errors",
    "OutputError": "files.output",
    "RefsimError": "errors",
    "SimulationInterrupted": "errors",
    "SpikeLimitError": "errors",
    "UndefinedGradientError": "errors",
    "Samples": "network.inputs",
    "SpikeTrain": "network.inputs",
    "poisson_inputs": "network.inputs",
    "Events": "events.options",
    "Grid": "grid.scheme",
    "GridScheme": "grid.scheme",
    "Layers": "layers.options",
    "Windows": "windows.options",
    "Result": "results.result",
    "GridSimulation": "grid.result",
    "Lossy": "transit.lossy",
    "Network": "network.network",
    "DoubleExpPort": "network.ports",
    "ExpPort": "network.ports",
    "simulate": "engine",
    "simulate_batch": "batch.simulate",
    "record": "long.recording",
    "resume": "long.continuation",
    "load_state": "long.continuation",
    "save_state": "long.continuation",
    "without_past": "long.continuation",
    "PackedSynapses": "network.synapses",
    "Simulation": "results.simulation",
    "Synapses": "network.synapses",
    "all_to_all": "network.connect",
    "connect": "network.connect",
    "from_matrix": "network.connect",
    "layered": "network.connect",
    "random": "network.connect",
}

_SUBMODULES = ("cases", "plot")

__all__ = [
    "BatchResult",
    "Conditioning",
    "DoubleExpPort",
    "EventCounts",
    "Events",
    "ExpPort",
    "Grid",
    "GridScheme",
    "GridSimulation",
    "IllConditionedWarning",
    "InvalidTypeError",
    "InvalidValueError",
    "Layers",
    "Lossy",
    "MissingExtraError",
    "Network",
    "OutputError",
    "PackedSynapses",
    "Recording",
    "RefsimError",
    "Result",
    "Samples",
    "Simulation",
    "SimulationInterrupted",
    "SpikeLimitError",
    "SpikeTrain",
    "Spikes",
    "Synapses",
    "Trace",
    "UndefinedGradientError",
    "Windows",
    "__version__",
    "all_to_all",
    "connect",
    "from_matrix",
    "layered",
    "load_state",
    "poisson_inputs",
    "random",
    "record",
    "resume",
    "save_state",
    "simulate",
    "simulate_batch",
    "without_past",
]


check_neighbour("queues")
warn_of("adjoint")  # `import adjoint` would find something without a word


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"refsim.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'refsim' has no attribute {name!r}")
    value = getattr(import_module(f"refsim.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBMODULES])
