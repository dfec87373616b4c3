"""Names that arguments may have, as types: editors complete them, and type checkers know them."""

from __future__ import annotations

from typing import Literal

from queues.names import QueueName

QueueChoice = Literal["auto"] | QueueName
Owner = Literal["synapse", "source"]  # of a bounded queue
# Rules of a time grid; see GridScheme.
Membrane = Literal["exact", "exponential", "euler_current", "euler"]
SpikeTimeRule = Literal["linear", "start", "end"]
Receive = Literal["full", "current"]
Reset = Literal["exact", "surrogate", "none"]
