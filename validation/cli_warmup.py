"""The command ``refsim warmup``: compile the kernels before they are needed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

from refsim.names import EngineName

Step = tuple[str, Callable[[], object]]


def add_parser(commands: Any) -> None:
    """Add the command to those of ``refsim``."""
    parser = commands.add_parser(
        "warmup",
        help="compile all kernels now, some minutes once",
        description="Compile the kernels of all engines and gradients, which otherwise happens "
        "when they are first used, and keep them on disk ('refsim info' says where). What is "
        "compiled already is only loaded.",
    )
    parser.set_defaults(run=_run)


def steps() -> Iterator[Step]:
    """Return what there is to compile, by its name, as functions that use it once."""
    import numpy as np

    import adjoint
    import refsim

    synapses = refsim.random(range(24), 20, in_degree=4, weight=3.0, delay=1.0, seed=0)
    inputs = refsim.poisson_inputs(4, rate=100.0, t_end=30.0, seed=0)
    one = refsim.Network(20, synapses, n_inputs=4, ports=refsim.ExpPort(5.0))
    ports = (refsim.ExpPort(5.0), refsim.DoubleExpPort(1.0, 5.0))
    two = refsim.Network(20, synapses, n_inputs=4, ports=ports)
    tangents = {"weight": np.ones(len(synapses))}

    def of_both(use: Callable[..., object], *arguments: Any, engine: str) -> Callable[[], object]:
        return lambda: [use(net, inputs, 30.0, *arguments, engine=engine) for net in (one, two)]

    for engine in ("event", "window"):
        yield f"{engine} engine", of_both(refsim.simulate, engine=engine)
        yield f"{engine} engine, gradients", of_both(_gradients, engine=engine)
        yield f"{engine} engine, tangents", of_both(adjoint.jvp, tangents, engine=engine)
    yield "batches", lambda: adjoint.vjp_batch(one, [inputs, inputs], 30.0)[1](None)


def _gradients(*run: Any, engine: EngineName) -> object:
    import numpy as np

    import adjoint

    simulation, pullback = adjoint.vjp(*run, engine=engine)
    bar = np.ones(len(simulation.spikes.time))
    return [pullback(bar, wrt=wrt) for wrt in (("weight",), ("weight", "delay"), None)]


def _run(arguments: argparse.Namespace) -> int:
    for name, use in steps():
        print(f"{name:<28}", end="", flush=True)
        begin = time.perf_counter()
        use()
        print(f"{time.perf_counter() - begin:6.1f} s", flush=True)
    return 0
