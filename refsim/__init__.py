"""Exact event-driven simulation of spiking neural networks.

Times in ms, rates in Hz, voltages in the unit of the user. See ``adjoint`` for gradients.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from refsim._version import __version__
from refsim.neighbours import check_neighbour, warn_of

if TYPE_CHECKING:
    from refsim.batch import BatchResult
    from refsim.batch_engine import simulate_batch
    from refsim.continuation import resume
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
    from refsim.files import OutputError
    from refsim.grid_engine import simulate_grid
    from refsim.grid_scheme import GridScheme
    from refsim.grid_simulation import GridSimulation
    from refsim.inputs import Samples, SpikeTrain, poisson_inputs
    from refsim.lossy import Lossy
    from refsim.network import Network
    from refsim.packed import PackedSynapses
    from refsim.ports import DoubleExpPort, ExpPort
    from refsim.recording import record
    from refsim.simulation import Simulation
    from refsim.synapses import Synapses, all_to_all, connect, from_matrix, layered, random

# Loaded on first use: Numba alone takes longer to import than the rest together.
_HOMES = {
    "BatchResult": "batch",
    "IllConditionedWarning": "errors",
    "InvalidTypeError": "errors",
    "InvalidValueError": "errors",
    "MissingExtraError": "errors",
    "OutputError": "files",
    "RefsimError": "errors",
    "SimulationInterrupted": "errors",
    "SpikeLimitError": "errors",
    "UndefinedGradientError": "errors",
    "Samples": "inputs",
    "SpikeTrain": "inputs",
    "poisson_inputs": "inputs",
    "GridScheme": "grid_scheme",
    "GridSimulation": "grid_simulation",
    "Lossy": "lossy",
    "Network": "network",
    "DoubleExpPort": "ports",
    "ExpPort": "ports",
    "simulate": "engine",
    "simulate_batch": "batch_engine",
    "simulate_grid": "grid_engine",
    "record": "recording",
    "resume": "continuation",
    "PackedSynapses": "packed",
    "Simulation": "simulation",
    "Synapses": "synapses",
    "all_to_all": "synapses",
    "connect": "synapses",
    "from_matrix": "synapses",
    "layered": "synapses",
    "random": "synapses",
}

_SUBMODULES = ("cases", "plot")

__all__ = [
    "BatchResult",
    "DoubleExpPort",
    "ExpPort",
    "GridScheme",
    "GridSimulation",
    "IllConditionedWarning",
    "InvalidTypeError",
    "InvalidValueError",
    "Lossy",
    "MissingExtraError",
    "Network",
    "OutputError",
    "PackedSynapses",
    "RefsimError",
    "Samples",
    "Simulation",
    "SimulationInterrupted",
    "SpikeLimitError",
    "SpikeTrain",
    "Synapses",
    "UndefinedGradientError",
    "__version__",
    "all_to_all",
    "connect",
    "from_matrix",
    "layered",
    "poisson_inputs",
    "random",
    "record",
    "resume",
    "simulate",
    "simulate_batch",
    "simulate_grid",
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
