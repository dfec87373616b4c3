"""Names and numbers as text that cannot be mistaken for anything else."""

from __future__ import annotations

import math
import unicodedata

SIGNS = {
    "pass": "✓ pass",
    "fail": "✗ FAIL",
    "skip": "○ skip",
    "inconclusive": "? inconclusive",
}

# Of these categories, what a name holds could not be written as XML or UTF-8, would break a line,
# or, as the marks that turn the direction of writing do, would show another name.
_HIDDEN = ("Cc", "Cs", "Cn", "Zl", "Zp")
_TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_MARKDOWN = "\\`*_[]#|~$@"  # at the beginning of a line there is always a sign of our own


def printable(text: object) -> str:
    """Return the text with an escape for each sign that has no shape of its own."""
    return "".join(_visible(sign) for sign in str(text))


def _visible(sign: str) -> str:
    if unicodedata.category(sign) in _HIDDEN or sign in _TURNING:
        return sign.encode("unicode_escape", "surrogatepass").decode("ascii")
    return sign


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
