"""Where in an array lies what a gradient consists of; on the processor and on devices."""

from typing import Any

from adjoint.events.loop import WiringBar
from refsim.models.lif.adjoint import ModelBar
from refsim.network.network import Network


def bars_in(flat: Any, s: int, n: int, k: int) -> tuple[WiringBar, ModelBar]:
    """Return the parts of ``flat``, of ``s`` synapses, ``n`` neurons and ``k`` filters."""
    a = 2 * s
    b = a + 6 * n
    model_bar = ModelBar(
        rate=flat[a : a + n],
        drive=flat[a + n : a + 2 * n],
        v_th=flat[a + 2 * n : a + 3 * n],
        v_reset=flat[a + 3 * n : a + 4 * n],
        t_ref=flat[a + 4 * n : a + 5 * n],
        v0=flat[a + 5 * n : b],
        port_rate=flat[b : b + k],
        port_gain=flat[b + k : flat.shape[0]],
    )
    return WiringBar(weight=flat[0:s], delay=flat[s:a]), model_bar


def bars_of(flat: Any, network: Network) -> tuple[WiringBar, ModelBar]:
    """Return the parts of ``flat`` for a network."""
    return bars_in(flat, len(network.synapses), network.n_neurons, len(network.tau))


def size_of_bars(network: Network) -> int:
    """Return how many numbers a gradient consists of."""
    n, filters = network.n_neurons, len(network.tau)
    return 2 * len(network.synapses) + 6 * n + filters + len(network.ports)
