"""The precise models of NEST as a back end: spikes between the steps, and no gradient.

C_m = tau_m in NEST's units makes tau_m V' = -(V - E_L) + I_e + I, so that parameters enter
unscaled: E_L = v_rest, I_e = i_ext, and a weight in pA is ours.

What rounds: delays and refractory times, to multiples of the resolution and at least one; nothing
does where `on_grid` changes nothing. (``iaf_psc_exp_ps_lossless`` takes a refractory time of 0, but
then a neuron that has spiked is silent for ever.) Spike times of neurons and inputs do not round.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refsim.errors import InvalidValueError
from refsim.network.inputs import SpikeTrain
from refsim.network.network import Network
from refsim.network.ports import ExpPort
from validation.backends.optional import modules
from validation.comparison.backend import Answer, LossCotangents, NotExpressibleError

MODELS = ("iaf_psc_exp_ps", "iaf_psc_exp_ps_lossless")
_SHORTEST_STEP = 1e-6  # ms, of NEST's counter of tics here


def nest_precise(
    network: Network,
    inputs: SpikeTrain,
    duration: float,
    cotangents: LossCotangents,
    *,
    dt: float = 0.1,
    model: str = "iaf_psc_exp_ps",
) -> Answer:
    """Simulate with NEST; the answer has spikes only.

    Parameters
    ----------
    network, inputs, duration, cotangents
        As of `validation.comparison.backend.Backend`; with one exponential port, and input spikes
        after 0.
    dt
        Resolution in ms: the length of the steps in which NEST delivers spikes.
    model
        One of `MODELS`. The second finds every crossing, and refuses tau_m = tau_s.

    Notes
    -----
    The kernel of NEST is reset, so that networks which the process had in NEST are gone.
    """
    if model not in MODELS:
        raise InvalidValueError(f"model is {model!r}; expected one of {MODELS}")
    if not dt >= _SHORTEST_STEP:
        raise InvalidValueError(f"dt is {dt}; expected at least {_SHORTEST_STEP} ms")
    with _silence():
        (nest,) = modules("nest", "nest")
    _check(network, inputs, model)
    with _silence():
        time, neuron = _spikes(nest, on_grid(network, dt), inputs, duration, dt, model)
    order = np.lexsort((neuron, time))
    kept = order[time[order] <= duration]
    return Answer(time[kept], neuron[kept], {})


def on_grid(network: Network, dt: float) -> Network:
    """Return the network that NEST simulates: delays and refractory times in whole steps."""

    def whole(times: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(np.rint(times / dt), 1.0) * dt

    return network.replace(delay=whole(network.delay), t_ref=whole(network.t_ref))


def _check(network: Network, inputs: SpikeTrain, model: str) -> None:
    if len(network.ports) > 1 or not isinstance(network.ports[0], ExpPort):
        raise NotExpressibleError(f"{model} has one exponential current")
    if model.endswith("lossless") and np.any(network.tau_m == network.tau[0]):
        raise NotExpressibleError(f"{model} refuses equal time constants")
    if np.any(inputs.times <= 0.0):
        raise NotExpressibleError("an input spike is at time 0; those of NEST come later")


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what NEST prints from standard output, also what its C++ part prints."""
    sys.stdout.flush()
    saved = os.dup(1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            sys.stdout.flush()
            os.dup2(saved, 1)
            os.close(saved)


def _spikes(
    nest: Any, network: Network, inputs: SpikeTrain, duration: float, dt: float, model: str
) -> tuple[Any, Any]:
    """Return times and neurons of the spikes."""
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.SetKernelStatus({"tics_per_ms": round(1.0 / _SHORTEST_STEP), "resolution": dt})
    cells = nest.Create(model, network.n_neurons, params=_cells(network))
    if network.n_inputs:
        trains = [np.sort(inputs.times[inputs.sources == i]) for i in range(network.n_inputs)]
        given = [{"spike_times": train, "precise_times": True} for train in trains]
        nest.Create("spike_generator", network.n_inputs, params=given)
    if len(network.synapses):
        pre, post = network.pre.astype(np.int64) + 1, network.post.astype(np.int64) + 1
        values = {"weight": network.weight, "delay": network.delay}
        nest.Connect(pre, post, "one_to_one", values)
    recorder = nest.Create("spike_recorder")
    nest.Connect(cells, recorder, syn_spec={"delay": float(network.delay.min(initial=1e3))})
    nest.Simulate(np.ceil(duration / dt) * dt)
    return recorder.events["times"], recorder.events["senders"] - 1


def _cells(network: Network) -> dict[str, Any]:
    return {
        "C_m": network.tau_m,
        "tau_m": network.tau_m,
        "tau_syn_ex": network.tau[0],
        "tau_syn_in": network.tau[0],
        "E_L": network.v_rest,
        "V_th": network.v_th,
        "V_reset": network.v_reset,
        "V_m": network.v0,
        "I_e": network.i_ext,
        "t_ref": network.t_ref,
    }
