"""Pictures of all cases at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from validation.comparison.certificate import Certificate, StepErrors, worst_group
from validation.judges.suite import Row
from validation.report.svg import (
    ANSWER,
    FAINT,
    MARKERS,
    REFERENCE,
    SERIES,
    drawing,
    legend,
    log_ticks,
)

FLOOR, CEILING = 1e-17, 1e20  # where errors of zero are drawn, and those beyond any meaning


class Picture(NamedTuple):
    """A picture with its caption."""

    title: str
    caption: str
    svg: str


class _Point(NamedTuple):
    slope: float
    gap: float
    error: float
    series: str


_LOOKS = {"pass": ("o", REFERENCE), "fail": ("X", ANSWER), "skip": ("D", FAINT)}
_AXES = {
    "slope": "smallest dV/dt at a spike",
    "gap": "shortest gap of crossing and arrival (ms)",
}


def certificate_pictures(certificate: Certificate, name: str) -> list[Picture]:
    """Return error against conditioning, and convergence if there is a time step."""
    points = []
    for case in certificate.cases:
        worst = worst_group(case)
        if worst is not None:
            c = case.conditioning
            points.append(_Point(c.min_slope, c.min_gap, worst.error, case.verdict))
    pictures = _conditioning(points, _LOOKS, f"{name}-conditioning", "the worst group of each case")
    convergence = _convergence(certificate, f"{name}-convergence")
    return pictures + ([convergence] if convergence else [])


def judge_pictures(rows: Sequence[Row]) -> list[Picture]:
    """Return errors that the judges have found against conditioning."""
    points = [
        _Point(c.min_slope, c.min_gap, said.error, said.judge)
        for said, c in rows
        if said.verdict != "skip"
    ]
    judges = list(dict.fromkeys(point.series for point in points))
    looks = {
        judge: (MARKERS[i % len(MARKERS)], SERIES[i % len(SERIES)])
        for i, judge in enumerate(judges)
    }
    return _conditioning(points, looks, "judges-conditioning", "each case by each judge")


def _conditioning(
    points: Sequence[_Point], looks: dict[str, tuple[str, str]], name: str, what: str
) -> list[Picture]:
    """Return a picture for the slopes and one for the gaps."""
    return [
        picture
        for quantity in ("slope", "gap")
        if (picture := _against(points, quantity, looks, f"{name}-{quantity}", what))
    ]


def _against(
    points: Sequence[_Point],
    quantity: str,
    looks: dict[str, tuple[str, str]],
    name: str,
    what: str,
) -> Picture | None:
    values = [getattr(point, quantity) for point in points]
    shown = [(x, p) for x, p in zip(values, points, strict=True) if _has_place(x, p.error)]
    if not shown:
        return None
    title = f"Error against {quantity}"
    with drawing(name, f"{title}: {what}", legend_rows=-(-len(looks) // 3)) as drawn:
        ax = drawn.ax
        for series, (marker, colour) in looks.items():
            mine = [(x, drawable(p.error)) for x, p in shown if p.series == series]
            if mine:
                x, y = zip(*mine, strict=True)
                ax.plot(x, y, marker, color=colour, markersize=5, alpha=0.8, mew=0, label=series)
        ax.set_xscale("log")
        ax.set_yscale("log")
        _room(ax)
        ax.set_xlabel(_AXES[quantity])
        ax.set_ylabel("relative error")
        legend(ax)
    caption = f"Error of {what}, against the {_AXES[quantity]}."
    left_out = len(points) - len(shown)
    if left_out:
        caption += f" {left_out} of {len(points)} have no such number and are not drawn."
    if any(p.error < FLOOR for _, p in shown):
        caption += f" Errors below {FLOOR:.0e}, zero among them, are drawn there."
    if any(p.error > CEILING for _, p in shown):
        caption += f" Errors above {CEILING:.0e} are drawn there."
    return Picture(title, caption, drawn.svg)


def drawable(error: Any) -> Any:
    """Return errors, nan among them, between the ends of what is drawn."""
    return np.clip(error, FLOOR, CEILING)


def _has_place(x: float, error: float) -> bool:
    return bool(np.isfinite(x) and x > 0.0 and np.isfinite(error))


def _room(ax: Any) -> None:
    """Give points room at the edges, and both axes ticks in plain text."""
    ax.margins(0.08)
    log_ticks(ax.xaxis)
    log_ticks(ax.yaxis)


def largest(step: StepErrors) -> float:
    """Return the largest finite error of a step, nan if there is none."""
    finite = [error for error in step.error.values() if np.isfinite(error)]
    return max(finite, default=np.nan)


def first_order(ax: Any, dt: Sequence[float], error: float) -> None:
    """Draw errors in proportion to dt, with ``error`` at the longest step."""
    ends = np.array([max(dt), min(dt)])
    line = drawable(error) * ends / ends[0]
    ax.plot(ends, line, "--", color=FAINT, linewidth=1.2, label="order 1")


def _convergence(certificate: Certificate, name: str) -> Picture | None:
    cases = [case for case in certificate.cases if len(case.steps) > 1]
    lines = [([s.dt for s in c.steps], [largest(s) for s in c.steps], c.verdict) for c in cases]
    lines = [line for line in lines if np.nanmax([0.0, *line[1]]) > 0.0]
    if not lines:
        return None
    title = "Convergence"
    with drawing(name, f"{title} of all cases in the time step", legend_rows=1) as drawn:
        ax = drawn.ax
        labelled = set()
        for dt, error, verdict in lines:
            marker, colour = _LOOKS[verdict]
            label = None if verdict in labelled else verdict
            labelled.add(verdict)
            size = 3.0 if marker == "o" else 5.0
            ax.plot(
                dt, drawable(error), marker=marker, markersize=size, mew=0, color=colour,
                linewidth=0.9, alpha=0.75, label=label,
            )  # fmt: skip
        first_order(ax, lines[0][0], float(np.nanmedian([error[0] for _, error, _ in lines])))
        ax.set_xscale("log")
        ax.set_yscale("log")
        _room(ax)
        step_ticks(ax, sorted({dt for line in lines for dt in line[0]}))
        ax.set_xlabel("time step (ms)")
        ax.set_ylabel("largest relative error")
        legend(ax)
    caption = (
        "Largest error of all groups of each case against the time step; errors of a method of "
        "order 1 fall as the dashed line does."
    )
    return Picture(title, caption, drawn.svg)


def step_ticks(ax: Any, dt: Sequence[float]) -> None:
    """Label the time steps that there are, or some of them."""
    from matplotlib.ticker import FixedFormatter, FixedLocator

    some = dt[:: -(-len(dt) // 6)]
    ax.xaxis.set_major_locator(FixedLocator(some))
    ax.xaxis.set_major_formatter(FixedFormatter([f"{t:g}" for t in some]))
