"""Pictures of a simulation; needs the extra ``plot``.

Colours are those of M. Okabe and K. Ito, "Color universal design", 2002, which colour-blind
readers can tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refsim.errors import InvalidValueError, MissingExtraError
from refsim.results.simulation import Simulation
from refsim.validate import LONGEST, as_array, indices, integer, scalar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import MaxNLocator

__all__ = [
    "BLACK",
    "BLUE",
    "COLOURS",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "SKY",
    "VERMILION",
    "raster",
    "traces",
]

_MOST_POINTS = 10_000_000  # of a curve

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

TIME_LABEL = "time (ms)"
VOLTAGE_LABEL = "voltage (same unit as v_th)"

_MOST_TICKS = 300  # neurons whose ticks are high enough to be seen
_DOT = 2.0  # size of the dots of more of them, in square points
_DEFAULT_TRACES = 5
_MOST_TRACES = 10  # more lines over one another cannot be told apart
_STYLES = ("-", (0, (3, 1)))  # one round of colours each
_STACK = 1.2  # distance of stacked traces as a multiple of the highest


def __dir__() -> list[str]:
    return sorted(__all__)


def raster(
    simulation: Simulation,
    ax: Axes | None = None,
    *,
    neurons: ArrayLike | None = None,
    color: str | Sequence[str] = BLUE,
) -> Axes:
    """Draw a tick for every spike, time across and neuron upwards; dots for many neurons.

    Parameters
    ----------
    simulation : Simulation
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    neurons : (m,) int, optional
        Neurons wanted, in the order of their rows from below; all by default.
    color : str or sequence of str
        Colour of the ticks, or one for each neuron of the network.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes(ax)
    size = simulation.network.n_neurons
    wanted = np.arange(size) if neurons is None else as_array("neurons", neurons, "integers")
    wanted = indices("neurons", np.atleast_1d(wanted), None, size)
    n = len(wanted)
    row_of = np.full(size, -1)
    row_of[wanted] = np.arange(n)
    is_drawn = row_of[simulation.spikes.neuron] >= 0
    time, neuron = simulation.spikes.time[is_drawn], simulation.spikes.neuron[is_drawn]
    row = row_of[neuron]
    each = color if isinstance(color, str) else [color[i] for i in neuron]
    if n > _MOST_TICKS:
        ax.scatter(time, row, s=_DOT, c=each, linewidths=0.0)
    else:
        ax.vlines(time, row - 0.4, row + 0.4, colors=each, linewidths=1.5)
    ax.set_xlim(0.0, simulation.duration)
    ax.set_ylim(-1, n)
    ax.yaxis.set_major_locator(_neuron_locator(n))
    if neurons is not None and n <= _MOST_TICKS:
        ax.set_yticks(np.arange(n), wanted.tolist())
    ax.set_xlabel(TIME_LABEL)
    ax.set_ylabel("neuron")
    return ax


def _neuron_locator(n: int) -> MaxNLocator:
    """Return a locator of ticks that are numbers of ``n`` neurons."""
    from matplotlib.ticker import MaxNLocator

    class NeuronLocator(MaxNLocator):
        def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
            ticks = super().tick_values(max(vmin, 0.0), min(vmax, n - 1.0))
            return [tick for tick in ticks if 0 <= tick < n]

    return NeuronLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1)


