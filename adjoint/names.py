"""Names that arguments may have, as types: editors complete them, and type checkers know them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

ParameterName = Literal[
    "weight", "delay", "tau_m", "tau", "v_th", "v_reset", "v_rest", "i_ext", "t_ref", "v0",
    "input_times",
]  # fmt: skip
# Exact structures without lanes and steps, or a sort of all arrivals beforehand.
AdjointQueue = Literal[
    "auto", "sorted_pass", "heap", "fifo", "sorted_array", "dary_heap_4", "dary_heap_8",
    "pairing_heap", "calendar", "batch_heap",
]  # fmt: skip
Wrt = ParameterName | Sequence[ParameterName]
Reduction = Literal["sum", "mean"]
