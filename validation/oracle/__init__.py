"""Arbitrary-precision oracle: spikes, voltages and gradients of a case file, to any digits.

The model is the leaky integrate-and-fire neuron with exponential synaptic currents

    tau_m V'  = -(V - v_rest) + i_ext + sum_k c_k I_k,        tau_k I_k' = -I_k,

so that between two events of a neuron ``V - v_th`` is a sum of exponentials. Every root of it is
found (`validation.oracle.roots`), hence every spike (`validation.oracle.events`). Parameters are
exact decimals (`validation.oracle.model`). Gradients follow from the implicit function theorem
(`validation.oracle.derivatives`), and differences of whole simulations are compared with them
(`validation.oracle.check`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from validation.oracle.events import OracleRun, run_model
from validation.oracle.model import read_model


def simulate(case: Mapping[str, Any], digits: int = 50) -> OracleRun:
    """Simulate a case.

    Parameters
    ----------
    case : mapping
        A parsed ``snn-gradient-case/1`` file. Its numbers are taken as exact decimals: strings,
        integers, or floats (which mean their shortest decimal form).
    digits : int
        Decimal digits wanted.

    Returns
    -------
    OracleRun
        Spikes up to and including the duration, slopes before them, and sampled voltages.
    """
    return run_model(read_model(case), digits)