def traces(
    simulation: Simulation,
    neurons: ArrayLike | None = None,
    ax: Axes | None = None,
    *,
    step: float = 0.1,
    offset: float | None = None,
) -> Axes:
    """Draw voltages with thresholds (dashed) and marks at the spikes.

    Voltages lie over one another, with a legend, or stacked: each higher than the one before by
    ``offset``, with the number of its neuron at its resting potential.

    Parameters
    ----------
    simulation : Simulation
        What to draw.
    neurons : int or (m,) int, optional
        Neurons to draw, the first five by default.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    step : float
        Distance of points in ms; crossings and resets are drawn where they are.
    offset : float, optional
        Distance of stacked voltages, 0 to lay them over one another. By default 0; for more than
        ten neurons, or where two have the same voltage and one would hide the other, a distance
        that keeps them apart.

    Returns
    -------
    matplotlib.axes.Axes
        For each neuron it has three lines: voltage, threshold and spike marks.
    """
    network = simulation.network
    n = network.n_neurons
    wanted = np.arange(min(n, _DEFAULT_TRACES)) if neurons is None else np.atleast_1d(neurons)
    wanted = indices("neurons", wanted, None, n)
    curves = [_curve(simulation, int(neuron), step) for neuron in wanted]
    if offset is None:
        hidden = len({voltage.tobytes() for _, voltage in curves}) < len(curves)
        stacked = hidden or len(curves) > _MOST_TRACES
        shift = _distance(curves, network.v_th[wanted]) if stacked else 0.0
    else:
        shift = scalar("offset", offset, 0.0, LONGEST)
    ax = axes(ax)
    common = len(set(network.v_th[wanted])) == 1 and shift == 0.0
    for i, (neuron, (time, voltage)) in enumerate(zip(wanted, curves, strict=True)):
        round_, c = divmod(i, len(COLOURS))
        style = _STYLES[round_ % len(_STYLES)] if shift == 0.0 else "-"
        ax.plot(
            time,
            voltage + i * shift,
            color=COLOURS[c],
            linestyle=style,
            linewidth=1.3,
            label=str(neuron),
        )
        draw_threshold(
            ax, simulation, int(neuron), COLOURS[c], line=GREY if common else None, up=i * shift
        )
    ax.set_xlim(0.0, simulation.duration)
    ax.set_xlabel(TIME_LABEL)
    if shift > 0.0:
        ax.set_yticks(network.v_rest[wanted] + shift * np.arange(len(wanted)), wanted.astype(str))
        ax.set_ylabel(f"neuron, at its v_rest (voltages {shift:.3g} apart)")
    else:
        ax.set_ylabel(VOLTAGE_LABEL)
        if len(wanted):
            ax.legend(
                title="neuron",
                loc="upper left",
                bbox_to_anchor=(1.0, 1.0),
                borderaxespad=0.0,
                frameon=False,
                handlelength=1.5,
                fontsize="small",
            )
    if neurons is None and n > len(wanted):
        ax.set_title(f"The first {len(wanted)} of {n} neurons")
    return ax


def _curve(
    simulation: Simulation, neuron: int, step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times and voltages of a neuron, with both sides of its spikes."""
    pieces = between_spikes(simulation, neuron, step)
    voltage = simulation.trace(neuron, pieces.time).voltage[0]
    # Times repeat at a spike; the first of the two is before the reset.
    voltage[pieces.is_end] = simulation.network.v_th[neuron]
    return pieces.time, voltage


def _distance(
    curves: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], v_th: NDArray[np.float64]
) -> float:
    """Return a distance, to two digits, that keeps voltages and their thresholds apart."""
    pairs = zip(curves, v_th, strict=True)
    height = max(float(threshold - voltage.min()) for (_, voltage), threshold in pairs)
    return float(f"{_STACK * height:.2g}")


def draw_threshold(
    ax: Axes,
    simulation: Simulation,
    neuron: int,
    colour: str,
    *,
    line: str | None = None,
    up: float = 0.0,
) -> None:
    """Add the threshold, in the colour ``line``, and the spike marks of a neuron."""
    neuron = integer("neuron", neuron, 0, simulation.network.n_neurons - 1)
    height = simulation.network.v_th[neuron] + up
    time = simulation.spikes.time[simulation.spikes.neuron == neuron]
    ax.axhline(height, color=line or colour, linewidth=0.8, linestyle=(0, (5, 4)), alpha=0.6)
    # Marks at the edge show whole; but a layout would make room at the corner for none.
    (marks,) = ax.plot(time, np.full(len(time), height), linestyle="none", clip_on=not len(time))
    marks.set(marker="v", markersize=5, color=colour)


class Pieces(NamedTuple):
    """Times of a picture of one neuron: a grid, and each of its spikes twice."""

    time: NDArray[np.float64]  # (k,) ms, ascending
    is_end: NDArray[np.bool_]  # (k,) stands for the moment before a spike; the next is after it


def between_spikes(simulation: Simulation, neuron: int, step: float) -> Pieces:
    """Return a grid of step ``step`` with the spikes of ``neuron``, and ends of refractoriness."""
    step = scalar("step", step, 0.0, LONGEST, strict=True)
    if simulation.duration / step > _MOST_POINTS:
        raise InvalidValueError(
            f"step is {step:g} for {simulation.duration:g} ms; expected a step that gives at most "
            f"{_MOST_POINTS:,} points"
        )
    steps = max(1, int(np.ceil(simulation.duration / step)))
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
