"""Names and numbers as text that cannot be mistaken for anything else."""

from __future__ import annotations

import math

from validation.printable import printable

SIGNS = {
    "pass": "✓ pass",
    "fail": "✗ FAIL",
    "skip": "○ skip",
    "inconclusive": "? inconclusive",
}

_MARKDOWN = "\\`*_[]#|~$@"  # at the beginning of a line there is always a sign of our own


def figure(value: float, digits: int = 1) -> str:
    """Return a number such as 3.2e-14, or "-" for one that is not finite."""
    return f"{value:.{digits}e}" if math.isfinite(value) else "-"


def error_figure(value: float) -> str:
    """Return an error, which may be inf or nan."""
    return "0" if value == 0.0 else f"{value:.1e}"


def entry_figure(value: float) -> str:
    """Return an entry of a gradient with the digits that show where two differ."""
    return f"{value:.9g}"


def seconds_figure(value: float) -> str:
    """Return seconds with two digits that mean something."""
    return f"{value:.2f}" if value < 100.0 else f"{value:.0f}"


def markdown(text: object) -> str:
    """Return the text with its signs escaped, for a paragraph or a cell of Markdown."""
    escaped = "".join(f"\\{sign}" if sign in _MARKDOWN else sign for sign in printable(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
