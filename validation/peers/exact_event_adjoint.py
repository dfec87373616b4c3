"""The PyTorch package exact-event-adjoint 0.2.0 as a back end: feed-forward layers, in float64.

Its multi-spike layer takes times and weights, and returns the first spikes of each neuron. It is
called once for each neuron, with an input for each arrival, so that neurons can differ and delays,
which the package does not have, can be added to the times between the layers. Voltages are counted
from ``v_rest``; a weight of the package is ours divided by tau_m.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refsim.errors import InvalidValueError
from refsim.network.inputs import SpikeTrain
from refsim.network.network import Network
from refsim.network.ports import ExpPort
from validation.backends.optional import modules
from validation.comparison.backend import Answer, LossCotangents, NotExpressibleError


def exact_event_adjoint_backend(
    network: Network,
    inputs: SpikeTrain,
    duration: float,
    cotangents: LossCotangents,
    *,
    max_spikes: int | None = None,
) -> Answer:
    """Simulate with exact-event-adjoint, and differentiate by its rules and those of PyTorch.

    Parameters
    ----------
    network, inputs, duration, cotangents
        As of `validation.comparison.backend.Backend`; with one exponential port, without
        recurrence, refractoriness, currents and voltage samples.
    max_spikes
        Spikes of a neuron that are looked for; one more than the reference has if None.
    """
    torch, layers = modules("exact-event-adjoint", "torch", "exact_event_adjoint.extended")
    _check(network, cotangents)
    order = _order(network)
    slots = max_spikes or int(cotangents.nth.max(initial=-1)) + 2
    solve = layers.ExactSaltationMultiSpikeFunction.apply
    leaves = {
        name: torch.tensor(values, dtype=torch.float64, requires_grad=True)
        for name, values in (
            ("weight", network.weight),
            ("delay", network.delay),
            ("input_times", inputs.times),
        )
    }
    times = _times(torch, solve, network, inputs, duration, order, slots, leaves)
    return _answer(torch, times, duration, cotangents, leaves)


def _check(network: Network, cotangents: LossCotangents) -> None:
    if len(network.ports) > 1 or not isinstance(network.ports[0], ExpPort):
        raise NotExpressibleError("exact-event-adjoint has one exponential current")
    if np.any(network.tau_m == network.tau[0]):
        raise NotExpressibleError(
            "exact-event-adjoint divides by tau_m - tau_s, and they are equal here"
        )
    if network.t_ref.any():
        raise NotExpressibleError("exact-event-adjoint has no refractory time")
    if network.i_ext.any() or np.any(network.v0 != network.v_rest):
        raise NotExpressibleError("neurons of exact-event-adjoint start at rest, without current")
    if len(cotangents.samples):
        raise NotExpressibleError("exact-event-adjoint returns spike times, not voltages")


def _order(network: Network) -> list[int]:
    """Return the neurons in an order in which each comes after those that drive it."""
    waiting, found = set(range(network.n_neurons)), list[int]()
    internal = network.pre < network.n_neurons
    pre, post = network.pre[internal], network.post[internal]
    while waiting:
        ready = waiting - {int(j) for i, j in zip(pre, post, strict=True) if int(i) in waiting}
        if not ready:
            raise NotExpressibleError("exact-event-adjoint has no recurrence")
        found += sorted(ready)
        waiting -= ready
    return found


def _times(
    torch: Any,
    solve: Any,
    network: Network,
    inputs: SpikeTrain,
    duration: float,
    order: list[int],
    slots: int,
    leaves: dict[str, Any],
) -> list[Any]:
    """Return (slots,) spike times of each neuron; those that do not occur are at the end."""
    n = network.n_neurons
    of_source: dict[int, Any] = {
        n + i: leaves["input_times"][np.flatnonzero(inputs.sources == i)]
        for i in range(network.n_inputs)
    }
    for neuron in order:
        rows = np.flatnonzero(network.post == neuron)
        arrivals, weights = [torch.zeros(0, dtype=torch.float64)], [torch.zeros(0)]
        for row in rows:
            sent = of_source[int(network.pre[row])]
            arrivals.append(sent + leaves["delay"][row])
            weights.append((leaves["weight"][row] / network.tau_m[neuron]).expand(len(sent)))
        of_source[neuron] = solve(
            torch.cat(arrivals)[None],
            torch.cat(weights)[None].to(torch.float64),
            slots,
            float(network.tau_m[neuron]),
            float(network.tau[0]),
            float(network.v_th[neuron] - network.v_rest[neuron]),
            float(network.v_reset[neuron] - network.v_rest[neuron]),
            duration,
        )[0, 0]
    return [of_source[neuron] for neuron in range(n)]


def _answer(
    torch: Any,
    times: list[Any],
    duration: float,
    cotangents: LossCotangents,
    leaves: dict[str, Any],
) -> Answer:
    every = torch.stack(times)
    found = every.detach().numpy()
    neuron, slot = np.nonzero(found < duration)
    if slot.max(initial=0) == found.shape[1] - 1:
        raise InvalidValueError(
            f"a neuron spikes {found.shape[1]} times or more; give more as max_spikes="
        )
    order = np.lexsort((neuron, found[neuron, slot]))
    neuron, slot = neuron[order], slot[order]
    bar = torch.tensor(cotangents.of_spikes(neuron))
    gradient = torch.autograd.grad(
        (bar * every[neuron, slot]).sum(), list(leaves.values()), materialize_grads=True
    )
    groups = {name: values.numpy() for name, values in zip(leaves, gradient, strict=True)}
    return Answer(found[neuron, slot], neuron, groups)
