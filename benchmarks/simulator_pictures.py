"""Pictures of the comparison of simulators, and of how refsim scales."""

from __future__ import annotations

PANELS = {"neurons": "neurons", "in-degree": "in_degree", "rate": "rate_hz"}
LABELS = {"neurons": "neurons", "in-degree": "in-degree", "rate": "mean rate (Hz)"}


def compared(axes, rows):
    """Draw a bar for each simulator in each workload."""
    workloads = list(dict.fromkeys(row["workload"] for row in rows))
    names = list(dict.fromkeys(row["simulator"] for row in rows))
    width = 0.8 / len(names)
    for k, name in enumerate(names):
        chosen = [row for row in rows if row["simulator"] == name]
        places = [workloads.index(row["workload"]) + (k + 0.5) * width - 0.4 for row in chosen]
        axes.bar(places, [row["median_ns"] for row in chosen], width, label=name)
    axes.set(yscale="log", ylabel="CPU ns per synaptic event")
    axes.set_xticks(range(len(workloads)), workloads)
    axes.legend(fontsize=8)


def grown(axes, rows, grows):
    """Draw a line for each kind of delays and number of threads."""
    for delays, threads in dict.fromkeys((row["delays"], row["threads"]) for row in rows):
        chosen = [row for row in rows if (row["delays"], row["threads"]) == (delays, threads)]
        chosen.sort(key=lambda row: row[PANELS[grows]])
        axes.plot(
            [row[PANELS[grows]] for row in chosen],
            [row["ns_per_event"] for row in chosen],
            "o-" if threads == 1 else "x--",
            color="C0" if delays == "equal" else "C1",
            label=f"{delays} delays" + (f", {threads} threads" if threads > 1 else ""),
        )
    scale = "linear" if grows == "rate" else "log"
    axes.set(xscale=scale, ylim=(0, None), xlabel=LABELS[grows], ylabel="ns per event")
    axes.legend(fontsize=7)


def draw(found, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    scaling = found.get("scaling", [])
    figure = pyplot.figure(layout="constrained", figsize=(9, 6.5 if scaling else 3.5))
    parts = figure.subfigures(2 if scaling else 1, squeeze=False)[:, 0]
    compared(parts[0].subplots(), found["rows"])
    if scaling:
        for axes, grows in zip(parts[1].subplots(1, len(PANELS)), PANELS, strict=True):
            grown(axes, [row for row in scaling if row["grows"] == grows], grows)
    figure.savefig(path, dpi=150)
