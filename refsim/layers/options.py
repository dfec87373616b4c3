"""The engine of acyclic networks as a user asks for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layers:
    """The engine of networks without cycles: one neuron, or one layer, after the other.

    All arrivals at a neuron are known when it is its turn, so that there is no queue, and no order
    of all events. Where layers are full (each source leads to all neurons of a layer) and have one
    exponential port, all neurons of a layer are taken at once. It finds the spikes of the event
    engine, to rounding, and is the engine to train layered networks with.
    """
