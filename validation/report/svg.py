"""Pictures as SVG to be put into a page, the same to the last byte for the same data.

Colours are those of the page: matplotlib draws with stand-ins, which become properties of its style
sheet, so that a picture follows the page from light to dark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Stand-ins, and what a page has in their place (report.css).
INK, FAINT = "#010101", "#020202"
REFERENCE, ANSWER = "#030303", "#040404"
SERIES = tuple(f"#0{i}0505" for i in range(1, 8))
_PROPERTIES = {
    INK: "currentColor",
    FAINT: "var(--faint)",
    REFERENCE: "var(--reference)",
    ANSWER: "var(--answer)",
} | {stand_in: f"var(--series-{i})" for i, stand_in in enumerate(SERIES, start=1)}
MARKERS = "osD^vPX"

WIDTH, HEIGHT = 360.0, 250.0  # pt: a narrow telephone shows text at its size
_LEFT, _RIGHT, _TOP, _BOTTOM = 60.0, 14.0, 12.0, 42.0
_SHORT = 30.0  # ratio of the ends of an axis that may hold one power of ten or two
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11.0,
    "legend.frameon": False,
    "path.simplify": False,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "xtick.labelsize": 10.0,
    "ytick.color": INK,
    "ytick.labelsize": 10.0,
}


@dataclass
class Drawing:
    """Axes to draw on; ``svg`` is there when the drawing is finished."""

    ax: Axes
    svg: str = ""


@contextmanager
def drawing(
    name: str, description: str, *, legend_rows: int = 0, height: float = HEIGHT
) -> Iterator[Drawing]:
    """Give axes to draw on, and make SVG of them at the end.

    Parameters
    ----------
    name : str
        Of the picture, no other of the page having the same: references within it are made of it.
    description : str
        What those hear who cannot see it.
    legend_rows : int
        Lines of room for a legend below.
    height : float
        In pt, without the legend.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        matplotlib.rcParams["svg.hashsalt"] = name
        below = 16.0 * legend_rows + (4.0 if legend_rows else 0.0)
        whole = height + below
        canvas = FigureCanvasSVG(Figure(figsize=(WIDTH / 72.0, whole / 72.0)))
        box = (
            _LEFT / WIDTH,
            (_BOTTOM + below) / whole,
            1.0 - (_LEFT + _RIGHT) / WIDTH,
            1.0 - (_BOTTOM + below + _TOP) / whole,
        )
        drawn = Drawing(canvas.figure.add_axes(box))
        yield drawn
        stream = StringIO()
        canvas.figure.savefig(
            stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
        drawn.svg = inline(stream.getvalue(), name, description)


def legend(ax: Axes, columns: int = 3) -> None:
    """Put the legend below the axes, where ``legend_rows`` has made room."""
    ax.figure.legend(
        *ax.get_legend_handles_labels(),
        loc="lower center",
        ncols=columns,
        fontsize=10.0,
        handlelength=1.4,
        columnspacing=1.2,
        labelspacing=0.25,
        borderaxespad=0.2,
    )


def log_ticks(axis: Any) -> None:
    """Label powers of ten as 1e-6, in plain text; on a short axis 2 and 5 times them as well."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    low, high = axis.get_view_interval()
    short = high < _SHORT * low
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if short else (1.0,), numticks=6))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: power(value)))
    axis.set_minor_formatter(NullFormatter())


def power(value: float) -> str:
    """Return a tick such as 0.01, 1, or 1e-6."""
    return f"{value:g}".replace("e-0", "e-").replace("e+0", "e")


def inline(text: str, name: str, description: str) -> str:
    """Return what matplotlib wrote as an element for HTML."""
    body = text[text.index("<svg") :]
    body = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.S)
    box = re.search(r'viewBox="([^"]*)"', body)
    assert box is not None
    referenced = set(re.findall(r"#([\w-]+)", body))
    body = re.sub(r"<[^>]*>", lambda tag: _tag(tag[0], referenced), body)
    body = re.sub(r"^<svg[^>]*>", "", body)
    for stand_in, property_ in _PROPERTIES.items():
        body = body.replace(stand_in, property_)
    body = re.sub(r"\s*\n\s*", "\n", body)
    open_ = f'<svg viewBox="{box[1]}" role="img" aria-label="{escape(description)}">'
    return open_ + body.strip()


def _tag(tag: str, referenced: set[str]) -> str:
    """Return a tag without what only a file of its own needs."""
    tag = re.sub(r' id="([^"]*)"', lambda found: found[0] * (found[1] in referenced), tag)
    tag = tag.replace("xlink:href", "href").replace("'DejaVu Sans', sans-serif", "sans-serif")
    shape = r' (d|x|y|points|transform|width|height)="[^"]*"'
    return re.sub(shape, lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), tag)
