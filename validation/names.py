"""Names that arguments may have, as types: editors complete them, and type checkers know them."""

from __future__ import annotations

import argparse
from typing import Literal

PrecisionName = Literal["float64", "float32"]
Conditioned = Literal["any", "good", "bad"]  # networks that strategies draw


def given_name(text: str) -> str:
    """Return an argument of a command line, unless it is empty, as a variable that is not set."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; expected a name")
    return text
