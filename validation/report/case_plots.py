"""Pictures of one case: gradients, convergence, spikes, and the voltage at the first difference."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from refsim.engine import simulate
from refsim.results.simulation import Simulation
from validation.comparison.certificate import CaseVerdict, GroupVerdict, SpikeDifference
from validation.report.contents import OUTPUTS, difference_text
from validation.report.overview_plots import Picture, drawable, first_order, step_ticks
from validation.report.svg import (
    ANSWER,
    FAINT,
    INK,
    MARKERS,
    REFERENCE,
    SERIES,
    drawing,
    legend,
    log_ticks,
    power,
)

_MOST_POINTS = 400  # of one picture of gradients: about 30 kB
_MOST_SPIKES = 600  # of one raster
_BEFORE, _AFTER = 10.0, 5.0  # ms of voltage around the first difference
_LONGEST_AXIS = 1e150
_DECADES = 3  # of a symmetric logarithmic axis, on either side


def case_pictures(case: CaseVerdict, name: str) -> list[Picture]:
    """Return all pictures that a case has."""
    made = (
        _gradients(case, f"{name}-gradients"),
        _convergence(case, f"{name}-convergence"),
        _raster(case, f"{name}-raster"),
        _voltage(case, f"{name}-voltage"),
    )
    return [picture for picture in made if picture is not None]


def _look(i: int) -> tuple[str, str]:
    """Return marker and colour of the i-th of several groups: no two of 49 have both in common."""
    return MARKERS[(i + i // len(SERIES)) % len(MARKERS)], SERIES[i % len(SERIES)]


def _gradients(case: CaseVerdict, name: str) -> Picture | None:
    """Draw entries of the gradient, reference against back end."""
    groups = [
        g for g in case.groups
        if g.group not in OUTPUTS and len(g.answer) and g.answer.shape == g.reference.shape
    ]  # fmt: skip
    total = sum(len(g.reference) for g in groups)
    if not total:
        return None
    failed = [g for g in groups if g.verdict == "fail"]
    shares = {g.group: -(-_MOST_POINTS * len(g.reference) // total) for g in groups}
    title = "Gradient"
    rows = -(-(len(failed) + (len(failed) < len(groups))) // 3)
    finite = [g.reference[np.isfinite(g.answer)] for g in groups]
    finite += [g.answer[np.isfinite(g.answer)] for g in groups]
    with drawing(name, "Gradient: back end against reference", legend_rows=rows) as drawn:
        ax = drawn.ax
        reach = _symlog(ax, np.concatenate(finite))
        ax.plot([-reach, reach], [-reach, reach], "--", color=FAINT, linewidth=1.0)
        label: str | None = "groups that pass"
        for group in groups:
            if group.verdict != "fail":
                x, y = _some(group, shares[group.group])
                ax.plot(x, y, "o", color=FAINT, markersize=3, mew=0, label=label)
                label = None
        for i, group in enumerate(failed):
            marker, colour = _look(i)
            x, y = _some(group, shares[group.group])
            ax.plot(x, y, marker, color=colour, markersize=4.5, mew=0, label=group.group)
        ax.set_xlabel("reference")
        ax.set_ylabel("back end")
        legend(ax)
    return Picture(title, _gradient_caption(groups, total), drawn.svg)


def _gradient_caption(groups: list[GroupVerdict], total: int) -> str:
    caption = "Entries of the gradient; equal ones lie on the diagonal. Axes are linear near zero."
    if total > _MOST_POINTS:
        caption += f" About {_MOST_POINTS} of {total} are drawn, the most wrong ones among them."
    lost = sum(int(np.count_nonzero(~np.isfinite(g.answer))) for g in groups)
    if lost:
        caption += f" {lost} {'entry is' if lost == 1 else 'entries are'} not finite."
    return caption


def _some(group: GroupVerdict, share: int) -> tuple[NDArray, NDArray]:
    """Return some entries of a group: half of them the most wrong, half spread over the others."""
    rows = np.flatnonzero(np.isfinite(group.answer))
    if len(rows) > share:
        error = np.abs(group.answer[rows] - group.reference[rows])
        by_error = rows[np.argsort(-error, kind="stable")]
        others = by_error[share // 2 :]
        picked = np.linspace(0, len(others) - 1, share - share // 2).astype(np.int64)
        rows = np.sort(np.concatenate([by_error[: share // 2], others[picked]]))
    return group.reference[rows], group.answer[rows]


def _symlog(ax: Any, values: NDArray[np.float64]) -> float:
    """Make both axes symmetric and logarithmic, and return their ends.

    What lies beyond `_LONGEST_AXIS`, of which no plot can be drawn, is out of the picture.
    """
    top = min(float(np.abs(values).max(initial=0.0)), _LONGEST_AXIS) or 1.0
    decade = int(np.floor(np.log10(top)))
    ticks = [10.0 ** (decade - i) for i in range(_DECADES)]
    reach = 1.6 * top
    for which in ("x", "y"):
        getattr(ax, f"set_{which}scale")("symlog", linthresh=ticks[-1] / 10.0, linscale=0.5)
        getattr(ax, f"set_{which}lim")(-reach, reach)
        places = [*(-t for t in ticks), 0.0, *reversed(ticks)]
        getattr(ax, f"set_{which}ticks")(places, [power(t) for t in places])
        getattr(ax, f"set_{which}ticks")([], minor=True)
    return reach


def _convergence(case: CaseVerdict, name: str) -> Picture | None:
    """Draw errors of all groups against the time step."""
    if len(case.steps) < 2:
        return None
    dt = np.array([step.dt for step in case.steps])
    errors = _errors_by_group(case)
    if not errors:
        return None
    same = np.array([step.same_spikes for step in case.steps])
    title = "Convergence"
    rows = -(-(len(errors) + 1) // 4)
    with drawing(name, f"{title} of errors in the time step", legend_rows=rows) as drawn:
        ax = drawn.ax
        for i, (group, error) in enumerate(errors.items()):
            marker, colour = _look(i)
            drawn_error = drawable(np.where(np.isfinite(error), error, np.nan))
            ax.plot(
                dt, drawn_error, marker=marker, markersize=4, linewidth=1.0, color=colour,
                label=group, mew=0,
            )  # fmt: skip
        first = [error[0] for error in errors.values() if np.isfinite(error[0]) and error[0] > 0.0]
        first_order(ax, dt.tolist(), float(np.median(first)) if first else 1.0)
        for step in dt[~same]:
            ax.axvline(step, color=INK, linewidth=0.8, linestyle=":")
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.margins(0.08)
        log_ticks(ax.yaxis)
        log_ticks(ax.xaxis)
        step_ticks(ax, sorted(set(dt.tolist())))
        ax.set_xlabel("time step (ms)")
        ax.set_ylabel("relative error")
        legend(ax, columns=4)
    caption = "Errors by group against the time step."
    if not same.all():
        caption += " Dotted: steps with another number of spikes than the reference has."
    return Picture(title, caption, drawn.svg)


def _errors_by_group(case: CaseVerdict) -> dict[str, NDArray[np.float64]]:
    """Return the errors (steps,) of each group that has any to draw."""
    names = dict.fromkeys(group for step in case.steps for group in step.error)
    errors = {
        group: np.array([step.error.get(group, np.nan) for step in case.steps]) for group in names
    }
    return {g: e for g, e in errors.items() if np.isfinite(e).any() and np.nanmax(e) > 0.0}


def _moment(first: SpikeDifference) -> float:
    """Return when the first difference is."""
    return float(np.nanmin([first.reference, first.answer]))


def _raster(case: CaseVerdict, name: str) -> Picture | None:
    """Draw spikes of both, with the first difference marked."""
    first = case.first_difference
    if first is None:
        return None
    from matplotlib.ticker import MaxNLocator

    begin, end = _window_of_raster(case, _moment(first))
    neurons = case.case.network.n_neurons
    height = min(420.0, max(180.0, 70.0 + 9.0 * neurons))
    with drawing(name, difference_text(case), legend_rows=1, height=height) as drawn:
        ax = drawn.ax
        for time, neuron, low, high, colour, label in (
            (case.reference_time, case.reference_neuron, 0.05, 0.42, REFERENCE, "reference"),
            (case.answer_time, case.answer_neuron, -0.42, -0.05, ANSWER, "back end"),
        ):
            seen = (time >= begin) & (time <= end)
            ax.plot(*_ticks(time[seen], neuron[seen], low, high), color=colour, label=label)
        ax.plot(
            [_moment(first)], [first.neuron], "o", markersize=13, markerfacecolor="none", color=INK,
            label="first difference",
        )  # fmt: skip
        ax.set_xlim(begin, end)
        ax.set_ylim(-0.7, neurons - 0.3)
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel("time (ms)")
        ax.set_ylabel("neuron")
        legend(ax)
    return Picture("Spikes", f"Reference above, back end below. {difference_text(case)}", drawn.svg)


def _window_of_raster(case: CaseVerdict, moment: float) -> tuple[float, float]:
    """Return the whole time, or a part around ``moment`` that has few enough spikes."""
    times = np.concatenate([case.reference_time, case.answer_time])
    if len(times) <= _MOST_SPIKES:
        return 0.0, case.case.duration
    reach = float(np.sort(np.abs(times - moment))[_MOST_SPIKES])
    return max(0.0, moment - reach), min(case.case.duration, moment + reach)


def _ticks(
    time: NDArray[np.float64], neuron: NDArray[np.int64], low: float, high: float
) -> tuple[NDArray, NDArray]:
    """Return one broken line that has a tick for every spike."""
    gap = np.full(len(time), np.nan)
    return (
        np.stack([time, time, gap], axis=1).ravel(),
        np.stack([neuron + low, neuron + high, gap], axis=1).ravel(),
    )


def _voltage(case: CaseVerdict, name: str) -> Picture | None:
    """Draw the voltage of the neuron of the first difference around it, as the reference has it."""
    first = case.first_difference
    if first is None or not 0 <= first.neuron < case.case.network.n_neurons:
        return None
    given = case.case
    if not 0.0 <= _moment(first) <= given.duration:
        return None
    run = simulate(given.network, given.inputs, given.duration)
    begin = max(0.0, _moment(first) - _BEFORE)
    end = min(given.duration, float(np.nanmax([first.reference, first.answer])) + _AFTER)
    v_th = float(given.network.v_th[first.neuron])
    with drawing(name, f"Voltage of neuron {first.neuron}", legend_rows=1) as drawn:
        ax = drawn.ax
        time, voltage = _curve(run, first.neuron, begin, end)
        ax.plot(time, voltage, color=REFERENCE, linewidth=1.3)
        ax.axhline(v_th, color=FAINT, linewidth=1.0, linestyle="--")
        span = max(v_th - float(np.nanmin(voltage)), 1e-300)
        sides = (
            (case.reference_time, case.reference_neuron, "v", REFERENCE, 0.07, "reference"),
            (case.answer_time, case.answer_neuron, "^", ANSWER, 0.18, "back end"),
        )
        for times, neurons, marker, colour, up, label in sides:
            mine = times[(neurons == first.neuron) & (times >= begin) & (times <= end)]
            height = np.full(len(mine), v_th + up * span)
            ax.plot(mine, height, marker, color=colour, markersize=6, mew=0, label=label)
        ax.set_xlim(begin, end)
        ax.set_xlabel("time (ms)")
        ax.set_ylabel(f"voltage of neuron {first.neuron}")
        legend(ax)
    caption = (
        f"Voltage of neuron {first.neuron} in the reference around the first difference, with its "
        "threshold (dashed); triangles are spikes."
    )
    return Picture("Voltage", caption, drawn.svg)


def _curve(
    run: Simulation, neuron: int, begin: float, end: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times and voltages in a window, with both sides of each spike and a break between."""
    spikes = run.spikes.time[run.spikes.neuron == neuron]
    spikes = spikes[(spikes >= begin) & (spikes <= end)]
    release = spikes + run.network.t_ref[neuron]
    grid = np.linspace(begin, end, 301)
    time = np.union1d(np.union1d(grid, spikes), release[release <= end])
    voltage = run.trace([neuron], time).voltage[0]
    places = np.searchsorted(time, spikes)
    v_th = run.network.v_th[neuron]
    time = np.insert(time, np.repeat(places, 2), np.repeat(spikes, 2))
    pairs = np.tile([v_th, np.nan], len(spikes))
    return time, np.insert(voltage, np.repeat(places, 2), pairs)
