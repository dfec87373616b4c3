"""Between the rates of the kernels and the parameters of the user, both ways."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.types import Outcome, Parameters
from refsim.models.lif.flow import cascade_gain_derivatives
from refsim.network.network import Network
from refsim.types import (
    ModelTangent,
    NeuronArrays,
    PortArrays,
    Tangents as KernelTangents,
    Wiring,
    WiringTangent,
)


def model_tangent(network: Network, direction: Parameters) -> ModelTangent:
    """Return tangents of rates and drives for a direction of parameters."""
    model = network.model
    neurons = NeuronArrays(
        rate=-direction.tau_m * model.neurons.rate * model.neurons.rate,
        drive=direction.v_rest + direction.i_ext,
        v_th=direction.v_th.copy(),
        v_reset=direction.v_reset.copy(),
        t_ref=direction.t_ref.copy(),
    )
    rate_dot = -direction.tau * model.ports.rate * model.ports.rate
    gain_dot = np.zeros(len(network.ports))
    for p, i in _cascades(network):
        by_r, by_s = cascade_gain_derivatives(model.ports.rate[i], model.ports.rate[i + 1])
        gain_dot[p] = by_r * rate_dot[i] + by_s * rate_dot[i + 1]
    ports = PortArrays(model.ports.first, model.ports.order, rate_dot, gain_dot)
    return ModelTangent(neurons, ports)


def kernel_tangents(network: Network, direction: Parameters) -> KernelTangents:
    """Return tangents of rates, drives and sorted synapses for a direction of parameters."""
    wiring = network.wiring
    return KernelTangents(
        model_tangent(network, direction),
        WiringTangent(direction.weight[wiring.number], direction.delay[wiring.number]),
        direction.input_times.copy(),
    )


def as_given(wiring: Wiring, sorted_bar: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers of the sorted synapses in the order of the network."""
    values = np.empty_like(sorted_bar)
    values[wiring.number] = sorted_bar
    return values


def gradient(network: Network, found: Outcome, input_bar: NDArray[np.float64]) -> Parameters:
    """Return what a backward pass has found as a gradient by the parameters of the user."""
    model, bar = network.model, found.model_bar
    rate_bar = bar.port_rate.copy()
    for p, i in _cascades(network):
        by_r, by_s = cascade_gain_derivatives(model.ports.rate[i], model.ports.rate[i + 1])
        rate_bar[i] += by_r * bar.port_gain[p]
        rate_bar[i + 1] += by_s * bar.port_gain[p]
    parts: dict[str, Any] = {
        "weight": found.weight,
        "delay": found.delay,
        "tau_m": -bar.rate * model.neurons.rate * model.neurons.rate,
        "tau": -rate_bar * model.ports.rate * model.ports.rate,
        "v_th": bar.v_th,
        "v_reset": bar.v_reset,
        "v_rest": bar.drive,
        "i_ext": bar.drive.copy(),
        "t_ref": bar.t_ref,
        "v0": bar.v0,
        "input_times": input_bar,
    }
    return Parameters(**parts)


def _cascades(network: Network) -> list[tuple[int, int]]:
    """Return (port, first state) of the ports with two filters."""
    ports = network.model.ports
    return [(p, int(i)) for p, i in enumerate(ports.first) if ports.order[p] == 2]
