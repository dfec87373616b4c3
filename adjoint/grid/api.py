"""Vector-Jacobian and Jacobian-vector products of a simulation on a time grid."""

from __future__ import annotations

import numpy as np

from adjoint.grid.pieces import PiecesRun
from adjoint.grid.pullback import GridPullback
from adjoint.layout import kernel_tangents
from adjoint.pullback import check_finite
from adjoint.types import Parameters, Tangents
from refsim.grid.result import GridSimulation
from refsim.grid.run import GridRun
from refsim.grid.scheme import Grid
from refsim.question import Question


def grid_vjp(question: Question, grid: Grid) -> tuple[GridSimulation, GridPullback]:
    """Simulate on a time grid, and return the result with its vector-Jacobian product."""
    run = PiecesRun(question, grid)
    simulation = run.execute()
    return simulation, GridPullback(run, simulation)


def grid_jvp(
    question: Question, grid: Grid, direction: Parameters
) -> tuple[GridSimulation, Tangents]:
    """Simulate on a time grid, and carry a tangent of the parameters through the same steps."""
    run = GridRun(question, grid, kernel_tangents(question.network, direction))
    run.work.state_dot.v[:] = direction.v0
    simulation = run.execute()
    voltage = np.zeros(len(simulation.samples))
    voltage[run.sample_order] = run.problem.samples.tangent
    result = Tangents(run.work.tape.tangent[run.rows()], voltage)
    check_finite("tangents", result._asdict().items())
    return simulation, result
