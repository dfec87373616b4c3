"""Draw docs/picture.png: a raster, and a voltage with its exact sensitivity to one delay."""

import sys
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot

import adjoint
import refsim
from adjoint.plot import sensitivity
from refsim.plot import BLUE, GREY, ORANGE, raster

N_EXCITATORY, N_INHIBITORY, N_INPUTS, DURATION = 24, 6, 8, 80.0


def network_and_inputs(seed: int) -> tuple[refsim.Network, refsim.SpikeTrain]:
    rng = np.random.default_rng(seed)
    n = N_EXCITATORY + N_INHIBITORY
    parts = [
        (refsim.random(N_EXCITATORY, n, probability=0.2, rng=rng), 0.3),
        (refsim.random(np.arange(N_EXCITATORY, n), n, probability=0.4, rng=rng), -0.6),
        (refsim.random(n + np.arange(N_INPUTS), n, in_degree=3, rng=rng), 0.75),
    ]
    synapses = [
        refsim.connect(
            pairs.pre, pairs.post, mean * rng.uniform(0.5, 1.5, len(pairs)),
            rng.uniform(0.5, 8.0, len(pairs)),
        )
        for pairs, mean in parts
    ]  # fmt: skip
    port = refsim.DoubleExpPort(1.5, 6.0)
    tau_m = rng.uniform(12.0, 20.0, n)
    network = refsim.Network(n, synapses, n_inputs=N_INPUTS, ports=[port], tau_m=tau_m)
    return network, refsim.poisson_inputs(N_INPUTS, 90.0, DURATION, rng)


def draw(path: Path, seed: int = 50, neuron: int = 13) -> None:
    network, inputs = network_and_inputs(seed)
    simulation, pullback = adjoint.vjp(network, inputs, DURATION)
    # The delay with the most influence on the first spike of the neuron.
    spikes = np.flatnonzero(simulation.spikes.neuron == neuron)
    gradient = pullback(time_bar=np.eye(len(simulation.spikes.time))[spikes[0]])
    synapse = int(np.argmax(np.abs(gradient.delay)))

    style = {
        "font.size": 10,
        "axes.titlesize": 10.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(style):
        figure, (top, bottom) = pyplot.subplots(
            2, 1, figsize=(8.0, 5.4), sharex=True, layout="constrained", height_ratios=(1.0, 1.1)
        )
        colours = [GREY] * N_EXCITATORY + [ORANGE] * N_INHIBITORY
        colours[neuron] = BLUE
        raster(simulation, top, color=colours)
        top.set_xlabel("")
        title = (
            f"Spikes of {N_EXCITATORY} excitatory and {N_INHIBITORY} inhibitory (orange) neurons"
        )
        top.set_title(title, loc="left")
        sensitivity(network, inputs, DURATION, neuron, "delay", synapse, step=0.05, ax=bottom)
        figure.savefig(path, dpi=190)
        pyplot.close(figure)


if __name__ == "__main__":
    default = Path(__file__).resolve().parent.parent / "docs" / "picture.png"
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    draw(target)
    print(f"wrote {target.name}")
