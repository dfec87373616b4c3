"""The JAX package jaxsnn 0.3.0 as a back end: one population from event to event, in float64.

All neurons are one recurrent population, driven by one source, with a projection from each; so they
have their parameters in common, and the synapses of each projection their delay. Voltages are
counted from ``v_rest``. Time constants are passed on whatever their ratio is, as the package takes
them.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from refsim.errors import InvalidValueError
from refsim.network.inputs import SpikeTrain
from refsim.network.network import Network
from refsim.network.ports import ExpPort
from validation.backends.optional import modules
from validation.comparison.backend import Answer, LossCotangents, NotExpressibleError

METHODS = ("eventprop", "analytical")
_COMMON = ("tau_m", "v_th", "v_reset", "v_rest")


class _Packages(NamedTuple):
    jax: Any
    jnp: Any
    layers: Any  # jaxsnn.event.modules
    parameters: Any  # LIFParameters
    topology: Any
    spike: Any


def _packages() -> _Packages:
    jax, layers, parameters, topology, types = modules(
        "jaxsnn",
        *("jax", "jaxsnn.event.modules", "jaxsnn.event.modules.lif.parameters"),
        *("jaxsnn.event.topology", "jaxsnn.event.types"),
    )
    lif = parameters.LIFParameters
    return _Packages(jax, jax.numpy, layers, lif, topology.Topology, types.Spike)


def jaxsnn_backend(
    network: Network,
    inputs: SpikeTrain,
    duration: float,
    cotangents: LossCotangents,
    *,
    method: str = "eventprop",
    events: int | None = None,
) -> Answer:
    """Simulate with jaxsnn, and differentiate by weights and input times.

    Parameters
    ----------
    network, inputs, duration, cotangents
        As of `validation.comparison.backend.Backend`; with one exponential port, equal neurons
        without refractoriness and currents that start at rest, and at most one synapse for a pair.
    method
        "eventprop", its adjoint, or "analytical", JAX through its solver.
    events
        Steps of the run; each takes an arrival or a spike, and later ones are lost in silence.
        Enough for twice the spikes of the reference if None.
    """
    if method not in METHODS:
        raise InvalidValueError(f"method is {method!r}; expected one of {METHODS}")
    packages = _packages()
    _check(network, cotangents)
    steps = events or len(inputs) + 4 * len(cotangents.time) + 20
    with packages.jax.enable_x64(True):
        simulator = _network(packages, network, duration, method, steps)
        run = partial(_run, packages, network, inputs, simulator)
        values = {"weight": network.weight, "input_times": inputs.times}
        time, pullback, aux = packages.jax.vjp(packages.jax.jit(run), values, has_aux=True)
        neuron, internal = (np.asarray(part) for part in aux)
        slot = np.flatnonzero(internal)
        found = np.asarray(time)[slot]
        order = np.lexsort((neuron[slot], found))
        bar = np.zeros(steps)
        bar[slot[order]] = cotangents.of_spikes(neuron[slot[order]])
        (gradient,) = pullback(packages.jnp.asarray(bar))
    groups = {name: np.asarray(part) for name, part in gradient.items()}
    return Answer(found[order], neuron[slot[order]], groups)


def _check(network: Network, cotangents: LossCotangents) -> None:
    if len(network.ports) > 1 or not isinstance(network.ports[0], ExpPort):
        raise NotExpressibleError("jaxsnn has one exponential current")
    for name in _COMMON:
        if len(np.unique(getattr(network, name))) > 1:
            raise NotExpressibleError(f"a population of jaxsnn has one {name}")
    if network.t_ref.any():
        raise NotExpressibleError("jaxsnn has no refractory time")
    if network.i_ext.any() or np.any(network.v0 != network.v_rest):
        raise NotExpressibleError("neurons of jaxsnn start at rest, without current")
    pairs = network.pre.astype(np.int64) * network.n_neurons + network.post
    if len(np.unique(pairs)) < len(pairs):
        raise NotExpressibleError("jaxsnn has one synapse at most from a source to a neuron")
    for external in (False, True):
        if len(np.unique(network.delay[(network.pre >= network.n_neurons) == external])) > 1:
            raise NotExpressibleError("a projection of jaxsnn has one delay")
    if len(cotangents.samples):
        raise NotExpressibleError("populations of jaxsnn return spikes, not voltages")


def _network(
    packages: _Packages, network: Network, duration: float, method: str, steps: int
) -> tuple[Any, int]:
    """Return the function of the package that simulates, and its number of the source.

    To be called outside of jit: the package closes over its parameters in rules of its own.
    """
    topology = packages.topology(t_max=duration, backprop_method=method)
    neurons = packages.layers.LIF(network.n_neurons, steps, _parameters(packages, network))
    topology.add({"source": packages.layers.Source(network.n_inputs), "neurons": neurons})
    for source, (name, rows) in _projections(network).items():
        delay = float(network.delay[rows][0]) if rows.size else 0.0
        topology.add({name: packages.layers.Linear(min_delay=delay)})
        topology.connect([(source, name), (name, "neurons")])
    _, apply = topology.done()
    return apply, topology.node_index_mapping["source"]


def _projections(network: Network) -> dict[str, tuple[str, NDArray[np.int64]]]:
    """Return the name of the projection of each source, and its synapses."""
    internal = network.pre < network.n_neurons
    found = {"source": ("from_source", np.flatnonzero(~internal))}
    if internal.any():
        found["neurons"] = ("recurrent", np.flatnonzero(internal))
    return found


def _run(
    packages: _Packages,
    network: Network,
    inputs: SpikeTrain,
    simulator: tuple[Any, int],
    values: dict[str, Any],
) -> tuple[Any, Any]:
    """Return the times of all events (steps,), and their neurons and whether they are spikes."""
    apply, source = simulator
    n = network.n_neurons
    weights: dict[str, Any] = {"source": None, "neurons": None}
    for name, rows in _projections(network).values():
        shape = (network.n_inputs if name == "from_source" else n, n)
        first = n if name == "from_source" else 0
        at = (network.pre[rows] - first, network.post[rows])
        weights[name] = packages.jnp.zeros(shape).at[at].set(values["weight"][rows])
    spikes = _source(packages, inputs, values["input_times"], source)
    found = apply({"source": spikes}, weights)["neurons"]
    return found.time[0], (found.idx[0], found.internal[0])


def _parameters(packages: _Packages, network: Network) -> Any:
    rest = float(network.v_rest[0])
    return packages.parameters(
        tau_syn=float(network.tau[0]),
        tau_mem=float(network.tau_m[0]),
        v_th=float(network.v_th[0]) - rest,
        v_reset=float(network.v_reset[0]) - rest,
    )


def _source(packages: _Packages, inputs: SpikeTrain, times: Any, source: int) -> Any:
    """Return a batch of one spike train, sorted by time."""
    order = np.argsort(inputs.times, kind="stable")
    shape: tuple[int, int] = (1, len(order))

    def filled(value: float, dtype: type) -> NDArray[Any]:
        return np.full(shape, value, dtype=dtype)

    return packages.spike(
        time=times[order][None],
        idx=packages.jnp.asarray(inputs.sources[order][None]),
        current=packages.jnp.asarray(filled(0.0, float)),
        layer_idx=packages.jnp.asarray(filled(source, int)),
        internal=packages.jnp.asarray(filled(1, bool)),
    )
