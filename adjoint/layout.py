"""Between the rates of the kernels and the parameters of the user, both ways."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.types import Parameters
from refsim.engine import Tangents as KernelTangents
from refsim.lif import cascade_gain_derivatives
from refsim.lif_vjp import ModelBar
from refsim.network import Network
from refsim.types import ModelTangent, NeuronArrays, PortArrays, WiringTangent


def kernel_tangents(network: Network, direction: Parameters) -> KernelTangents:
    """Return tangents of rates, drives and sorted synapses for a direction of parameters."""
    model, wiring = network.model, network.wiring
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
    return KernelTangents(
        ModelTangent(neurons, ports),
        WiringTangent(direction.weight[wiring.number], direction.delay[wiring.number]),
        direction.input_times.copy(),
    )


def gradient(
    network: Network,
    bar: ModelBar,
    weight_bar: NDArray[np.float64],
    delay_bar: NDArray[np.float64] | None,
    input_bar: NDArray[np.float64],
    wrt: Collection[str],
) -> Parameters:
    """Return the gradient by the parameters in ``wrt``; bars are in the order of the user."""
    found: dict[str, Any] = {
        "weight": weight_bar,
        "delay": delay_bar,
        "v_th": bar.v_th,
        "v_reset": bar.v_reset,
        "v_rest": bar.drive,
        "i_ext": bar.drive.copy(),
        "t_ref": bar.t_ref,
        "v0": bar.v0,
        "input_times": input_bar,
    }
    rate = network.model.neurons.rate
    found["tau_m"] = -bar.rate * rate * rate
    found["tau"] = _by_tau(network, bar)
    wanted: dict[str, Any] = {name: found[name] if name in wrt else None for name in found}
    return Parameters(**wanted)


def _by_tau(network: Network, bar: ModelBar) -> NDArray[np.float64]:
    """Return the gradient by the time constants of the ports."""
    rate, rate_bar = network.model.ports.rate, bar.port_rate.copy()
    for p, i in _cascades(network):
        by_r, by_s = cascade_gain_derivatives(rate[i], rate[i + 1])
        rate_bar[i] += by_r * bar.port_gain[p]
        rate_bar[i + 1] += by_s * bar.port_gain[p]
    return np.asarray(-rate_bar * rate * rate)


def as_given(number: NDArray[np.int64], sorted_bar: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the bars of sorted synapses in the order of the user."""
    bar = np.empty_like(sorted_bar)
    bar[number] = sorted_bar
    return bar


def _cascades(network: Network) -> list[tuple[int, int]]:
    """Return (port, first state) of the ports with two filters."""
    ports = network.model.ports
    return [(p, int(i)) for p, i in enumerate(ports.first) if ports.order[p] == 2]
