"""Pictures of a simulation; needs the extra ``plot``.

Colours are those of M. Okabe and K. Ito, "Color universal design", 2002, which colour-blind
readers can tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refsim.errors import MissingExtraError
from refsim.simulation import Simulation
from refsim.validate import LONGEST, indices, integer, scalar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#56B4E9",
    "#000000",
)
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)
GREY = "#707070"

# More lines than this in one picture cannot be told apart.
_MOST_TRACES = 5


def raster(
    simulation: Simulation,
    ax: Axes | None = None,
    *,
    color: str | Sequence[str] = BLUE,
) -> Axes:
    """Draw a tick for every spike, time across and neuron upwards.

    Parameters
    ----------
    simulation : Simulation
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    color : str or sequence of str
        Colour of the ticks, or one for each neuron.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes(ax)
    from matplotlib.ticker import MaxNLocator

    spikes, n = simulation.spikes, simulation.network.n_neurons
    each = color if isinstance(color, str) else [color[i] for i in spikes.neuron]
    low, high = spikes.neuron - 0.4, spikes.neuron + 0.4
    ax.vlines(spikes.time, low, high, colors=each, linewidths=1.5)
    ax.set_xlim(0.0, simulation.duration)
    ax.set_ylim(-0.6, n - 0.4)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("time (ms)")
    ax.set_ylabel("neuron")
    return ax


def traces(
    simulation: Simulation,
    neurons: ArrayLike | None = None,
    ax: Axes | None = None,
    *,
    dt: float = 0.1,
) -> Axes:
    """Draw voltages with thresholds (dashed) and marks at the spikes.

    Parameters
    ----------
    simulation : Simulation
        What to draw.
    neurons : int or (m,) int, optional
        Neurons to draw, the first five by default.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    dt : float
        Distance of points in ms; crossings and resets are drawn where they are.

    Returns
    -------
    matplotlib.axes.Axes
        For each neuron it has three lines: voltage, threshold and spike marks.
    """
    n = simulation.network.n_neurons
    wanted = np.arange(min(n, _MOST_TRACES)) if neurons is None else np.atleast_1d(neurons)
    wanted = indices("neurons", wanted, None, n)
    ax = axes(ax)
    for i, neuron in enumerate(wanted):
        colour = COLOURS[i % len(COLOURS)]
        pieces = between_spikes(simulation, int(neuron), dt)
        voltage = simulation.trace(neuron, pieces.time).voltage[0]
        # Times repeat at a spike; the first of the two is before the reset.
        voltage[pieces.is_end] = simulation.network.v_th[neuron]
        ax.plot(pieces.time, voltage, color=colour, linewidth=1.3, label=f"neuron {neuron}")
        draw_threshold(ax, simulation, int(neuron), colour)
    ax.set_xlim(0.0, simulation.duration)
    ax.set_xlabel("time (ms)")
    ax.set_ylabel("voltage")
    return ax


def draw_threshold(ax: Axes, simulation: Simulation, neuron: int, colour: str) -> None:
    """Add the threshold and the spike marks of a neuron."""
    neuron = integer("neuron", neuron, 0, simulation.network.n_neurons - 1)
    v_th = simulation.network.v_th[neuron]
    time = simulation.spikes.time[simulation.spikes.neuron == neuron]
    ax.axhline(v_th, color=colour, linewidth=0.8, linestyle=(0, (5, 4)), alpha=0.6)
    marks = np.full(len(time), v_th)
    ax.plot(time, marks, linestyle="none", marker="v", markersize=5, color=colour, clip_on=False)


class Pieces(NamedTuple):
    """Times of a picture of one neuron: a grid, and each of its spikes twice."""

    time: NDArray[np.float64]  # (k,) ms, ascending
    is_end: NDArray[np.bool_]  # (k,) stands for the moment before a spike; the next is after it


def between_spikes(simulation: Simulation, neuron: int, dt: float) -> Pieces:
    """Return a grid of step ``dt`` with the spikes of ``neuron``, and ends of refractoriness."""
    dt = scalar("dt", dt, 0.0, LONGEST, strict=True)
    steps = max(1, int(np.ceil(simulation.duration / dt)))
    grid = np.linspace(0.0, simulation.duration, steps + 1)
    spike = simulation.spikes.time[simulation.spikes.neuron == neuron]
    release = spike + simulation.network.t_ref[neuron]
    after = np.union1d(np.union1d(grid, spike), release[release <= simulation.duration])
    time = np.concatenate([spike, after])
    is_end = np.arange(len(time)) < len(spike)
    order = np.lexsort((~is_end, time))
    return Pieces(time[order], is_end[order])


def axes(ax: Any | None) -> Any:
    """Return ``ax``, or those of a new figure.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ImportError:
        raise MissingExtraError(
            'pictures need matplotlib, which is not installed: pip install "refsim[plot]"'
        ) from None
    return pyplot.subplots(layout="constrained")[1] if ax is None else ax
