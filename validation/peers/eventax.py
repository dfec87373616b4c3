"""The JAX package eventax 0.1.0 as a back end: an ODE solver from event to event, in float64.

Its LIF neurons, whose voltages are counted from ``v_rest``, with a matrix of weights and one of
delays. Gradients are those of the adjoint that is asked for. The model keeps thresholds, resets and
time constants out of its derivatives (the one that would not, PLIF, cannot be made in this version:
its constructor hands on an argument that is not taken).
"""

from __future__ import annotations

from collections.abc import Mapping
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

_ADJOINTS = ("checkpoint", "eventprop")


class _Packages(NamedTuple):
    jax: Any
    jnp: Any
    equinox: Any
    diffrax: Any
    optimistix: Any
    evnn: Any
    lif: Any
    adjoint: Any


def _packages() -> _Packages:
    jax, equinox, diffrax, optimistix, evnn, lif, adjoint = modules(
        "eventax",
        *("jax", "equinox", "diffrax", "optimistix"),
        *("eventax.evnn", "eventax.neuron_models.lif", "eventax.adjoint"),
    )
    return _Packages(jax, jax.numpy, equinox, diffrax, optimistix, evnn, lif, adjoint)


def eventax_backend(
    network: Network,
    inputs: SpikeTrain,
    duration: float,
    cotangents: LossCotangents,
    *,
    dt: float = 0.05,
    adjoint: str = "checkpoint",
    solver: str = "Tsit5",
    tolerance: float = 1e-12,
    events: int | None = None,
) -> Answer:
    """Simulate with eventax, and differentiate in reverse mode.

    Parameters
    ----------
    network, inputs, duration, cotangents
        As of `validation.comparison.backend.Backend`; with one exponential port, without
        refractoriness, and with one synapse at most from a source to a neuron.
    dt
        Step of the ODE solver in ms; the default of the package is 0.001.
    adjoint
        "checkpoint" (``RecursiveCheckpointAdjoint``, the default of the package) or "eventprop"
        (``EventPropAdjoint``).
    solver
        A solver of diffrax; the default of the package is "Euler".
    tolerance
        Of the root finder; the default of the package is 0.01.
    events
        Most events of a run; an estimate if None.
    """
    if adjoint not in _ADJOINTS:
        raise InvalidValueError(f"adjoint is {adjoint!r}; expected one of {_ADJOINTS}")
    packages = _packages()
    _check(network)
    limit = events or _event_limit(network, inputs, cotangents)
    with packages.jax.enable_x64(True):
        model = _model(packages, network, duration, dt, adjoint, solver, tolerance, limit)
        run = partial(_loss, packages, model, network, inputs, cotangents)
        graded = packages.jax.value_and_grad(run, has_aux=True)
        found, gradient = packages.jax.jit(graded)(_parameters(network, inputs))
    return _answer(network, limit, cotangents, found[1], gradient)


def _check(network: Network) -> None:
    if len(network.ports) > 1 or not isinstance(network.ports[0], ExpPort):
        raise NotExpressibleError("the LIF model of eventax has one exponential current")
    if network.t_ref.any():
        raise NotExpressibleError(
            "the refractory wrapper of eventax ends within a step of the solver, where it is not "
            "an event; this back end leaves it out"
        )
    pairs = network.pre.astype(np.int64) * network.n_neurons + network.post
    if len(np.unique(pairs)) < len(pairs):
        raise NotExpressibleError("eventax has one synapse at most from a source to a neuron")


def _event_limit(network: Network, inputs: SpikeTrain, cotangents: LossCotangents) -> int:
    """Return a number of events that is enough if there are not twice the expected spikes."""
    spikes = 2 * len(cotangents.time) + 10
    fan_out = network.n_neurons if network.delay.any() else 1
    return 10 + (len(inputs) + spikes) * fan_out + 2 * spikes + len(cotangents.samples)


def _parameters(network: Network, inputs: SpikeTrain) -> dict[str, NDArray[np.float64]]:
    found = {name: getattr(network, name) for name in ("weight", "i_ext", "v0")}
    if network.delay.any():
        found["delay"] = network.delay
    return found | {"input_times": inputs.times}


def _model(
    packages: _Packages,
    network: Network,
    duration: float,
    dt: float,
    adjoint: str,
    solver: str,
    tolerance: float,
    limit: int,
) -> Any:
    """Return a model of the package, the parameters of which are still to be filled in."""
    jnp, n = packages.jnp, network.n_neurons
    mask = np.zeros((n + network.n_inputs, n))
    mask[network.pre, network.post] = 1.0
    checkpoint = packages.diffrax.RecursiveCheckpointAdjoint
    chosen = packages.adjoint.EventPropAdjoint if adjoint == "eventprop" else checkpoint
    newton = packages.optimistix.Newton(tolerance, tolerance, packages.optimistix.rms_norm)
    return packages.evnn.EvNN(
        neuron_model=_neuron_class(packages),
        n_neurons=n,
        max_solver_time=duration,
        in_size=network.n_inputs,
        key=packages.jax.random.PRNGKey(0),
        wmask=jnp.asarray(mask),
        init_delays=jnp.zeros(mask.shape) if network.delay.any() else None,
        buffer_capacity=limit if network.delay.any() else None,
        max_event_steps=limit,
        solver_stepsize=dt,
        root_finder=newton,
        solver=getattr(packages.diffrax, solver)(),
        adjoint=chosen(),
        dtype=jnp.float64,
        thresh=jnp.asarray(network.v_th - network.v_rest),
        vreset=jnp.asarray(network.v_reset - network.v_rest),
        init_weights=jnp.zeros(mask.shape),
        init_bias=jnp.zeros(n),
        tmem=jnp.asarray(network.tau_m),
        tsyn=float(network.tau[0]),
        start=jnp.zeros(n),
    )


