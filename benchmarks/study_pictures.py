"""Pictures of the queue study."""

from __future__ import annotations

import itertools

import numpy as np


def pyplot():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def lines(axes, rows, x, y, style, label, each):
    """Draw a line for each value of ``each``."""
    for k, value in enumerate(dict.fromkeys(row[each] for row in rows)):
        chosen = [row for row in rows if row[each] == value and row[y] is not None]
        axes.plot(
            [row[x] for row in chosen],
            [row[y] for row in chosen],
            style,
            color=f"C{k % 10}",
            label=f"{value}{label}",
        )


def draw_sizes(rows, folder):
    figure, axes = pyplot().subplots(layout="constrained", figsize=(8, 5))
    lines(axes, rows, "queues", "refsim_ns", "o-", ", refsim", "type")
    lines(axes, rows, "queues", "adseq_ns", "x--", ", adseq", "type")
    axes.set(xscale="log", yscale="log", xlabel="queues", ylabel="ns per queue and step")
    axes.legend(fontsize=7, ncols=2)
    figure.savefig(folder / "sizes.png", dpi=150)


def draw_capacities(rows, folder):
    figure, axes = pyplot().subplots(layout="constrained", figsize=(8, 5))
    lines(axes, rows, "capacity", "refsim_ns", "o-", ", refsim", "type")
    lines(axes, rows, "capacity", "adseq_ns", "x--", ", adseq", "type")
    axes.set(yscale="log", xlabel="capacity", ylabel="ns per queue and step")
    axes.legend(fontsize=8, ncols=2)
    figure.savefig(folder / "capacities.png", dpi=150)


def draw_drops(rows, folder):
    names = list(dict.fromkeys(row["type"] for row in rows))
    figure, panels = pyplot().subplots(
        1, len(names), layout="constrained", figsize=(3 * len(names), 3.5), sharey=True
    )
    for axes, name in zip(np.atleast_1d(panels), names, strict=True):
        chosen = [row for row in rows if row["type"] == name]
        chosen.sort(key=lambda row: row["capacity"])
        lines(axes, chosen, "d_lambda", "refsim", "-", "", "capacity")
        axes.legend(title="capacity", fontsize=6, title_fontsize=6)
        lines(axes, chosen, "d_lambda", "adseq", "x", "", "capacity")
        lines(axes, chosen, "d_lambda", "closed_form", ":", "", "capacity")
        axes.set(title=name, xlabel="delay x rate")
    np.atleast_1d(panels)[0].set_ylabel("fraction dropped")
    figure.suptitle("lines refsim, crosses adseq, dots closed form")
    figure.savefig(folder / "drops.png", dpi=150)


def draw_gradients(rows, folder):
    figure, panels = pyplot().subplots(2, 2, layout="constrained", figsize=(9, 7), sharey=True)
    for axes, (kind, lost) in zip(
        panels.flat, itertools.product(("silent", "spiking"), ("spikes", "cotangents")), strict=True
    ):
        chosen = [row for row in rows if (row["network"], row["lost"]) == (kind, lost)]
        lines(axes, chosen, "dropped", "weight_error", "o", ", weights", "structure")
        lines(axes, chosen, "dropped", "delay_error", "x", ", delays", "structure")
        axes.set(title=f"{kind} network, lost {lost}", xlabel="fraction dropped", ylim=(0, 1.6))
        axes.legend(fontsize=6)
    panels[0, 0].set_ylabel("relative error of the gradient")
    figure.savefig(folder / "gradients.png", dpi=150)
