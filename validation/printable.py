"""Text in which every sign can be seen, and none acts on what shows it."""

from __future__ import annotations

import unicodedata

# Of these categories, what a name holds could not be written as XML or UTF-8, would break a line,
# or, as the marks that turn the direction of writing do, would show another name.
_HIDDEN = ("Cc", "Cs", "Cn", "Zl", "Zp")
_TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def printable(text: object) -> str:
    """Return the text with an escape for each sign that has no shape of its own."""
    shown = str(text)
    return shown if shown.isprintable() else "".join(map(_visible, shown))


def _visible(sign: str) -> str:
    if unicodedata.category(sign) in _HIDDEN or sign in _TURNING:
        return sign.encode("unicode_escape", "surrogatepass").decode("ascii")
    return sign
