"""The reference of a back end with known rules of a time grid: our engine with the same rules.

Its answers are judged to rounding, as those of back ends without a grid are by the exact engine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.api import vjp
from adjoint.check import Evaluation
from refsim.cases import Case
from refsim.grid.scheme import Grid, GridScheme
from refsim.results.result import Conditioning
from validation.comparison.backend import LossCotangents


@dataclass(frozen=True, eq=False)
class GridEvaluation(Evaluation):
    """A case with our spikes and gradient on a time grid.

    Attributes
    ----------
    case : Case
        The case, with cotangents for the spikes on the grid.
    simulation : GridSimulation
        Our result.
    pullback : GridPullback
        Our vector-Jacobian product.
    """

    simulation: Any
    pullback: Any

    def pattern(self) -> NDArray[np.int64]:
        """Return (neuron, step) of all spikes, which moves that matter little leave alone."""
        return np.stack([self.simulation.spikes.neuron, self.simulation.spike_step])

    def nearby(self, case: Case) -> tuple[Any, Any]:
        """Simulate a case by the same rules; return the result and its vector-Jacobian product."""
        return simulated(case, self.simulation.dt, self.simulation.scheme)


def simulated(case: Case, dt: float, scheme: GridScheme) -> tuple[Any, Any]:
    """Simulate a case on a grid; return the result and its vector-Jacobian product."""
    return vjp(
        case.network,
        case.inputs,
        case.duration,
        samples=case.samples,
        engine=Grid(dt, scheme=scheme),
    )


def grid_evaluation(reference: Evaluation, dt: float, scheme: GridScheme) -> GridEvaluation:
    """Evaluate a case on a grid; a spike has the cotangent that it has without the grid, or 0."""
    case = reference.case
    simulation, pullback = simulated(case, dt, scheme)
    exact = LossCotangents.of(case, reference.simulation.spikes.neuron)
    time_bar = exact.of_spikes(simulation.spikes.neuron)
    return GridEvaluation(replace(case, time_bar=time_bar), simulation, pullback)


def conditioning_of(reference: Evaluation) -> Conditioning:
    """Return how near a case is to a change of its spikes, nan on a grid: there are no slopes."""
    if isinstance(reference, GridEvaluation):
        return Conditioning(np.nan, -1, np.nan, np.nan, np.nan)
    return reference.simulation.conditioning