def _neuron_class(packages: _Packages) -> Any:
    """Return the LIF of the package with another voltage at time 0."""
    jnp = packages.jnp

    class StartedLIF(packages.lif.LIF):  # type: ignore[name-defined]
        start: Any

        def __init__(self, *, start: Any, **others: Any):
            super().__init__(**others)
            self.start = start

        def init_state(self, n_neurons: int) -> Any:
            """Return voltages and currents, (n_neurons, 2)."""
            return jnp.stack([self.start, jnp.zeros(n_neurons)], axis=1)

    return StartedLIF


def _filled(packages: _Packages, model: Any, network: Network, p: Mapping[str, Any]) -> Any:
    """Return the model with parameters."""
    jnp, n = packages.jnp, network.n_neurons
    zeros = jnp.zeros((n + network.n_inputs, n))
    values = {
        "weights": zeros.at[network.pre, network.post].set(p["weight"]),
        "ic": p["i_ext"],
        "start": p["v0"] - network.v_rest,
    }
    for name, value in values.items():
        where = partial(lambda name, tree: getattr(tree.neuron_model, name), name)
        model = packages.equinox.tree_at(where, model, value)
    if "delay" in p:
        delays = zeros.at[network.pre, network.post].set(p["delay"])
        model = packages.equinox.tree_at(lambda tree: tree.delays, model, delays)
    return model


def _loss(
    packages: _Packages,
    model: Any,
    network: Network,
    inputs: SpikeTrain,
    cotangents: LossCotangents,
    p: Mapping[str, Any],
) -> tuple[Any, Any]:
    """Return the loss, and (spike times, their neurons, voltages), padded."""
    jnp, n = packages.jnp, network.n_neurons
    filled = _filled(packages, model, network, p)
    trains = _trains(jnp, inputs, p["input_times"])
    time, neuron, _ = filled.record(trains)
    neuron = jnp.where(jnp.isfinite(time), neuron.astype(int), n)
    ones = neuron[:, None] == jnp.arange(n + 1)
    nth = jnp.take_along_axis(jnp.cumsum(ones, axis=0), neuron[:, None], axis=1)[:, 0] - 1
    table = np.zeros((n + 1, int(cotangents.nth.max(initial=-1)) + 2))
    table[cotangents.neuron, cotangents.nth] = cotangents.time
    bar = jnp.asarray(table)[neuron, jnp.minimum(nth, table.shape[1] - 1)]
    loss = jnp.sum(bar * jnp.where(jnp.isfinite(time), time, 0.0))
    voltages = jnp.zeros(0)
    if len(cotangents.samples):
        voltages = _voltages(jnp, filled, network, trains, cotangents)
        loss += jnp.sum(cotangents.voltage * voltages)
    return loss, (time, neuron, voltages)


def _trains(jnp: Any, inputs: SpikeTrain, times: Any) -> Any:
    """Return input times as a matrix (n_inputs, K), with infinity where there is none."""
    order = np.argsort(inputs.sources, kind="stable")
    sources = inputs.sources[order]
    nth = np.arange(len(order)) - np.searchsorted(sources, sources)
    empty = jnp.full((inputs.n_inputs, int(nth.max(initial=0)) + 1), jnp.inf)
    return empty.at[sources, nth].set(times[order])


def _voltages(
    jnp: Any, model: Any, network: Network, trains: Any, cotangents: LossCotangents
) -> Any:
    order = np.argsort(cotangents.samples.times, kind="stable")
    states = model.state_at_t(trains, jnp.asarray(cotangents.samples.times[order]))
    neurons = cotangents.samples.neurons[order]
    found = states[neurons, np.arange(len(order)), 0] + network.v_rest[neurons]
    return jnp.zeros(len(order)).at[order].set(found)


def _answer(
    network: Network, limit: int, cotangents: LossCotangents, found: Any, gradient: Any
) -> Answer:
    time, neuron, voltages = (np.asarray(part) for part in found)
    if np.isfinite(time[-1]):
        raise InvalidValueError(f"the run has more than {limit} events; give more as events=")
    real = np.isfinite(time)
    order = np.lexsort((neuron[real], time[real]))
    groups = {name: np.asarray(values) for name, values in gradient.items()}
    return Answer(
        time[real][order],
        neuron[real][order],
        groups,
        voltages if len(cotangents.samples) else None,
    )
