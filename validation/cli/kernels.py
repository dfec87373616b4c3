"""What ``refsim warmup`` compiles: steps, each of which uses kernels once, in chains.

Steps of a chain have much in common, which a process compiles once; different chains have little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import adjoint
import queues
import refsim
from adjoint import losses
from queues.exact.dispatch import STRUCTURES

Step = tuple[str, Callable[[], object]]
Chain = Callable[[], Iterator[Step]]

_QUEUES = (
    *("BinaryHeap", "DaryHeap", "BatchHeap", "SortedArray", "PairingHeap", "CalendarQueue"),
    "FIFO",
)


def chains(everything: bool = False) -> dict[str, Chain]:
    """Return by name what there is to compile, the longest first."""
    found: dict[str, Chain] = {
        "window": partial(_engine_steps, "window", refsim.Windows(), "", 1),
        "window, any ports": partial(_engine_steps, "window", refsim.Windows(), ", any ports", 2),
        "event": _event_steps,
        "grid": _grid_steps,
        "synapses": _synapse_steps,
    }
    return found | _chains_of_choice() if everything else found


def _chains_of_choice() -> dict[str, Chain]:
    """Return what only those need who ask for it by name."""
    default = type(STRUCTURES["heap"].empty(1, 1, 1))
    kinds = {type(structure.empty(1, 1, 1)): name for name, structure in STRUCTURES.items()}
    return {
        "window, single precision": partial(_single_steps, 1),
        "window, any ports, single precision": partial(_single_steps, 2),
        **{
            name: partial(_queue_steps, name) for kind, name in kinds.items() if kind is not default
        },
        "lossy": _lossy_steps,
        "queues": _structure_steps,
    }


def steps(everything: bool = False) -> Iterator[Step]:
    """Return what there is to compile, by its name, as functions that use it once."""
    for chain in chains(everything).values():
        yield from chain()


class _Given:
    """A small network and its inputs, and what is asked of them."""

    def __init__(self, n_ports: int = 1, weight_dtype: Any = None):
        ports = (refsim.ExpPort(5.0), refsim.DoubleExpPort(1.0, 5.0))[:n_ports]
        synapses: Any = refsim.random(range(24), 20, in_degree=4, weight=3.0, delay=1.0, rng=0)
        if weight_dtype is not None:
            synapses = synapses.packed(20, 4, weight_dtype=weight_dtype)
        self.network = refsim.Network(20, synapses, n_inputs=4, ports=ports)
        self.inputs = refsim.poisson_inputs(4, rate=100.0, duration=30.0, rng=0)
        self.run = self.network, self.inputs, 30.0
        self.samples = [0], [10.0]
        self.tangents = {"weight": np.ones(len(self.network.synapses))}

    def gradients(self, **options: Any) -> object:
        """Ask for gradients by some parameters, and by all."""
        _, pullback = adjoint.vjp(*self.run, samples=self.samples, **options)
        return [pullback(1.0, wrt=wrt) for wrt in (("weight",), ("weight", "delay"), None)]

    def gradient(self, **options: Any) -> object:
        """Ask for the gradient of the spikes by all parameters."""
        return adjoint.vjp(*self.run, **options)[1](1.0)


def _engine_steps(kind: str, engine: Any, which: str, n_ports: int) -> Iterator[Step]:
    """Return the steps of an engine, for networks of one exponential port or of any."""
    given = _Given(n_ports)
    name = f"{kind} engine{which}"
    simulate = partial(refsim.simulate, *given.run, engine=engine)
    yield name, simulate
    yield f"{name}, gradients", partial(given.gradients, engine=engine)
    yield f"{name}, tangents", partial(adjoint.jvp, *given.run, given.tangents, engine=engine)
    yield f"{name}, traces", lambda: simulate().trace(neurons=[0], step=1.0)
    if kind == "window":
        yield f"{name}, checkpoints", partial(given.gradient, engine=engine, checkpoint=2)


def _single_steps(n_ports: int) -> Iterator[Step]:
    """Return the steps of weights in single precision."""
    given = _Given(n_ports, "float32")
    name = f"window engine, single precision, {n_ports} port(s)"
    yield name, partial(given.gradients, engine=refsim.Windows())


def _event_steps() -> Iterator[Step]:
    yield from _engine_steps("event", refsim.Events(), "", 1)
    network, inputs, duration = _Given().run
    yield "batches", lambda: adjoint.vjp_batch(network, [inputs, inputs], duration)[1](None)
    yield "losses", _use_losses


def _use_losses() -> object:
    """Ask for distances of spike trains, and for peaks of voltages."""
    given, wanted = _Given(), [[5.0]]
    trains = losses.VanRossum([0], wanted, 3.0) + losses.VictorPurpura([0], wanted, 1.0)
    silent = given.network.replace(weight=0.01 * given.network.weight)
    return losses.value_and_grad(trains + losses.KeepAlive([0]))(silent, *given.run[1:])


def _grid_steps() -> Iterator[Step]:
    given, grid = _Given(), refsim.Grid(0.1)
    yield "grid engine", partial(refsim.simulate, *given.run, engine=grid)
    yield "grid engine, gradients", partial(given.gradients, engine=grid)
    yield "grid engine, tangents", partial(adjoint.jvp, *given.run, given.tangents, engine=grid)


def _synapse_steps() -> Iterator[Step]:
    """Return the steps of networks that are too large for what needs no compilation."""
    n, size = 300, 25_000
    rng = np.random.default_rng(0)
    pre, post, port = rng.integers(0, n, size), rng.integers(0, n, size), np.arange(size) % 2
    delays = {"equal": 1.0, "few": 1.0 + port, "all different": 1.0 + rng.random(size)}

    def lay_out(delay: Any) -> object:
        synapses = refsim.Synapses(pre, post, rng.normal(size=size), delay, port)
        ports = [refsim.ExpPort(5.0), refsim.ExpPort(3.0)]
        packed = synapses.packed(n, 0)
        single = synapses.packed(n, 0, weight_dtype="float32")
        nets = [refsim.Network(n, given, ports=ports) for given in (synapses, packed, single)]
        return [(net.rows, net.wiring) for net in nets]

    yield "random synapses", partial(refsim.random, n, n, in_degree=30, rng=0)
    for name, delay in delays.items():
        yield f"many synapses, delays {name}", partial(lay_out, delay)


def _queue_steps(queue: Any) -> Iterator[Step]:
    """Return the steps of an exact queue of choice, forwards and backwards.

    The pullback does without those that need steps or lanes.
    """
    structure = STRUCTURES[queue]
    backwards = "auto" if structure.in_steps or structure.in_lanes else queue
    engine = refsim.Events(queue, 0.25 if structure.in_steps else None)
    use = partial(_Given().gradient, engine=engine, adjoint_queue=backwards)
    yield f"event engine, {queue}", use


def _lossy_steps() -> Iterator[Step]:
    use = _Given().gradient
    lossy = refsim.Events(refsim.Lossy("single_spike"))
    yield "event engine, lossy queues", partial(use, engine=lossy)
    yield "event engine, bounded pullback", partial(use, adjoint_queue=adjoint.Keep(1, "largest"))
    yield "event engine, sorted pullback", partial(use, adjoint_queue="sorted_pass")


def _structure_steps() -> Iterator[Step]:
    def use(name: str) -> object:
        queue = getattr(queues, name)()
        for time in (1.0, 2.0, 3.0):
            queue.push(time)
        return [queue.pop() for _ in range(3)]

    for name in _QUEUES:
        yield f"queues.{name}", partial(use, name)
