"""Voltages of a network, as kernels take them and back: see `refsim.models.lif.datum`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refsim.models.lif.datum import above
from refsim.network.network import Network
from refsim.types import Float


def start_of(network: Network) -> Float:
    """Return the voltages at time 0 as kernels take them."""
    return above(network.datum, network.v0)


def voltages_of(network: Network, distance: Float, neurons: NDArray[np.integer]) -> Float:
    """Return the voltages of ``neurons`` at a ``distance`` above the datum, both of one shape.

    What is held at the reset has that voltage to the last bit.
    """
    datum = network.datum
    voltage = datum.high[neurons] + (datum.low[neurons] + distance)
    is_reset = distance == network.model.neurons.v_reset[neurons]
    return np.where(is_reset, network.v_reset[neurons], voltage)
