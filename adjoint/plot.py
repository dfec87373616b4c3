"""Pictures of derivatives; needs the extra ``plot``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adjoint.api import simulated_along, warn_of_conditioning
from adjoint.names import ParameterName
from adjoint.types import as_parameters
from refsim.cases import gradient_sizes
from refsim.engine import run_of, simulate
from refsim.errors import InvalidValueError
from refsim.network.inputs import Samples, SpikeTrain
from refsim.network.network import Network
from refsim.network.parameters import IN_MS
from refsim.plot import (
    BLUE,
    GREY,
    TIME_LABEL,
    VERMILION,
    VOLTAGE_LABEL,
    Pieces,
    axes,
    between_spikes,
    draw_threshold,
)
from refsim.question import Question
from refsim.results.simulation import Simulation
from refsim.validate import choice, integer, scalar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["sensitivity"]

_HALF_WIDTH = 0.08  # of the default band at its median, as a share of v_th - v_reset


def __dir__() -> list[str]:
    return sorted(__all__)


def sensitivity(
    network: Network,
    inputs: SpikeTrain | None,
    duration: float,
    neuron: int,
    parameter: ParameterName,
    index: int = 0,
    *,
    epsilon: float | None = None,
    step: float = 0.1,
    ax: Axes | None = None,
) -> Axes:
    """Draw a voltage with its exact sensitivity to one parameter p as a shaded band.

    The band is V +- epsilon dV/dp, from a Jacobian-vector product at dense samples; the thin line
    is the edge V + epsilon dV/dp, and shows the sign. The title names p and epsilon, or says that
    the derivative is zero at all times. The derivative is taken at fixed time: where
    p moves a spike time t_k, it jumps from dV_th/dp - V'(t_k-) dt_k/dp to the value after the
    reset, so the curves break there. The picture is in the manner of figure 2 of "EventQueues:
    Autodifferentiable spike event queues for brain simulation on AI accelerators",
    arXiv 2512.05906.

    Parameters
    ----------
    network, inputs, duration
        As for :func:`refsim.simulate`.
    neuron : int
        Neuron to draw.
    parameter : str
        Group of the parameter, such as "weight" or "delay": a field of Parameters.
    index : int
        Entry of the group.
    epsilon : float, optional
        Change of the parameter that the band shows; by default a round one that gives a legible
        band.
    step : float
        Distance of points in ms; spikes are drawn where they are.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        With the band and four lines: its edge, voltage, threshold and spike marks.
    """
    ax = axes(ax)
    plain = simulate(network, inputs, duration)
    neuron = integer("neuron", neuron, 0, network.n_neurons - 1)
    warn_of_conditioning(plain)  # that samples lie at spikes is our doing
    direction = _unit(plain, parameter, index)
    pieces = between_spikes(plain, neuron, step)
    time, voltage, voltage_dot = _dense(plain, neuron, pieces, {parameter: direction})
    span = float(network.v_th[neuron] - network.v_reset[neuron])
    step = _default_step(voltage_dot, span) if epsilon is None else scalar("epsilon", epsilon)
    edge = voltage + step * voltage_dot
    ax.fill_between(
        time,
        voltage - step * voltage_dot,
        edge,
        color=VERMILION,
        alpha=0.25,
        linewidth=0.0,
        label="V ± ε dV/dp",
    )
    ax.plot(time, edge, color=VERMILION, linewidth=0.9, label="V + ε dV/dp")
    ax.plot(time, voltage, color=BLUE, linewidth=1.6, label=f"V of neuron {neuron}")
    draw_threshold(ax, plain, neuron, GREY)
    ax.set_xlim(0.0, plain.duration)
    # The legend has the room above.
    ax.set_ylim(np.nanmin(voltage) - 0.3 * span, np.nanmax(voltage) + 0.5 * span)
    ax.set_xlabel(TIME_LABEL)
    ax.set_ylabel(VOLTAGE_LABEL)
    unit = " ms" if parameter in IN_MS else ""
    moves = bool(np.nanmax(np.abs(voltage_dot)) > 0.0)
    size = f"ε = {step:.3g}{unit}" if moves else "dV/dp = 0 at all times"
    ax.set_title(f"Sensitivity to p = {parameter}[{index}], {size}", loc="left")
    ax.legend(loc="upper right", ncols=3, fontsize="small", frameon=False, handlelength=1.5)
    return ax


def _unit(simulation: Simulation, parameter: str, index: int) -> NDArray[np.float64]:
    """Return the direction of one parameter."""
    sizes = gradient_sizes(simulation.network, len(simulation.inputs))
    size = sizes[choice("parameter", parameter, sizes)]
    if not size:
        raise InvalidValueError(f"parameter is {parameter!r}, of which there are none here")
    direction = np.zeros(size)
    direction[integer("index", index, 0, size - 1)] = 1.0
    return direction


def _dense(
    plain: Simulation, neuron: int, pieces: Pieces, tangents: dict[str, NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return times, voltages and their tangents, with a nan at the jump of each spike."""
    samples = Samples(np.full(len(pieces.time), neuron), pieces.time)
    question = Question(plain.network, plain.inputs, plain.duration, samples)
    direction = as_parameters("tangents", tangents, plain.network, len(plain.inputs))
    simulation, tangents_of = simulated_along(run_of(question), direction)
    dot = tangents_of()
    voltage, voltage_dot = simulation.voltages.copy(), dot.voltage.copy()
    # V(t_k) = v_th for every p, hence the voltage at a fixed time just before the spike moves so.
    rows = np.flatnonzero(simulation.spikes.neuron == neuron)
    v_th_dot = tangents["v_th"][neuron] if "v_th" in tangents else 0.0
    voltage[pieces.is_end] = plain.network.v_th[neuron]
    voltage_dot[pieces.is_end] = v_th_dot - simulation.spikes.slope_before[rows] * dot.time[rows]
    gaps = np.flatnonzero(pieces.is_end) + 1
    time, voltage, voltage_dot = (
        np.insert(row, gaps, np.nan) for row in (pieces.time, voltage, voltage_dot)
    )
    return time, voltage, voltage_dot


def _default_step(voltage_dot: NDArray[np.float64], span: float) -> float:
    """Return a change of the parameter whose band is legible wherever it is not empty."""
    sizes = np.abs(voltage_dot[np.isfinite(voltage_dot)])
    sizes = sizes[sizes > 1e-9 * sizes.max()] if sizes.size else sizes
    return _rounded(_HALF_WIDTH * span / float(np.median(sizes))) if sizes.size else 1.0


def _rounded(value: float) -> float:
    """Return the nearest of 1, 2, 5, 10, ... to a positive value, if there is one."""
    decade = 10.0 ** np.floor(np.log10(value)) if 0.0 < value < np.inf else np.nan
    choices = decade * np.array([1.0, 2.0, 5.0, 10.0])
    if not np.all(np.isfinite(choices) & (choices > 0.0)):
        return value
    return float(choices[np.argmin(np.abs(np.log(choices / value)))])
