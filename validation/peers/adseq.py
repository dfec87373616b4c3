"""The JAX package adseq 0.9.4 (the wheel on PyPI) as a back end: its queues, synapses and LIF.

One queue for each synapse (`mk_synapses`, `mk_synapse2s`), the membrane of the flax bridge
(`SurrogateLIF`), put together as in the network of the package's readme, in float32 as the package
chooses on import. Its membrane is u <- (1 - S)(exp(-dt/tau) u + dt current) with threshold 1, rest
and reset 0, so voltages are counted from ``v_reset`` in units of ``v_th - v_reset`` and derivatives
go through that scaling. Input spikes are rounded to steps, and have no derivative.
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
from refsim.network.ports import DoubleExpPort
from validation.backends.optional import modules
from validation.comparison.backend import Answer, LossCotangents, NotExpressibleError

_OFFERED = ("weight", "delay", "tau_m", "tau", "v_th", "v_reset", "v_rest", "i_ext", "v0")


class _Packages(NamedTuple):
    jax: Any
    jnp: Any
    adseq: Any
    detect: Any  # spike_detect, differentiable
    lif: Any  # SurrogateLIF


def _packages() -> _Packages:
    jax, adseq, synapse, bridge = modules(
        "adseq", "jax", "adseq", "adseq.synapse2", "adseq.bridges.flax_bridge"
    )
    return _Packages(jax, jax.numpy, adseq, synapse.spike_detect, bridge.SurrogateLIF)


def adseq_snn(
    network: Network,
    inputs: SpikeTrain,
    duration: float,
    cotangents: LossCotangents,
    *,
    dt: float = 0.05,
    queue: str = "FIFORing",
    capacity: int | None = 16,
    reset: str = "surrogate",
) -> Answer:
    """Simulate with adseq, and differentiate with JAX in reverse mode.

    Parameters
    ----------
    network, inputs, duration, cotangents
        As of `validation.comparison.backend.Backend`; without refractoriness.
    dt
        Time step in ms; 0.05 in the examples of the package.
    queue
        A queue type of the package that has a derivative.
    capacity
        Events that a queue holds, for types that take one; what comes when it is full is lost, as
        in the package. None for types without.
    reset
        "surrogate": the membrane of the package, which puts the derivative of a smooth function in
        place of that of the reset, in every step. "constant": ours, of which the gate that resets
        is held constant in derivatives; right up to the first spike of each neuron, so that the
        derivatives of the rest of the package can be seen.
    """
    packages = _packages()
    if reset not in ("surrogate", "constant"):
        raise InvalidValueError(f"reset is {reset!r}; expected 'surrogate' or 'constant'")
    _check(network)
    steps = int(np.ceil(duration / dt))
    of_samples = np.minimum(np.rint(cotangents.samples.times / dt).astype(int), steps)
    kind = getattr(packages.adseq, queue)
    kind = kind if capacity is None else kind.sized(capacity)
    with packages.jax.enable_x64(False):
        run = partial(_run, packages, network, _raster(inputs, dt, steps), dt, kind, reset)
        (times, voltage), pullback = packages.jax.vjp(packages.jax.jit(run), _parameters(network))
        step, neuron = np.nonzero(np.asarray(times) >= 0.0)
        bar = np.zeros(times.shape, np.float32)
        bar[step, neuron] = cotangents.of_spikes(neuron)
        voltage_bar = np.zeros(voltage.shape, np.float32)
        np.add.at(voltage_bar, (of_samples, cotangents.samples.neurons), cotangents.voltage)
        (gradient,) = pullback((packages.jnp.asarray(bar), packages.jnp.asarray(voltage_bar)))
    voltages = np.asarray(voltage)[of_samples, cotangents.samples.neurons]
    found = {name: np.asarray(values, np.float64) for name, values in gradient.items()}
    return Answer(step * dt, neuron, found, voltages)


def _check(network: Network) -> None:
    if network.t_ref.any():
        raise NotExpressibleError("adseq has no refractory time")
    for port in network.ports:
        if isinstance(port, DoubleExpPort) and port.tau_rise == port.tau_decay:
            raise NotExpressibleError(
                "adseq divides by tau_decay - tau_rise, and a port has equal time constants"
            )


def _parameters(network: Network) -> dict[str, NDArray[np.float32]]:
    return {name: getattr(network, name).astype(np.float32) for name in _OFFERED}


def _raster(inputs: SpikeTrain, dt: float, steps: int) -> NDArray[np.bool_]:
    """Return (steps, n_inputs), where an input spikes; two in one step are one."""
    found = np.zeros((steps, inputs.n_inputs), dtype=bool)
    step = np.rint(inputs.times / dt).astype(int)
    kept = step < steps
    found[step[kept], inputs.sources[kept]] = True
    return found


class _Group(NamedTuple):
    """Synapses of one port that start at neurons, or at input channels."""

    rows: NDArray[np.int64]
    pre: NDArray[np.integer]  # neuron, or channel
    post: NDArray[np.integer]
    port: int
    external: bool


def _groups(network: Network) -> list[_Group]:
    found = []
    for port in range(len(network.ports)):
        for external in (False, True):
            rows = np.flatnonzero(
                (network.port == port) & ((network.pre >= network.n_neurons) == external)
            )
            if rows.size:
                pre = network.pre[rows] - (network.n_neurons if external else 0)
                found.append(_Group(rows, pre, network.post[rows], port, external))
    return found


def _synapses(
    packages: _Packages, network: Network, p: Mapping[str, Any], dt: float, kind: Any
) -> tuple[list[_Group], list[Any]]:
    """Return groups of synapses and their states in the package."""
    first = np.cumsum([0] + [len(port.time_constants) for port in network.ports])
    longest = float(network.delay.max(initial=0.0)) + dt
    groups = _groups(network)
    states: list[Any] = []
    for group in groups:
        tau = [p["tau"][k] for k in range(first[group.port], first[group.port + 1])]
        common = {"dt_ms": dt, "vthres": 1.0, "n": len(group.rows), "max_delay_ms": longest}
        if len(tau) == 2:
            both = {"tau_syn1_ms": tau[0], "tau_syn2_ms": tau[1]}
            states.append(packages.adseq.mk_synapse2s(kind, **both, **common))
        else:
            # The delay given here is used where a step is given none; we give one in each.
            one = {"tau_syn_ms": tau[0], "delay_ms": longest}
            states.append(packages.adseq.mk_synapses(kind, **one, **common))
    return groups, states


def _membrane(packages: _Packages, tau_m: Any, dt: float, reset: str) -> Any:
    """Return the function (u, current) -> u one step later."""
    if reset == "surrogate":
        layer = packages.lif(dt=dt, tau_mem=tau_m)
        return lambda u, current: layer.apply({}, u, current)[0]
    decay = packages.jnp.exp(-dt / tau_m)
    return lambda u, current: packages.jnp.where(u < 1.0, decay * u + dt * current, 0.0)


def _run(
    packages: _Packages,
    network: Network,
    raster: NDArray[np.bool_],
    dt: float,
    kind: Any,
    reset: str,
    p: Mapping[str, Any],
) -> tuple[Any, Any]:
    """Return spike times (steps, n), -1 where there is none, and voltages (steps + 1, n)."""
    jnp = packages.jnp
    unit = p["v_th"] - p["v_reset"]
    drive = (p["v_rest"] + p["i_ext"] - p["v_reset"]) / unit / p["tau_m"]
    weight = p["weight"] / (unit * p["tau_m"])[network.post]
    membrane = _membrane(packages, p["tau_m"], dt, reset)
    groups, states = _synapses(packages, network, p, dt, kind)
    detect = packages.jax.vmap(packages.detect, in_axes=(None, None, None, 0, 0, None))

    def step(carry: Any, k_and_inputs: Any) -> Any:
        u, states = carry
        k, spiking = k_and_inputs
        current, time = drive, k * dt
        for group, state in zip(groups, states, strict=True):
            current = current.at[group.post].add(weight[group.rows] * state.isyn)
        u_next = membrane(u, current)
        after = []
        for group, state in zip(groups, states, strict=True):
            delay = p["delay"][group.rows]
            if group.external:
                after.append(state.timestep_static_spike(time, spiking[group.pre], delay))
            else:
                before_and_after = (u[group.pre], u_next[group.pre])
                after.append(state.timestep_spike_detect_pre(time, *before_and_after, delay))
        return (u_next, after), (detect(dt, time, 1.0, u, u_next, 0.0), u)

    start = (p["v0"] - p["v_reset"]) / unit
    xs = (jnp.arange(len(raster)), jnp.asarray(raster))
    (last, _), (times, u) = packages.jax.lax.scan(step, (start, states), xs)
    return times, p["v_reset"] + unit * jnp.concatenate([u, last[None]])
