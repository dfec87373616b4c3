"""The command ``refsim warmup``: compile the kernels before they are needed."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import Any

from validation.terminal import say

Step = tuple[str, Callable[[], object]]
Chain = Callable[[], Iterator[Step]]
_printing = Lock()  # a line of one process at a time


def add_parser(commands: Any) -> None:
    """Add the command to those of ``refsim``."""
    parser = commands.add_parser(
        "warmup",
        help="compile all kernels now, a minute or two once",
        description="Compile the kernels of engines, gradients and tangents, of batches, traces "
        "and large networks, which otherwise happens when they are first used, and keep them on "
        "disk ('refsim info' says where). What is compiled already is only loaded. Kernels for "
        "queues of choice and for weights in single precision are left for --all.",
    )
    parser.add_argument(
        "--all", action="store_true", help="also queues of choice, lossy ones, single precision"
    )
    parser.add_argument(
        "--jobs",
        type=_positive,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes at once, as many as there are processors by default",
    )
    parser.set_defaults(run=_run)


def _positive(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"it is {count}; expected at least 1")
    return count


def chains(everything: bool = False) -> dict[str, Chain]:
    """Return by name what there is to compile, the longest first.

    Each has steps that use kernels once. Those of a chain have much in common, which a process
    compiles once; different ones have little.
    """
    found: dict[str, Chain] = {
        "window": lambda: _engine_steps("window", "", 1),
        "window, any ports": lambda: _engine_steps("window", ", any ports", 2),
        "event": _event_steps,
        "grid": _grid_steps,
        "synapses": _synapse_steps,
    }
    return found | _chains_of_choice() if everything else found


def _chains_of_choice() -> dict[str, Chain]:
    """Return what only those need who ask for it by name."""
    from queues.exact.dispatch import STRUCTURES

    def of(queue: str) -> Chain:
        return lambda: _queue_steps(queue)

    default = type(STRUCTURES["heap"].empty(1, 1, 1))
    kinds = {type(structure.empty(1, 1, 1)): name for name, structure in STRUCTURES.items()}
    return {
        "window, single precision": lambda: _single_steps(1),
        "window, any ports, single precision": lambda: _single_steps(2),
        **{name: of(name) for kind, name in kinds.items() if kind is not default},
        "lossy": _lossy_steps,
        "queues": _structure_steps,
    }


def steps(everything: bool = False) -> Iterator[Step]:
    """Return what there is to compile, by its name, as functions that use it once."""
    for chain in chains(everything).values():
        yield from chain()


class _Given:
    """A small network and its inputs."""

    def __init__(self, n_ports: int = 1, weight_dtype: Any = None):
        import refsim

        ports = (refsim.ExpPort(5.0), refsim.DoubleExpPort(1.0, 5.0))[:n_ports]
        synapses: Any = refsim.random(range(24), 20, in_degree=4, weight=3.0, delay=1.0, rng=0)
        if weight_dtype is not None:
            synapses = synapses.packed(20, 4, weight_dtype=weight_dtype)
        self.network = refsim.Network(20, synapses, n_inputs=4, ports=ports)
        self.inputs = refsim.poisson_inputs(4, rate=100.0, duration=30.0, rng=0)
        self.run = self.network, self.inputs, 30.0
        self.samples = [0], [10.0]

    def tangents(self) -> dict[str, Any]:
        """Return a direction."""
        import numpy as np

        return {"weight": np.ones(len(self.network.synapses))}


def _engine_steps(engine: str, which: str, n_ports: int) -> Iterator[Step]:
    """Return the steps of an engine, for networks of one exponential port or of any."""
    import adjoint
    import refsim

    given = _Given(n_ports)
    options: Any = {"engine": engine}
    yield f"{engine} engine{which}", lambda: refsim.simulate(*given.run, **options)
    yield f"{engine} engine{which}, gradients", lambda: _gradients(given, **options)
    yield (
        f"{engine} engine{which}, tangents",
        lambda: adjoint.jvp(*given.run, given.tangents(), **options),
    )
    yield (
        f"{engine} engine{which}, traces",
        lambda: refsim.simulate(*given.run, **options).trace(neurons=[0], dt=1.0),
    )
    if engine == "window":
        yield f"{engine} engine{which}, checkpoints", lambda: _checkpointed(given)


def _single_steps(n_ports: int) -> Iterator[Step]:
    """Return the steps of weights in single precision."""
    given = _Given(n_ports, "float32")
    yield (
        f"window engine, single precision, {n_ports} port(s)",
        lambda: _gradients(given, engine="window"),
    )


def _event_steps() -> Iterator[Step]:
    import adjoint

    given = _Given()
    yield from _engine_steps("event", "", 1)
    network, inputs, duration = given.run
    yield "batches", lambda: adjoint.vjp_batch(network, [inputs, inputs], duration)[1](None)
    yield "losses", lambda: _losses(given)


def _grid_steps() -> Iterator[Step]:
    import numpy as np

    import adjoint
    import refsim

    given = _Given()
    network, inputs, duration = given.run

    def gradients() -> object:
        run, pullback = adjoint.grid_vjp(network, inputs, duration, 0.1, samples=given.samples)
        return pullback(np.ones(len(run.spikes.time)))

    yield "grid engine", lambda: refsim.simulate_grid(network, inputs, duration, 0.1)
    yield "grid engine, gradients", gradients
    yield (
        "grid engine, tangents",
        lambda: adjoint.grid_jvp(network, inputs, duration, 0.1, given.tangents()),
    )


def _synapse_steps() -> Iterator[Step]:
    """Return the steps of networks that are too large for what needs no compilation."""
    import numpy as np

    import refsim

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

    yield "random synapses", lambda: refsim.random(n, n, in_degree=30, rng=0)
    for name, delay in delays.items():
        yield f"many synapses, delays {name}", partial(lay_out, delay)


def _queue_steps(queue: Any) -> Iterator[Step]:
    """Return the steps of an exact queue of choice, forwards and backwards."""
    import numpy as np

    import adjoint

    given = _Given()
    dt = 0.25 if queue == "ring_buffer" else None

    def use() -> object:
        run, pullback = adjoint.vjp(*given.run, queue=queue, adjoint_queue=_backwards(queue), dt=dt)
        return pullback(np.ones(len(run.spikes.time)))

    yield f"event engine, {queue}", use


def _backwards(queue: Any) -> Any:
    """Return the queue of the pullback, which does without those that need steps or lanes."""
    from queues.exact.dispatch import STRUCTURES

    structure = STRUCTURES[queue]
    return "auto" if structure.in_steps or structure.in_lanes else queue


def _lossy_steps() -> Iterator[Step]:
    import numpy as np

    import adjoint
    import refsim

    given = _Given()

    def use(queue: Any, adjoint_queue: Any) -> object:
        run, pullback = adjoint.vjp(*given.run, queue=queue, adjoint_queue=adjoint_queue)
        return pullback(np.ones(len(run.spikes.time)))

    yield "event engine, lossy queues", lambda: use(refsim.Lossy("single_spike"), "auto")
    yield "event engine, bounded pullback", lambda: use("auto", adjoint.Keep(1, "largest"))
    yield "event engine, sorted pullback", lambda: use("auto", "sorted_pass")


def _structure_steps() -> Iterator[Step]:
    import queues

    def use(make: Callable[[], Any]) -> object:
        queue = make()
        for time_ in (1.0, 2.0, 3.0):
            queue.push(time_)
        return [queue.pop() for _ in range(3)]

    exact: dict[str, Callable[[], Any]] = {
        "BinaryHeap": queues.BinaryHeap,
        "DaryHeap": queues.DaryHeap,
        "BatchHeap": queues.BatchHeap,
        "SortedArray": queues.SortedArray,
        "PairingHeap": queues.PairingHeap,
        "CalendarQueue": queues.CalendarQueue,
        "FIFO": queues.FIFO,
    }
    for name, make in exact.items():
        yield f"queues.{name}", partial(use, make)


def _gradients(given: _Given, **options: Any) -> object:
    import numpy as np

    import adjoint

    simulation, pullback = adjoint.vjp(*given.run, samples=given.samples, **options)
    bar = np.ones(len(simulation.spikes.time))
    return [pullback(bar, wrt=wrt) for wrt in (("weight",), ("weight", "delay"), None)]


def _losses(given: _Given) -> object:
    from adjoint import losses

    wanted: Any = [[5.0]]
    trains = losses.VanRossum([0], wanted, 3.0) + losses.VictorPurpura([0], wanted, 1.0)
    silent = given.network.replace(weight=0.01 * given.network.weight)
    evaluate = losses.value_and_grad(trains + losses.KeepAlive([0]))
    return evaluate(silent, given.inputs, given.run[2])


def _checkpointed(given: _Given) -> object:
    import numpy as np

    import adjoint

    simulation, pullback = adjoint.vjp(*given.run, engine="window", checkpoint=2)
    return pullback(np.ones(simulation.n_spikes))


def _use_all(given: Iterator[Step]) -> None:
    """Take steps, and print how long each took."""
    for name, use in given:
        begin = time.perf_counter()
        use()
        say(f"{name:<48}{time.perf_counter() - begin:6.1f} s", flush=True)


def _run(arguments: argparse.Namespace) -> int:
    names = list(chains(arguments.all))
    if arguments.jobs == 1:
        _use_all(steps(arguments.all))
        return 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        return max(pool.map(_in_a_process, names))


def _in_a_process(name: str) -> int:
    """Take the steps of a chain in a process of its own, and print what it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-m", "validation.cli.warmup", name]
    settings: Any = {"env": {**environment, "REFSIM_QUIET": "1"}, "text": True}
    with subprocess.Popen(command, stdout=subprocess.PIPE, **settings) as process:
        assert process.stdout is not None
        for line in process.stdout:
            with _printing:
                say(line.rstrip("\n"), flush=True)
    return int(process.returncode != 0)


if __name__ == "__main__":
    _use_all(chains(everything=True)[sys.argv[1]]())
