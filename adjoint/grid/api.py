"""Vector-Jacobian and Jacobian-vector products of a simulation on a time grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from adjoint.grid.pieces import Pieces
from adjoint.grid.pullback import GridPullback
from adjoint.layout import kernel_tangents
from adjoint.pullback import check_finite
from adjoint.types import Parameters, Tangents, as_parameters
from refsim.grid.result import GridSimulation
from refsim.grid.run import GridRun
from refsim.grid.scheme import GridScheme
from refsim.network.inputs import Samples, SpikeTrain, checked_inputs
from refsim.network.network import Network
from refsim.question import MAX_SPIKES, checked_network


def grid_vjp(
    network: Network,
    inputs: SpikeTrain | None = None,
    duration: float | None = None,
    dt: float | None = None,
    *,
    samples: Samples | tuple[Any, Any] | None = None,
    scheme: GridScheme = GridScheme(),  # noqa: B008  (frozen)
    max_spikes: int = MAX_SPIKES,
) -> tuple[GridSimulation, GridPullback]:
    """Simulate on a time grid, and return the result with its vector-Jacobian product.

    Parameters
    ----------
    network, inputs, duration, dt, samples, scheme, max_spikes
        As for :func:`refsim.simulate_grid`.

    Returns
    -------
    simulation : GridSimulation
        The result.
    pullback : GridPullback
        ``pullback(time_bar=None, voltage_bar=None, wrt=None)`` takes the cotangents dL/d(spike
        time) (k,) and dL/d(sampled voltage) (V,), and returns the gradient of L by all parameters,
        or by those that ``wrt`` names: the transpose of the tangents of the scheme, see
        docs/grid.md. It can be called any number of times, and simulates again what it does not
        find in memory.

    Raises
    ------
    InvalidValueError, InvalidTypeError, SpikeLimitError, SimulationInterrupted
        As :func:`refsim.simulate_grid`. The pullback raises InvalidValueError for cotangents of the
        wrong shape, and UndefinedGradientError if a derivative leaves the range of float64.
    """
    run = GridRun(network, inputs, duration, dt, samples, scheme, max_spikes)
    pieces = Pieces(run)
    try:
        pieces.simulate()
    except KeyboardInterrupt:
        raise run.interrupted() from None
    simulation = run.finished()
    return simulation, GridPullback(run, pieces, simulation)


def grid_jvp(
    network: Network,
    inputs: SpikeTrain | None = None,
    duration: float | None = None,
    dt: float | None = None,
    tangents: Parameters | Mapping[str, ArrayLike] | None = None,
    *,
    samples: Samples | tuple[Any, Any] | None = None,
    scheme: GridScheme = GridScheme(),  # noqa: B008  (frozen)
    max_spikes: int = MAX_SPIKES,
) -> tuple[GridSimulation, Tangents]:
    """Simulate on a time grid, and carry a tangent of the parameters through the same steps.

    Parameters
    ----------
    network, inputs, duration, dt, samples, scheme, max_spikes
        As for :func:`refsim.simulate_grid`.
    tangents : Parameters or mapping
        Direction: names of parameters (as in Parameters) and arrays of their shapes; those not
        given are zero.

    Returns
    -------
    simulation : GridSimulation
        The result, the same to the last bit as without tangents.
    tangents : Tangents
        Tangents of the spike times (k,) and of the sampled voltages (V,).

    Raises
    ------
    UndefinedGradientError
        If a tangent leaves the range of float64; others as :func:`refsim.simulate_grid`.
    """
    n_input_spikes = len(checked_inputs(inputs, checked_network(network).n_inputs))
    direction = as_parameters(
        "tangents", {} if tangents is None else tangents, network, n_input_spikes
    )
    carried = kernel_tangents(network, direction)
    run = GridRun(network, inputs, duration, dt, samples, scheme, max_spikes, carried)
    run.work.state_dot.v[:] = direction.v0
    simulation = run.execute()
    voltage = np.zeros(len(simulation.samples))
    voltage[run.sample_order] = run.problem.samples.tangent
    result = Tangents(run.work.tape.tangent[run.rows()], voltage)
    check_finite("tangents", result._asdict().items())
    return simulation, result
