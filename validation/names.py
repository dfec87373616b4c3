"""Names that arguments may have, as types: editors complete them, and type checkers know them."""

from __future__ import annotations

from typing import Literal

PrecisionName = Literal["float64", "float32"]
Conditioned = Literal["any", "good", "bad"]  # networks that strategies draw
