"""Pictures of derivatives; needs the extra ``plot``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adjoint.api import jvp
from refsim.cases import gradient_sizes
from refsim.engine import checked_network
from refsim.errors import InvalidValueError
from refsim.inputs import Samples, SpikeTrain, checked_inputs
from refsim.plot import BLUE, GREY, VERMILION, Pieces, axes, between_spikes, draw_threshold
from refsim.simulation import Simulation
from refsim.validate import choice, integer, scalar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HALF_WIDTH = 0.08  # of the default band at its median, as a share of v_th - v_reset


def sensitivity(
    network: object,
    inputs: SpikeTrain | None,
    duration: float,
    neuron: int,
    parameter: str,
    index: int = 0,
    *,
    epsilon: float | None = None,
    dt: float = 0.1,
    ax: Axes | None = None,
) -> Axes:
    r"""Draw a voltage with its exact sensitivity to one parameter p as a shaded band.

    The band is V +- epsilon dV/dp, from a Jacobian-vector product at dense samples; the thin line
    is the edge V + epsilon dV/dp, and shows the sign. The derivative is taken at fixed time: where
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
        Change of the parameter that the band shows; by default one that gives a legible band.
    dt : float
        Distance of points in ms; spikes are drawn where they are.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        With the band and four lines: its edge, voltage, threshold and spike marks.
    """
    ax = axes(ax)
    checked = checked_network(network)
    neuron = integer("neuron", neuron, 0, checked.n_neurons - 1)
    sizes = gradient_sizes(checked, len(checked_inputs(inputs, checked.n_inputs)))
    size = sizes[choice("parameter", parameter, sizes)]
    if not size:
        raise InvalidValueError(f"parameter is {parameter!r}; the network has none of them")
    direction = np.zeros(size)
    direction[integer("index", index, 0, size - 1)] = 1.0

    plain, _ = jvp(checked, inputs, duration)
    pieces = between_spikes(plain, neuron, dt)
    samples = Samples(np.full(len(pieces.time), neuron), pieces.time)
    simulation, tangents = jvp(checked, inputs, duration, {parameter: direction}, samples=samples)
    voltage, voltage_dot = simulation.voltages.copy(), tangents.voltage.copy()
    _set_before_spikes(
        simulation, neuron, pieces, voltage, voltage_dot, tangents.time,
        v_th_dot=direction[neuron] if parameter == "v_th" else 0.0,
    )  # fmt: skip
    span = float(checked.v_th[neuron] - checked.v_reset[neuron])
    half = _epsilon(epsilon, voltage_dot, span) * voltage_dot

    # A nan after the moment before each spike breaks the curves.
    gaps = np.flatnonzero(pieces.is_end) + 1
    time, middle, half = (np.insert(row, gaps, np.nan) for row in (pieces.time, voltage, half))
    step = _epsilon(epsilon, voltage_dot, span)
    name = f"{parameter}[{index}]"
    ax.fill_between(
        time, middle - half, middle + half, color=VERMILION, alpha=0.25, linewidth=0,
        label=f"V ± {step:.2g} dV/d{name}",
    )  # fmt: skip
    ax.plot(time, middle + half, color=VERMILION, linewidth=0.8, alpha=0.9)
    ax.plot(time, middle, color=BLUE, linewidth=1.5, label=f"V of neuron {neuron}")
    draw_threshold(ax, simulation, neuron, GREY)
    ax.set_xlim(0.0, simulation.duration)
    ax.set_ylim(np.nanmin(middle) - 0.3 * span, np.nanmax(middle) + 0.3 * span)
    ax.set_xlabel("time (ms)")
    ax.set_ylabel("voltage")
    return ax
